"""What the user points at, as a list of cases. Never an empty list."""

from __future__ import annotations

import difflib
import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from ..case import Case, CaseList, NoCasesError, Rejection
from ..errors import InputError
from ..files import given_path
from ..naming import shown
from ..parallel import is_first_process
from .list_options import ListOptions, Missing
from .lists import cases_from_list, is_list
from .names import CaseNames
from .search import Finds, scans_of

__all__ = ["Case", "CaseList", "Rejection", "find_cases"]

log = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]
MOST_LINES = 20


def find_cases(
    input: PathLike | list[str] | list[Case],  # noqa: A002 - the name of the command-line key
    *,
    series: str | int = "ask",
    data_dir: PathLike | None = None,
    reports: PathLike | None = None,
    metadata: PathLike | None = None,
    exclude: PathLike | None = None,
    fibrotic_sequela: str = "scarring",
    medical_material: str = "catheter_or_port",
    missing: Missing = "fail",
    phantom_dir: PathLike = "phantom",
    phantom_region: str = "chest",
    keep_rejected: Callable[[list[Rejection]], object] | None = None,
) -> CaseList:
    """Turn what the user points at into cases.

    Args:
        input: `phantom`, a synthetic patient that is drawn into `phantom_dir` once it is read; a
            NIfTI, NRRD or NPZ file; a folder that holds DICOM series, such files, or both, at any
            depth; a CSV or JSON list; or a list of paths. A list of ready cases is kept. A scan
            that a list of paths reaches twice is one case.
        series: For DICOM: `ask`, `all`, `best` (one of each study), a series number,
            `<number>/<part>` where one series holds several acquisitions, or a series UID.
        data_dir: For lists: where the volumes lie; the list's own folder by default.
        reports: For CT-RATE lists: the published CSV of reports, joined by volume name.
        metadata: For CT-RATE and Rad-ChestCT lists: the published CSV of metadata, joined by
            name; gives spacing where the volume files hold none.
        exclude: For CT-RATE lists: a text file of volume names to leave out (`no_chest_*.txt`).
        fibrotic_sequela: For Rad-ChestCT lists: what that class is read from, `scarring` or
            `fibrosis`.
        medical_material: For Rad-ChestCT lists: `catheter_or_port` or `any` device.
        missing: What a list names and is not there: `fail`, a failed case each; or `leave_out`, for
            the table of a data set of which only a part is at hand.
        phantom_dir: Where the synthetic patient's scan goes. For a folder of your own that is
            called `phantom`, say `./phantom`.
        phantom_region: What of the synthetic patient is scanned: `chest`, `abdomen`,
            `torso` or `head`.
        keep_rejected: Where nothing usable is there, the first process gives it what was left out,
            such as a run's `keep_rejections`; where that fails, the error alone says why.

    Returns:
        At least one case, named as `CaseNames` says unless a list gives `case_id`. Its `rejected`
        says what was left out and why; the first of them are also logged.

    Raises:
        InputError: If nothing usable is there (the message says what was found and what is
            accepted), or if a study holds several series and `series` is `ask`.
    """
    options = ListOptions(
        data_dir=data_dir,
        reports=reports,
        metadata=metadata,
        exclude=exclude,
        fibrotic_sequela=fibrotic_sequela,
        medical_material=medical_material,
        missing=missing,
        series=series,
    )
    if isinstance(input, str) and input == "phantom":
        from ..phantom.export import phantom_case  # takes a third of the time that all of ours does
        from ..phantom.patient import SEED_RANGES

        folder = given_path(phantom_dir, name="phantom_dir")
        cases = CaseList([phantom_case(folder, SEED_RANGES["example"][0], region=phantom_region)])
    else:
        try:
            if isinstance(input, list | tuple):
                cases = _from_paths(input, options)
            else:
                cases = _from_path(existing(given_path(input, name="input")), options)
        except NoCasesError as error:
            if keep_rejected is not None and is_first_process():
                with suppress(InputError):
                    keep_rejected(error.rejected)
            raise
    _log(cases.rejected)
    return cases


def _from_path(path: Path, options: ListOptions) -> CaseList:
    if is_list(path):
        return cases_from_list(path, options)
    return scans_of(path, series=options.series, names=CaseNames()).named()


def _from_paths(inputs: Sequence[str | Case], options: ListOptions) -> CaseList:
    if not inputs:
        msg = "input must name at least one scan, got an empty list; give files or folders"
        raise InputError(msg)
    names = CaseNames()
    found = Finds()
    for item in inputs:
        if isinstance(item, dict):
            found.add(_ready(item), [str(item["case_id"])])
            continue
        path = existing(given_path(item, name="each of input"))
        if is_list(path):
            listed = cases_from_list(path, options)
            found += Finds(listed, [[case["case_id"]] for case in listed], listed.rejected)
        else:
            found += scans_of(path, series=options.series, names=names)
    return _each_once(found).named()


def _ready(case: Case) -> Case:
    missing = [key for key in ("case_id", "image", "format") if not case.get(key)]
    if missing:
        msg = f"a ready case must have case_id, image and format, got none of {missing}; add them"
        raise InputError(msg)
    return case


def _each_once(found: Finds) -> Finds:
    """Without scans that were reached twice; those are named among the rejected."""
    kept = Finds(rejected=found.rejected)
    seen: set[str] = set()
    for case, names in zip(found.cases, found.names, strict=True):
        content = json.dumps({**case, "image": str(Path(case["image"]).absolute())}, sort_keys=True)
        if content in seen:
            reason = "named twice by the input; it is one case"
            kept.rejected.append(Rejection(case["image"], reason))
        else:
            kept.add(case, names)
            seen.add(content)
    return kept


def _log(rejected: Iterable[Rejection]) -> None:
    """Say the first volumes that were left out, and how many other files."""
    volumes = [rejection for rejection in rejected if rejection.is_volume]
    others = [rejection for rejection in rejected if not rejection.is_volume]
    for rejection in volumes[:MOST_LINES]:
        log.warning("left out %s", rejection)
    if len(volumes) > MOST_LINES:
        log.warning("left out %d more in the same way", len(volumes) - MOST_LINES)
    if others:
        log.warning("left out %d files that are no scans, such as %s", len(others), others[0])


def existing(path: Path) -> Path:
    """Return `path` if it can be looked at.

    Raises:
        InputError: If it is missing (similar names are suggested) or may not be read.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "it is a link to nothing" if path.is_symlink() else _suggestion(path)
        msg = f"input must exist, got {shown(path)}; {shown(hint)}"
        raise InputError(msg) from error
    except PermissionError as error:
        raise _denied(path) from error
    except (OSError, ValueError) as error:  # too long, links in a circle, no file name at all
        why = getattr(error, "strerror", None) or str(error)
        msg = f"input must be a path, got {shown(str(path)[:200])} ({why.lower()}); check it"
        raise InputError(msg) from error
    if not os.access(path, os.R_OK):
        raise _denied(path)
    return path


def _denied(path: Path) -> InputError:
    msg = f"{shown(path)} must be readable, got permission denied; change its permissions"
    return InputError(msg)


def _suggestion(path: Path) -> str:
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        path, parent = parent, parent.parent
    try:
        names = [entry.name for entry in parent.iterdir()]
        near = difflib.get_close_matches(path.name, names, n=3)
    except OSError:
        near = []
    return f"did you mean {' or '.join(near)} in {parent}?" if near else "check the path"

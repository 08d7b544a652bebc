"""What the user points at, as a list of cases. Never an empty list."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from .case import Case, CaseList, Rejection
from .errors import InputError
from .formats.dicom_scan import Series, choose_series, find_series, is_dicom, reason_of
from .formats.evidence import why_no_ct
from .formats.registry import ACCEPTED, format_of
from .naming import unique_names
from .phantom.export import write_phantom_case
from .phantom.patient import SEED_RANGES
from .tables.case_list import LIST_SUFFIXES, ListOptions, cases_from_list

__all__ = ["Case", "CaseList", "Rejection", "find_cases"]

log = logging.getLogger(__name__)
PathLike = str | os.PathLike[str]

OTHER_FORMATS = {
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
    ".hdr": "an Analyze or NIfTI pair",
    ".img": "an Analyze or NIfTI pair",
    ".mgz": "FreeSurfer",
    ".zip": "an archive",
    ".tar": "an archive",
    ".gz": "a gzip file",
    ".7z": "an archive",
    ".npy": "a bare array",
}
OTHER_FILES = (".csv", ".json", ".md", ".pdf", ".png", ".jpg", ".txt", ".xml", ".html", ".py")


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
    phantom_dir: PathLike = "phantom",
    phantom_region: str = "chest",
) -> CaseList:
    """Turn what the user points at into cases.

    Args:
        input: `phantom`, a synthetic patient that is written to `phantom_dir` first; a NIfTI, NRRD
            or NPZ file; a folder that holds DICOM series, such files, or both, at any depth; a CSV
            or JSON list; or a list of paths. A list of ready cases is kept.
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
        phantom_dir: Where the synthetic patient's scan goes. For a folder of your own that is
            called `phantom`, say `./phantom`.
        phantom_region: What of the synthetic patient is scanned: `chest`, `abdomen`,
            `torso` or `head`.

    Returns:
        At least one case. Its `rejected` says what was left out and why; each is also logged.

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
    )
    if input == "phantom":
        path = write_phantom_case(
            Path(phantom_dir), SEED_RANGES["example"][0], region=phantom_region
        )
        cases = _from_file(path, series, options)
    elif isinstance(input, list):
        cases = _from_paths(input, series, options)
    else:
        path = existing(Path(str(input)).expanduser())  # fire reads a folder named 12 as a number
        cases = _from_folder(path, series) if path.is_dir() else _from_file(path, series, options)
    _log(cases.rejected)
    return cases


def _log(rejected: Iterable[Rejection]) -> None:
    """Say each volume that was left out, and how many other files."""
    others = []
    for rejection in rejected:
        if rejection.is_volume:
            log.warning("left out %s", rejection)
        else:
            others.append(rejection)
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
        msg = f"input must exist, got {path}; {_suggestion(path)}"
        raise InputError(msg) from error
    except PermissionError as error:
        raise _denied(path) from error
    if not os.access(path, os.R_OK):
        raise _denied(path)
    return path


def _denied(path: Path) -> InputError:
    return InputError(f"{path} must be readable, got permission denied; change its permissions")


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


def _from_paths(
    inputs: list[str] | list[Case], series: str | int, options: ListOptions
) -> CaseList:
    if not inputs:
        msg = "input must name at least one scan, got an empty list; give files or folders"
        raise InputError(msg)
    found = CaseList()
    for item in inputs:
        if isinstance(item, dict):
            found.append(item)
            continue
        path = existing(Path(str(item)).expanduser())
        part = _from_folder(path, series) if path.is_dir() else _from_file(path, series, options)
        found += part
        found.rejected += part.rejected
    return CaseList(_named(found, [[case["case_id"]] for case in found]), found.rejected)


def _from_file(path: Path, series: str | int, options: ListOptions) -> CaseList:
    if path.suffix.lower() in LIST_SUFFIXES:
        return cases_from_list(path, options)
    if format_of(path) is None and is_dicom(path):
        return _from_dicom_file(path, series)
    refusal = _refusal(path)
    if refusal:
        msg = (
            f"{path} must be a CT, got: {refusal.reason}; "
            f"accepted are {ACCEPTED}, or a CSV or JSON list"
        )
        raise InputError(msg)
    return CaseList(_named([_file_case(path)], [_names_of_file(path, path.parent)]))


def _from_dicom_file(path: Path, series: str | int) -> CaseList:
    found, rejected = find_series([path])
    if not found:
        msg = (
            f"{path} must be a whole scan, got one DICOM file: {rejected[0].reason}; "
            f"give the folder of its series, {path.parent}"
        )
        raise InputError(msg)
    chosen = choose_series(found, series)
    names = [_names_of_series(one, path.parent) for one in chosen]
    return CaseList(_named([_series_case(one) for one in chosen], names), rejected)


def _from_folder(folder: Path, series: str | int) -> CaseList:
    files, rejected = _list_files(folder)
    if not files and not rejected:
        msg = f"{folder} must hold at least one CT, got an empty folder; give {ACCEPTED}"
        raise InputError(msg)
    volumes, dicom_files, others = _sort_out(files)
    cases = []
    names = []
    for path in volumes:
        refusal = _refusal(path)
        if refusal:
            rejected.append(refusal)
        else:
            cases.append(_file_case(path))
            names.append(_names_of_file(path, folder))
    found, refused = find_series(dicom_files)
    rejected += refused + others
    if found:
        chosen = choose_series(found, series)
        cases += [_series_case(one) for one in chosen]
        names += [_names_of_series(one, folder) for one in chosen]
    if not cases:
        raise InputError(_nothing_usable(folder, rejected))
    return CaseList(_named(cases, names), rejected)


def _named(cases: list[Case], names: list[list[str]]) -> list[Case]:
    """Give each case an id of its own, from the names it could have, shortest first."""
    for case, name in zip(cases, unique_names(names), strict=True):
        case["case_id"] = name
    return cases


def _nothing_usable(folder: Path, rejected: list[Rejection]) -> str:
    by_reason: dict[str, list[str]] = {}
    for item in rejected:
        by_reason.setdefault(item.reason, []).append(Path(item.path).name)
    found = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in by_reason.items()
    ]
    shown = "; ".join(found[:5])
    more = f"; and {len(found) - 5} more kinds" if len(found) > 5 else ""
    return f"{folder} must hold at least one CT, got none ({shown}{more}); give {ACCEPTED}"


def _list_files(folder: Path) -> tuple[list[Path], list[Rejection]]:
    """All files below a folder, sorted, hidden ones left out; links are followed once."""
    rejected: list[Rejection] = []

    def denied(error: OSError) -> None:
        rejected.append(Rejection(str(error.filename), "the folder cannot be read"))

    files = []
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, followlinks=True, onerror=denied):
        real = os.path.realpath(root)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(root, name) for name in sorted(names) if not name.startswith(".")]
    return files, rejected


def _sort_out(files: Iterable[Path]) -> tuple[list[Path], list[Path], list[Rejection]]:
    volumes, dicom_files, others = [], [], []
    for path in files:
        if format_of(path) is not None:
            volumes.append(path)
            continue
        try:
            if is_dicom(path):
                dicom_files.append(path)
            else:
                others.append(_other(path))
        except OSError as error:
            others.append(Rejection(str(path), (error.strerror or "cannot be read").lower()))
    return volumes, dicom_files, others


def _other(path: Path) -> Rejection:
    """What a file is that is neither DICOM nor of an accepted format."""
    suffix = path.suffix.lower()
    if suffix in OTHER_FORMATS:
        reason = f"{OTHER_FORMATS[suffix]} ({suffix}) is not accepted; convert it to .nii.gz"
        return Rejection(str(path), reason)
    if suffix in OTHER_FILES:
        reason = f"a {suffix} file is not a volume"
    else:
        reason = f"neither DICOM nor a known suffix ({suffix or 'none'})"
    return Rejection(str(path), reason, is_volume=False)


def _refusal(path: Path) -> Rejection | None:
    """Why a file is no case; None where it is one."""
    if format_of(path) is None:
        return _other(path)
    try:
        reason = why_no_ct(_file_case(path))
        return Rejection(str(path), reason) if reason else None
    except InputError as error:
        reason = reason_of(error, path)
    except PermissionError:
        reason = "permission denied"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    return Rejection(str(path), reason, damaged=True)


def _file_case(path: Path) -> Case:
    return Case(case_id="", image=str(path), format=format_of(path) or "")


def _series_case(series: Series) -> Case:
    return series.case()


def _names_of_file(path: Path, folder: Path) -> list[str]:
    """Names for a file, from its stem alone to its whole path below the folder."""
    bare = path.name[: -len(".nii.gz")] if path.name.lower().endswith(".nii.gz") else path.stem
    parents = path.parent.relative_to(folder).parts
    return ["_".join((*parents[start:], bare)) for start in range(len(parents), -1, -1)]


def _names_of_series(series: Series, folder: Path) -> list[str]:
    """Names for a series: its folder, with the series number, then with more of the path."""
    own, top = series.folder.resolve(), folder.resolve()
    number = "" if series.number is None else f"_series{series.number}"
    number += f"_part{series.part}" if series.part else ""
    parents = own.parent.relative_to(top).parts if own != top and top in own.parents else ()
    longer = ["_".join((*parents[start:], own.name)) for start in range(len(parents), -1, -1)]
    return [own.name, *(f"{name}{number}" for name in longer)]

"""Write one case's result or failure, and see whether a case is finished. Schema: `schema.py`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import PARTIAL, move, plain, remove, remove_partials, write_json
from ..case import Case
from ..errors import InputError
from ..files import true_path
from ..volumes.volume import Volume
from ..weights.card import WeightsRecord
from .schema import (
    FAILURE_NAME,
    RESULT_NAME,
    SCHEMA_VERSION,
    BundleRecord,
    CaseRecord,
    CaseResult,
    Failure,
    Timings,
    case_problems,
    check_case_result,
)

NOTE = "Research software; not a medical device. Do not use for diagnosis or treatment."
SYNTHETIC_NOTE = (
    "The weights are synthetic and never saw a patient: they show that the software runs and say "
    "nothing about a real one. " + NOTE
)
DRAFT_NAME = ".result.json"  # a result on its way
_UP = ("", ".", "..")
_SERIES_FACTS_ELSEWHERE = {"path", "format", "patient_id", "warnings"}


def describe_case(case: Case, volume: Volume) -> CaseRecord:
    """What a result repeats about its input.

    Args:
        case: The case as listed.
        volume: The scan as stored; only its grid and facts are read.
    """
    facts = dict(volume.facts)
    return {
        "case_id": case["case_id"],
        "path": source_of(case),
        "format": case["format"],
        "patient_id": case.get("patient_id") or facts.get("patient_id"),
        "input": {
            "shape_voxels": [int(size) for size in volume.voxels.shape],
            "spacing_mm": [round(step, 6) for step in volume.spacing_mm],
            "axcodes": axcodes(volume.affine),
            "affine": np.asarray(volume.affine, dtype=np.float64).tolist(),
        },
        "series": {
            key: value for key, value in facts.items() if key not in _SERIES_FACTS_ELSEWHERE
        },
        "warnings": [str(sentence) for sentence in facts.get("warnings", ())],
    }


def source_of(case: Case) -> str:
    """What a case was read from: the absolute path of a file or folder that is there, or a name."""
    return true_path(case["image"])


def source_of_folder(folder: str | Path) -> str:
    """What the result or failure in a case's folder was read from; empty where there is none."""
    for name, keys in ((RESULT_NAME, ("case", "path")), (FAILURE_NAME, ("path",))):
        try:
            found = json.loads((Path(folder) / name).read_text(encoding="utf-8"))
            for key in keys:
                found = found[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return str(found)
    return ""


def axcodes(affine: Any) -> str:
    """Direction in which each voxel axis runs, as three letters of R L A P S I."""
    import nibabel

    return "".join(nibabel.aff2axcodes(np.asarray(affine, dtype=np.float64)))


def case_result(
    *,
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
    device: str,
    precision: str,
    backend: str,
    timings: Timings,
    outputs: Mapping[str, Any],
    definitions: Mapping[str, str],
    fingerprint: str,
    settings: Mapping[str, Any] | None = None,
    files: Sequence[str] = (),
    written_at: str | None = None,
) -> CaseResult:
    """Put one case's result together and check it.

    Args:
        case: From `describe_case`.
        bundle: Name and version.
        weights: From the weights' card.
        device: Where it ran.
        precision: Arithmetic of the network.
        backend: What executed the network.
        timings: Seconds, see `Timings`.
        outputs: The task's outputs, for example from `classification_outputs`.
        definitions: One sentence with unit, range and frame per output.
        fingerprint: From `fingerprint`.
        settings: What else decides the numbers.
        files: Names of the files beside `result.json` that belong to the result.
        written_at: ISO 8601; now by default.

    Returns:
        Plain JSON values in the order of the schema.

    Raises:
        InputError: If a number is NaN or infinite.
        ValueError: If a part is missing or of the wrong kind; all problems at once.
    """
    result = {
        "schema_version": SCHEMA_VERSION,
        "case": case,
        "bundle": bundle,
        "weights": weights,
        "device": device,
        "precision": precision,
        "backend": backend,
        "timings": timings,
        "settings": settings or {},
        "fingerprint": fingerprint,
        "outputs": outputs,
        "definitions": definitions,
        "files": list(files),
        "clinical_use": False,
        "note": SYNTHETIC_NOTE if weights["synthetic"] else NOTE,
        "written_at": written_at or _now(),
    }
    checked: CaseResult = plain(result, "result")
    check_case_result(checked)
    return checked


def fingerprint(*, case: Case, weights_sha256: str, settings: Mapping[str, Any]) -> str:
    """One line that changes when the input, the weights or a setting changes.

    Args:
        case: The case as listed; the size and the modification time of its files are looked up.
        weights_sha256: Hash of the weights file.
        settings: Every setting that decides the result: bundle and version, precision,
            backend, thresholds, files asked for, ...

    Returns:
        sha256, 64 hexadecimal digits.
    """
    members = [Path(name) for name in case.get("files", ())] or [Path(case["image"])]
    stamps = sorted(stamp for member in members for stamp in _stamp(member))
    source = str(case["image"])
    more = ("affine", "rescale", "format", "patient_id", "frames")
    content = plain(
        {
            "schema_version": SCHEMA_VERSION,
            "source": os.path.realpath(source) if os.path.exists(source) else source,  # noqa: PTH110
            "members": stamps,
            **{key: case.get(key) for key in more},
            "weights_sha256": weights_sha256,
            "settings": settings,
        }
    )
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _stamp(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of a file; nothing where it cannot be looked at."""
    try:
        found = path.stat()
    except OSError:
        return []
    return [(path.name, found.st_size, found.st_mtime_ns)]


def fingerprint_in(folder: str | Path) -> str:
    """The fingerprint of the result in a case's folder; empty where there is none."""
    try:
        result = json.loads((Path(folder) / RESULT_NAME).read_text(encoding="utf-8"))
        return str(result["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def write_case_result(
    folder: str | Path, result: CaseResult, *, draft: str | Path | None = None
) -> Path:
    """Write `result.json`, the last file of a finished case.

    What an earlier run left in the folder goes first: its result with the files that belong to it,
    or its failure. Files that no run has written stay.

    Args:
        folder: `output_dir/<case_id>`; made where missing.
        result: From `case_result`.
        draft: Where the files beside it were written, on the same disk; they are moved to
            ``folder``. By default they are there already.

    Returns:
        Path of `result.json`.

    Raises:
        InputError: If a number is NaN or infinite or the folder cannot be written.
        ValueError: If the result breaks the schema or one of its files is not there.
    """
    folder = Path(folder)
    draft = folder if draft is None else Path(draft)
    checked = plain(result, "result")
    check_case_result(checked)
    absent = [name for name in checked["files"] if not (draft / name).exists()]
    if absent:
        msg = f"files of a finished case must exist in {draft}, got none of: {', '.join(absent)}"
        raise ValueError(msg)
    write_json(draft / DRAFT_NAME, checked)  # from here on a killed run has said what it moves
    forget(folder, keep=checked["files"] if draft == folder else ())
    for name in (*checked["files"], DRAFT_NAME):
        move(draft / name, folder / (RESULT_NAME if name == DRAFT_NAME else name))
    return folder / RESULT_NAME


def write_failure(
    folder: str | Path,
    reason: str,
    *,
    case_id: str | None = None,
    path: str | Path = "",
) -> Path:
    """Write down why a case has no result; an earlier result goes, with the files beside it.

    Whoever reads the folder must not take an older run's result or picture for this one's.

    Args:
        folder: `output_dir/<case_id>`; made where missing.
        reason: One sentence; line breaks are folded into spaces.
        case_id: The folder's name by default.
        path: What was read.

    Returns:
        Path of `failure.json`.

    Raises:
        InputError: If the folder cannot be written.
    """
    folder = Path(folder)
    failure: Failure = {
        "schema_version": SCHEMA_VERSION,
        "case_id": case_id or folder.name,
        "path": str(path),
        "status": "failed",
        "reason": " ".join(reason.split()),
        "written_at": _now(),
    }
    forget(folder)
    write_json(folder / FAILURE_NAME, failure)
    return folder / FAILURE_NAME


def forget(folder: str | Path, *, keep: Collection[str] = ()) -> None:
    """Remove what earlier runs left of a case: results, failures, what they were writing.

    Args:
        folder: `output_dir/<case_id>`; nobody else may be writing there.
        keep: Names of files that stay.

    Raises:
        OutputError: If a file may not be removed.
    """
    folder = Path(folder)
    results = [folder / RESULT_NAME, folder / FAILURE_NAME]
    results += [left for left in folder.glob(f"{PARTIAL}*/{DRAFT_NAME}") if DRAFT_NAME not in keep]
    named = {name for path in results for name in _files_of(path)}
    remove(folder / RESULT_NAME)  # first: what stands beside it is about to go
    for name in named - set(keep):
        remove(folder / name)
    remove(folder / FAILURE_NAME)


def sweep(folder: str | Path) -> None:
    """Remove what a dead run was writing in a case's folder, and what it had moved there already.

    Args:
        folder: `output_dir/<case_id>`; nobody else may be writing there.
    """
    folder = Path(folder)
    if not (folder / RESULT_NAME).exists():
        for note in folder.glob(f"{PARTIAL}*/{DRAFT_NAME}"):
            for name in _files_of(note):
                remove(folder / name)
    remove_partials(folder, everybodys=True)


def _files_of(path: Path) -> list[str]:
    """Names of the files that belong to a result, if it can be read; never a path elsewhere."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    if not isinstance(names, list):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).name == name not in _UP]


def read_case_result(path: str | Path, *, needs: str, hint: str) -> CaseResult:
    """Read one `result.json`.

    Args:
        path: The file.
        needs: An output that it must hold.
        hint: What to do where it does not.

    Raises:
        InputError: If it is not a whole result with that output.
    """
    try:
        record: CaseResult = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} must be a whole result, got: {error}; run this case again"
        raise InputError(msg) from error
    problems = case_problems(record)
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        msg = f"{path} must be a whole result, got: {problems[0]}{more}; run this case again"
        raise InputError(msg)
    if needs not in record["outputs"]:
        found = ", ".join(record["outputs"]) or "none"
        msg = f"{path} must hold outputs.{needs}, got {found}; {hint}"
        raise InputError(msg)
    return record


def is_finished(folder: str | Path, fingerprint: str) -> bool:
    """True where ``folder`` holds a whole result of the same input, weights and settings.

    Args:
        folder: `output_dir/<case_id>`.
        fingerprint: From `fingerprint`, for the run about to start.
    """
    folder = Path(folder)
    try:
        result = json.loads((folder / RESULT_NAME).read_text(encoding="utf-8"))
        check_case_result(result)
    except (OSError, ValueError):
        return False
    same = result["fingerprint"] == fingerprint
    return same and all((folder / name).exists() for name in result["files"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

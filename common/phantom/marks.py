"""How a scan on the disk tells that it is a phantom.

Every file that `export` writes says so itself: a DICOM by its manufacturer, a NIfTI by its
description. NIfTI files of older versions say nothing; their truth, which lies beside them or at
the head of their collection, does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import pydicom

from ..case import Case

MARK = "synthetic phantom"
TRUTH = "truth.json"
_COLLECTION_DEPTH = 5  # folders from a scan up to its collection's truth


def all_phantoms(cases: Iterable[Case]) -> bool:
    """Whether every case is a phantom; the first that is none ends the search.

    Nothing is learned from a case that cannot be read: the others decide.
    """
    some = False
    for case in cases:
        told = is_phantom(case)
        if told is False:
            return False
        some = some or bool(told)
    return some


def is_phantom(case: Case) -> bool | None:
    """Whether a case is a synthetic patient: drawn when read, or a file that `export` wrote.

    None where the file cannot be read.
    """
    if case["format"] == "phantom" or "drawn" in case:
        return True
    path = Path(case["image"])
    try:
        if case["format"] == "dicom":
            files = case.get("files") or [case["image"]]
            return _manufacturer(Path(files[0])) == MARK
        return _description(path) == MARK or _has_truth(path)
    except Exception:  # whatever is wrong with it, who reads the voxels says it
        return None


def _manufacturer(path: Path) -> str:
    header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["Manufacturer"])
    return str(header.get("Manufacturer", ""))


def _description(path: Path) -> str:
    if not path.name.endswith((".nii", ".nii.gz")):
        return ""
    header: Any = nib.load(path).header
    return bytes(header["descrip"].item()).decode("latin-1")


def _has_truth(path: Path) -> bool:
    """Whether a truth beside a file, or one above it that names the file, is a phantom's."""
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    told: list[Any] = [_read(path.with_name(f"{name}.{TRUTH}"))]
    for folder in path.absolute().parents[:_COLLECTION_DEPTH]:
        collection = _read(folder / TRUTH)
        told += [collection.get(path.name), collection.get(name)]
    return any(isinstance(truth, dict) and truth.get("source") == MARK for truth in told)


def _read(path: Path) -> dict[str, Any]:
    return _read_once(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=1)  # one collection's scans follow each other
def _read_once(path: Path, _changed_ns: int) -> dict[str, Any]:
    """What is in it; nothing where it is no truth of ours."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}

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
            return _manufacturer(Path((case.get("files") or [path])[0])) == MARK
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
    name = path.name.removesuffix(".gz").removesuffix(".nii")
    beside = path.with_name(f"{name}.{TRUTH}")
    if beside.is_file():
        return _source(_read(beside)) == MARK
    for folder in path.absolute().parents[:_COLLECTION_DEPTH]:
        if (folder / TRUTH).is_file():
            told = _read(folder / TRUTH)
            return MARK in (_source(told.get(path.name)), _source(told.get(name)))
    return False


def _source(truth: Any) -> Any:
    return truth.get("source") if isinstance(truth, dict) else None


def _read(path: Path) -> dict[str, Any]:
    return _read_once(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=1)  # one collection's scans follow each other
def _read_once(path: Path, _changed_ns: int) -> dict[str, Any]:
    told = json.loads(path.read_text(encoding="utf-8"))
    return told if isinstance(told, dict) else {}

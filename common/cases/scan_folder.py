"""The one scan of a folder that stands for a patient, where a study may hold several series."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ..case import Case, Rejection
from ..files import list_files
from ..formats.ct_series import Series
from .read import format_of
from .search import dicom_files_among, series_among

WITHOUT = re.compile(
    r"\b(without|w/?o|non?)[ _-]*(iv|i\.v\.|intravenous)?[ _-]*contrast", re.IGNORECASE
)
NOT_PLAIN = re.compile(r"post|contrast|angio|\bcta\b|bone|perfusion|\bmip\b", re.IGNORECASE)
FEWEST_SLICES = 10


def scan_of_folder(folder: Path, *, name: str, slice_mm: float = 5.0) -> Case | Rejection:
    """The scan of a folder as a case.

    Args:
        folder: Holds one volume file (NIfTI, NRRD, NPZ) or the DICOM series of one study, at any
            depth.
        name: Becomes `case_id` and `patient_id`.
        slice_mm: Of several series, see `plain_series`.

    Returns:
        The case, or why there is none.
    """
    files, left_out = list_files(folder)
    volumes = [path for path in files if format_of(path) is not None]
    if len(volumes) > 1:
        return Rejection(str(folder), f"{len(volumes)} volumes where one is meant")
    if volumes:
        path = volumes[0]
        return Case(case_id=name, image=str(path), format=format_of(path) or "", patient_id=name)
    series, rejected = series_among(dicom_files_among(files))
    chosen = plain_series(series, slice_mm)
    if chosen is None:
        reason = f"no plain CT series among {[str(each) for each in series]}" if series else ""
        others = [*rejected, *left_out]
        reason = reason or (others[0].reason if others else "no scan")
        return Rejection(str(folder), reason, damaged=any(each.damaged for each in others))
    return {**chosen.case(), "case_id": name, "patient_id": name}


def plain_series(series: Sequence[Series], slice_mm: float) -> Series | None:
    """Of one study the series without contrast agent or bone kernel, by its names.

    Args:
        series: Told by their description and the names of their folders.
        slice_mm: Of several, that whose slices are nearest to this far apart is taken: a network
            that sees every 5 mm gets less noise from slices 5 mm thick than from thin ones.

    Returns:
        None where there is none of at least 10 slices.
    """
    plain = [
        each
        for each in series
        if each.num_slices >= FEWEST_SLICES
        and not NOT_PLAIN.search(WITHOUT.sub("", f"{each.description} {each.folder.name}"))
    ]
    return min(plain, key=lambda each: abs(each.spacing_mm[2] - slice_mm), default=None)

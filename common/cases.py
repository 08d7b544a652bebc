"""What the user points at, as a list of cases. Never an empty list."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class Case(TypedDict):
    """One scan to work on; plain JSON values, so a list of cases is a MONAI data list.

    Keys:
        case_id: Unique in its list and safe as a file name.
        image: The file, or the folder that holds the DICOM series.
        format: `nifti`, `nrrd`, `npz` or `dicom`.
        files: DICOM only: the files of the one series, any order.
        affine: NPZ only: voxel index to world mm, where the file itself does not hold it.
        patient_id: Who was scanned; cases of one patient never part in a split.
        label: One number per class, 0 or 1 (NaN unknown), where truth is known.
        report: The report's text, where known.
    """

    case_id: str
    image: str
    format: str
    files: NotRequired[list[str]]
    affine: NotRequired[list[list[float]]]
    patient_id: NotRequired[str]
    label: NotRequired[list[float]]
    report: NotRequired[str]

"""What a case is: one scan to work on, and the list that discovery hands over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from .errors import InputError
from .naming import shown


class Case(TypedDict):
    """One scan to work on; plain JSON values, so a list of cases is a MONAI data list.

    Keys:
        case_id: Unique in its list and safe as a file name.
        image: The file, or the folder that holds the DICOM series.
        format: `nifti`, `nrrd`, `npz` or `dicom`.
        files: DICOM only: the files of the one series, any order.
        frames: DICOM only: of each of `files` the frames that are meant, where it holds more.
        warnings: What discovery has to say of the scan and its result should repeat.
        affine: Voxel index to world mm, RAS+, where the file itself does not hold it (NPZ, and
            CT-RATE version 1 with its blank headers). A file's own affine comes first.
        rescale: Slope and intercept to HU for files with a blank header (CT-RATE version 1).
            Never applied to a file that has a header: its values are already in HU.
        patient_id: Who was scanned; cases of one patient never part in a split.
        label: One number per class, 0 or 1 (NaN unknown), where truth is known.
        report: The report's text, where known.
        drawn: Seed and region of a synthetic patient whose file is made once it is needed.
    """

    case_id: str
    image: str
    format: str
    files: NotRequired[list[str]]
    frames: NotRequired[list[list[int]]]
    warnings: NotRequired[list[str]]
    affine: NotRequired[list[list[float]]]
    rescale: NotRequired[list[float]]
    patient_id: NotRequired[str]
    label: NotRequired[list[float]]
    report: NotRequired[str]
    drawn: NotRequired[dict[str, Any]]


@dataclass(frozen=True)
class Rejection:
    """A file or series that was found, or named by a list, and left out.

    Attributes:
        path: The file, or the first file of the series, as it can be opened.
        reason: Why, in one clause.
        damaged: Whether it looks like a scan that cannot be read, rather than like something else.
            A run then ends as one in which a case failed. So is what a list names and is not there.
        is_volume: Whether it holds a volume or could; a text or a picture among the scans is not
            worth a line of its own in a summary.
        case_id: What a list calls it, or what a damaged file will be called once it is mended;
            empty for what will never be a case.
    """

    path: str
    reason: str
    damaged: bool = False
    is_volume: bool = True
    case_id: str = ""

    def __str__(self) -> str:
        return shown(f"{self.path}: {self.reason}")


class CaseList(list[Case]):
    """A list of cases that remembers what was left out and why."""

    def __init__(self, cases: Iterable[Case] = (), rejected: Iterable[Rejection] = ()) -> None:
        super().__init__(cases)
        self.rejected: list[Rejection] = list(rejected)


class NoCasesError(InputError):
    """Files were looked at, or rows of a list, and none is a case; `rejected` says why, each."""

    def __init__(self, message: str = "", rejected: Iterable[Rejection] = ()) -> None:
        super().__init__(message)
        self.rejected = list(rejected)

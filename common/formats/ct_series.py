"""A CT series as it is found among files: what it is known by, and what tells it from others."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..case import Case


@dataclass(frozen=True)
class Series:
    """A CT series that forms one volume.

    Attributes:
        folder: The folder that holds all its files.
        files: Sorted.
        frames: Of each file those that belong to it; empty where all do.
        study: What its patient and study are known by.
        number: SeriesNumber; None where the files give none.
        part: 1, 2, ... where several acquisitions share one series; 0 where it is whole.
        uid: SeriesInstanceUID; empty where the files give none.
        description: SeriesDescription.
        patient_id: PatientID.
        num_slices: Along K.
        spacing_mm: Between columns, rows, slices.
        original: Whether its images were reconstructed from the scan, not from other images.
        axial: Whether its slices lie across the body.
        kernel: Convolution kernel; empty where the files give none.
        marks: What can tell it from other parts of the same series, see `SPLIT_KEYWORDS`.
        part_is: What does, such as `AcquisitionNumber 2`.
        notes: What its case should repeat; a choice adds why it was made.
    """

    folder: Path
    files: tuple[str, ...]
    frames: tuple[tuple[int, ...], ...]
    study: tuple[str, ...]
    number: int | None
    part: int
    uid: str
    description: str
    patient_id: str
    num_slices: int
    spacing_mm: tuple[float, float, float]
    original: bool
    axial: bool
    kernel: str
    marks: tuple[str, ...]
    part_is: str = ""
    notes: list[str] = field(default_factory=list)

    def case(self) -> Case:
        """The series as a case, without an id yet."""
        case = Case(case_id="", image=str(self.folder), format="dicom", files=list(self.files))
        if self.frames:
            case["frames"] = [list(frames) for frames in self.frames]
        if self.notes:
            case["warnings"] = list(self.notes)
        if self.patient_id:
            case["patient_id"] = self.patient_id
        return case

    def __str__(self) -> str:
        number = "without number" if self.number is None else str(self.number)
        number = f"{number}/{self.part}" if self.part else number
        spacing = " x ".join(f"{value:.3g}" for value in self.spacing_mm)
        which = f" ({self.part_is})" if self.part_is else ""
        text = (
            f"series {number} {self.description!r}{which}: {self.num_slices} slices, {spacing} mm"
        )
        return f"{text}, UID {self.uid}" if self.uid else f"{text}, in {self.folder}"

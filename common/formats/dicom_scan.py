"""Find the CT series among DICOM files, and choose among the series of one study."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..case import Rejection
from ..errors import InputError
from .dicom_header import SliceHeader, read_slice_headers
from .dicom_series import group_series, stack_slices

DICOM_MARK_OFFSET = 128
DICOM_MARK = b"DICM"


@dataclass(frozen=True)
class Series:
    """A CT series that forms one volume.

    Attributes:
        folder: The folder that holds all its files.
        files: Sorted.
        study: What its study is known by.
        number: SeriesNumber; None where the files give none.
        part: 1, 2, ... where several acquisitions share one series; 0 where it is whole.
        uid: SeriesInstanceUID; empty where the files give none.
        description: SeriesDescription.
        patient_id: PatientID.
        num_slices: Along K.
        spacing_mm: Between columns, rows, slices.
    """

    folder: Path
    files: tuple[str, ...]
    study: tuple[str, ...]
    number: int | None
    part: int
    uid: str
    description: str
    patient_id: str
    num_slices: int
    spacing_mm: tuple[float, float, float]

    def __str__(self) -> str:
        number = "without number" if self.number is None else str(self.number)
        number = f"{number}/{self.part}" if self.part else number
        spacing = " x ".join(f"{value:.3g}" for value in self.spacing_mm)
        text = f"series {number} {self.description!r}: {self.num_slices} slices, {spacing} mm"
        return f"{text}, UID {self.uid}" if self.uid else f"{text}, in {self.folder}"


def is_dicom(path: Path) -> bool:
    """Whether a file carries the DICM mark."""
    with path.open("rb") as file:
        start = file.read(DICOM_MARK_OFFSET + len(DICOM_MARK))
    return start[DICOM_MARK_OFFSET:] == DICOM_MARK


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[Rejection]]:
    """Group DICOM files into the CT series that form a volume.

    Localizers, secondary captures, dose reports, other modalities and broken series are left out.

    Returns:
        The series, by study, number and folder; and what was left out, one entry per series and
        reason.
    """
    slices: list[SliceHeader] = []
    refused: dict[tuple[str, ...], list[SliceHeader]] = defaultdict(list)
    rejections = []
    for file in files:
        try:
            headers = read_slice_headers(file)
        except InputError as error:
            rejections.append(Rejection(str(file), reason_of(error, file)))
            continue
        for header in headers:
            if header.refusal:
                refused[(header.study_uid, header.series_uid, header.refusal)].append(header)
            else:
                slices.append(header)
    rejections += [_rejection(headers, headers[0].refusal) for headers in refused.values()]
    series = []
    for group in group_series(slices):
        try:
            series.append(_series(group))
        except InputError as error:
            rejections.append(_rejection(group, reason_of(error, _folder(group))))
    return _number_parts(sorted(series, key=_sort_key)), rejections


def _sort_key(series: Series) -> tuple[tuple[str, ...], int, str, str, tuple[str, ...]]:
    return series.study, series.number or 0, str(series.folder), series.uid, series.files


def _number_parts(found: list[Series]) -> list[Series]:
    """Number the acquisitions that share one series UID."""
    parts: dict[tuple[tuple[str, ...], str], list[Series]] = defaultdict(list)
    for series in found:
        parts[(series.study, series.uid or str(series.number))].append(series)
    return [
        replace(series, part=part if len(group) > 1 else 0)
        for group in parts.values()
        for part, series in enumerate(group, 1)
    ]


def reason_of(error: InputError, path: Path) -> str:
    """An error's message without the path that it starts with."""
    return str(error).removeprefix(f"{path} ")


def _rejection(headers: Sequence[SliceHeader], reason: str) -> Rejection:
    files = sorted({header.path for header in headers})
    others = "" if len(files) == 1 else f" (and {len(files) - 1} more files of the series)"
    return Rejection(files[0], f"{reason}{others}")


def _folder(headers: Sequence[SliceHeader]) -> Path:
    folders = {Path(header.path).parent for header in headers}
    first = folders.pop()
    shared = [first, *first.parents]
    return next(
        folder for folder in shared if all(other.is_relative_to(folder) for other in folders)
    )


def _series(group: list[SliceHeader]) -> Series:
    folder = _folder(group)
    first = group[0]
    stack = stack_slices(group, str(folder))
    columns, rows, slices = ((stack.affine[:3, :3] ** 2).sum(axis=0) ** 0.5).tolist()
    return Series(
        folder=folder,
        files=tuple(sorted({header.path for header in group})),
        study=(first.study_uid,) if first.study_uid else ("", str(folder)),
        number=first.series_number,
        part=0,
        uid=first.series_uid,
        description=first.description,
        patient_id=first.patient_id,
        num_slices=stack.num_slices,
        spacing_mm=(columns, rows, slices),
    )


def choose_series(found: list[Series], choice: str | int) -> list[Series]:
    """Choose among the series that were found.

    Args:
        found: At least one.
        choice: `ask`, `all`, a series number, `<number>/<part>` or a series UID. `ask` takes every
            series of several studies, but of one study with several series it takes none and
            names them.

    Returns:
        The chosen series.

    Raises:
        InputError: If `ask` has to ask, or if the choice fits no series.
    """
    wanted = str(choice).strip()
    if wanted == "all":
        return found
    if wanted == "ask":
        if len(found) == 1 or len({series.study for series in found}) > 1:
            return found
        how = "choose with `--series <number>`, `--series <UID>` or `--series all`"
        msg = f"input must be one series, got a study with {len(found)}: {_listing(found)}; {how}"
        raise InputError(msg)
    chosen = [
        series
        for series in found
        if wanted in (series.uid, str(series.number), f"{series.number}/{series.part}")
    ]
    if not chosen:
        msg = f"series must be one of those found, got {wanted}; choose among {_listing(found)}"
        raise InputError(msg)
    return chosen


def _listing(found: list[Series]) -> str:
    return "; ".join(str(series) for series in found)

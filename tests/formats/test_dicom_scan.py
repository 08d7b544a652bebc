"""The law of discovery: every DICOM file of a folder is in a series or in a rejection."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from common.formats.dicom_scan import find_series
from tests.dicom_files import ramp, uid, write_multi_frame, write_series

MORE = re.compile(r"\(and (\d+) more files of the series\)$")


def several(**elements: object) -> Callable[[Dataset, int], None]:
    """An edit that sets some elements, each to a value or to what it makes of the slice's index."""

    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value(index) if callable(value) else value)

    return edit


def damaged(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def copies(folder: Path) -> None:
    write_series(folder / "a")
    write_series(folder / "b")
    write_series(folder / "c", ramp() + 1)


def two_patients(folder: Path) -> None:
    for patient in ("P1", "P2"):
        edit = several(SOPInstanceUID=lambda index: f"1.2.{index}", PatientID=patient)
        write_series(folder / patient, edit=edit)


def colliding_uids(folder: Path) -> None:
    write_series(folder, ramp(8), edit=several(SOPInstanceUID=lambda index: uid(index // 2)))


def interleaved(folder: Path) -> None:
    write_series(folder, prefix="A")
    edit = several(ConvolutionKernel="B70f")
    write_series(folder, prefix="B", origin=(-10, -20, 31.25), edit=edit)


def interleaved_by_nothing(folder: Path) -> None:
    write_series(folder, prefix="A")
    write_series(folder, ramp() + 9, prefix="B", origin=(-10, -20, 30.3))


def same_place_by_nothing(folder: Path) -> None:
    write_series(folder, prefix="A")
    write_series(folder, ramp() + 9, prefix="B")


def scouts_and_pages(folder: Path) -> None:
    write_series(folder, ramp(6))
    write_series(folder, ramp(2), prefix="L", orientation=(1, 0, 0, 0, 0, -1))
    write_series(folder, ramp(1, 9, 9), prefix="P")
    write_series(folder, ramp(1), prefix="D", edit=several(ImageType=["DERIVED", "X", "DOSE"]))


def turning_planes(folder: Path) -> None:
    turns = [(np.cos(turn), 0, np.sin(turn), 0, 1, 0) for turn in np.linspace(0, 3, 12)]
    edit = several(ImageOrientationPatient=lambda index: [round(x, 6) for x in turns[index]])
    write_series(folder, ramp(12), edit=edit)


def time_points(folder: Path) -> None:
    def edit(group: Dataset, index: int) -> None:
        content = Dataset()
        content.TemporalPositionIndex = 1 + index // 4
        group.FrameContentSequence = [content]
        group.PlanePositionSequence[0].ImagePositionPatient = [0, 0, index % 4]

    folder.mkdir()
    write_multi_frame(folder / "e.dcm", ramp(8), edit=edit)


def absurd_places(folder: Path) -> None:
    places = [[1, 2], [0, 0, 9e9], [0, 0, 0], None, [0, 0, 4], [0, 0, 4], [0, 0, 1], [0, 0, 1e4]]
    write_series(folder, ramp(8), edit=several(ImagePositionPatient=lambda index: places[index]))


def damaged_files(folder: Path) -> None:
    files = write_series(folder, ramp(9))
    damaged(files[0], lambda content: content[:140])
    damaged(files[1], lambda content: content[:-50])
    damaged(files[2], lambda content: content[:300])
    damaged(files[3], lambda content: content[:132] + b"\xff" * 500)
    damaged(files[4], lambda content: content.replace(b"PixelSpacing", b""))


def unlike_images(folder: Path) -> None:
    write_series(folder, ramp(7))
    for number, change in enumerate(
        ({"Modality": "MR"}, {"Rows": 0}, {"NumberOfFrames": 3}, {"RescaleType": "MGML"})
    ):
        write_series(folder, ramp(3), series=f"x{number}", edit=several(**change), prefix="x")


def holes(folder: Path) -> None:
    write_series(folder / "a", ramp(30), skip=range(7, 15), series="a")
    write_series(folder / "b", ramp(30), skip=range(0, 30, 3), series="b")
    write_series(folder / "c", ramp(1), series="c")
    write_series(folder / "d", ramp(2), series="d", step=(9, 0, 0))


def nothing_stated(folder: Path) -> None:
    for path in write_series(folder, ramp(5)):
        dataset = dcmread(path)
        for keyword in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            setattr(dataset, keyword, "")
        dataset.save_as(path)


FOLDERS = [
    copies,
    two_patients,
    colliding_uids,
    interleaved,
    interleaved_by_nothing,
    same_place_by_nothing,
    scouts_and_pages,
    turning_planes,
    time_points,
    absurd_places,
    damaged_files,
    unlike_images,
    holes,
    nothing_stated,
]


def accounted_for(folder: Path) -> tuple[int, int]:
    """How many files there are, and how many are in a series or in a rejection."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    series, rejections = find_series(files)
    taken = {file for one in series for file in one.files}
    left_out = sum(1 + int((MORE.search(item.reason) or [0, 0])[1]) for item in rejections)
    return len(files), len(taken) + left_out


@pytest.mark.parametrize("write", FOLDERS, ids=[write.__name__ for write in FOLDERS])
def test_every_file_is_in_a_series_or_in_a_rejection(tmp_path: Path, write: Callable):
    write(tmp_path / "odd")
    num_files, num_accounted_for = accounted_for(tmp_path / "odd")
    assert num_accounted_for == num_files > 0


def test_every_file_of_all_of_them_together_is_too(tmp_path: Path):
    for write in FOLDERS:
        write(tmp_path / write.__name__)
    num_files, num_accounted_for = accounted_for(tmp_path)
    assert num_accounted_for >= num_files > 0

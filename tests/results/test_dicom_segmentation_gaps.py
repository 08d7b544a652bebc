"""Segmentations of series whose images are not the volume's slices, one to one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from common.formats.dicom import read_dicom
from common.results.dicom_segmentation import write_dicom_segmentation
from tests.dicom_files import ramp, write_series
from tests.results.dicom_masks import (
    by_image,
    by_place,
    enhanced_file,
    in_a_frame,
    numbers_of,
    pattern,
    two_thicknesses,
    writer,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "segmentation.dcm"


@pytest.fixture
def write(path: Path) -> Callable[..., list[str]]:
    return writer(write_dicom_segmentation, path)


@pytest.mark.parametrize("encoding", ["BINARY", "LABELMAP"])
def test_images_beside_missing_ones_keep_their_own_labels(
    tmp_path: Path, path: Path, write: Callable[..., Any], encoding: str
) -> None:
    files = write_series(tmp_path / "series", ramp(12, 8, 7), skip=[4], edit=in_a_frame)
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    assert write(files, labels, volume, encoding=encoding) == [
        "1 of the volume's 12 slices have no image of their own; in the DICOM masks each image has "
        "the labels of the slice nearest to it."
    ]
    there = [k for k in range(12) if k != 4]
    expected = np.zeros_like(labels)
    expected[..., there] = labels[..., there]
    np.testing.assert_array_equal(by_place(path, volume), expected)
    np.testing.assert_array_equal(by_image(path, files), labels.T[there])


def test_images_of_two_thicknesses_take_the_nearest_labels(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = two_thicknesses(tmp_path / "series")
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    (note,) = write(files, labels, volume)
    assert note.startswith("9 of the volume's 17 slices have no image of their own")
    np.testing.assert_array_equal(by_image(path, files), labels.T[[0, 1, 2, 3, 4, 8, 12, 16]])
    (measures,) = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert measures.SliceThickness == 1.25


def test_images_between_the_volumes_slices_take_the_nearest_labels(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    heights = [0.0, 2.0, 4.0, 6.0, 9.2, 12.4, 15.6]  # even ones are 1.95 mm apart

    def edit(dataset: Dataset, index: int) -> None:
        in_a_frame(dataset, index)
        dataset.ImagePositionPatient = [0, 0, heights[index]]

    files = write_series(tmp_path / "series", ramp(7, 8, 7), edit=edit)
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    (note,) = write(files, labels, volume)
    assert note.startswith("2 of the volume's 9 slices have no image of their own")
    np.testing.assert_array_equal(by_image(path, files), labels.T[[0, 1, 2, 3, 5, 6, 8]])
    written = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    places = {float(each.PlanePositionSequence[0].ImagePositionPatient[2]) for each in written}
    assert places == set(heights)  # an image's own place, not that of the volume's slice


def test_a_structure_between_the_images_is_missed_and_said(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series", ramp(12, 8, 7), skip=[4], edit=in_a_frame)
    labels = np.zeros((7, 8, 12), np.uint8)
    labels[2, 3, 4], labels[4, 5, 6] = 5, 52
    (note,) = write(files, labels)
    assert note.endswith("1 of the structures found lie on no image.")
    (segment,) = pydicom.dcmread(path).SegmentSequence
    assert segment.SegmentLabel == "aorta"
    (note,) = write(files, np.where(labels == 5, labels, 0))
    assert "none of the structures was found" in note
    assert not path.exists()


@pytest.mark.parametrize("encoding", ["BINARY", "LABELMAP"])
def test_a_part_of_a_multi_frame_file_refers_to_its_own_frames(
    tmp_path: Path, path: Path, write: Callable[..., Any], encoding: str
) -> None:
    (file,) = enhanced_file(tmp_path)
    frames = [[1, 2, 3]]
    dataset, volume = pydicom.dcmread(file), read_dicom([file], frames=frames)
    labels = pattern(volume.voxels.shape)
    assert write([file], labels, volume, frames=frames, encoding=encoding) == []
    segmentation = highdicom.seg.segread(path)
    segments = segmentation.get_pixels_by_source_frame(
        dataset.SOPInstanceUID, [2, 3, 4], combine_segments=True
    )
    np.testing.assert_array_equal(numbers_of(segmentation)[segments], labels.T[::-1])
    np.testing.assert_array_equal(volume.voxels.T[::-1], dataset.pixel_array[1:4])
    np.testing.assert_array_equal(by_place(path, volume), labels)

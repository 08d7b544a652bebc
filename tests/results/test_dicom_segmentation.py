import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from common.errors import InputError
from common.formats.dicom import read_dicom
from common.results.dicom_segmentation import write_dicom_segmentation
from common.results.structure_colours import structure_colour
from common.tables.snomed import structure_code
from common.volume import Volume
from tests.dicom_files import ramp, uid, write_series
from tests.results.dicom_masks import (
    BUNDLE,
    NAMES,
    SERIES,
    WEIGHTS,
    doubled_series,
    enhanced_file,
    in_a_frame,
    pattern,
    pixels_mm,
    slice_of_file,
    turned_series,
    two_thicknesses,
    voxels_at,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "segmentation.dcm"


@pytest.fixture
def write(path: Path) -> Callable[..., list[str]]:
    """Write the segmentation of a series; its grid is read from the files."""

    def write_labels(
        files: Sequence[Path],
        labels: NDArray[np.uint8] | None = None,
        volume: Volume | None = None,
        synthetic: bool = True,
        **change: Any,
    ) -> list[str]:
        volume = volume or read_dicom(files)
        arguments: dict[str, Any] = {
            "source_files": files,
            "labels": pattern(volume.voxels.shape) if labels is None else labels,
            "affine": volume.affine,
            "names": NAMES,
            "bundle": BUNDLE,
            "weights": {**WEIGHTS, "synthetic": synthetic},
        }
        return write_dicom_segmentation(path, **{**arguments, **change})

    return write_labels


def by_image(path: Path, files: Sequence[Path]) -> NDArray[np.uint8]:
    """Numbers `(file, J, I)` as another program reads them: by the image that a frame names."""
    segmentation = highdicom.seg.segread(path)
    images = [pydicom.dcmread(file).SOPInstanceUID for file in files]
    segments = segmentation.get_pixels_by_source_instance(images, combine_segments=True)
    return numbers_of(segmentation)[segments]


def by_place(path: Path, volume: Volume) -> NDArray[np.uint8]:
    """Numbers `(I, J, K)`, every pixel put where its frame's own header says; plain pydicom."""
    dataset = pydicom.dcmread(path)
    numbers = numbers_of(dataset)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing_mm = shared.PixelMeasuresSequence[0].PixelSpacing
    labels = np.zeros(volume.voxels.shape, np.uint8)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for pixels, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = group.PlanePositionSequence[0].ImagePositionPatient
        inside = pixels > 0
        places = pixels_mm(position, orientation, spacing_mm, pixels.shape)[inside]
        segments = pixels[inside]  # a label map has them itself
        if dataset.SegmentationType == "BINARY":
            segments = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        labels[voxels_at(places, volume)] = numbers[segments]
    return labels


def numbers_of(dataset: Dataset) -> NDArray[np.uint8]:
    """Number of each segment, by its label."""
    number_of = {name: number for number, name in NAMES.items()}
    numbers = np.zeros(256, np.uint8)
    for segment in dataset.SegmentSequence:
        numbers[segment.SegmentNumber] = number_of.get(segment.SegmentLabel, 0)
    return numbers


@pytest.mark.parametrize("kind", SERIES)
@pytest.mark.parametrize("encoding", ["BINARY", "LABELMAP"])
def test_every_voxel_comes_back_on_its_own_image(
    tmp_path: Path, path: Path, write: Callable[..., Any], kind: str, encoding: str
) -> None:
    files = SERIES[kind](tmp_path / "series")
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    assert write(files, labels, volume, encoding=encoding) == []
    np.testing.assert_array_equal(by_place(path, volume), labels)
    if not kind.startswith("enhanced"):
        file_of = {k: file for file, k in reversed(slice_of_file(files).items())}
        ordered = [file_of[k] for k in range(5)]
        np.testing.assert_array_equal(by_image(path, ordered), labels.transpose(2, 1, 0))


def test_an_oblique_series_is_read_back_where_it_lies(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = turned_series(tmp_path / "series", step=-1)
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    write(files, labels, volume)
    found = highdicom.seg.segread(path).get_volume(combine_segments=True)
    numbers = numbers_of(pydicom.dcmread(path))[found.array]
    flips = np.diag([-1.0, -1.0, 1.0, 1.0])  # LPS to RAS
    for index in np.ndindex(numbers.shape):
        world = flips @ found.affine @ [*index, 1]
        voxel = np.rint(np.linalg.solve(volume.affine, world)[:3]).astype(int)
        assert numbers[index] == labels[tuple(voxel)]


@pytest.mark.parametrize("encoding", ["BINARY", "LABELMAP"])
def test_frames_of_an_enhanced_ct_are_referred_to_by_their_number(
    tmp_path: Path, path: Path, write: Callable[..., Any], encoding: str
) -> None:
    (file,) = enhanced_file(tmp_path)
    dataset = pydicom.dcmread(file)
    volume = read_dicom([file])
    labels = pattern(volume.voxels.shape)
    assert write([file], labels, volume, encoding=encoding) == []
    segmentation = highdicom.seg.segread(path)
    segments = segmentation.get_pixels_by_source_frame(
        dataset.SOPInstanceUID, [1, 2, 3, 4, 5], combine_segments=True
    )
    # Frames are stored from the top down, the volume runs from the bottom up.
    expected = labels.transpose(2, 1, 0)[::-1]
    np.testing.assert_array_equal(numbers_of(segmentation)[segments], expected)
    np.testing.assert_array_equal(volume.voxels.transpose(2, 1, 0)[::-1], dataset.pixel_array)


def test_a_double_is_not_among_the_images_referred_to(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = doubled_series(tmp_path / "series")
    write(files)
    (series,) = pydicom.dcmread(path).ReferencedSeriesSequence
    named = [image.ReferencedSOPInstanceUID for image in series.ReferencedInstanceSequence]
    uids = {pydicom.dcmread(file).SOPInstanceUID for file in files}
    assert len(uids) == 6
    assert len(named) == len(set(named) & uids) == 5


def test_the_segmentation_belongs_to_the_series(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series", edit=in_a_frame)
    write(files)
    source, segmentation = pydicom.dcmread(files[0]), pydicom.dcmread(path)
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert segmentation[keyword].value == source[keyword].value
    (series,) = segmentation.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == source.SeriesInstanceUID
    (measures,) = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert measures.PixelSpacing == source.PixelSpacing
    assert measures.SliceThickness == 2.5
    assert (segmentation.SegmentationType, segmentation.SegmentsOverlap) == ("BINARY", "NO")


def test_bits_are_deflated(tmp_path: Path, path: Path, write: Callable[..., Any]) -> None:
    write(write_series(tmp_path / "series", ramp(5, 128, 128), edit=in_a_frame))
    written = pydicom.dcmread(path)
    assert written.file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    assert len(written.PixelData) > path.stat().st_size


def test_a_label_map_keeps_the_numbers_and_is_compressed(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    write(write_series(tmp_path / "series", edit=in_a_frame), encoding="LABELMAP")
    segmentation = pydicom.dcmread(path)
    assert segmentation.file_meta.TransferSyntaxUID == RLELossless
    labels = {each.SegmentNumber: each.SegmentLabel for each in segmentation.SegmentSequence}
    assert labels == {0: "Background", 3: "kidney_left", 5: "liver", 52: "aorta"}


def test_segments_have_codes_side_colour_and_algorithm(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series", edit=in_a_frame)
    write(files, pattern((5, 6, 4), (0, 3, 5, 52, 92, 23)))
    segments = {each.SegmentLabel: each for each in highdicom.seg.segread(path).SegmentSequence}
    assert list(segments) == ["kidney_left", "liver", "kidney_cyst_left", "aorta", "rib_left_1"]
    for name, segment in segments.items():
        code = structure_code(name)
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        (category,) = segment.SegmentedPropertyCategoryCodeSequence
        assert (kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning) == code.type
        assert category.CodeMeaning == code.category.meaning
        sides = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
        assert [side.CodeMeaning for side in sides] == ([code.side.meaning] if code.side else [])
        lab = highdicom.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
        np.testing.assert_allclose(lab.to_rgb(), structure_colour(name), atol=2)
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentAlgorithmName == "ct_fm_wholebody"
    (region,) = segments["kidney_cyst_left"].AnatomicRegionSequence
    assert region.CodeMeaning == "Kidney"
    assert region.AnatomicRegionModifierSequence[0].CodeMeaning == "Left"


def test_the_series_says_whether_the_weights_are_synthetic(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    write(files := write_series(tmp_path / "series", edit=in_a_frame))
    written = pydicom.dcmread(path)
    assert "SYNTHETIC demo" in written.SeriesDescription
    (algorithm,) = written.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    stated = algorithm.AlgorithmParameters.split(",")
    assert {"weights=demo", "synthetic_weights=true"} <= set(stated)
    write(files, synthetic=False)
    written = pydicom.dcmread(path)
    assert written.SeriesDescription == "Research, ct_fm_wholebody structures"
    assert written.ContentQualification == "RESEARCH"


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not here")
@pytest.mark.parametrize("kind", ["straight", "oblique", "tilted", "enhanced", "two thicknesses"])
def test_an_outside_validator_finds_no_error(
    tmp_path: Path, path: Path, write: Callable[..., Any], kind: str
) -> None:
    files = (SERIES | {"two thicknesses": two_thicknesses})[kind](tmp_path / "series")
    shape = read_dicom(files).voxels.shape
    write(files, pattern(shape, (0, 3, 5, 52, 92, 23)))
    dataset = pydicom.dcmread(path)  # Debian's dciodvfy does not inflate
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(inflated := tmp_path / "inflated.dcm")
    command = ["dciodvfy", "-new", str(inflated)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "Segmentation" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


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


def test_nothing_found_gives_a_reason_and_no_file(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series", edit=in_a_frame)
    (note,) = write(files, np.full((5, 6, 4), 7, np.uint8))  # 7 is not among the names
    assert "none of the structures was found" in note
    assert not path.exists()


def test_images_that_cannot_be_told_apart_give_a_reason_and_no_file(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    def same_name(dataset: Dataset, index: int) -> None:
        in_a_frame(dataset, index)
        dataset.SOPInstanceUID = uid("same")

    def two_frames(dataset: Dataset, index: int) -> None:
        dataset.FrameOfReferenceUID = uid("frame", index // 2)

    def two_series(dataset: Dataset, index: int) -> None:
        in_a_frame(dataset, index)
        dataset.SeriesInstanceUID = uid("series", index // 2)

    for edit, reason in (
        (same_name, "several images have the same SOPInstanceUID"),
        (two_frames, "the images lie in several frames of reference"),
        (two_series, "the images belong to several studies or series"),
    ):
        (note,) = write(write_series(tmp_path / edit.__name__, edit=edit))
        assert reason in note
        assert not path.exists()


def test_a_missing_frame_of_reference_is_made_up_once_and_said(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series")
    (note,) = write(files)
    assert note.startswith("The series has no FrameOfReferenceUID; one was made up")
    first = pydicom.dcmread(path)
    write(files)
    assert pydicom.dcmread(path).FrameOfReferenceUID == first.FrameOfReferenceUID
    # Without a thickness, slices are as thick as they lie apart.
    (measures,) = first.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert measures.SliceThickness == 2.5


def test_labels_on_another_grid_are_refused(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series", edit=in_a_frame)
    with pytest.raises(InputError, match=r"labels must be uint8 \(5, 6, 4\)"):
        write(files, np.zeros((6, 5, 4), np.uint8))
    with pytest.raises(InputError, match=r"labels must be uint8 .*, got int64"):
        write(files, np.zeros((5, 6, 4), np.int64))
    with pytest.raises(InputError, match="affine must be the series'"):
        write(files, affine=np.diag([2.0, 1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="source_files must name the series' files, got none"):
        write([], volume=read_dicom(files))
    with pytest.raises(InputError, match="name must be a structure"):
        write(files, names={1: "face"})
    with pytest.raises(InputError, match="names must have numbers from 1 to 255, got 0"):
        write(files, names={0: "liver"})
    with pytest.raises(InputError, match="encoding must be BINARY or LABELMAP, got binary"):
        write(files, encoding="binary")
    assert not path.parent.exists()


def test_a_real_series_with_blanked_identifiers_gets_its_thresholded_bone(
    shared: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = sorted((shared / "data" / "ct" / "abdomen_dicom_jpeg2000").iterdir())
    volume = read_dicom(files)
    hounsfield = volume.hounsfield()
    labels = np.where(hounsfield > 200, 52, np.where(hounsfield > 0, 5, 0)).astype(np.uint8)
    notes = write(files, labels, volume)
    assert [note.split(";")[0] for note in notes] == [
        "The series has no StudyInstanceUID",
        "The series has no SeriesInstanceUID",
    ]
    np.testing.assert_array_equal(by_place(path, volume), labels)

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless

from common.errors import InputError
from common.formats.dicom import read_dicom
from common.results.dicom_segmentation import write_dicom_segmentation
from common.vocabulary.snomed import structure_code
from common.vocabulary.structure_colours import structure_colour
from tests.dicom_files import ramp, uid, write_series
from tests.results.dicom_masks import (
    SERIES,
    by_image,
    by_place,
    doubled_series,
    enhanced_file,
    in_a_frame,
    numbers_of,
    pattern,
    slice_of_file,
    turned_series,
    two_thicknesses,
    writer,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "segmentation.dcm"


@pytest.fixture
def write(path: Path) -> Callable[..., list[str]]:
    return writer(write_dicom_segmentation, path)


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

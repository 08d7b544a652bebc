import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Outline
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from common.errors import InputError
from common.formats.dicom import read_dicom
from common.results.dicom_structure_set import contours, write_structure_set
from common.vocabulary.structure_colours import structure_colour
from common.volumes.volume import Volume
from tests.dicom_files import ramp, uid, write_series
from tests.results.dicom_masks import (
    NAMES,
    SERIES,
    enhanced_file,
    in_a_frame,
    pattern,
    pixels_mm,
    slice_of_file,
    straight_series,
    two_thicknesses,
    voxels_at,
    writer,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "structures_rt.dcm"


@pytest.fixture
def write(path: Path) -> Callable[..., list[str]]:
    return writer(write_structure_set, path)


NUMBER_OF = {name: number for number, name in NAMES.items()}


def inside(points: NDArray[np.float64], line: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of `(N, 2)` points a closed line has around it an odd number of times."""
    x, y = points.T[..., None]
    x1, y1 = line.T
    x2, y2 = np.roll(line, -1, axis=0).T
    with np.errstate(all="ignore"):
        crosses = ((y1 > y) != (y2 > y)) & (x < x1 + (x2 - x1) * (y - y1) / (y2 - y1))
    return np.asarray(crosses.sum(axis=1) % 2 == 1)


def drawn(path: Path, files: Sequence[Path]) -> dict[str, dict[tuple[str, int], Any]]:
    """What each contour has inside: name to (image, frame) to a mask `(J, I)`.

    Points are compared in the patient's frame: of its three axes the two that see the slice best.
    """
    dataset = pydicom.dcmread(path)
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, files)}
    names = {roi.ROINumber: roi.ROIName for roi in dataset.StructureSetROISequence}
    masks: dict[str, dict[tuple[str, int], Any]] = {name: {} for name in names.values()}
    for roi in dataset.ROIContourSequence:
        for contour in roi.ContourSequence:
            (reference,) = contour.ContourImageSequence
            image = images[reference.ReferencedSOPInstanceUID]
            frame = int(reference.get("ReferencedFrameNumber", 0))
            shape = (image.Rows, image.Columns)
            position, orientation, spacing_mm = header_of(image, frame)
            centres = pixels_mm(position, orientation, spacing_mm, shape)
            line = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert len(line) == contour.NumberOfContourPoints
            normal = np.cross(orientation[:3], orientation[3:])
            np.testing.assert_allclose((line - position) @ normal, 0, atol=2e-3)
            axes = np.sort(np.argsort(np.abs(normal))[:2])
            points, flat = centres[..., axes].reshape(-1, 2), line[:, axes]
            mask = inside(points, flat)
            other = Outline(np.concatenate([flat, flat[:1]])).contains_points(points)
            np.testing.assert_array_equal(mask, other)
            whole = masks[names[roi.ReferencedROINumber]].setdefault(
                (image.SOPInstanceUID, frame), np.zeros(shape, bool)
            )
            assert not (whole & mask.reshape(shape)).any()  # each pixel lies in one contour
            whole |= mask.reshape(shape)
    return masks


def header_of(image: Dataset, frame: int) -> tuple[Any, Any, Any]:
    """Position, orientation and spacing of an image, or of one frame counted from 1."""
    if not frame:
        return image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
    (shared,) = image.SharedFunctionalGroupsSequence
    group = image.PerFrameFunctionalGroupsSequence[frame - 1]
    return (
        group.PlanePositionSequence[0].ImagePositionPatient,
        shared.PlaneOrientationSequence[0].ImageOrientationPatient,
        shared.PixelMeasuresSequence[0].PixelSpacing,
    )


def labels_drawn(path: Path, files: Sequence[Path], volume: Volume) -> NDArray[np.uint8]:
    """Numbers `(I, J, K)`: what lies in a contour, put where its image's header says."""
    images = {image.SOPInstanceUID: image for image in map(pydicom.dcmread, files)}
    labels = np.zeros(volume.voxels.shape, np.uint8)
    for name, masks in drawn(path, files).items():
        for (instance, frame), mask in masks.items():
            centres = pixels_mm(*header_of(images[instance], frame), mask.shape)
            labels[voxels_at(centres[mask], volume)] = NUMBER_OF[name]
    return labels


def structures(shape: Sequence[int] = (24, 20, 4)) -> NDArray[np.uint8]:
    """A ring with an island, a plate with many holes, one pixel alone, one in a corner."""
    labels = np.zeros(shape, np.uint8)
    labels[1:14, 2:15] = 5
    labels[3:12, 4:13] = 0
    labels[6:9, 6:9] = 5
    labels[7, 7] = 3
    labels[15:24, 0:20] = 52
    labels[16:24:2, 1:20:2, :2] = 0
    labels[17:22, 4:9, 2] = 92
    labels[10, 18, 1] = 23
    labels[0, 0] = 23
    labels[0, 19, 3] = 23
    return labels


@pytest.mark.parametrize("kind", SERIES)
def test_every_pixel_centre_in_a_contour_has_its_label(
    tmp_path: Path, path: Path, write: Callable[..., Any], kind: str
) -> None:
    files = SERIES[kind](tmp_path / "series")
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    assert write(files, labels, volume) == []
    np.testing.assert_array_equal(labels_drawn(path, files, volume), labels)


@pytest.mark.parametrize("kind", ["from the top down", "with a double"])
def test_a_contour_names_the_image_that_it_lies_on(
    tmp_path: Path, path: Path, write: Callable[..., Any], kind: str
) -> None:
    files = SERIES[kind](tmp_path / "series")
    labels = pattern(read_dicom(files).voxels.shape)
    write(files, labels)
    # What an image holds tells which slice of the volume it is.
    slice_of = {pydicom.dcmread(f).SOPInstanceUID: k for f, k in slice_of_file(files).items()}
    for name, masks in drawn(path, files).items():
        for (instance, _), mask in masks.items():
            expected = NUMBER_OF[name] == labels[..., slice_of[instance]].T
            np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0.8, 0.6, 0, -0.6, 0.8, 0)])
def test_holes_islands_single_pixels_and_borders_come_back(
    tmp_path: Path, path: Path, write: Callable[..., Any], orientation: Sequence[float]
) -> None:
    files = write_series(
        tmp_path / "series", ramp(4, 20, 24), edit=in_a_frame, orientation=orientation
    )
    labels = structures()
    assert write(files, labels) == []
    np.testing.assert_array_equal(labels_drawn(path, files, read_dicom(files)), labels)
    alone = pydicom.dcmread(path).ROIContourSequence[2]
    assert {contour.NumberOfContourPoints for contour in alone.ContourSequence} == {4}


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_any_mask_comes_back_from_its_outlines(share: float) -> None:
    mask = np.random.default_rng(0).random((60, 50)) < share
    j, i = np.indices(mask.shape)
    centres = np.stack([i.ravel(), j.ravel()], axis=1).astype(float)
    count = sum(inside(centres, line).astype(int) for line in contours(mask))
    np.testing.assert_array_equal(np.reshape(count, mask.shape), mask.astype(int))


def test_no_line_to_a_hole_runs_through_a_pixels_centre() -> None:
    mask = np.ones((21, 21), bool)
    mask[5:9:2, 5:17:3] = mask[12, 3] = mask[15:18, 9:14] = False
    (line,) = contours(mask)
    for start, end in zip(line, np.roll(line, -1, axis=0), strict=True):
        steps = np.linspace(0, 1, 201)[:, None]
        points = start + steps * (end - start)
        assert np.abs(points - np.rint(points)).max(axis=1).min() >= 0.25


def test_straight_edges_have_no_points_between_their_ends() -> None:
    (line,) = contours(np.ones((30, 40), bool))
    assert len(line) == 8


def test_frames_of_an_enhanced_ct_are_referred_to_by_their_number(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = enhanced_file(tmp_path)
    for frames, meant in ((None, [1, 2, 3, 4, 5]), ([[1, 2, 3]], [2, 3, 4])):
        volume = read_dicom(files, frames=frames)
        labels = pattern(volume.voxels.shape)
        assert write(files, labels, volume, frames=frames) == []
        np.testing.assert_array_equal(labels_drawn(path, files, volume), labels)
        (frame,) = pydicom.dcmread(path).ReferencedFrameOfReferenceSequence
        (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
        (image,) = series.ContourImageSequence
        assert image.ReferencedFrameNumber == meant


def test_images_of_two_thicknesses_and_beside_missing_ones_are_drawn_on(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    gapped = write_series(tmp_path / "gap", ramp(12, 8, 7), skip=[4], edit=in_a_frame)
    for files in (gapped, two_thicknesses(tmp_path / "two")):
        volume = read_dicom(files)
        labels = pattern(volume.voxels.shape)
        (note,) = write(files, labels, volume)
        assert "have no image of their own" in note
        found = labels_drawn(path, files, volume)
        heights = [pydicom.dcmread(file).ImagePositionPatient[2] for file in files]
        there = np.rint((np.array(heights) - min(heights)) / volume.affine[2, 2]).astype(int)
        assert 0 < len(there) < labels.shape[2]
        np.testing.assert_array_equal(found[..., there], labels[..., there])
        assert found.any(axis=(0, 1)).sum() == len(there)


def test_the_structure_set_has_what_the_standard_requires(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    write(files := straight_series(tmp_path / "series"))
    written, source = pydicom.dcmread(path), pydicom.dcmread(files[0])
    assert written.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    for keyword in (
        "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality",
        "FrameOfReferenceUID", "StructureSetLabel", "StructureSetROISequence",
        "ROIContourSequence", "RTROIObservationsSequence", "ApprovalStatus",
    ):  # fmt: skip
        assert written[keyword].value, keyword  # type 1
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "ReferringPhysicianName", "StudyID", "AccessionNumber", "SeriesNumber", "OperatorsName",
        "Manufacturer", "PositionReferenceIndicator", "StructureSetDate", "StructureSetTime",
    ):  # fmt: skip
        assert keyword in written, keyword  # type 2
    for keyword in ("PatientID", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert written[keyword].value == source[keyword].value
    assert written.SeriesInstanceUID != source.SeriesInstanceUID
    assert "SYNTHETIC demo" in written.SeriesDescription
    assert "not for clinical use" in written.StructureSetDescription
    numbers = [roi.ROINumber for roi in written.StructureSetROISequence]
    for keyword in ("ROIContourSequence", "RTROIObservationsSequence"):
        assert [item.ReferencedROINumber for item in written[keyword].value] == numbers
    for roi, outline in zip(
        written.StructureSetROISequence, written.ROIContourSequence, strict=True
    ):
        assert roi.ROIGenerationAlgorithm == "AUTOMATIC"
        assert roi.ReferencedFrameOfReferenceUID == source.FrameOfReferenceUID
        assert tuple(outline.ROIDisplayColor) == structure_colour(roi.ROIName)


def test_all_images_of_the_series_are_named(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    write(files := straight_series(tmp_path / "series"))
    (frame,) = pydicom.dcmread(path).ReferencedFrameOfReferenceSequence
    (study,) = frame.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    sources = [pydicom.dcmread(file) for file in files]
    assert study.ReferencedSOPInstanceUID == sources[0].StudyInstanceUID
    assert series.SeriesInstanceUID == sources[0].SeriesInstanceUID
    named = {image.ReferencedSOPInstanceUID for image in series.ContourImageSequence}
    assert named == {source.SOPInstanceUID for source in sources}


def test_an_outline_of_more_than_64_kib_is_read_back_whole(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = write_series(tmp_path / "series", ramp(2, 60, 60), edit=in_a_frame)
    labels = np.full((60, 60, 2), 5, np.uint8)
    labels[1:-1:2, 1:-1:2] = 0
    write(files, labels)
    outline = pydicom.dcmread(path).ROIContourSequence[0].ContourSequence[0]
    texts = [value.original_string for value in outline.ContourData]
    assert sum(len(text) + 1 for text in texts) > 65536
    assert max(len(text) for text in texts) <= 16
    np.testing.assert_array_equal(labels_drawn(path, files, read_dicom(files)), labels)


def test_a_name_without_a_code_is_drawn_too(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    write(straight_series(tmp_path / "series"), names={5: "tumour"})
    (roi,) = pydicom.dcmread(path).StructureSetROISequence
    assert roi.ROIName == "tumour"


def test_images_that_cannot_be_told_apart_give_a_reason_and_no_file(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    def same_name(dataset: Dataset, index: int) -> None:
        in_a_frame(dataset, index)
        dataset.SOPInstanceUID = uid("same")

    path.parent.mkdir()
    path.write_text("of an earlier run")
    (note,) = write(write_series(tmp_path / "series", edit=same_name))
    assert note == ("No RT structure set is written: several images have the same SOPInstanceUID.")
    assert not path.exists()


def test_labels_on_another_grid_are_refused(
    tmp_path: Path, path: Path, write: Callable[..., Any]
) -> None:
    files = straight_series(tmp_path / "series")
    with pytest.raises(InputError, match=r"labels must be uint8 \(7, 8, 5\)"):
        write(files, np.zeros((8, 7, 5), np.uint8))
    with pytest.raises(InputError, match="source_files must name the series' files, got none"):
        write([], volume=read_dicom(files))
    assert not path.parent.exists()


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not here")
@pytest.mark.parametrize("kind", ["straight", "oblique", "tilted", "enhanced", "two thicknesses"])
def test_an_outside_validator_finds_no_error(
    tmp_path: Path, path: Path, write: Callable[..., Any], kind: str
) -> None:
    write((SERIES | {"two thicknesses": two_thicknesses})[kind](tmp_path / "series"))
    command = ["dciodvfy", "-new", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "RTStructureSet" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []

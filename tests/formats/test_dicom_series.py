"""Where the slices of a series lie: every layout, rounding, two thicknesses, absurd places."""

from pathlib import Path

import numpy as np
import pytest

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from common.formats.dicom import read_dicom
from common.volumes.volume import Volume
from tests.dicom_files import ramp, uid, write_series

SPACING_MM = (0.7, 0.8)  # between rows, between columns
STEP_MM = 2.5
ORIGIN = np.array([-10.0, -20.0, 30.0])
TURN = np.array([[0.8, 0.6, 0.0], [-0.36, 0.48, 0.8], [0.48, -0.64, 0.6]])


def at(heights: list[float]):
    """Slices at these heights."""

    def edit(dataset, index):
        dataset.ImagePositionPatient = [*ORIGIN[:2], heights[index]]

    return edit


def plain(folder: Path) -> Volume:
    return read_dicom(write_series(folder))


def at_the_places_of(volume: Volume, other: Volume) -> np.ndarray:
    """HU of `other` at the centres of the voxels of `volume`."""
    index = np.indices(volume.voxels.shape).reshape(3, -1)
    index = np.vstack([index, np.ones_like(index[:1])])
    found = np.linalg.solve(other.affine, volume.affine @ index)[:3]
    np.testing.assert_allclose(found, np.rint(found), atol=1e-6)
    i, j, k = np.rint(found).astype(int)
    return other.hounsfield()[i, j, k].reshape(volume.voxels.shape)


@pytest.mark.parametrize("flip_slices", [False, True])
@pytest.mark.parametrize("flip_columns", [False, True])
@pytest.mark.parametrize("flip_rows", [False, True])
def test_negated_directions_give_the_volume_of_the_plain_layout(
    tmp_path: Path, flip_rows: bool, flip_columns: bool, flip_slices: bool
):
    hu, origin = ramp(), ORIGIN.copy()
    row, column, step = np.eye(3) * [1, 1, STEP_MM]
    if flip_rows:
        origin, row, hu = origin + 4 * SPACING_MM[1] * row, -row, hu[:, :, ::-1]
    if flip_columns:
        origin, column, hu = origin + 5 * SPACING_MM[0] * column, -column, hu[:, ::-1]
    if flip_slices:
        origin, step, hu = origin + 3 * step, -step, hu[::-1]
    files = write_series(
        tmp_path / "flipped", hu, origin=origin, step=step, orientation=[*row, *column]
    )
    volume = plain(tmp_path / "plain")
    found = at_the_places_of(volume, read_dicom(files))
    np.testing.assert_array_equal(found, volume.hounsfield())


@pytest.mark.parametrize("sign", [1, -1])
def test_an_oblique_series_is_the_plain_one_turned(tmp_path: Path, sign: int):
    """Turned about the world's origin, with slices along or against their normal."""
    hu = ramp()[::sign]
    origin = (ORIGIN + (0 if sign > 0 else 3 * STEP_MM) * np.eye(3)[2]) @ TURN
    step = sign * STEP_MM * TURN[2]
    files = write_series(
        tmp_path / "turned", hu, origin=origin, step=step, orientation=[*TURN[0], *TURN[1]]
    )
    turned = read_dicom(files)
    to_ras = np.diag([-1, -1, 1])
    back = np.eye(4)
    back[:3, :3] = to_ras @ TURN @ to_ras
    volume = plain(tmp_path / "plain")
    turned_back = Volume(turned.voxels, back @ turned.affine, turned.slope, turned.intercept)
    np.testing.assert_array_equal(at_the_places_of(volume, turned_back), volume.hounsfield())


@pytest.mark.parametrize("degrees", [-20, 18.5])
@pytest.mark.parametrize("flip_columns", [False, True])
def test_every_voxel_of_a_tilted_series_lies_where_its_slice_says(
    tmp_path: Path, degrees: float, flip_columns: bool
):
    tilt = np.radians(degrees)
    row = np.array([1.0, 0, 0])
    column = np.array([0, np.cos(tilt), np.sin(tilt)]) * (-1 if flip_columns else 1)
    volume = read_dicom(write_series(tmp_path, step=(0, 0, STEP_MM), orientation=[*row, *column]))
    assert f"tilted by {abs(degrees):.1f} degrees" in volume.facts["warnings"][0]
    hu = volume.hounsfield()
    for k in range(4):
        place = ORIGIN + [0, 0, k * STEP_MM] + 2 * 0.7 * column + 3 * 0.8 * row
        index = np.linalg.solve(volume.affine, [-place[0], -place[1], place[2], 1])[:3]
        np.testing.assert_allclose(index, np.rint(index), atol=1e-6)
        assert hu[tuple(np.rint(index).astype(int))] == ramp()[k, 2, 3]


@pytest.mark.parametrize("distance_mm", [0.625, 0.75, 0.33])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even(tmp_path: Path, distance_mm: float):
    heights = [round(index * distance_mm + 1e-9, 1) for index in range(40)]
    volume = read_dicom(write_series(tmp_path, ramp(40), edit=at(heights)))
    np.testing.assert_array_equal(volume.hounsfield(), ramp(40).transpose(2, 1, 0))
    assert volume.spacing_mm[2] == pytest.approx(distance_mm, abs=0.002)
    assert volume.facts["warnings"] == []


def sloped(heights: list[float]) -> np.ndarray:
    """Slices whose HU is ten times their height, so that interpolation is exact."""
    return np.broadcast_to(10 * np.array(heights)[:, None, None], (len(heights), 6, 5)).astype(
        np.int16
    )


THIN_BELOW = [2.0 * n for n in range(6)] + [10 + 4.0 * n for n in range(1, 9)]
THICK_BELOW = [4.0 * n for n in range(8)] + [28 + 2.0 * n for n in range(1, 6)]
WITH_A_JOINT = [4.0 * n for n in range(4)] + [13.0 + 7 * n for n in range(4)]


@pytest.mark.parametrize("heights", [THIN_BELOW, THICK_BELOW, WITH_A_JOINT])
def test_two_thicknesses_become_even_slices(tmp_path: Path, heights: list[float]):
    write_series(tmp_path, sloped(heights), edit=at(heights))
    (case,) = find_cases(tmp_path)
    volume = read_volume(case)
    num_slices = volume.voxels.shape[2]
    world_z = volume.affine[2, 3] + volume.affine[2, 2] * np.arange(num_slices)
    assert (world_z[0], world_z[-1]) == pytest.approx((heights[0], heights[-1]))
    np.testing.assert_allclose(volume.hounsfield()[2, 2], 10 * world_z, atol=0.5)
    assert f"interpolated to {num_slices} even ones" in volume.facts["warnings"][0]
    true = np.array(volume.facts["source_slices_voxel"])
    stated = volume.affine[2, 3] + volume.affine[2, 2] * true
    np.testing.assert_allclose(stated, heights, atol=1e-3)


def test_a_hole_is_not_another_thickness(tmp_path: Path):
    heights = [2.0 * n for n in range(6)] + [30 + 2.0 * n for n in range(6)]
    with pytest.raises(InputError, match=r"must be complete, got 9 missing of 21 slices"):
        read_dicom(write_series(tmp_path, sloped(heights), edit=at(heights)))


def test_every_third_slice_missing_is_not_another_thickness(tmp_path: Path):
    skip = range(2, 30, 3)
    with pytest.raises(InputError, match=r"must be complete, got 9 missing of 29 slices"):
        read_dicom(write_series(tmp_path, ramp(30), skip=skip))


def test_slices_that_share_their_neighbour_s_uid_are_all_kept(tmp_path: Path):
    def edit(dataset, index):
        dataset.SOPInstanceUID = uid("pair", index // 2)

    write_series(tmp_path, ramp(6), edit=edit)
    (case,) = find_cases(tmp_path)
    volume = read_volume(case)
    np.testing.assert_array_equal(volume.hounsfield(), ramp(6).transpose(2, 1, 0))
    assert "SOPInstanceUIDs repeat" in volume.facts["warnings"][0]


ABSURD = [
    ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient of 2 numbers where 3 are meant"),
    ({"ImagePositionPatient": [0, 0, 5e8]}, "position 0 0 5e+08 mm, outside any scanner"),
    ({"ImageOrientationPatient": [1, 0, 0]}, "ImageOrientationPatient of 3 numbers"),
    ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "must be two directions square on another"),
    ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "must be two directions square on another"),
    ({"PixelSpacing": [0, 0.7]}, "pixel spacing 0 0.7 mm, which must be above 0"),
    ({"PixelSpacing": [-1, 1]}, "which must be above 0"),
    ({"RescaleSlope": "1e30"}, "a rescale slope and intercept of 1e+30 and -1024, not to HU"),
    ({"RescaleIntercept": "-9e9"}, "not to HU"),
    ({"NumberOfFrames": 7}, "7 frames, but a place for 0 of them"),
]


@pytest.mark.parametrize(("change", "reason"), ABSURD, ids=[reason for _, reason in ABSURD])
def test_an_absurd_slice_is_left_out_and_the_others_are_read(
    tmp_path: Path, change: dict, reason: str
):
    def edit(dataset, index):
        if index == 0:
            for keyword, value in change.items():
                setattr(dataset, keyword, value)

    write_series(tmp_path, ramp(6), edit=edit)
    cases = find_cases(tmp_path)
    assert [reason in rejection.reason for rejection in cases.rejected] == [True]
    np.testing.assert_array_equal(
        read_volume(cases[0]).hounsfield(), ramp(6)[1:].transpose(2, 1, 0)
    )


@pytest.mark.parametrize("tag", [b"DS\x04\x002.5 ", b"IS\x02\x001 "])
def test_a_number_that_is_none_ends_no_run(tmp_path: Path, tag: bytes):
    def edit(dataset, index):
        dataset.SliceThickness, dataset.InstanceNumber = "2.5", "1"

    files = write_series(tmp_path, ramp(5), edit=edit)
    content = files[0].read_bytes()
    files[0].write_bytes(content.replace(tag, tag[:4] + b"abcd"[: len(tag) - 4]))
    assert files[0].read_bytes() != content
    cases = find_cases(tmp_path)
    assert len(cases[0]["files"]) + len(cases.rejected) == 5


def test_slices_half_a_metre_apart_are_refused_before_memory_is_taken(tmp_path: Path):
    write_series(tmp_path / "whole")
    write_series(tmp_path / "far", ramp(5), series="far", edit=at([0, 1, 2, 3, 9e4]))
    cases = find_cases(tmp_path)
    assert [case["case_id"] for case in cases] == ["whole"]
    assert "got 89996 missing of 90001 slices, at 4, 5, 6, 7, 8 and" in cases.rejected[0].reason

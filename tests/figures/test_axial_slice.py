import itertools

import nibabel
import numpy as np
import pytest

from common.figures.axial_slice import axial_slice, axial_slice_at, scout, window
from common.volumes.volume import Volume

ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
]


def patient(axcodes: str, tilt_degrees: float = 0.0) -> Volume:
    """Air, 20 x 30 x 40 mm from right to left, front to back, foot to head, stored as asked.

    One bright voxel lies at the patient's right, in front, near the head, and spacing differs
    along every axis (1, 1.5, 2 mm in x, y, z).
    """
    voxels = np.full((20, 20, 20), -1000, dtype=np.int16)  # R, A, S grow
    voxels[17, 18, 15] = 500
    affine = np.diag([1.0, 1.5, 2.0, 1.0])
    affine[:3, 3] = (-10, -15, -300)
    turn = np.eye(4)
    c, s = np.cos(np.deg2rad(tilt_degrees)), np.sin(np.deg2rad(tilt_degrees))
    turn[1:3, 1:3] = [[c, -s], [s, c]]
    image = nibabel.Nifti1Image(voxels, turn @ affine)
    change = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axcodes)
    )
    stored = image.as_reoriented(change)
    return Volume(np.asarray(stored.dataobj), stored.affine)


def marker_world_mm(volume: Volume) -> np.ndarray:
    index = np.argwhere(volume.voxels == 500)[0]
    return (volume.affine @ np.append(index, 1.0))[:3]


def test_there_are_48_orientations() -> None:
    assert len(ORIENTATIONS) == 48


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_right_front_is_top_left_for_every_orientation(axcodes: str) -> None:
    volume = patient(axcodes)
    shown = axial_slice_at(volume, marker_world_mm(volume))
    assert np.argwhere(shown.hounsfield == 500).tolist() == [[1, 2]]
    assert shown.pixel_mm == pytest.approx((1.5, 1.0))
    assert shown.centre_world_mm[2] == pytest.approx(-270)


@pytest.mark.parametrize("axcodes", ["RAS", "LPS", "SPL", "IRP"])
def test_an_oblique_scan_is_shown_in_its_own_slices(axcodes: str) -> None:
    volume = patient(axcodes, tilt_degrees=20)
    shown = axial_slice_at(volume, marker_world_mm(volume))
    assert np.argwhere(shown.hounsfield == 500).tolist() == [[1, 2]]


@pytest.mark.parametrize("axcodes", ["LPS", "LPI", "SRA"])
def test_the_slice_number_is_the_one_of_the_input(axcodes: str) -> None:
    volume = patient(axcodes)
    shown = axial_slice_at(volume, marker_world_mm(volume))
    assert shown.index_voxel == (4 if "I" in axcodes else 15)
    assert shown.axis == axcodes.replace("I", "S").index("S")
    assert shown.num_slices == 20


def test_a_point_outside_shows_the_last_slice() -> None:
    assert axial_slice_at(patient("LPS"), (0, 0, 1e4)).index_voxel == 19


def test_hounsfield_units_use_slope_and_intercept() -> None:
    volume = Volume(np.full((2, 2, 2), 100, np.uint16), np.eye(4), slope=2.0, intercept=-1024.0)
    assert np.unique(axial_slice(volume, 0).hounsfield).tolist() == [-824.0]


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_the_scout_shows_right_on_the_left_and_the_head_on_top(axcodes: str) -> None:
    volume = patient(axcodes)
    seen = scout(volume)
    assert np.unravel_index(seen.brightness.argmax(), seen.brightness.shape) == (4, 2)
    assert (seen.height_mm, seen.width_mm) == pytest.approx((40, 20))
    index = axial_slice_at(volume, marker_world_mm(volume)).index_voxel
    assert seen.height_of(index) == pytest.approx(31)


def test_a_large_scan_is_thinned_out_for_the_scout() -> None:
    volume = Volume(np.zeros((300, 200, 500), np.int16), np.eye(4))
    assert scout(volume, max_pixels=(100, 100), max_depth=10).brightness.shape == (100, 100)


def test_the_window_runs_from_black_to_white() -> None:
    shown = window(np.array([-2000.0, -1000.0, -400.0, 200.0, 3000.0]), (-1000, 200))
    assert shown.tolist() == [0, 0, 0.5, 1, 1]

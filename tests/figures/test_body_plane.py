"""Planes in display orientation, for every way in which a scan may be stored."""

import numpy as np
import pytest

from common.figures.body_plane import body_plane
from tests.figures.test_axial_slice import ORIENTATIONS, patient

SIZES = {"axial": (1.5, 1.0), "coronal": (2.0, 1.0), "sagittal": (2.0, 1.5)}
PLACES = {"axial": [1, 2], "coronal": [4, 2], "sagittal": [4, 1]}
"""Row and column of the marker: it lies 2 from the right, 1 from the front, 4 from the head."""


def through_marker(volume, name):
    index = np.argwhere(volume.voxels == 500)[0]
    axis = body_plane(volume.affine, volume.voxels.shape, name, 0).axis
    return body_plane(volume.affine, volume.voxels.shape, name, index[axis])


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_right_front_and_head_are_left_or_on_top(axcodes):
    volume = patient(axcodes)
    for name, size in SIZES.items():
        plane = through_marker(volume, name)
        assert np.argwhere(plane.cut(volume.voxels) == 500).tolist() == [PLACES[name]]
        assert plane.row_step_mm == pytest.approx((0, size[0]))
        assert plane.column_step_mm == pytest.approx(size[1])


def test_letters_say_how_it_is_looked_at():
    letters = {name: body_plane(np.eye(4), (4, 4, 4), name, 0).letters for name in SIZES}
    assert letters["axial"] == ("R", "L", "A", "P")
    assert letters["coronal"] == ("R", "L", "S", "I")
    assert letters["sagittal"] == ("A", "P", "S", "I")


@pytest.mark.parametrize("axcodes", ["RAS", "LPI", "SRP"])
def test_another_plane_crosses_at_its_row(axcodes):
    volume = patient(axcodes)
    axial = through_marker(volume, "axial")
    coronal = through_marker(volume, "coronal")
    assert coronal.row_of(axial.index_voxel, axial.num_slices) == 4


def test_the_centre_is_in_world_mm():
    volume = patient("LPS")
    x, y, z = through_marker(volume, "coronal").centre_world_mm
    assert (x, y, z) == pytest.approx((-0.5, 12.0, -281.0))


@pytest.mark.parametrize("axcodes", ["RAS", "LPI"])
def test_a_sheared_scan_says_how_far_its_rows_are_shifted(axcodes):
    """Each slice lies 0.5 mm further to the front than the one below it."""
    volume = patient(axcodes)
    world_shear = np.eye(4)
    world_shear[1, 2] = 0.25  # y grows by 0.25 mm per mm of z: 0.5 mm per slice
    plane = body_plane(world_shear @ volume.affine, (20, 20, 20), "sagittal", 3)
    # Down the picture is to the feet, hence to the back, which is to the right.
    assert plane.row_step_mm == pytest.approx((0.5, 2.0))


def test_a_plane_beyond_the_scan_is_its_last_one():
    assert body_plane(np.eye(4), (4, 5, 6), "coronal", 99).index_voxel == 4


def test_cutting_copies_nothing():
    voxels = np.zeros((4, 5, 6))
    assert np.shares_memory(body_plane(np.eye(4), voxels.shape, "sagittal", 1).cut(voxels), voxels)

"""Scans that lie askew are shown along the patient's axes."""

import numpy as np
import pytest

from common.figures.axial_slice import axial_slice_at, scout
from common.figures.body_plane import body_plane
from common.figures.label_overlay import cut_picture
from common.figures.scan_picture import picture_of_volume
from common.figures.upright import is_thin_slab, is_upright, slice_number, upright
from common.volumes.geometry import Grid
from common.volumes.volume import Volume

TILTS = {
    "oblique": lambda: turned(20) @ turned(-15, axes=(0, 1)),
    "sheared": lambda: np.array([[1, 0, 0, 0], [0, 1, 0.4, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    "both": lambda: (
        turned(30) @ np.array([[1, 0, 0, 0], [0, 1, 0.4, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    ),
}
CENTRE, RADIUS = np.array([5.0, -3.0, 8.0]), 18.0


def turned(degrees, axes=(1, 2)):
    """A turn of the world."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[np.ix_(axes, axes)] = [[c, -s], [s, c]]
    return matrix


def ball(tilt, axcodes=(0, 1, 2)):
    """A ball of water in air, `RADIUS` mm around `CENTRE` in the world, on a grid that is askew."""
    affine = (
        TILTS[tilt]() @ np.diag([-1.5, -1.5, 2.0, 1.0]) if tilt else np.diag([-1.5, -1.5, 2, 1])
    )
    shape = (64, 64, 48)
    affine[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ affine[:3, :3].T
    inside = np.linalg.norm(at + affine[:3, 3] - CENTRE, axis=-1) < RADIUS
    return Volume(np.where(inside, 1064, 24).astype(np.uint16), affine, 1.0, -1024.0), inside


def extent_mm(picture, pixel_mm):
    return [np.any(picture, axis=1 - axis).sum() * pixel_mm[axis] for axis in (0, 1)]


@pytest.mark.parametrize("tilt", TILTS)
@pytest.mark.parametrize("name", ["axial", "coronal", "sagittal"])
def test_a_ball_is_round_in_every_plane_and_where_it_is(tilt, name):
    volume, inside = ball(tilt)
    seen = upright(volume)
    assert seen.is_turned
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[name]
    index = (np.linalg.inv(seen.volume.affine) @ np.append(CENTRE, 1))[:3].round().astype(int)
    plane = body_plane(seen.volume.affine, seen.volume.voxels.shape, name, index[axis])
    labels = seen.like(inside.astype(np.uint8), order=0)
    picture = cut_picture(seen.volume, labels, plane)
    for shown in (picture.hounsfield > -480, picture.labels > 0):
        high, wide = extent_mm(shown, picture.pixel_mm)
        assert high == pytest.approx(2 * RADIUS, abs=4.5)
        assert wide == pytest.approx(2 * RADIUS, abs=4.5)
    assert plane.centre_world_mm[axis] == pytest.approx(CENTRE[axis], abs=1.1)
    assert picture.hounsfield.max() == pytest.approx(40, abs=1)
    assert set(np.unique(picture.labels)) == {0, 1}


def test_what_lies_outside_the_scan_is_air():
    volume, _ = ball("oblique")
    seen = upright(volume)
    corner = axial_slice_at(seen.volume, seen.volume.affine[:3, 3]).hounsfield[0, 0]
    assert corner == -1024


@pytest.mark.parametrize("tilt", TILTS)
def test_the_frontal_view_and_the_gallery_show_it_round(tilt):
    seen = upright(ball(tilt)[0])
    front = scout(seen.volume)
    rows, columns = front.brightness.shape
    size = extent_mm(front.brightness > 0.2, (front.height_mm / rows, front.width_mm / columns))
    assert size[0] == pytest.approx(size[1], rel=0.2)
    middle = front.lowest_world_mm + front.height_mm / 2
    assert middle == pytest.approx(CENTRE[2], abs=1)
    picture = picture_of_volume(ball(tilt)[0])
    size = extent_mm(picture.hounsfield > -480, picture.pixel_mm)
    assert size[0] == pytest.approx(size[1], rel=0.15)


def test_an_upright_scan_is_shown_as_it_is():
    volume, inside = ball(None)
    seen = upright(volume)
    assert seen.volume is volume
    assert not seen.is_turned
    assert seen.like(inside, order=0) is inside


@pytest.mark.parametrize(("degrees", "wanted"), [(0, True), (0.8, True), (1.2, False), (45, False)])
def test_a_turn_of_less_than_a_degree_is_none(degrees, wanted):
    assert is_upright(turned(degrees) @ np.diag([1, 1, 3, 1])) == wanted


def slab(num_slices, order=(0, 1, 2)):
    """Slices of 250 x 250 mm, 5 mm apart along the table, of a gantry tilted by 20 degrees."""
    affine = np.diag([-2.5, -2.5, 5.0, 1.0])
    affine[1:3, 1] = -2.5 * np.array([np.cos(np.radians(20)), np.sin(np.radians(20))])
    voxels = np.zeros((100, 100, num_slices), np.int16).transpose(order)
    return Volume(voxels, affine[:, [*order, 3]])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_thin_slab_is_shown_in_its_own_slices_which_say_their_tilt(order):
    volume = slab(7, order)
    seen = upright(volume)
    assert seen.volume is volume
    assert not seen.is_turned
    numbers = [
        slice_number(body_plane(volume.affine, volume.voxels.shape, name, 2))
        for name in ("axial", "coronal", "sagittal")
    ]
    assert numbers == ["3 of 7, tilted 20°", "3 of 100", "3 of 100"]
    assert slice_number(axial_slice_at(volume, volume.affine[:3, 3])) == "1 of 7, tilted 20°"


@pytest.mark.parametrize(("num_slices", "wanted"), [(1, True), (15, True), (20, False)])
def test_a_slab_is_thin_where_the_patients_plane_crosses_its_slices_in_part(num_slices, wanted):
    # 250 mm rise by 85.5 mm; that much of the slab's normal is 91 mm of it, or 19.4 slices.
    volume = slab(num_slices)
    assert is_thin_slab(Grid(volume.voxels.shape, volume.affine)) == wanted
    assert upright(volume).is_turned != wanted


@pytest.mark.parametrize(("size", "degrees"), [((350, 200, 620), 20), ((500, 250, 1000), 15)])
def test_a_tall_oblique_body_is_no_slab(size, degrees):
    tilt = np.radians(degrees)
    affine = np.eye(4)  # turned about the axis from right to left, as a body on a wedge
    affine[1:3, 1:3] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    assert not is_thin_slab(Grid(size, affine))


def test_an_upright_slice_is_told_by_its_number_alone():
    assert slice_number(body_plane(np.diag([1, 1, 5, 1]), (9, 9, 3), "axial", 1)) == "2 of 3"

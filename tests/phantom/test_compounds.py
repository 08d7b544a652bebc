"""Shapes made of shapes, evaluated at points and on grids."""

import numpy as np
import pytest

from common.phantom.compounds import (
    FAR_MM,
    Common,
    Cut,
    Grown,
    Half,
    Joined,
    Loft,
    distance_on,
)
from common.phantom.lattice import Lattice, read_between, refine
from common.phantom.solids import Ellipsoid, Tube

BALL = Ellipsoid((0, 0, 0), (10, 10, 10))
ROD = Tube(((0, 0, 0), (0, 0, 30)), (3, 3))
SHAPES = {
    "joined": Joined((BALL, ROD)),
    "blended": Joined((BALL, ROD), blend_mm=3),
    "common": Common((BALL, Half((0, 0, 2), (0, 0, 1)))),
    "cut": Cut(BALL, ROD, gap_mm=2),
    "grown": Grown(Cut(BALL, ROD), 1.5),
}


def grid():
    turn = np.deg2rad(10)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:3, :3] *= (1.5, 2.0, 2.5)
    matrix[:3, 3] = (-24, -30, -22)
    return Lattice(matrix, (33, 31, 27))


@pytest.mark.parametrize("name", SHAPES)
def test_on_a_grid_the_distance_is_the_same_near_the_surface(name):
    lattice, shape = grid(), SHAPES[name]
    there = shape.distance(*lattice.coordinates(lattice.whole()))
    here = distance_on(shape, lattice, lattice.whole())
    near = np.abs(there) < 4
    assert near.sum() > 300
    assert np.allclose(here[near], there[near], atol=1e-3)
    assert np.array_equal(here < 0, there < 0)


def test_a_window_shows_a_part_of_the_whole():
    lattice, shape = grid(), SHAPES["blended"]
    window = (slice(8, 20), slice(10, 21), slice(3, 17))
    whole = distance_on(shape, lattice, lattice.whole())
    part = distance_on(shape, lattice, window)
    near = np.abs(part) < 4
    assert np.allclose(part[near], whole[window][near], atol=1e-4)


def test_where_no_part_is_near_it_is_far():
    lattice = Lattice(np.eye(4), (4, 4, 4))
    away = Joined((Ellipsoid((100, 0, 0), (5, 5, 5)),))
    assert (distance_on(away, lattice, lattice.whole()) == FAR_MM).all()


def test_a_loft_is_as_wide_and_thick_as_its_knots():
    slab = Loft(z=(0, 10), y=(5, 5), half_width=(20, 30), half_thickness=(4, 4))
    points = np.array([[20, 5, 0.1], [25, 5, 5], [0, 9, 5], [0, 1, 5], [0, 5, -3]], np.float32)
    assert slab.distance(*points.T) == pytest.approx([0, 0, 0, 0, 3], abs=0.2)
    assert slab.distance(*np.float32([[0], [5], [5]])) == pytest.approx([-4], abs=0.1)


def test_bounds_hold_the_shape():
    for shape in SHAPES.values():
        low, high = np.array(shape.bounds())
        points = np.random.default_rng(0).uniform(-60, 60, (4000, 3)).astype(np.float32)
        inside = points[shape.distance(*points.T) < 0]
        assert len(inside)
        assert (inside >= low).all()
        assert (inside <= high).all()


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 3, 1), (3, 2, 4)])
def test_a_window_of_a_coarse_field_is_read_as_the_whole_is(strides):
    size = (17, 14, 19)
    coarse = tuple(-(-(n - 1) // s) + 1 for n, s in zip(size, strides, strict=True))
    i, j, k = np.indices(coarse)
    field = np.sin(i + 0.7 * j * k).astype(np.float32)
    whole = read_between(field, tuple(slice(0, n) for n in size), strides)
    assert np.allclose(whole[0], refine(field[0], strides[1:], size[1:]), atol=1e-6)
    assert np.allclose(whole[:: strides[0], :: strides[1], :: strides[2]],
                       field[: len(whole[:: strides[0]])][:, : len(whole[0][:: strides[1]]),
                             : len(whole[0][0][:: strides[2]])], atol=1e-6)  # fmt: skip
    window = (slice(4, 11), slice(5, 14), slice(7, 8))
    assert np.allclose(read_between(field, window, strides), whole[window], atol=1e-6)

"""Cosines on the scan's own grid: at their places, however the scan is stored."""

import numpy as np
import pytest

from common.volumes.geometry import Grid
from common.volumes.heat_map import heat_map
from common.volumes.inverse import points_to_voxel, points_to_world_mm
from common.volumes.place_map import CosineMap

# The network's grid: up, to the back, to the left; 4 x 3 x 3 mm.
NETWORK = np.array([[0, 0, -3, 40], [0, -3, 0, 30], [4, 0, 0, -10], [0, 0, 0, 1.0]])
CENTRES = (np.array([0.0, 8, 16, 20]), np.array([0.0, 8, 16]), np.array([4.0, 12]))


def slope():
    """Cosines that grow linearly in the world, so that interpolation has no error."""
    at = np.stack(np.meshgrid(*CENTRES, indexing="ij"), axis=-1)
    return CosineMap(
        (points_to_world_mm(at, NETWORK) @ [1, 2, 3] / 1000).astype(np.float32), CENTRES
    )


def turned(degrees, shear=0.0):
    """A grid of 2.5 x 2 x 5 mm, turned about two axes and, where wanted, leaning."""
    one, two = np.radians([degrees, degrees / 2])
    about_x = np.array([[1, 0, 0], [0, np.cos(one), -np.sin(one)], [0, np.sin(one), np.cos(one)]])
    about_z = np.array([[np.cos(two), -np.sin(two), 0], [np.sin(two), np.cos(two), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ np.diag([2.5, 2, 5])
    affine[1, 2] += shear
    affine[:3, 3] = [-20, -25, 0]
    return affine


@pytest.mark.parametrize("affine", [turned(0), turned(0, shear=1.0), turned(12)])
def test_every_voxel_has_the_cosine_of_its_place(affine):
    target = Grid((22, 26, 14), affine)
    heat = heat_map(slope(), NETWORK, target)
    assert heat.shape == target.shape
    assert heat.dtype == np.float32
    at = np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), axis=-1)
    world = points_to_world_mm(at.astype(float), affine)
    voxel = points_to_voxel(world, NETWORK)
    inside = np.all(
        [(voxel[..., n] >= c[0]) & (voxel[..., n] <= c[-1]) for n, c in enumerate(CENTRES)], axis=0
    )
    assert inside.sum() > 300
    np.testing.assert_allclose(heat[inside], (world @ [1, 2, 3] / 1000)[inside], atol=2e-6)


def test_a_scan_stored_the_other_way_round_has_the_same_heat():
    affine = turned(0)
    mirrored = affine @ np.array([[0, -1, 0, 21], [1, 0, 0, 0], [0, 0, -1, 13], [0, 0, 0, 1]])
    one = heat_map(slope(), NETWORK, Grid((22, 26, 14), affine))
    other = heat_map(slope(), NETWORK, Grid((26, 22, 14), mirrored))
    np.testing.assert_allclose(other, one[::-1, :, ::-1].transpose(1, 0, 2), atol=1e-6)


def test_beyond_the_outer_places_and_where_nothing_was_compared():
    found = slope()
    lowest = found.cosine[1:].min()
    found.cosine[0] = np.nan
    heat = heat_map(found, NETWORK, Grid((22, 26, 30), turned(0)))
    assert np.isfinite(heat).all()
    assert heat.min() == pytest.approx(lowest)

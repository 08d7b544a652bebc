import numpy as np
import pytest

from common.volumes.geometry import Grid, transform_points, without_shear

TILT = np.array([[-2, 0, 0, 5], [0, -2, 1.2, 7], [0, 0, 2.5, 9], [0, 0, 0, 1.0]])


def corners(shape):
    ends = np.meshgrid(*([0, n - 1] for n in shape), indexing="ij")
    return np.stack(ends, axis=-1).reshape(-1, 3).astype(float)


@pytest.mark.parametrize("turn", [0.0, 0.4])
@pytest.mark.parametrize("shape", [(8, 9, 5), (3, 2, 20)])
def test_a_straightened_grid_holds_the_tilted_one_and_knows_no_shear(turn, shape):
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    tilted = Grid(shape, rotation @ TILT)
    straight = tilted.straightened()
    i, j, k = straight.affine[:3, :3].T
    np.testing.assert_allclose([i @ j, i @ k, j @ k], 0, atol=1e-12)
    np.testing.assert_allclose(straight.spacing_mm, (2, 2, 2.5))
    at = transform_points(
        np.linalg.inv(straight.affine), transform_points(tilted.affine, corners(shape))
    )
    assert (at > -1e-6).all()
    assert (at < np.array(straight.shape) - 1 + 1e-6).all()
    assert straight.shape[2] == shape[2]


def test_a_grid_without_shear_stays_as_it_is():
    grid = Grid((4, 5, 6), np.diag([-2.0, -2.0, 2.5, 1.0]))
    assert grid.straightened().shape == grid.shape
    np.testing.assert_allclose(grid.straightened().affine, grid.affine)
    np.testing.assert_allclose(without_shear(grid.affine), grid.affine)


def test_without_shear_keeps_the_steps():
    straight = without_shear(TILT)
    np.testing.assert_allclose(straight[:, [0, 1, 3]], TILT[:, [0, 1, 3]])
    np.testing.assert_allclose(straight[:3, 2], [0, 0, np.hypot(1.2, 2.5)])

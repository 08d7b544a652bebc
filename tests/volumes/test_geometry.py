"""Target grids, crop and pad, and what a broken header says."""

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.volumes.geometry import Grid, fit_grid, target_grid, transform_points
from tests.transforms.plain_road import ORIENTATIONS, oriented_affine


def grid_of(shape=(10, 12, 14), axcodes="LPS", **affine) -> Grid:
    return Grid(shape, oriented_affine(axcodes, **affine))


def faces_mm(grid: Grid, margin: float) -> np.ndarray:
    """World box of the outermost centres (0) or faces (0.5)."""
    ends = [(-margin, n - 1 + margin) for n in grid.shape]
    corners = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)
    world = transform_points(grid.affine, corners)
    return np.stack([world.min(axis=0), world.max(axis=0)])


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_half_pixel_keeps_the_outer_faces(axcodes: str) -> None:
    source = grid_of(axcodes=axcodes)
    target = target_grid(source, axcodes="SLP", spacing_mm=(1.5, 0.7, 1.1), kind="half_pixel")
    assert nib.aff2axcodes(target.affine) == ("S", "L", "P")
    np.testing.assert_allclose(faces_mm(target, 0.5), faces_mm(source, 0.5))


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_affine_grid_keeps_the_first_centre_and_the_exact_spacing(axcodes: str) -> None:
    source = grid_of(axcodes="LPS")
    target = target_grid(source, axcodes=axcodes, spacing_mm=(1.5, 0.7, 1.1), kind="affine")
    assert "".join(nib.aff2axcodes(target.affine)) == axcodes
    np.testing.assert_allclose(target.spacing_mm, (1.5, 0.7, 1.1))
    corner = target.affine[:3, 3]
    box = faces_mm(source, 0.0)
    assert (np.isclose(corner, box[0]) | np.isclose(corner, box[1])).all()


def test_half_pixel_count_is_rounded_down_but_forgives_float32_headers() -> None:
    spacing = float(np.float32(0.7))  # 300 x 0.69999999 / 0.7 = 299.999995
    source = Grid((300, 301, 299), np.diag([spacing, spacing, spacing, 1.0]))
    target = target_grid(source, axcodes="RAS", spacing_mm=(0.7, 0.8, 0.7), kind="half_pixel")
    assert target.shape == (300, 263, 299)


def test_an_oblique_scan_keeps_its_own_axes() -> None:
    source = grid_of(degrees=(10, -20, 15))
    target = target_grid(source, axcodes="LPS", spacing_mm=(1, 1, 1), kind="affine")
    own = source.affine[:3, :3] / np.linalg.norm(source.affine[:3, :3], axis=0)
    np.testing.assert_allclose(target.affine[:3, :3], own, atol=1e-12)


@pytest.mark.parametrize("kind", ["half_pixel", "affine"])
@pytest.mark.parametrize("axcodes", ["LPS", "RIA", "SAL"])
@pytest.mark.parametrize("cause", [{"shear": 0.4}, {"gantry_degrees": -25}], ids=str)
def test_a_sheared_scan_becomes_upright_in_a_box_that_holds_all_of_it(
    kind: str, axcodes: str, cause: dict
) -> None:
    source = grid_of(axcodes=axcodes, **cause)
    target = target_grid(source, axcodes="SLP", spacing_mm=(0.5, 0.5, 0.5), kind=kind)
    margin = 0.5 if kind == "half_pixel" else 0.0
    wanted, found = faces_mm(source, margin), faces_mm(target, margin)
    assert (found[0] <= wanted[0] + 0.26).all()
    assert (found[1] >= wanted[1] - 0.26).all()
    upright = np.array([[0, -1, 0], [0, 0, -1], [1, 0, 0]]) * target.spacing_mm
    np.testing.assert_allclose(target.affine[:3, :3], upright, atol=1e-12)


def test_a_tiny_shear_changes_an_oblique_grid_only_a_little() -> None:
    settings = {"axcodes": "SLP", "spacing_mm": (1, 1, 1), "kind": "affine"}
    plain = target_grid(grid_of(degrees=(25, 30, -20)), **settings)
    sheared = target_grid(grid_of(degrees=(25, 30, -20), shear=1e-4), **settings)
    np.testing.assert_allclose(sheared.affine, plain.affine, atol=5e-3)


@pytest.mark.parametrize(
    ("have", "want", "first", "inside"),
    [(9, 6, 1, (0, 6)), (5, 8, -1, (1, 6)), (6, 6, 0, (0, 6)), (8, 3, 2, (0, 3))],
)
def test_crop_and_pad_are_centred_with_the_odd_voxel_behind(
    have: int, want: int, first: int, inside: tuple[int, int]
) -> None:
    source = grid_of((have, have, have), degrees=(5, 5, 5))
    fitted = fit_grid(source, (want, None, None))
    assert fitted.grid.shape == (want, have, have)
    assert fitted.inside[0] == inside
    moved = transform_points(source.affine, np.array([first, 0, 0]))
    np.testing.assert_allclose(fitted.grid.affine[:3, 3], moved)


def test_an_axis_without_a_size_is_padded_to_the_multiple() -> None:
    fitted = fit_grid(grid_of((10, 12, 14)), (None, None, 20), multiple=(3, 4, 8))
    assert fitted.grid.shape == (12, 12, 20)
    assert fitted.inside == ((1, 11), (0, 12), (3, 17))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axcodes": "SLX"}, "axcodes must name L or R"),
        ({"axcodes": "LRS"}, "axcodes must name L or R"),
        ({"axcodes": "SL"}, "axcodes must name L or R"),
        ({"spacing_mm": (1, 0, 1)}, "spacing_mm must be three positive numbers"),
        ({"spacing_mm": (1, 1)}, "spacing_mm must be three positive numbers"),
        ({"spacing_mm": (1e-5, 1e-5, 1e-5)}, "at most 2\\*\\*33 voxels.*check the units"),
        ({"kind": "center"}, "grid must be 'half_pixel' or 'affine', got 'center'"),
    ],
)
def test_target_grid_says_what_is_wrong(change: dict, message: str) -> None:
    good = {"axcodes": "SLP", "spacing_mm": (1, 1, 1), "kind": "affine"}
    with pytest.raises(InputError, match=message):
        target_grid(grid_of(), **(good | change))


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.full((4, 4), np.nan), "affine must be a finite 4x4 matrix"),
        (np.eye(3), "affine must be a finite 4x4 matrix"),
        (np.diag([1.0, 0, 1, 1]), "affine must have three axes that span space"),
        (np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "three axes"),
    ],
)
def test_a_broken_affine_is_refused(affine: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        target_grid(Grid((3, 3, 3), affine), axcodes="RAS", spacing_mm=(1, 1, 1), kind="affine")


@pytest.mark.parametrize("size", [(1, 2), (0, 3, 3)])
def test_a_size_that_is_none_is_refused(size: tuple) -> None:
    with pytest.raises(InputError, match="size must be three positive numbers or null"):
        fit_grid(grid_of(), size)


def test_a_multiple_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="pad_multiple must be three positive numbers"):
        fit_grid(grid_of(), None, (0, 1, 1))


def test_points_need_three_coordinates() -> None:
    with pytest.raises(InputError, match=r"points must have shape \(..., 3\), got \(4, 2\)"):
        transform_points(np.eye(4), np.zeros((4, 2)))


def test_without_a_spacing_the_scans_own_is_kept() -> None:
    source = Grid((10, 12, 14), nib.affines.from_matvec(np.diag([-0.7, -0.8, 2.5]), [1, 2, 3]))
    grid = target_grid(source, axcodes="SPL", spacing_mm=None, kind="affine")
    assert grid.shape == (14, 12, 10)
    assert grid.spacing_mm == pytest.approx((2.5, 0.8, 0.7))
    assert nib.aff2axcodes(grid.affine) == ("S", "P", "L")


def test_without_a_spacing_a_tilted_gantry_keeps_its_table_steps_at_least() -> None:
    affine = np.diag([0.5, 0.5, 5.0, 1.0])
    affine[1, 2] = 1.5
    grid = target_grid(Grid((20, 20, 8), affine), axcodes="SPL", spacing_mm=None, kind="affine")
    assert grid.spacing_mm[0] == pytest.approx(5.0)
    assert grid.spacing_mm[2] == pytest.approx(0.5)
    assert np.isfinite(grid.affine).all()

"""One pass equals the plain road: the whole volume in float64, trilinear, on the same grid."""

import nibabel as nib
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from common.transforms.preprocessing import PreprocessCTd
from common.volumes.geometry import Grid, index_map, target_grid
from common.volumes.resampling import align, resample
from common.volumes.slice_streams import Values
from common.volumes.volume import Volume
from tests.transforms.plain_road import ORIENTATIONS, make_volume, plain_road, trilinear

HU = {"hu_window": None, "output_range": None, "check_hu": False}
TOLERANCE_HU = 0.1


def largest_error(step: PreprocessCTd, volume: Volume) -> float:
    """Largest difference from the plain road, in HU."""
    ours = step.preprocess(volume)
    wanted = plain_road(volume, tuple(ours.shape[1:]), ours.affine.numpy())
    return float(np.abs(ours.numpy()[0] - wanted).max())


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_every_stored_orientation_gives_the_same_patient(axcodes: str) -> None:
    volume = make_volume(axcodes, degrees=(4, -7, 11))
    assert largest_error(PreprocessCTd(spacing_mm=(1.5, 0.7, 1.3), **HU), volume) < TOLERANCE_HU


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_wanted_orientation_is_exact(axcodes: str, order: str) -> None:
    step = PreprocessCTd(axcodes=axcodes, spacing_mm=(0.7, 1.1, 1.9), grid="affine", **HU)
    result = step.preprocess(make_volume("LPS", order=order))
    assert "".join(nib.aff2axcodes(result.affine.numpy())) == axcodes
    assert largest_error(step, make_volume("LPS", order=order)) < TOLERANCE_HU


@pytest.mark.parametrize("grid", ["half_pixel", "affine"])
@pytest.mark.parametrize(
    "affine",
    [
        {"spacing_mm": (1.0, 1.0, 1.0)},
        {"spacing_mm": (0.6, 0.6, 5.0)},
        {"spacing_mm": (0.9, 0.8, 0.4), "degrees": (20, 10, -30)},
    ],
    ids=["isotropic", "thick", "oblique"],
)
@pytest.mark.parametrize("spacing_mm", [(1.5, 0.75, 0.75), (0.3, 0.5, 0.4), (7.0, 6.0, 5.0)])
def test_up_and_down_sampling_is_exact(grid: str, affine: dict, spacing_mm: tuple) -> None:
    step = PreprocessCTd(spacing_mm=spacing_mm, grid=grid, **HU)
    assert largest_error(step, make_volume("RAS", **affine)) < TOLERANCE_HU


@pytest.mark.parametrize("grid", ["half_pixel", "affine"])
@pytest.mark.parametrize("axcodes", ["LPS", "SRA", "IAL"])
@pytest.mark.parametrize(
    ("kind", "num_tilts"),
    [({"shear": 0.36}, 1), ({"gantry_degrees": 20}, 1), ({"shear": 0.3, "shear_x": -0.2}, 2)],
    ids=["level", "tilted", "twice"],
)
def test_a_sheared_scan_is_exact_inside_and_air_outside(
    grid: str, axcodes: str, kind: dict, num_tilts: int
) -> None:
    volume = make_volume(axcodes, degrees=(3, 0, 5), **kind)
    step = PreprocessCTd(spacing_mm=(1.1, 0.8, 0.9), grid=grid, **HU)
    ours = step.preprocess(volume)
    shape = tuple(ours.shape[1:])
    matrix = index_map(Grid(volume.voxels.shape, volume.affine), Grid(shape, ours.affine.numpy()))
    assert len(align(matrix, tuple((0, n) for n in shape)).tilts) == num_tilts
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    at = index @ matrix[:3, :3].T + matrix[:3, 3]
    outside = ((at < -0.5) | (at > np.array(volume.voxels.shape) - 0.5)).any(axis=-1)
    wanted = np.where(outside, -1000, trilinear(volume.voxels, at))
    edge = (np.abs(at + 0.5) < 1e-6) | (np.abs(at - np.array(volume.voxels.shape) + 0.5) < 1e-6)
    assert 0.05 < outside.mean() < 0.9
    assert np.abs(ours.numpy()[0] - wanted)[~edge.any(axis=-1)].max() < TOLERANCE_HU


@pytest.mark.parametrize("axcodes", ["SLP", "LSP", "PLS"])
@pytest.mark.parametrize("kind", [{"gantry_degrees": 20}, {"shear": 0.3, "shear_x": -0.2}])
def test_cropping_a_sheared_scan_equals_cropping_the_whole_result(axcodes: str, kind: dict) -> None:
    volume = make_volume("LPS", shape=(15, 14, 20), **kind)
    common = {"axcodes": axcodes, "spacing_mm": (0.9, 0.9, 0.9), "check_hu": False}
    whole = PreprocessCTd(**common).preprocess(volume)
    ours = PreprocessCTd(**common, size=(10, 10, 10)).preprocess(volume)
    first = [(n - 10) // 2 for n in whole.shape[1:]]
    wanted = whole[0][tuple(slice(start, start + 10) for start in first)]
    np.testing.assert_allclose(ours[0].numpy(), wanted.numpy(), atol=1e-6)
    assert ours.min() >= np.float32(-0.449)


def test_header_rounding_does_not_count_as_shear() -> None:
    volume = make_volume("LPS", shape=(64, 64, 40), degrees=(12, 7, -20))
    rounded = Volume(volume.voxels, volume.affine.astype(np.float32).astype(np.float64))
    step = PreprocessCTd(spacing_mm=(1, 1, 1), **HU)
    source = Grid((64, 64, 40), rounded.affine)
    fitted = step.fitted(source)
    assert align(index_map(source, fitted.grid), fitted.inside).tilts == ()
    assert largest_error(step, rounded) < TOLERANCE_HU


def test_half_pixel_equals_interpolate_with_align_corners_off() -> None:
    volume = make_volume("SLP", shape=(9, 13, 11), order="C", spacing_mm=(2.0, 0.8, 0.7))
    ours = PreprocessCTd(**HU).preprocess(volume)
    stored = torch.from_numpy(volume.voxels.astype(np.float64))[None, None]
    wanted = interpolate(stored, tuple(ours.shape[1:]), mode="trilinear", align_corners=False)
    assert ours.shape[1:] == (12, 13, 10)  # floor(n * spacing / target)
    assert torch.abs(ours.as_tensor() - wanted[0]).max() < 0.01


def test_affine_grid_equals_monai_orientation_then_spacing() -> None:
    from monai.data import MetaTensor
    from monai.transforms import Orientation, Spacing

    volume = make_volume("LPS", degrees=(9, -4, 15), spacing_mm=(0.8, 0.9, 2.1))
    plain = MetaTensor(volume.voxels.astype(np.float64)[None], affine=volume.affine)
    plain = Orientation("SLP", labels=None)(plain)
    plain = Spacing((1.5, 0.75, 0.7), padding_mode="border", dtype=np.float64)(plain)
    ours = PreprocessCTd(spacing_mm=(1.5, 0.75, 0.7), grid="affine", **HU).preprocess(volume)
    assert ours.shape == plain.shape
    np.testing.assert_allclose(ours.affine.numpy(), plain.affine.numpy(), atol=1e-6)
    assert np.abs(ours.numpy() - plain.numpy()).max() < 0.01


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64", ">i2", "uint16"])
def test_every_stored_type_gives_the_same_hounsfield(dtype: str) -> None:
    hu = make_volume()
    shift = 1024 if dtype == "uint16" else 0
    stored = Volume((hu.voxels + shift).astype(dtype), hu.affine, 1.0, -shift)
    step = PreprocessCTd(check_hu=False)
    np.testing.assert_allclose(
        step.preprocess(stored).numpy(), step.preprocess(hu).numpy(), atol=1e-6
    )


def test_slope_and_intercept_are_applied_once() -> None:
    assert (
        largest_error(PreprocessCTd(**HU), make_volume(slope=0.5, intercept=-300.0)) < TOLERANCE_HU
    )


@pytest.mark.parametrize("stored_axes", [(2, 1, 0), (1, 2, 0), (0, 2, 1)])
def test_any_memory_order_and_negative_strides_give_the_same(stored_axes: tuple) -> None:
    plain = make_volume()
    turned = np.ascontiguousarray(plain.voxels.transpose(stored_axes)[::-1, :, ::-1])
    voxels = turned[::-1, :, ::-1].transpose(np.argsort(stored_axes))
    step = PreprocessCTd(spacing_mm=(1.5, 0.8, 0.8), check_hu=False)
    ours = step.preprocess(Volume(voxels, plain.affine)).numpy()
    np.testing.assert_array_equal(voxels, plain.voxels)
    np.testing.assert_allclose(ours, step.preprocess(plain).numpy(), atol=1e-6)


@pytest.mark.parametrize("axcodes", ["SLP", "LPS", "PSR"])
@pytest.mark.parametrize("spacing", [0.5, 1.7])
def test_cropping_and_padding_equal_cropping_the_whole_result(axcodes: str, spacing: float) -> None:
    volume = make_volume()
    common = {"axcodes": axcodes, "spacing_mm": (spacing,) * 3, "check_hu": False}
    whole = PreprocessCTd(**common).preprocess(volume)
    size = (8, 14, 31)
    ours = PreprocessCTd(**common, size=size).preprocess(volume)
    wanted = np.full(size, -0.449, dtype=np.float32)
    into, out = [], []
    for have, want in zip(whole.shape[1:], size, strict=True):
        start, before = max((have - want) // 2, 0), max((want - have) // 2, 0)
        out.append(slice(start, start + min(have, want)))
        into.append(slice(before, before + min(have, want)))
    wanted[tuple(into)] = whole.numpy()[0][tuple(out)]
    np.testing.assert_allclose(ours.numpy()[0], wanted, atol=1e-6)


def test_padding_is_the_low_end_of_the_window() -> None:
    ours = PreprocessCTd(
        size=(40, 40, 40), hu_window=(-1000, 1000), output_range=(0, 1), check_hu=False
    ).preprocess(make_volume())
    assert ours[0, 0, 0, 0] == 0
    assert ours.min() == 0
    assert ours.max() <= 1


def test_slices_are_asked_for_before_they_are_read_and_no_further_than_needed() -> None:
    plain = make_volume(shape=(6, 6, 40), spacing_mm=(1, 1, 1))
    filled = np.full_like(plain.voxels, 9999)
    asked: list[int] = []

    def fill(stop: int) -> None:
        asked.append(stop)
        filled[:, :, :stop] = plain.voxels[:, :, :stop]

    volume = Volume(filled, plain.affine, wait_until_filled=fill)
    step = PreprocessCTd(spacing_mm=(1.3, 1, 1), size=(10, 6, 6), check_hu=False)
    ours = step.preprocess(volume).numpy()
    np.testing.assert_allclose(ours, step.preprocess(plain).numpy(), atol=1e-6)
    assert asked == sorted(asked)
    assert max(asked) < 30


def test_a_flipped_scan_is_still_read_front_to_back() -> None:
    plain = make_volume("LPI", shape=(6, 6, 20))
    asked: list[int] = []
    volume = Volume(plain.voxels, plain.affine, wait_until_filled=asked.append)
    PreprocessCTd(check_hu=False).preprocess(volume)
    assert asked == sorted(asked)


def test_one_voxel_axes_and_tiny_results_work() -> None:
    values = Values(1.0, 0.0, -np.inf, np.inf, -1000.0)
    source = Grid((1, 3, 4), np.diag([2.0, 1, 1, 1]))
    voxels = np.arange(12, dtype=np.int16).reshape(source.shape)
    grid = target_grid(source, axcodes="RAS", spacing_mm=(1, 9, 1), kind="half_pixel")
    inside = tuple((0, n) for n in grid.shape)
    result = resample(voxels, index_map(source, grid), grid.shape, inside, values)
    np.testing.assert_array_equal(result, np.broadcast_to([[4, 5, 6, 7]], (2, 1, 4)))

"""Points and labels find back to the scan, whichever way it was stored."""

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.transforms.preprocessing import PreprocessCTd
from common.volumes.geometry import Grid
from common.volumes.inverse import (
    describe_grid,
    labels_to_input_grid,
    points_to_input_voxel,
    points_to_voxel,
    points_to_world_mm,
    resample_labels,
)
from common.volumes.volume import Volume
from tests.transforms.plain_road import ORIENTATIONS, make_volume, oriented_affine

AFFINES = [
    {"spacing_mm": (0.6, 0.7, 4.0)},
    {"spacing_mm": (1.0, 0.8, 1.2), "degrees": (15, -10, 25)},
    {"spacing_mm": (0.8, 0.9, 2.1), "shear": 0.3, "degrees": (2, 4, 6)},
    {"spacing_mm": (0.8, 0.9, 2.1), "gantry_degrees": 15, "degrees": (1, 2, 3)},
]


@pytest.mark.parametrize("affine", AFFINES, ids=["anisotropic", "oblique", "sheared", "tilted"])
@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_points_make_the_round_trip(axcodes: str, affine: dict) -> None:
    volume = make_volume(axcodes, **affine)
    data = PreprocessCTd(size=(20, 24, 20), check_hu=False)({"image": volume})
    stored = np.array([[0.0, 0, 0], [3.5, 2.25, 7], [12, 11, 8], [-4, 20, 3]])
    world = points_to_world_mm(stored, volume.affine)
    seen = points_to_voxel(world, data["image"].affine)
    np.testing.assert_allclose(
        points_to_input_voxel(seen, data["image"].affine, data["source_grid"]), stored, atol=1e-9
    )
    np.testing.assert_allclose(points_to_world_mm(seen, data["image"].affine), world, atol=1e-9)


@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_a_bright_voxel_is_found_where_it_was(axcodes: str) -> None:
    affine = oriented_affine(axcodes, (1.0, 0.8, 1.2), (5, -6, 7))
    voxels = np.full((13, 11, 9), -1000, dtype=np.int16)
    voxels[4, 7, 3] = 1000
    step = PreprocessCTd(spacing_mm=(0.4, 0.4, 0.4), hu_window=(-1000, 1000), check_hu=False)
    data = step({"image": Volume(voxels, affine)})
    weight = data["image"][0].numpy() + 0.449
    index = np.stack(np.meshgrid(*map(np.arange, weight.shape), indexing="ij"), axis=-1)
    bright = np.average(index.reshape(-1, 3), axis=0, weights=weight.ravel())
    found = points_to_input_voxel(bright, data["image"].affine, data["source_grid"])
    np.testing.assert_allclose(found, (4, 7, 3), atol=0.02)


@pytest.mark.parametrize("affine", AFFINES, ids=["anisotropic", "oblique", "sheared", "tilted"])
@pytest.mark.parametrize("axcodes", ORIENTATIONS)
def test_labels_make_the_round_trip_through_a_finer_grid(axcodes: str, affine: dict) -> None:
    source = Grid((9, 8, 7), oriented_affine(axcodes, **affine))
    labels = np.arange(9 * 8 * 7, dtype=np.int16).reshape(source.shape) + 1
    volume = Volume(labels, source.affine)
    # A voxel's centre is at most half a step from a sample; the step here is below half a voxel.
    data = PreprocessCTd(spacing_mm=(0.29, 0.29, 0.29), grid="affine", check_hu=False)(
        {"image": volume}
    )
    fine = Grid(tuple(data["image"].shape[1:]), data["image"].affine.numpy())
    seen = resample_labels(labels, source.affine, fine)
    back = labels_to_input_grid(seen, fine.affine, data["source_grid"])
    assert back.shape == source.shape
    assert back.dtype == np.int16
    if (
        "shear" in affine or "gantry_degrees" in affine
    ):  # at slanted faces the nearest sample may lie in the neighbour
        assert (back == labels).mean() > 0.9
    else:
        np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize("affine", AFFINES, ids=["anisotropic", "oblique", "sheared", "tilted"])
def test_labels_equal_the_voxel_by_voxel_definition(affine: dict) -> None:
    source = Grid((12, 14, 13), oriented_affine("SLP", (1.3, 1.1, 0.9)))
    target = Grid((10, 9, 8), oriented_affine("RIA", **affine))
    labels = np.arange(12 * 14 * 13, dtype=np.int32).reshape(source.shape)
    target.affine[:3, 3] = source.affine[:3, :3] @ (2, 3, 2) + source.affine[:3, 3]
    ours = resample_labels(labels, source.affine, target, background=-7)
    hits = 0
    for index in np.ndindex(*target.shape):
        world = target.affine[:3, :3] @ index + target.affine[:3, 3]
        at = np.linalg.inv(source.affine) @ (*world, 1)
        near = np.floor(at[:3] + 0.5).astype(int)
        if np.abs(at[:3] + 0.5 - np.round(at[:3] + 0.5)).min() < 1e-6:
            continue  # a tie
        inside = ((near >= 0) & (near < source.shape)).all()
        hits += inside
        assert ours[index] == (labels[tuple(near)] if inside else -7)
    assert hits > 20


def test_what_the_network_did_not_see_is_background() -> None:
    volume = make_volume("LPS", shape=(20, 20, 20), spacing_mm=(1, 1, 1))
    data = PreprocessCTd(spacing_mm=(1, 1, 1), size=(6, 10, 30), check_hu=False)({"image": volume})
    labels = torch.full((1, 6, 10, 30), 5, dtype=torch.uint8)
    back = labels_to_input_grid(labels, data["image"].affine, data["source_grid"], background=9)
    assert back.dtype == np.uint8
    assert (back == 5).sum() == 6 * 10 * 20
    np.testing.assert_array_equal(back[5:15, :, 7:13], 5)
    assert back[0, 0, 0] == 9


@pytest.mark.parametrize("refine", [1, 2])
@pytest.mark.parametrize("axcodes", ["RAS", "LPI"])
@pytest.mark.parametrize("length", range(12, 19))
@pytest.mark.parametrize("spacing_mm", [0.7, 1.5, 2.0, 2.5, 5.0])
def test_labels_reach_the_scans_last_voxel(spacing_mm, length, axcodes, refine) -> None:
    spacing = (spacing_mm, spacing_mm, spacing_mm)
    volume = make_volume(axcodes, shape=(length,) * 3, spacing_mm=spacing)
    fit = PreprocessCTd(axcodes="SPL", spacing_mm=(3, 2, 2), grid="affine", check_hu=False)
    data = fit({"image": volume})
    affine = data["image"].affine.numpy()
    labels = np.full(Grid(tuple(data["image"].shape[1:]), affine).refined(refine).shape, 7)
    back = labels_to_input_grid(labels, affine, data["source_grid"], refine=refine)
    assert (back == 7).all()


def test_labels_far_from_the_scan_give_background_only() -> None:
    away = oriented_affine("LPS")
    away[:3, 3] += 1e4
    grid = Grid((4, 4, 4), oriented_affine("LPS"))
    assert not resample_labels(np.ones((3, 3, 3), np.uint8), away, grid).any()


def test_a_patch_cut_by_monai_is_mapped_back() -> None:
    from monai.transforms import SpatialCrop

    volume = make_volume("RAS", shape=(16, 16, 16), spacing_mm=(1, 1, 1))
    data = PreprocessCTd(spacing_mm=(1, 1, 1), check_hu=False)({"image": volume})
    patch = SpatialCrop(roi_start=(2, 3, 4), roi_end=(8, 8, 8))(data["image"])
    first = points_to_input_voxel(np.zeros(3), patch.affine, data["source_grid"])
    whole = points_to_input_voxel(np.array([2, 3, 4]), data["image"].affine, data["source_grid"])
    np.testing.assert_allclose(first, whole)


def test_labels_of_a_batch_are_refused() -> None:
    grid = Grid((4, 4, 4), np.eye(4))
    with pytest.raises(InputError, match=r"labels must have shape \(D, H, W\).*one volume"):
        labels_to_input_grid(np.zeros((2, 4, 4, 4)), np.eye(4), describe_grid(grid))


def test_the_grid_of_a_batch_is_refused() -> None:
    one = describe_grid(Grid((4, 4, 4), np.eye(4)))
    batch = {key: value[None].repeat(2, *[1] * value.ndim) for key, value in one.items()}
    with pytest.raises(InputError, match=r"source_grid must be that of one case.*decollate_batch"):
        points_to_input_voxel(np.zeros(3), np.eye(4), batch)

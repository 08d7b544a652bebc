"""Views of crops: places, overlap, and what is done to each view."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset, MetaTensor
from monai.data.utils import set_rnd
from monai.transforms import RandHistogramShift as MonaiRandHistogramShift

from common.errors import InputError
from common.transforms.views import (
    CropViewsd,
    RandCrops,
    RandHistogramShift,
    RandResizedCrop,
    largest_overlap,
)

SIZE = (4, 6, 8)


def scan(*shape):
    """Each voxel's value is its number in the scan."""
    return torch.arange(math.prod(shape), dtype=torch.float32).reshape(1, *shape)


def crops(seed=0, **settings):
    transform = RandCrops(**{"size": SIZE, "num_crops": 5, **settings})
    transform.set_random_state(seed)
    return transform


def first_voxels(found, shape):
    """Where crops of `scan(*shape)` begin."""
    return np.stack(np.unravel_index(found[:, 0, 0, 0, 0].long().numpy(), shape), axis=1)


def published_views(size=SIZE, num_crops=3, **settings):
    """As a config composes them."""
    name = "common.transforms.views."
    config = {
        "_target_": name + "CropViewsd",
        "keys": "image",
        "crops": {"_target_": name + "RandCrops", "size": size, "num_crops": num_crops},
        "view": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": name + "RandResizedCrop", "scale": [0.33, 1.0]},
                {"_target_": "RandFlip", "prob": 0.5, "spatial_axis": 0},
                {"_target_": name + "RandHistogramShift", "prob": 0.5, "num_control_points": 5},
                {"_target_": "RandGaussianSmooth", "prob": 0.5},
            ],
        },
        **settings,
    }
    return ConfigParser({"views": config}).get_parsed_content("views")


def test_crops_are_parts_of_the_scan():
    image = scan(10, 12, 14)
    found = crops()(image)
    assert found.shape == (5, 1, *SIZE)
    for crop, (i, j, k) in zip(found, first_voxels(found, (10, 12, 14)), strict=True):
        assert torch.equal(crop, image[:, i : i + 4, j : j + 6, k : k + 8])


def test_every_place_is_drawn_and_none_beyond():
    found = crops(num_crops=600)(scan(6, 6, 10))
    places = first_voxels(found, (6, 6, 10))
    number = np.unique(places, axis=0, return_counts=True)[1]
    assert len(number) == 3 * 1 * 3
    assert number.min() > 600 / 9 / 2


def test_overlap_is_the_intersection_over_the_union():
    box = np.array([[0, 0, 0]])
    assert largest_overlap(box, box, SIZE) == 1
    assert largest_overlap(box, np.array([[2, 0, 0]]), SIZE) == pytest.approx(1 / 3)
    assert largest_overlap(box, np.array([[2, 3, 4]]), SIZE) == pytest.approx(1 / 15)
    assert largest_overlap(box, np.array([[0, 6, 0], [0, -3, 0]]), SIZE) == pytest.approx(1 / 3)
    assert largest_overlap(box, np.empty((0, 3), int), SIZE) == 0


def counted_overlap(first, second):
    """Of two crops of `scan`, by their voxels."""
    a, b = (set(crop.flatten().tolist()) for crop in (first, second))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("limit", [0.0, 0.1, 0.3])
def test_crops_keep_to_the_limit(limit):
    for seed in range(5):
        transform = crops(seed, max_overlap=limit)
        found = transform(scan(16, 18, 20))
        pairs = [counted_overlap(found[i], found[j]) for i in range(5) for j in range(i)]
        assert max(pairs) <= limit
        assert transform.overlap == pytest.approx(max(pairs))


def test_without_a_limit_crops_overlap_more():
    overlaps = []
    for seed in range(20):
        transform = crops(seed)
        transform(scan(16, 18, 20))
        overlaps.append(transform.overlap)
    assert max(overlaps) > 0.3


def test_a_limit_leaves_draws_that_keep_to_it_anyway():
    """Rejection changes no crop that was acceptable: the first of a scan is the same."""
    free, limited = (crops(3, max_overlap=limit)(scan(16, 18, 20)) for limit in (1.0, 0.1))
    assert torch.equal(free[0], limited[0])


def test_in_a_crowded_scan_the_draw_of_least_overlap_is_taken():
    transform = crops(num_crops=3, max_overlap=0.0)
    found = first_voxels(transform(scan(6, 6, 8)), (6, 6, 8))[:, 0]
    # of the places 0, 1 and 2 the second is as far from the first as can be
    assert abs(found[1] - found[0]) == max(found[0], 2 - found[0])
    assert transform.overlap > 0


def test_a_crowded_scan_can_be_refused():
    with pytest.raises(
        InputError,
        match=r"max_overlap must leave room for 3 crops of \(4, 6, 8\) in a scan of \(6, 6, 8\) "
        "voxels, got 0.0; raise it, lower num_crops",
    ):
        crops(num_crops=3, max_overlap=0.0, when_crowded="error")(scan(6, 6, 8))


def test_a_small_scan_is_padded_on_both_sides_with_air():
    found = crops(num_crops=1)(scan(2, 6, 10) + 1)[0, 0]
    assert (found[[0, 3]] == 0).all()
    assert (found[1:3] > 0).all()


def test_padding_has_the_value_of_its_hu():
    range_of = {"hu_window": (-1000.0, 1000.0), "output_range": (-1.0, 1.0)}
    assert crops(num_crops=1, **range_of)(scan(2, 6, 8))[0, 0, 0, 0, 0] == -1
    assert crops(num_crops=1, pad_hu=0, **range_of)(scan(2, 6, 8) + 1)[0, 0, 0, 0, 0] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_crops": 0}, "num_crops and tries must be 1 or more, got 0 and 100"),
        ({"max_overlap": 1.2}, "max_overlap must be from 0 to 1, got 1.2"),
        ({"when_crowded": "skip"}, r"when_crowded must be one of .*, got 'skip'"),
        ({"size": (4, 6)}, r"size must be three numbers of voxels, got \[4, 6\]"),
    ],
)
def test_settings_of_crops_out_of_range_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        crops(**settings)


def test_two_scans_at_once_are_refused():
    with pytest.raises(InputError, match=r"image must be one scan \(1, S, P, L\), got \(2, 9"):
        crops()(torch.zeros(2, 9, 9, 9))


def test_a_resized_crop_is_a_part_with_the_same_share_of_each_side():
    image = torch.stack(torch.meshgrid(*map(torch.arange, (20, 40, 80)), indexing="ij"))[:, None]
    for seed in range(5):
        sides = []
        for axis in image.float():  # the same part of each coordinate
            transform = RandResizedCrop()
            transform.set_random_state(seed)
            view = transform(axis)
            assert view.shape == axis.shape
            part = axis[(slice(None), *transform._part)]
            wanted = F.interpolate(part[None], axis.shape[1:], mode="trilinear")[0]
            assert torch.equal(view, wanted)
            sides = part.shape[1:]
        share = np.random.RandomState(seed)  # what MONAI's seeding draws from
        share.rand()
        share = share.uniform(0.33, 1.0)
        assert tuple(sides) == tuple(math.ceil(share * side) for side in (20, 40, 80))


def test_the_whole_crop_is_left_as_it_is():
    view = RandResizedCrop(scale=(1.0, 1.0))(scan(4, 6, 8))
    torch.testing.assert_close(view, scan(4, 6, 8))


@pytest.mark.parametrize("scale", [(0, 1), (0.5, 0.4), (0.5, 1.1), (0.5,)])
def test_shares_out_of_range_are_refused(scale):
    with pytest.raises(InputError, match="scale must be two shares of a side"):
        RandResizedCrop(scale=scale)


def test_control_points_are_drawn_as_published():
    """Between the one before, shifted, and the one after, not yet; then a line through them."""
    transform = RandHistogramShift(prob=1.0, num_control_points=5)
    transform.set_random_state(4)
    image = torch.linspace(-1, 3, 4 * 6 * 8).reshape(1, 4, 6, 8)
    found = transform(image)
    rng = np.random.RandomState(4)
    rng.rand()
    rng.randint(5, 6)
    even = np.linspace(0, 1, 5)
    points = even.copy()
    for i in (1, 2, 3):
        points[i] = rng.uniform(points[i - 1], even[i + 1])
    wanted = np.interp((image.numpy() + 1) / 4, even, points) * 4 - 1
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_histogram_shift_has_monais_values():
    image = torch.sin(torch.arange(500.0)).reshape(1, 5, 10, 10)
    ours, monais = RandHistogramShift(prob=1.0), MonaiRandHistogramShift(5, prob=1.0)
    for seed in range(5):
        ours.set_random_state(seed)
        monais.set_random_state(seed)
        torch.testing.assert_close(ours(image), monais(image).as_tensor(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("difference", [0.0, 6e-8, 1e-6])
def test_values_that_hardly_differ_stay_finite(difference):
    image = torch.full((1, 4, 6, 8), 0.5)
    image[0, 0, 0, 0] += difference
    for seed in range(5):
        transform = RandHistogramShift(prob=1.0)
        transform.set_random_state(seed)
        torch.testing.assert_close(transform(image), image, rtol=0, atol=1e-6)


def test_views_have_places_for_crops_and_pairs():
    case = {"image": MetaTensor(scan(10, 12, 14) / 2000), "case_id": "one"}
    found = published_views()(case)
    assert found["image"].shape == (3, 2, 1, *SIZE)
    assert found["image"].dtype == torch.float32
    assert type(found["image"]) is torch.Tensor
    assert found["case_id"] == "one"
    assert case["image"].shape == (1, 10, 12, 14)


def test_both_views_are_of_the_same_crop_and_differ():
    views = CropViewsd(crops=crops(num_crops=4), view=RandResizedCrop(scale=(0.5, 0.9)))
    views.set_random_state(1)
    image = scan(40, 6, 8)
    found = views({"image": image})["image"]
    again = crops(num_crops=4)
    rng = np.random.RandomState(1)
    again.set_random_state(rng.randint(2**32 - 1, dtype="uint32"))
    for pair, crop in zip(found, again(image), strict=True):
        assert not torch.equal(pair[0], pair[1])
        assert crop.min() <= pair.min()
        assert pair.max() <= crop.max()


def test_a_seed_repeats_the_views():
    case = {"image": scan(10, 12, 14) / 2000}
    views = published_views()
    found = [views.set_random_state(seed)(case)["image"] for seed in (5, 5, 6)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_seed_of_a_data_set_reaches_views():
    data = Dataset([{"image": scan(10, 12, 14) / 2000}], published_views())
    found = []
    for _ in range(2):
        set_rnd(data, seed=7)
        found.append(data[0]["image"])
    assert torch.equal(found[0], found[1])


def test_a_loader_makes_batches_of_views():
    views = published_views(overlap_key="overlap")
    data = Dataset([{"image": scan(10, 12, 14) / 2000}] * 2, views)
    (batch,) = DataLoader(data, batch_size=2)
    assert batch["image"].shape == (2, 3, 2, 1, *SIZE)
    assert batch["overlap"].shape == (2,)
    assert ((batch["overlap"] >= 0) & (batch["overlap"] <= 1)).all()


def test_a_missing_key_is_skipped_where_allowed():
    views = published_views(allow_missing_keys=True)
    assert views({"case_id": "one"}) == {"case_id": "one"}
    with pytest.raises(KeyError, match="image"):
        published_views()({"case_id": "one"})

"""Triplets of many scans in mixed order."""

import pytest
import torch
from monai.data import DataLoader, Dataset

from common.parallel import StretchSampler
from common.transforms.triplet_stream import TripletStream


def scan(number, *, num_triplets=4, padding=1):
    """Triplet t of scan n holds 10 n + t in a corner; the last `padding` triplets are air."""
    image = torch.zeros(1, 3 * num_triplets, 2, 2)
    for t in range(num_triplets - padding):
        image[0, 3 * t, 0, 0] = 10 * number + t + 1
    truth = torch.arange(1, 1 + num_triplets)[:, None, None, None] * torch.ones(1, 2, 1, 1)
    return {"image": image, "where": truth.to(torch.uint8)}


def stream(num_scans=5, *, stretch=0, make=scan, **options):
    """Every triplet shows every finding, so each comes once where a share of 1 is asked for."""
    dataset = Dataset([make(number) for number in range(num_scans)])
    sampler = StretchSampler(dataset, stretch=stretch, shuffle=False)
    options = {"buffer_size": 6, "share": 1.0, **options}
    return TripletStream(dataset, sampler=sampler, **options)


def corners(items):
    return [int(item["image"].max()) for item in items]


def test_every_triplet_that_is_not_padding_comes_once_with_its_own_truth():
    items = list(stream())
    assert sorted(corners(items)) == sorted(
        10 * number + t + 1 for number in range(5) for t in range(3)
    )
    for item in items:
        assert item["image"].shape == (3, 2, 2)
        assert item["label"].dtype == torch.float32
        assert item["label"].flatten().tolist() == [int(item["image"][0, 0, 0]) % 10] * 2


def test_neighbours_are_of_many_scans():
    torch.manual_seed(0)
    numbers = [corner // 10 for corner in corners(stream())]
    assert numbers != sorted(numbers)


def test_the_seed_decides_the_order():
    torch.manual_seed(3)
    first = corners(stream())
    torch.manual_seed(3)
    assert corners(stream()) == first


def test_workers_share_the_scans():
    loader = DataLoader(stream(), batch_size=1, num_workers=2)
    found = [int(batch["image"][0, 0, 0, 0]) for batch in loader]
    assert sorted(found) == sorted(corners(stream()))


def test_an_epoch_takes_its_stretch_of_the_scans():
    part = stream(4, stretch=2)
    part.set_epoch(1)
    assert {corner // 10 for corner in corners(part)} == {2, 3}


def test_repeats_are_spread_over_the_buffer():
    torch.manual_seed(0)
    items = corners(stream(20, repeats=3, buffer_size=30))
    assert sorted(items) == sorted(3 * corners(stream(20)))
    apart = [i for i in range(1, len(items)) if items[i] == items[i - 1]]
    assert len(apart) < 0.1 * len(items)


def test_half_precision_is_enough_for_hounsfield_units():
    exact = torch.linspace(-0.449, 0.551, 12 * 4).reshape(1, 12, 2, 2)
    case = {"image": exact, "where": torch.ones(4, 1, 1, 1, dtype=torch.uint8)}
    made = {
        round(float(i["image"][0, 0, 0]), 2): i["image"] for i in stream(1, make=lambda _: case)
    }
    for triplet in exact.reshape(4, 3, 2, 2):
        found = made[round(float(triplet[0, 0, 0]), 2)]
        assert found.dtype == torch.float32
        assert (found - triplet).abs().max() * 1600 < 0.4  # HU of the demo's window


def test_what_is_rare_comes_more_often():
    def with_findings(number):
        """One finding in every triplet but the last, another in the first of every fifth scan."""
        case = scan(number, num_triplets=5, padding=0)
        case["where"] = torch.zeros(5, 2, 1, 1, dtype=torch.uint8)
        case["where"][:4, 0] = 1
        case["where"][0, 1] = number % 5 == 0
        return case

    torch.manual_seed(0)
    items = list(stream(2000, make=with_findings, share=0.2))
    kinds = [tuple(item["label"].flatten().tolist()) for item in items]
    # the rare one is in 0.04 of all, so five times as often; the others as little as may be
    assert kinds.count((1.0, 1.0)) / 400 == pytest.approx(5, rel=0.1)
    assert kinds.count((1.0, 0.0)) / 7600 == pytest.approx(0.3, rel=0.1)
    assert kinds.count((0.0, 0.0)) / 2000 == pytest.approx(0.3, rel=0.1)

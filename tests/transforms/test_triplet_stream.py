"""Triplets of many scans in mixed order."""

import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import RandFlipd

from common.parallel import StretchSampler
from common.transforms.triplet_stream import TripletStream


def scan(number, *, num_triplets=4, padding=1):
    """Triplet t of scan n holds 10 n + t in a corner; the last `padding` triplets are air."""
    image = torch.zeros(1, 3 * num_triplets, 2, 2)
    for t in range(num_triplets - padding):
        image[0, 3 * t, 0, 0] = 10 * number + t + 1
    truth = torch.arange(1, 1 + num_triplets)[:, None, None, None] * torch.ones(1, 2, 1, 1)
    return {"image": image, "where": truth.to(torch.uint8)}


def stream(num_scans=5, *, stretch=0, transform=dict, make=scan, **options):
    """Every triplet shows every finding, so each comes once where a share of 1 is asked for."""
    dataset = Dataset([make(number) for number in range(num_scans)])
    sampler = StretchSampler(dataset, stretch=stretch, shuffle=False)
    options = {"buffer_size": 6, "share": 1.0, **options}
    return TripletStream(dataset, sampler=sampler, transform=transform, **options)


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


def test_each_repeat_of_a_scan_varies_anew():
    flip = RandFlipd(keys="image", prob=0.5, spatial_axis=1).set_random_state(0)
    items = list(stream(20, repeats=2, transform=flip))
    assert sorted(corners(items)) == sorted(2 * corners(stream(20)))
    mirrored = [float(item["image"][0, 1, 0]) > 0 for item in items]
    assert 0.3 < sum(mirrored) / len(items) < 0.7


def test_what_is_rare_comes_more_often():
    def with_findings(number):
        """One finding in every triplet but the last, another in the first of every fifth scan."""
        case = scan(number, num_triplets=5, padding=0)
        case["where"] = torch.zeros(5, 2, 1, 1, dtype=torch.uint8)
        case["where"][:4, 0] = 1
        case["where"][0, 1] = number % 5 == 0
        return case

    torch.manual_seed(0)
    items = list(stream(200, make=with_findings, share=0.2))
    kinds = [tuple(item["label"].flatten().tolist()) for item in items]
    # per triplet: 0.2 / 0.04 = 5 copies of the rare, 0.3 of the rest
    assert kinds.count((1.0, 1.0)) / 40 == pytest.approx(5, rel=0.1)
    assert kinds.count((1.0, 0.0)) / 760 == pytest.approx(0.3, rel=0.1)
    assert kinds.count((0.0, 0.0)) / 200 == pytest.approx(0.3, rel=0.25)

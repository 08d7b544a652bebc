"""Triplets of many scans in mixed order."""

import torch
from monai.data import DataLoader, Dataset

from common.parallel import StretchSampler
from common.transforms.triplet_stream import TripletStream


def scan(number, *, num_triplets=4, padding=1):
    """Triplet t of scan n holds 10 n + t in a corner; the last `padding` triplets are air."""
    image = torch.zeros(1, 3 * num_triplets, 2, 2)
    for t in range(num_triplets - padding):
        image[0, 3 * t, 0, 0] = 10 * number + t + 1
    truth = torch.arange(1 + num_triplets)[:, None] * torch.ones(1, 2)
    return {"image": image, "label": truth}


def stream(num_scans=5, *, stretch=0, buffer_size=6, repeats=1):
    dataset = Dataset([scan(number) for number in range(num_scans)])
    sampler = StretchSampler(dataset, stretch=stretch, shuffle=False)
    return TripletStream(dataset, sampler=sampler, buffer_size=buffer_size, repeats=repeats)


def corners(items):
    return [int(item["image"][0, 0, 0]) for item in items]


def test_every_triplet_that_is_not_padding_comes_once_with_its_own_truth():
    items = list(stream())
    assert sorted(corners(items)) == sorted(
        10 * number + t + 1 for number in range(5) for t in range(3)
    )
    for item in items:
        assert item["image"].shape == (3, 2, 2)
        assert item["label"].tolist() == [int(item["image"][0, 0, 0]) % 10] * 2


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


def test_repeated_triplets_come_mirrored_half_of_the_time():
    torch.manual_seed(1)
    items = list(stream(20, repeats=2))
    assert len(items) == 2 * 20 * 3
    mirrored = [float(item["image"][0, 0, 0]) == 0 for item in items]
    assert 0.3 < sum(mirrored) / len(items) < 0.7
    for item, is_mirrored in zip(items, mirrored, strict=True):
        if is_mirrored:
            assert item["image"][0, 1, 0] > 0

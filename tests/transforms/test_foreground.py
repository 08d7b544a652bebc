"""What part of a scan is worth a network's time."""

import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import CropForegroundd

from common.transforms.foreground import Foreground


def body_and_table():
    """A body of 40 x 40 x 40 voxels, and a table of 60 x 4 x 60 behind it."""
    image = torch.zeros(1, 64, 80, 64)
    image[0, 10:50, 20:60, 12:52] = 0.5
    image[0, 2:62, 70:74, 2:62] = 0.5
    return image


def bounds(mask):
    return [(int(axis.min()), int(axis.max()) + 1) for axis in mask[0].nonzero().T]


def test_every_voxel_above_the_value():
    image = body_and_table()
    assert torch.equal(Foreground(above_hu=0.1, largest_only=False)(image), image > 0.1)


def test_the_box_of_the_body_leaves_the_table_out():
    found = Foreground(above_hu=0.1, largest_only=True, margin_voxels=0)(body_and_table())
    # no voxel of the body is lost, and no more than a coarse voxel's width is added
    for (first, last), (low, high) in zip(
        bounds(found), [(10, 50), (20, 60), (12, 52)], strict=True
    ):
        assert low - 8 < first <= low
        assert high <= last < high + 8


def test_a_margin_grows_the_box_within_the_image():
    narrow, wide = (
        bounds(Foreground(above_hu=0.1, largest_only=True, margin_voxels=margin)(body_and_table()))
        for margin in (0, 4)
    )
    assert [(a - 4, b + 4) for a, b in narrow] == wide
    huge = Foreground(above_hu=0.1, largest_only=True, margin_voxels=99)(body_and_table())
    assert huge.all()


def test_where_there_is_nothing_everything_is_kept():
    for largest_only in (True, False):
        assert Foreground(above_hu=0.1, largest_only=largest_only)(torch.zeros(1, 9, 9, 9)).all()


def test_a_speck_between_the_coarse_voxels_is_not_lost():
    image = torch.zeros(1, 9, 9, 9)
    image[0, 1, 1, 1] = 1
    assert Foreground(above_hu=0.1, largest_only=True)(image)[0, 1, 1, 1]


def test_the_crop_keeps_the_place_in_the_world():
    affine = torch.diag(torch.tensor([3.0, 2.0, 2.0, 1.0], dtype=torch.float64))
    case = {"image": MetaTensor(body_and_table(), affine=affine)}
    crop = CropForegroundd(
        keys="image", source_key="image", allow_smaller=True,
        select_fn=Foreground(above_hu=0.1, largest_only=True, margin_voxels=0),
    )  # fmt: skip
    cropped = crop(case)["image"]
    first = cropped.affine[:3, 3]
    index = (first / torch.tensor([3.0, 2.0, 2.0])).round().int()
    z, y, x = index.tolist()
    d, h, w = cropped.shape[1:]
    assert torch.equal(cropped[0], case["image"][0, z : z + d, y : y + h, x : x + w])


def test_the_value_is_given_in_hu():
    found = Foreground(
        above_hu=-500, hu_window=(-1024, 2048), output_range=(0, 1), largest_only=False
    )
    assert found.above == pytest.approx(524 / 3072)

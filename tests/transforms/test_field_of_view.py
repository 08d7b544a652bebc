"""A scan that does not fit into what a network sees is noted, then refused."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.errors import InputError
from common.transforms.field_of_view import CheckFieldOfViewd
from common.volumes.volume import Volume

VOLUME = Volume(np.zeros((2, 2, 2), np.int16), np.eye(4), facts={"warnings": ["as read"]})


def scan(length):
    """A rod of tissue along the first axis, `length` of 10 slices of 5 mm, in air."""
    hu = torch.full((1, 10, 4, 4), -1000.0)
    hu[:, 5 - length // 2 : 5 - length // 2 + length, 1:3, 1:3] = 40
    return {
        "image": MetaTensor(hu, affine=torch.diag(torch.tensor([5.0, 2.0, 2.0, 1.0]))),
        "volume": VOLUME,
    }


def check(max_outside=0.5, size=(4, 4, 4), **options):
    return CheckFieldOfViewd("image", size=size, above_hu=0, max_outside=max_outside, **options)


def test_what_fits_passes_as_it_is():
    data = scan(4)
    assert check()(data) == data


def test_a_part_outside_is_a_warning_of_the_result():
    found = check()(scan(6))["volume"]
    assert found.facts["warnings"] == [
        "as read",
        "The network sees 20 x 8 x 8 mm of the scan: 33% of what is above 0 HU lies outside.",
    ]
    assert VOLUME.facts["warnings"] == ["as read"]


def test_more_than_allowed_is_refused_by_name():
    with pytest.raises(InputError, match=r"into the 20 x 8 x 8 mm .* 60% of what is above 0 HU"):
        check()(scan(10))
    assert "60%" in check(max_outside=1)(scan(10))["volume"].facts["warnings"][1]


def test_any_body_part_is_noted_and_not_refused():
    found = check(any_body_part=True)(scan(10))["volume"]
    assert "60%" in found.facts["warnings"][1]


def test_a_scan_of_air_has_nothing_outside():
    assert check().share_outside(scan(0)["image"]) == 0


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_the_limit_is_a_share(share):
    with pytest.raises(InputError, match=f"max_outside must be from 0 to 1, got {share}"):
        check(max_outside=share)

"""Labels between a network's voxels, as channels."""

import pytest
import torch

from common.errors import InputError
from common.transforms.sub_voxels import SubVoxelsToChannelsd


def test_every_label_lies_in_the_channel_of_its_place():
    labels = torch.arange(5 * 3 * 7, dtype=torch.uint8).reshape(1, 5, 3, 7)
    result = SubVoxelsToChannelsd(refine=2)({"label": labels})
    channels = result["label"]
    assert channels.shape == (8, 3, 2, 4)
    assert channels.dtype == torch.uint8
    for channel in range(8):
        a, b, c = channel // 4, channel // 2 % 2, channel % 2
        there = labels[0, a::2, b::2, c::2]
        d, h, w = there.shape
        assert torch.equal(channels[channel, :d, :h, :w], there)
    # after the last voxel the last label
    assert torch.equal(channels[4, -1], channels[0, -1])
    assert torch.equal(result["centre"], labels[:, ::2, ::2, ::2])


def test_unrefined_nothing_changes():
    labels = torch.randint(0, 9, (1, 3, 4, 5))
    result = SubVoxelsToChannelsd()({"label": labels})
    assert torch.equal(result["label"], labels)
    assert torch.equal(result["centre"], labels)


@pytest.mark.parametrize("shape", [(1, 4, 3, 3), (2, 3, 3, 3), (3, 3, 3)])
def test_a_grid_that_is_not_refined_is_refused(shape):
    with pytest.raises(InputError, match=r"labels refined by 2 must have shape \(1, n, n, n\)"):
        SubVoxelsToChannelsd(refine=2)({"label": torch.zeros(shape)})


def test_refine_below_one_is_refused():
    with pytest.raises(InputError, match="refine must be 1 or more, got 0"):
        SubVoxelsToChannelsd(refine=0)

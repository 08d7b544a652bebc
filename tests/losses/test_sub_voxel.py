"""Supervision between voxels: the labels and logits of one place, and what it teaches."""

import pytest
import torch
from monai.losses import DeepSupervisionLoss
from torch.nn import functional as F  # noqa: N812 - torch's own name

from common.errors import InputError
from common.losses.label_dice_ce import LabelDiceCELoss
from common.losses.sub_voxel import SubVoxelSupervisionLoss, between_voxels
from common.transforms.sub_voxels import sub_voxels_to_channels

PLACES = [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]


def example(refine=2, size=(5, 4, 3)):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((2, 6, *size), generator=generator, dtype=torch.float64)
    fine = [(n - 1) * refine + 1 for n in size]
    labels = torch.randint(0, 6, (2, 1, *fine), generator=generator)
    return logits, labels


@pytest.mark.parametrize("place", PLACES)
def test_one_place_is_that_of_the_refined_logits(place):
    logits, labels = example()
    finer = F.interpolate(logits, size=labels.shape[2:], mode="trilinear", align_corners=True)
    channels = torch.stack([sub_voxels_to_channels(one, 2) for one in labels])
    found = between_voxels(logits, channels, place, 2)
    at = tuple(slice(step, None, 2) for step in place)
    torch.testing.assert_close(found[0], finer[(..., *at)])
    assert torch.equal(found[1], labels[(..., *at)])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_gradient_is_that_of_the_value(layout):
    logits, labels = example()
    logits = logits.contiguous(memory_format=layout).requires_grad_()
    channels = torch.stack([sub_voxels_to_channels(one, 2) for one in labels])
    assert torch.autograd.gradcheck(
        lambda values: between_voxels(values, channels, [1, 0, 1], 2)[0], logits
    )
    found = between_voxels(logits, channels, [1, 1, 0], 2)[0]
    assert found.is_contiguous(memory_format=layout)


def test_unrefined_it_is_monais_deep_supervision():
    logits, labels = example(refine=1, size=(8, 4, 4))
    levels = [logits, F.avg_pool3d(logits, 2)]
    wanted = DeepSupervisionLoss(LabelDiceCELoss())(levels, labels.double())
    found = SubVoxelSupervisionLoss(LabelDiceCELoss())(levels, labels.double())
    assert torch.equal(found, wanted)


def test_every_place_is_drawn_and_the_seed_decides():
    logits, labels = example()
    channels = torch.stack([sub_voxels_to_channels(one, 2) for one in labels])
    loss = SubVoxelSupervisionLoss(LabelDiceCELoss(), refine=2)
    each = {
        round(float(LabelDiceCELoss()(*between_voxels(logits, channels, place, 2))), 5)
        for place in PLACES
    }
    torch.manual_seed(0)
    drawn = [round(float(loss(logits, channels)), 5) for _ in range(100)]
    assert len(each) == 8
    assert set(drawn) == each
    torch.manual_seed(0)
    assert drawn[:9] == [round(float(loss(logits, channels)), 5) for _ in range(9)]


def test_labels_of_another_refinement_are_refused():
    logits, labels = example()
    with pytest.raises(InputError, match=r"must have 8 channels, got 1; put SubVoxelsToChannelsd"):
        SubVoxelSupervisionLoss(LabelDiceCELoss(), refine=2)(logits, labels)
    with pytest.raises(InputError, match="refine must be 1 or more, got 0"):
        SubVoxelSupervisionLoss(LabelDiceCELoss(), refine=0)

"""Dice and cross-entropy from labels: MONAI's value and gradient."""

import numpy as np
import pytest
import torch
from monai.losses import DeepSupervisionLoss, DiceCELoss

from common.losses.label_dice_ce import LabelDiceCELoss

MONAIS = {"softmax": True, "to_onehot_y": True, "squared_pred": True}


def example(classes=7, present=4):
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn((2, classes, 5, 6, 4), generator=generator)
    labels = torch.randint(0, present, (2, 1, 5, 6, 4), generator=generator)
    return logits, labels


def with_gradient(loss, logits, labels):
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels)
    (2.5 * value).backward()
    return value.detach(), logits.grad


@pytest.mark.parametrize("smooth", [{}, {"smooth_nr": 1e-3, "smooth_dr": 1e-2}])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_value_and_gradient_are_monais(smooth, layout):
    logits, labels = example()
    logits = logits.contiguous(memory_format=layout)
    monais = DiceCELoss(**MONAIS, **{"smooth_nr": 0, "smooth_dr": 1e-5, **smooth})
    wanted = with_gradient(monais, logits, labels.float())
    found = with_gradient(LabelDiceCELoss(**smooth), logits, labels)
    torch.testing.assert_close(found[0], wanted[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(found[1], wanted[1], rtol=1e-4, atol=1e-8)


def test_gradient_is_that_of_the_value():
    logits, labels = example()
    step = 1e-2 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(5))
    loss = LabelDiceCELoss()
    _, gradient = with_gradient(loss, logits, labels)
    rise = float(loss(logits + step, labels) - loss(logits - step, labels))
    assert rise == pytest.approx(2 * float((gradient / 2.5 * step).sum()), rel=1e-2)


def test_logits_that_are_far_off_stay_finite():
    logits, labels = example()
    value, gradient = with_gradient(LabelDiceCELoss(), 1e4 * logits, labels)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


def test_under_deep_supervision_it_is_the_published_loss(shared):
    golden = np.load(shared / "golden" / "ct_fm.npz")
    rng = np.random.default_rng(11)
    outputs = [
        torch.from_numpy(rng.standard_normal((2, 5, s, s, s)).astype(np.float32))
        for s in (16, 8, 4, 2)
    ]
    target = torch.from_numpy(rng.integers(0, 5, (2, 1, 16, 16, 16)).astype(np.float32))
    loss = DeepSupervisionLoss(LabelDiceCELoss())
    assert float(loss(outputs, target)) == pytest.approx(float(golden["ds_loss_total"]), rel=1e-5)


def test_other_shapes_are_refused():
    logits, labels = example()
    with pytest.raises(ValueError, match=r"labels must have shape \[2, 1, 5, 6, 4\], got \[2, 5"):
        LabelDiceCELoss()(logits, labels[:, 0])

"""The loss of where findings are."""

import math

import pytest
import torch

from common.losses.located_findings import LocatedFindingsLoss


def answer(value: float = 0.0, labels: int = 1) -> tuple[torch.Tensor, ...]:
    return (
        torch.full((2, labels, 4, 4), value),
        torch.full((2, labels, 2, 2), value),
        torch.full((2, labels), value),
    )


def focal(logit: float, *, positive: bool, gamma: float = 2.0) -> float:
    right = 1 / (1 + math.exp(-logit if positive else logit))
    return -((1 - right) ** gamma) * math.log(right)


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_it_is_the_focal_loss_per_place_that_has_the_finding(gamma):
    truth = torch.zeros(2, 1, 4, 4)
    truth[0, 0, 1, 1] = 1
    missed = focal(-1.0, positive=True, gamma=gamma)
    right = focal(-1.0, positive=False, gamma=gamma)
    # 1 of 32 fine cells; the 4 coarse cells round it, of 8; 1 of 2 pictures
    expected = (missed + 31 * right) + (missed + right) + (missed + right)
    loss = LocatedFindingsLoss(gamma=gamma)(answer(-1.0), truth)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_a_finding_that_is_nowhere_still_counts():
    loss = LocatedFindingsLoss()(answer(0.0), torch.zeros(2, 1, 4, 4))
    assert float(loss) == pytest.approx((32 + 8 + 2) * focal(0.0, positive=False), rel=1e-5)


def test_labels_count_alike():
    truth = torch.zeros(2, 2, 4, 4)
    truth[:, 1] = 1
    truth[0, 0, 0, 0] = 1
    both = LocatedFindingsLoss()(answer(-1.0, labels=2), truth)
    each = [LocatedFindingsLoss()(answer(-1.0), truth[:, [label]]) for label in (0, 1)]
    torch.testing.assert_close(both, sum(each) / 2)


def test_error_names_the_stride():
    with pytest.raises(ValueError, match=r"got \[2, 1, 2, 2\]; give .*stride_px=16"):
        LocatedFindingsLoss()(answer(), torch.zeros(2, 1, 2, 2))

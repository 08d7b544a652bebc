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


def expected(counts, logit, *, most_weight=100.0, focal_weight=0.1, gamma=2.0, whole_weight=1.0):
    """Of three read-outs with so many places with and without the finding."""
    right = 1 / (1 + math.exp(logit))
    missed, fine = -math.log(1 - right), -math.log(right)
    total = 0.0
    for (positive, negative), counted in zip(counts, (1, 1, whole_weight), strict=True):
        weight = min(max(negative / max(positive, 1), 1), most_weight)
        balanced = (weight * positive * missed + negative * fine) / (weight * positive + negative)
        focal = positive * right**gamma * missed + negative * (1 - right) ** gamma * fine
        total += counted * (balanced + focal_weight * focal / max(positive, 1))
    return total


@pytest.mark.parametrize(
    "options",
    [{}, {"gamma": 0.5}, {"most_weight": 2.0}, {"focal_weight": 1.0}, {"whole_weight": 4.0}],
)
def test_it_is_balanced_cross_entropy_and_focal_loss(options):
    truth = torch.zeros(2, 1, 4, 4)
    truth[0, 0, 1, 1] = 1
    loss = LocatedFindingsLoss(**options)(answer(-1.0), truth)
    # 1 of 32 fine cells; the 4 coarse cells round it, of 8; 1 of 2 pictures
    wanted = expected([(1, 31), (4, 4), (1, 1)], -1.0, **options)
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_a_finding_that_is_nowhere_still_counts():
    loss = LocatedFindingsLoss()(answer(0.5), torch.zeros(2, 1, 4, 4))
    assert float(loss) == pytest.approx(expected([(0, 32), (0, 8), (0, 2)], 0.5), rel=1e-5)


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

"""The loss of a scan and its triplets."""

import pytest
import torch

from common.losses.scan_and_triplets import ScanAndTripletLoss


def bce(logit: float, truth: float) -> float:
    p = 1 / (1 + 2.718281828459045**-logit)
    return -float(torch.log(torch.tensor(p if truth else 1 - p)))


def test_it_is_the_scans_cross_entropy_plus_the_weighted_mean_of_the_triplets():
    logits = torch.tensor([[[0.5], [1.0], [-2.0]]])
    truth = torch.tensor([[[1.0], [0.0], [1.0]]])
    expected = bce(0.5, 1) + 0.3 * (bce(1.0, 0) + bce(-2.0, 1)) / 2
    assert float(ScanAndTripletLoss(triplet_weight=0.3)(logits, truth)) == pytest.approx(expected)


def test_error_names_the_missing_transform():
    with pytest.raises(ValueError, match=r"\[2, 3, 4\], got \[2, 4\]; put TripletTruthd"):
        ScanAndTripletLoss()(torch.zeros(2, 3, 4), torch.zeros(2, 4))

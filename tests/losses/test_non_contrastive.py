"""VICReg and SimSiam: the equations written out."""

import pytest
import torch

from common.errors import InputError
from common.losses.non_contrastive import SimSiamLoss, VICRegLoss


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def vicreg(a, b, weights=(25, 25, 1)):
    """Algorithm 1 of the paper for two `(n, D)`."""
    n, dim = a.shape
    loss = weights[0] * ((a - b) ** 2).mean()
    for z in (a, b):
        loss = loss + weights[1] * torch.relu(1 - torch.sqrt(z.var(dim=0) + 1e-4)).mean()
        z = z - z.mean(dim=0)
        covariance = z.T @ z / (n - 1)
        covariance.fill_diagonal_(0)
        loss = loss + weights[2] * (covariance**2).sum() / dim
    return loss


def test_over_the_batch_vicreg_is_algorithm_1():
    z = 0.7 * draw(3, 4, 2, 6)
    wanted = vicreg(*z.flatten(0, 1).unbind(1))
    torch.testing.assert_close(VICRegLoss()(z), wanted, rtol=1e-5, atol=0)


def test_within_a_scan_vicreg_is_the_mean_of_scans():
    z = 0.7 * draw(3, 4, 2, 6)
    wanted = torch.stack([vicreg(*scan.unbind(1)) for scan in z]).mean()
    torch.testing.assert_close(VICRegLoss(within="scan")(z), wanted, rtol=1e-5, atol=0)


def test_each_weight_is_of_its_own_part():
    z = 0.7 * draw(3, 4, 2, 6)
    loss = VICRegLoss(invariance_weight=2, variance_weight=3, covariance_weight=5)
    wanted = vicreg(*z.flatten(0, 1).unbind(1), weights=(2, 3, 5))
    torch.testing.assert_close(loss(z), wanted, rtol=1e-5, atol=0)


def test_vicreg_has_a_gradient_where_everything_has_collapsed():
    z = torch.ones(2, 4, 2, 6, requires_grad=True)
    loss = VICRegLoss()(z)
    loss.backward()
    assert loss.item() == pytest.approx(25 * 2 * (1 - 1e-2))
    assert torch.isfinite(z.grad).all()


def test_vicreg_needs_two_crops():
    with pytest.raises(InputError, match="2 crops or more of each scan, got 1"):
        VICRegLoss(within="scan")(torch.ones(4, 1, 2, 6))


def test_vicreg_refuses_negative_weights():
    with pytest.raises(InputError, match=r"weights must be 0 or more, got \[25.0, -1, 1.0\]"):
        VICRegLoss(variance_weight=-1)


def test_simsiam_is_the_mean_of_both_negative_cosines():
    z, p = draw(2, 3, 2, 5), draw(2, 3, 2, 5, seed=1)
    cosine = torch.nn.CosineSimilarity(dim=-1)
    wanted = -0.5 * (cosine(p[:, :, 0], z[:, :, 1]) + cosine(p[:, :, 1], z[:, :, 0])).mean()
    torch.testing.assert_close(SimSiamLoss()((z, p)), wanted)


def test_simsiams_gradient_stops_at_embeddings():
    z, p = (draw(2, 3, 2, 5, seed=seed).requires_grad_() for seed in (0, 1))
    SimSiamLoss()((z, p)).backward()
    assert z.grad is None
    assert p.grad.abs().sum() > 0


def test_right_predictions_are_minus_one():
    z = draw(2, 3, 2, 5)
    assert float(SimSiamLoss()((z, 3 * z.flip(2)))) == pytest.approx(-1)


def test_simsiam_needs_predictions():
    with pytest.raises(InputError, match=r"got one tensor \(2, 3, 2, 5\); give the network a pre"):
        SimSiamLoss()(torch.ones(2, 3, 2, 5))

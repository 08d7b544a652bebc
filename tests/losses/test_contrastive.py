"""NT-Xent: the published values and gradient, and the equation written out."""

import math

import numpy as np
import pytest
import torch
from monai.losses import ContrastiveLoss

from common.errors import InputError
from common.losses.contrastive import NTXentLoss


def draw(crops, scans, dim, seed):
    """Published layout `(C, 2, B, D)` to ours `(B, C, 2, D)`."""
    values = np.random.default_rng(seed).standard_normal((crops, 2, scans, dim))
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1, 3)


def published(name):
    if name == "big":  # the second view resembles the first
        z = draw(15, 4, 128, 1234).clone()
        z[:, :, 1] = 0.5 * z[:, :, 1] + z[:, :, 0]
        return z
    return draw(20, 4, 128, 77) if name == "c20" else draw(3, 2, 8, 42)


@pytest.fixture
def golden(shared):
    return np.load(shared / "golden" / "ct_fm.npz")


@pytest.mark.parametrize("name", ["big", "c20", "small"])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize(("anchors", "key"), [("all", "perm1"), ("first", "perm0")])
def test_values_are_the_published_ones(golden, name, temperature, anchors, key):
    loss = NTXentLoss(temperature=temperature, anchors=anchors)(published(name))
    assert float(loss) == pytest.approx(float(golden[f"ntx_{name}_tau{temperature}_{key}"]), 1e-5)


def test_with_variance_the_value_is_the_published_one(golden):
    loss = NTXentLoss(variance_weight=0.25)(published("small"))
    assert float(loss) == pytest.approx(float(golden["ntx_small_varw0.25"]), rel=1e-5)


def test_gradient_is_the_published_one(golden):
    z = published("small").requires_grad_()
    NTXentLoss()(z).backward()
    wanted = golden["ntx_small_tau0.1_grad"].transpose(2, 0, 1, 3)
    np.testing.assert_allclose(z.grad, wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted).max())


def written_out(z, temperature, views):
    """The equation with loops, for the views that are anchors."""
    z = z / z.norm(dim=-1, keepdim=True)
    terms = []
    for scan in z:
        for crop in range(len(scan)):
            for view in views:
                others = [
                    torch.exp(scan[crop, view] @ scan[i, j] / temperature)
                    for i in range(len(scan))
                    for j in (0, 1)
                    if (i, j) != (crop, view)
                ]
                positive = torch.exp(scan[crop, view] @ scan[crop, 1 - view] / temperature)
                terms.append(-torch.log(positive / sum(others)))
    return torch.stack(terms).mean()


@pytest.mark.parametrize(("symmetric", "views"), [(False, (0,)), (True, (0, 1))])
def test_loss_is_the_equation_written_out(symmetric, views):
    z = draw(4, 3, 6, seed=5)
    loss = NTXentLoss(temperature=0.2, symmetric=symmetric)(z)
    torch.testing.assert_close(loss, written_out(z, 0.2, views), rtol=1e-5, atol=0)


def test_over_the_batch_it_is_monais_loss():
    z = draw(4, 3, 6, seed=5)
    loss = NTXentLoss(temperature=0.2, within="batch", symmetric=True)(z)
    first, second = z.flatten(0, 1).unbind(1)
    torch.testing.assert_close(loss, ContrastiveLoss(0.2)(first, second), rtol=1e-5, atol=0)


def test_one_crop_of_each_scan_can_be_compared_over_the_batch():
    z = draw(1, 5, 6, seed=5)
    loss = NTXentLoss(within="batch")(z)
    as_one_scan = NTXentLoss(within="scan")(z.transpose(0, 1))
    torch.testing.assert_close(loss, as_one_scan)


def test_guessing_gives_the_logarithm_of_the_choices():
    assert float(NTXentLoss()(torch.ones(2, 15, 2, 4))) == pytest.approx(math.log(29))


def test_scans_do_not_change_each_others_loss():
    z = draw(4, 3, 6, seed=5)
    alone = torch.stack([NTXentLoss()(scan[None]) for scan in z]).mean()
    torch.testing.assert_close(NTXentLoss()(z), alone)


def test_embeddings_stay_as_they_are():
    z = draw(3, 2, 8, seed=1)
    before = z.clone()
    NTXentLoss(variance_weight=0.5)(z)
    assert torch.equal(z, before)


def test_half_precision_does_not_coarsen_the_loss():
    z = draw(15, 2, 64, seed=2).bfloat16()
    exact = NTXentLoss()(z.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = NTXentLoss()(z)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)


def test_one_crop_of_a_scan_has_nothing_to_be_told_from():
    with pytest.raises(InputError, match="must have 2 crops or more of each scan, got 1; raise"):
        NTXentLoss()(torch.ones(4, 1, 2, 8))


@pytest.mark.parametrize("shape", [(4, 2, 8), (4, 3, 3, 8), (2, 4, 2, 8, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(InputError, match=r"embeddings must have shape \(B, C, 2, D\), got \("):
        NTXentLoss()(torch.ones(shape))


def test_predictions_are_not_for_this_loss():
    with pytest.raises(InputError, match="got tuple; leave the prediction head out"):
        NTXentLoss()((torch.ones(2, 3, 2, 8), torch.ones(2, 3, 2, 8)))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": 0}, "temperature must be above 0, got 0"),
        ({"within": "study"}, r"within must be one of \['scan', 'batch'\], got 'study'"),
        ({"anchors": "last"}, r"anchors must be one of \['all', 'first'\], got 'last'"),
        ({"variance_weight": 1.5}, "variance_weight must be from 0 to 1, got 1.5"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        NTXentLoss(**setting)

"""Where lesions are, as a loss."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from common.losses.located_lesions import LocatedLesionsLoss, labels_and_lesions
from common.networks.ct_fm_triage import CTFMTriage
from common.networks.lesion_locator import LesionLocator


def batch():
    """Two scans of 8 x 8 x 8, the first with 0.2 ml in the voxels of its first corner."""
    lesions = torch.zeros(2, 1, 8, 8, 8)
    lesions[0, 0, 0, 0, :2] = 0.1
    return {
        "image": torch.rand(2, 1, 8, 8, 8),
        "label": torch.tensor([[1.0], [0.0]]),
        "lesions": lesions,
    }


def logits(right):
    """Of places at strides 2 and 4 and of scans: right, or wrong, by 9."""
    fine, coarse = -torch.ones(2, 1, 4, 4, 4), -torch.ones(2, 1, 2, 2, 2)
    fine[0, 0, 0, 0, 0] = coarse[0, 0, 0, 0, 0] = 1
    scans = torch.tensor([[1.0], [-1.0]])
    return tuple((9 if right else -9) * part for part in (fine, coarse, scans))


def test_right_places_cost_nothing_and_wrong_ones_do():
    _, truth = labels_and_lesions(batch())
    loss = LocatedLesionsLoss()
    assert float(loss(logits(right=True), truth)) < 0.001
    assert float(loss(logits(right=False), truth)) == pytest.approx(27, abs=0.1)


def test_without_weight_of_places_it_is_that_of_the_scans():
    _, truth = labels_and_lesions(batch())
    scans = torch.tensor([[0.3], [-0.2]])
    answers = (*logits(right=False)[:2], scans)
    wanted = F.binary_cross_entropy_with_logits(scans, truth["label"])
    torch.testing.assert_close(LocatedLesionsLoss(place_weight=0)(answers, truth), wanted)


def test_less_than_the_least_volume_is_no_lesion():
    _, truth = labels_and_lesions(batch())
    nowhere = (torch.full((2, 1, 4, 4, 4), -9.0), torch.full((2, 1, 2, 2, 2), -9.0))
    answers = (*nowhere, logits(right=True)[2])
    assert float(LocatedLesionsLoss(least_ml=0.3)(answers, truth)) < 0.001
    assert float(LocatedLesionsLoss(least_ml=0.1)(answers, truth)) > 1


def test_a_locator_answers_as_its_network_and_trains_all_of_it():
    network = CTFMTriage(init_filters=4, blocks_down=[1, 1, 1], head_width=8)
    locator = LesionLocator(network).eval()
    given = batch()
    image, truth = labels_and_lesions(given)
    fine, coarse, scans = locator(image)
    assert (fine.shape, coarse.shape) == ((2, 1, 4, 4, 4), (2, 1, 2, 2, 2))
    torch.testing.assert_close(scans, network(given["image"]))
    LocatedLesionsLoss()((fine, coarse, scans), truth).backward()
    assert all(weight.grad is not None for weight in network.parameters())

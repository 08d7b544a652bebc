"""Read-outs that say where findings are while a slice encoder trains."""

import pytest
import torch

from common.networks.ct_scroll import ScrollClassifier
from common.networks.finding_locator import FindingLocator


@pytest.fixture
def locator() -> FindingLocator:
    torch.manual_seed(0)
    network = ScrollClassifier(
        num_classes=5, embedding_dim=16, windows=(2,), num_heads=2, stem_width=4, head_width=8
    )
    return FindingLocator(network)


def test_triplets_are_read_at_two_strides_and_as_a_whole(locator):
    fine, coarse, whole = locator(torch.rand(2, 3, 72, 100))
    assert fine.shape == (2, 5, 5, 7)
    assert coarse.shape == (2, 5, 3, 4)
    assert whole.shape == (2, 5)


def test_the_whole_picture_is_read_from_the_networks_own_features(locator):
    locator.eval()
    triplets = torch.rand(3, 3, 64, 64)
    features = locator.network.encode(triplets.reshape(1, 1, 9, 64, 64))[0]
    torch.testing.assert_close(locator(triplets)[2], locator.whole(features))


def test_a_scan_reads_as_the_smooth_maximum_of_its_places(locator):
    locator.eval()
    volume = torch.linspace(-0.4, 0.5, 2 * 9 * 64 * 64).reshape(2, 1, 9, 64, 64)
    for scan, logits in zip(volume, locator(volume), strict=True):
        places = locator(scan.reshape(3, 3, 64, 64))[1].transpose(0, 1).flatten(1)
        expected = torch.log(torch.exp(2 * places).sum(dim=1)) / 2
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_truth_reaches_the_encoder_and_nothing_behind_it(locator):
    sum(part.sum() for part in locator(torch.rand(2, 3, 64, 64))).backward()
    assert locator.network.encoder.conv1.weight.grad.abs().max() > 0
    assert not any(parameter.requires_grad for parameter in locator.network.head.parameters())


def test_the_read_outs_are_no_part_of_the_network_that_is_saved(locator):
    assert not any("coarse" in key for key in locator.network.state_dict())

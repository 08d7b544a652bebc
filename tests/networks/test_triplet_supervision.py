"""Supervision of single triplets while a scroll classifier trains."""

import pytest
import torch

from common.networks.ct_scroll import ScrollClassifier
from common.networks.triplet_supervision import TripletReader, TripletSupervised


@pytest.fixture
def supervised() -> TripletSupervised:
    torch.manual_seed(0)
    network = ScrollClassifier(
        num_classes=5, embedding_dim=16, windows=(2,), num_heads=2, stem_width=4, head_width=8
    )
    return TripletSupervised(network)


def test_training_gives_the_scan_first_and_then_every_triplet(supervised):
    assert supervised.train()(torch.zeros(2, 1, 9, 32, 32)).shape == (2, 1 + 3, 5)


def test_evaluation_gives_the_networks_own_answer(supervised):
    volume = torch.linspace(-0.4, 0.5, 9 * 32 * 32).reshape(1, 1, 9, 32, 32)
    supervised.eval()
    assert torch.equal(supervised(volume), supervised.network(volume))


def test_the_read_out_is_no_part_of_the_network_that_is_saved(supervised):
    assert not any("read_out" in key for key in supervised.network.state_dict())


def test_a_triplets_truth_reaches_the_encoder(supervised):
    supervised.train()(torch.rand(2, 1, 9, 32, 32))[:, 1:].sum().backward()
    assert supervised.network.encoder.conv1.weight.grad.abs().max() > 0
    assert supervised.network.head[0].weight.grad.abs().max() == 0


def test_a_scan_reads_as_the_smooth_maximum_of_its_triplets(supervised):
    reader = TripletReader(supervised.network).eval()
    volume = torch.linspace(-0.4, 0.5, 9 * 32 * 32).reshape(1, 1, 9, 32, 32)
    triplets = reader(volume.reshape(3, 3, 32, 32))
    assert triplets.shape == (3, 5)
    expected = torch.log(torch.exp(2 * triplets).sum(dim=0)) / 2
    torch.testing.assert_close(reader(volume)[0], expected, atol=1e-5, rtol=0)

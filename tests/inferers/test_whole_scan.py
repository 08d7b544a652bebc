"""A classifier on whole scans."""

import pytest
import torch

from common.inferers.whole_scan import WholeScanInferer
from common.networks.ct_fm_triage import CTFMTriage


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = CTFMTriage(in_channels=4, init_filters=4, blocks_down=[1, 1], head_width=8)
    for module in network.modules():  # batch norm as after training, not as new
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def test_logits_are_the_networks(network):
    image = torch.rand(2, 4, 8, 8, 8)
    answer = WholeScanInferer(precision="fp32")(image, network)
    torch.testing.assert_close(answer["logits"], network(image), rtol=1e-4, atol=1e-5)
    assert answer["inference_s"] > 0


def test_trained_weights_are_seen(network):
    infer, image = WholeScanInferer(precision="fp32"), torch.rand(1, 4, 8, 8, 8)
    before = infer(image, network)["logits"]
    with torch.no_grad():
        network.head[-1].bias += 1
    torch.testing.assert_close(infer(image, network)["logits"], before + 1)

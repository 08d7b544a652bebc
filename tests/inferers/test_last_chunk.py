"""A backend that prepares itself for one batch size meets no other."""

import pytest
import torch

from common.inferers import acceleration
from common.inferers.scroll import ScrollInferer
from common.networks.ct_scroll import ScrollClassifier


@pytest.fixture
def network() -> ScrollClassifier:
    torch.manual_seed(0)
    small = ScrollClassifier(
        num_classes=5, embedding_dim=16, windows=(2,), num_heads=2, stem_width=4, chunk=2
    )
    return small.eval()


@pytest.fixture
def volume() -> torch.Tensor:
    return torch.sin(0.01 * torch.arange(9 * 64 * 64.0)).reshape(1, 1, 9, 64, 64)


@pytest.mark.parametrize(("backend", "sizes"), [("eager", [2, 1]), ("compile", [2, 2])])
def test_last_chunk_is_filled_up_for_a_compiler(network, volume, monkeypatch, backend, sizes):
    seen = []

    def fake(encoder, **_):
        return lambda pictures: seen.append(len(pictures)) or encoder(pictures)

    monkeypatch.setattr(acceleration, "accelerate", fake)
    inferer = ScrollInferer(precision="fp32", backend=backend, relevance=False)
    found = inferer(volume, network)["logits"]
    assert seen == sizes
    torch.testing.assert_close(found, network(volume), rtol=0, atol=1e-6)


def test_openvino_gives_the_same_logits(network, volume):
    pytest.importorskip("openvino")
    inferer = ScrollInferer(precision="fp32", backend="openvino", relevance=False)
    found = inferer(volume, network)["logits"]
    torch.testing.assert_close(found, network(volume), rtol=0, atol=1e-5)

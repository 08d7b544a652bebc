import os
import sys

import pytest
import torch

from common.errors import InputError
from common.inferers import acceleration
from common.inferers.acceleration import (
    accelerate,
    choose_backend,
    choose_precision,
    has_fast_bf16,
)
from common.inferers.autocast import AutocastInferer
from common.inferers.scroll import ScrollInferer, triplet_relevance

CPU = torch.device("cpu")


@pytest.fixture
def network(make_tiny_network):
    return make_tiny_network()


@pytest.fixture
def scan():
    """One scan of ten triplets, the last three of them padding."""
    volume = torch.sin(torch.arange(30 * 64 * 64, dtype=torch.float32) * 0.37)
    volume = volume.reshape(1, 1, 30, 64, 64) * 0.5
    volume[:, :, 21:] = -0.449
    return volume


def largest(first, second):
    return float((first - second).abs().max())


@torch.no_grad()
def test_fp32_equals_the_network(network, scan):
    answer = ScrollInferer(precision="fp32")(scan, network)
    assert largest(answer["logits"], network(scan)) < 1e-6
    assert answer["inference_s"] > 0


@torch.no_grad()
def test_bf16_is_close_to_the_network(network, scan):
    answer = ScrollInferer(precision="bf16")(scan, network)
    assert largest(answer["logits"].sigmoid(), network(scan).sigmoid()) < 0.01
    assert answer["logits"].dtype == torch.float32


def test_padding_is_encoded_once(network, scan):
    inferer = ScrollInferer(precision="fp32")
    seen = []
    encoder = inferer.accelerated(network, CPU)
    inferer._encoder = lambda pictures: (seen.append(len(pictures)), encoder(pictures))[1]
    features = inferer.encode(scan, network)
    assert sum(seen) == 8  # seven triplets of body, one for all padding
    assert max(seen) <= network.chunk
    assert largest(features, network.encode(scan).detach()) < 1e-5
    assert torch.equal(features[0, 7], features[0, 9])


def test_two_kinds_of_empty_triplets_are_kept_apart(network, scan):
    scan[:, :, :3] = 0.5
    features = ScrollInferer(precision="fp32").encode(scan, network)
    assert largest(features, network.encode(scan).detach()) < 1e-5
    assert not torch.equal(features[0, 0], features[0, 9])


def test_a_batch_is_its_scans_one_by_one(network, scan):
    both = torch.cat([scan, scan.flip(2)])
    inferer = ScrollInferer(precision="fp32")
    together = inferer(both, network)
    for index in (0, 1):
        alone = inferer(both[index : index + 1], network)
        assert largest(together["logits"][index], alone["logits"][0]) < 1e-5
        assert largest(together["relevance"][index], alone["relevance"][0]) < 1e-5


def test_another_network_is_prepared_anew(make_tiny_network, scan):
    inferer = ScrollInferer(precision="fp32")
    first = inferer(scan, make_tiny_network(seed=0))["logits"]
    second = inferer(scan, make_tiny_network(seed=1))["logits"]
    assert largest(first, second) > 1e-3


def test_relevance_and_attention_only_where_asked_for(network, scan):
    assert set(ScrollInferer(relevance=False)(scan, network)) == {"logits", "inference_s"}
    answer = ScrollInferer(attention_maps=True)(scan, network)
    assert answer["relevance"].shape == (1, 18, 10)
    for attention in answer["attention"].values():
        assert attention.shape == (1, 10, 10)
        assert torch.allclose(attention.sum(-1), torch.ones(1, 10), atol=1e-5)


@torch.no_grad()
def test_relevance_is_what_scans_of_one_triplet_give(network):
    features = torch.sin(torch.arange(2 * 6 * 32) * 0.7).reshape(2, 6, 32)
    relevance = triplet_relevance(network, features)
    alone = torch.stack([network.classify(features[:, t : t + 1]) for t in range(6)], dim=2)
    assert largest(relevance, alone - alone.mean(dim=2, keepdim=True)) < 1e-5


@torch.no_grad()
def test_padding_takes_no_part_in_relevance(network, scan):
    padded = ScrollInferer(precision="fp32")(scan, network)
    cropped = ScrollInferer(precision="fp32")(scan[:, :, :21], network)
    assert padded["inside"].tolist() == [[True] * 7 + [False] * 3]
    assert largest(padded["relevance"][..., :7], cropped["relevance"]) < 1e-5
    assert largest(padded["relevance"][..., :7].sum(dim=2), 0) < 1e-4
    assert not padded["relevance"][..., 7:].any()


@torch.no_grad()
def test_a_scan_of_nothing_has_no_relevance(network):
    answer = ScrollInferer()(torch.full((1, 1, 6, 64, 64), -0.449), network)
    assert not answer["inside"].any()
    assert not answer["relevance"].any()


@torch.no_grad()
def test_relevance_finds_a_planted_triplet(network):
    features = 0.01 * torch.sin(torch.arange(10 * 32) * 0.7).reshape(1, 10, 32)
    features[0, 6] += 5.0
    relevance = triplet_relevance(network, features)
    assert int(relevance.abs().sum(dim=1).argmax()) == 6


def test_encoder_itself_is_left_untouched(network):
    before = {key: value.clone() for key, value in network.encoder.state_dict().items()}
    accelerate(network.encoder, precision="bf16", backend="eager", device=CPU)
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, before[key])


@torch.no_grad()
def test_openvino_equals_eager(network, scan):
    pytest.importorskip("openvino")
    answer = ScrollInferer(precision="fp32", backend="openvino")(scan, network)
    assert largest(answer["logits"], network(scan)) < 1e-4


@torch.no_grad()
@pytest.mark.skipif("TEST_COMPILE" not in os.environ, reason="compiles for a minute: TEST_COMPILE")
def test_compiled_equals_eager(network, scan):
    answer = ScrollInferer(precision="fp32", backend="compile")(scan, network)
    assert largest(answer["logits"], network(scan)) < 1e-4


def test_auto_precision_follows_the_hardware(monkeypatch):
    monkeypatch.setattr("common.inferers.acceleration.has_fast_bf16", lambda _: True)
    assert choose_precision("auto", CPU) == "bf16"
    monkeypatch.setattr("common.inferers.acceleration.has_fast_bf16", lambda _: False)
    assert choose_precision("auto", CPU) == "fp32"
    assert choose_precision("bf16", CPU) == "bf16"


def test_bf16_where_it_is_emulated_is_said_once_and_elsewhere_not(monkeypatch, caplog):
    acceleration._say_slow.cache_clear()
    monkeypatch.setattr("common.inferers.acceleration.has_fast_bf16", lambda _: True)
    ScrollInferer(precision="bf16")
    monkeypatch.setattr("common.inferers.acceleration.has_fast_bf16", lambda _: False)
    ScrollInferer(precision="auto")
    assert not caplog.messages
    AutocastInferer(device="cpu", precision="bf16")
    ScrollInferer(precision="bf16")
    (line,) = caplog.messages
    assert "bf16 has no units of its own on this cpu and is emulated" in line
    acceleration._say_slow.cache_clear()


@pytest.mark.parametrize(("cpu", "onednn"), [(True, False), (False, True), (True, True)])
def test_bf16_is_fast_where_both_the_processor_and_onednn_have_it(monkeypatch, cpu, onednn):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    assert has_fast_bf16(CPU) == (cpu and onednn)


def test_unknown_precision_is_refused():
    with pytest.raises(InputError, match="precision must be one of auto, fp32, bf16, got half"):
        ScrollInferer(precision="half")


def test_unknown_backend_is_refused():
    with pytest.raises(InputError, match="backend must be one of eager, compile, openvino, got x"):
        ScrollInferer(backend="x")


def test_openvino_that_is_not_installed_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"package openvino, got cpu; install it with `pip"):
        choose_backend("openvino", CPU)


def test_openvino_is_not_for_gpus():
    with pytest.raises(InputError, match="backend openvino must have a CPU"):
        choose_backend("openvino", torch.device("cuda"))


def test_autocast_computes_in_bf16_and_answers_in_fp32():
    layer = torch.nn.Linear(8, 2)
    seen = []
    layer.register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    answers = [
        AutocastInferer(device="cpu", precision=precision)(torch.ones(1, 8), layer)
        for precision in ("bf16", "fp32")
    ]
    assert seen == [torch.bfloat16, torch.float32]
    assert {answer.dtype for answer in answers} == {torch.float32}

"""CT-Scroll's network: slices, attention masks, padding, free sizes."""

import pytest
import torch

from common.networks.ct_scroll import ScrollBlock, ScrollClassifier
from common.networks.gated_attention import GatedUnit, forbidden_outside_window
from common.networks.slice_encoder import SliceEncoder, slices_to_triplets


@pytest.fixture
def network() -> ScrollClassifier:
    torch.manual_seed(0)
    small = ScrollClassifier(
        num_classes=5, embedding_dim=16, windows=(2,), num_heads=2, stem_width=4, head_width=8
    )
    return small.eval()


def test_triplets_keep_slice_order():
    volume = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(1, 1, 6, 2, 2)
    triplets = slices_to_triplets(volume)
    assert triplets.shape == (2, 3, 2, 2)
    assert triplets[:, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_triplets_are_a_view():
    volume = torch.zeros(1, 1, 6, 4, 4)
    assert slices_to_triplets(volume).data_ptr() == volume.data_ptr()


def test_error_names_the_next_number_of_slices():
    with pytest.raises(ValueError, match=r"divisible by 3, got 7; pad it to 9 slices"):
        slices_to_triplets(torch.zeros(1, 1, 7, 32, 32))


def test_error_names_the_missing_axes():
    with pytest.raises(ValueError, match=r"shape \(B, 1, D, H, W\), got \[6, 32, 32\]"):
        slices_to_triplets(torch.zeros(6, 32, 32))


def test_window_counts_the_token_itself_and_looks_towards_the_feet():
    allowed = ~forbidden_outside_window(4, 2, torch.device("cpu"))
    assert allowed.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]


def test_no_window_allows_everything():
    assert not forbidden_outside_window(4, 0, torch.device("cpu")).any()


def test_readings_go_whole_scan_then_up_then_down():
    masks = ScrollBlock(8, num_heads=2, window=2).masks(3, torch.device("cpu"))
    everything, below, above = ((~mask).int().tolist() for mask in masks)
    assert everything == [[1, 1, 1]] * 3
    assert below == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert above == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_gated_unit_is_value_times_gelu_of_gate():
    unit = GatedUnit(2)
    tokens = torch.tensor([[[1.0, -2.0]]])
    value, gate = (tokens @ part.T for part in unit.value_and_gate.weight.split(2))
    expected = value * gate * 0.5 * (1 + torch.erf(gate / 2**0.5))
    assert torch.allclose(unit(tokens), expected, atol=1e-6)


@pytest.mark.parametrize(("slices", "rows", "columns"), [(3, 32, 32), (12, 33, 47), (21, 64, 40)])
def test_any_multiple_of_three_slices_and_any_picture_size(network, slices, rows, columns):
    assert network(torch.zeros(2, 1, slices, rows, columns)).shape == (2, 5)


def test_chunked_encoding_gives_the_same_features(network):
    volume = torch.linspace(-0.4, 0.5, 15 * 32 * 32).reshape(1, 1, 15, 32, 32)
    network.chunk = 2
    chunked = network.encode(volume)
    network.chunk = 0
    torch.testing.assert_close(chunked, network.encode(volume), atol=1e-6, rtol=0)


def test_features_kept_from_before_give_the_same_logits(network):
    volume = torch.linspace(-0.4, 0.5, 12 * 32 * 32).reshape(1, 1, 12, 32, 32)
    assert torch.equal(network(volume), network(network.encode(volume)))


def test_padding_changes_nothing_for_the_triplets_that_are_seen(network):
    features = torch.sin(torch.arange(4 * 32.0)).reshape(1, 4, 32)
    longer = torch.cat([features, torch.full((1, 3, 32), 7.0)], dim=1)
    padding = torch.tensor([[False] * 4 + [True] * 3])
    alone, padded = network.classify(features), network.classify(longer, padding)
    assert torch.allclose(alone, padded, atol=1e-6)
    assert not torch.allclose(alone, network.classify(longer), atol=1e-3)


def test_a_scan_of_padding_alone_is_finite(network):
    logits = network.classify(torch.ones(1, 3, 32), torch.ones(1, 3, dtype=torch.bool))
    assert logits.isfinite().all()


def test_attention_maps_sum_to_one_and_keep_the_windows(network):
    maps = network.attention_maps(torch.sin(torch.arange(5 * 32.0)).reshape(1, 5, 32))
    assert list(maps) == ["block0_whole_scan", "block0_caudal_cranial", "block0_cranial_caudal"]
    for weights in maps.values():
        assert weights.shape == (1, 5, 5)
        assert torch.allclose(weights.sum(dim=-1), torch.ones(1, 5))
    below = maps["block0_caudal_cranial"][0]
    assert below.triu(1).abs().max() == 0
    assert below.tril(-2).abs().max() == 0


def test_encoder_has_torchvisions_names():
    keys = SliceEncoder().state_dict().keys()
    assert "layer2.0.downsample.0.weight" in keys
    assert "layer4.1.bn2.running_var" in keys
    assert not any(key.endswith("downsample.0.bias") for key in keys)


def test_published_size_has_the_published_number_of_parameters():
    assert sum(weight.numel() for weight in ScrollClassifier().parameters()) == 16_239_058


def test_network_can_be_scripted_and_exported_as_it_is(network):
    scripted = torch.jit.script(network)
    volume = torch.linspace(-0.4, 0.5, 6 * 32 * 32).reshape(1, 1, 6, 32, 32)
    assert torch.equal(scripted(volume), network(volume))

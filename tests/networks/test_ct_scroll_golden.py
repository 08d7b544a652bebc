"""CT-Scroll against the published network under formula-filled weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from common.networks.ct_scroll import ScrollClassifier
from common.weights.card import read_card
from common.weights.loading import load_state, read_key_map, rename_keys

MODELS = Path(__file__).resolve().parents[2] / "bundles/ct_scroll/models"


@pytest.fixture
def fill_rule(shared, monkeypatch):
    monkeypatch.syspath_prepend(str(shared / "golden"))
    sys.modules.pop("fill_rule", None)
    return pytest.importorskip("fill_rule")


def published(**arguments) -> ScrollClassifier:
    architecture = read_card(MODELS / "published.json").architecture
    return ScrollClassifier(**{**architecture, **arguments}).eval()


def fill(network, fill_rule, fixture, shapes, scale=0.02):
    """Load formula weights under their published names through the key map, strictly."""
    state = {key: torch.zeros(shape) for key, shape in shapes.items()}
    filled = fill_rule.weights(fixture, shapes, scale)
    state.update({key: torch.from_numpy(value) for key, value in filled.items()})
    load_state(network, rename_keys(state, read_key_map(MODELS / "key_map.json", "published")))
    return network


@torch.inference_mode()
def test_whole_volume_matches_the_published_network(shared, fill_rule):
    shapes = json.loads((shared / "manifests/ct_scroll_state_dict.json").read_text())
    network = fill(published(), fill_rule, "ct_scroll", shapes)
    golden = np.load(shared / "golden/ct_scroll.npz")
    features = network.encode(torch.from_numpy(fill_rule.volume()))
    np.testing.assert_allclose(features[0], golden["tokens_gap"], atol=1e-5, rtol=0)
    tokens = network.projection(features)
    np.testing.assert_allclose(tokens[0], golden["tokens_proj"], atol=1e-5, rtol=0)
    logits = network.classify(features)
    np.testing.assert_allclose(logits, golden["logits"], atol=1e-6, rtol=0)
    np.testing.assert_allclose(torch.sigmoid(logits), golden["probs"], atol=1e-6, rtol=0)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, torch.zeros_like(logits), reduction="none"
    )
    np.testing.assert_allclose(loss, golden["loss_zero_labels"], atol=1e-6, rtol=0)


@torch.inference_mode()
def test_two_blocks_of_different_windows_match_the_published_network(shared, fill_rule):
    shapes = json.loads((shared / "manifests/ct_scroll_state_dict.json").read_text())
    second = {key.replace("blocks.0.", "blocks.1."): shape for key, shape in shapes.items()}
    network = published(windows=[16, 4])
    fill(network, fill_rule, "ct_scroll_blocks", {**shapes, **second}, scale=0.1)
    golden = np.load(shared / "golden/ct_scroll_blocks.npz")
    tokens = torch.from_numpy(fill_rule.block_tokens())
    for block in network.blocks:
        tokens = block(tokens)
    tokens = network.norm(tokens)
    np.testing.assert_allclose(tokens, golden["norm_out"], atol=2e-4, rtol=0)
    np.testing.assert_allclose(
        network.head(tokens.mean(dim=1)), golden["logits"], atol=5e-5, rtol=0
    )


def test_masks_of_window_16_match_the_published_ones(shared):
    golden = np.load(shared / "golden/ct_scroll_blocks.npz")
    masks = published().blocks[0].masks(80, torch.device("cpu"))
    stored = [golden[key] for key in golden.files if golden[key].dtype == bool]
    assert len(stored) == 2
    for mask in masks[1:]:
        assert any(np.array_equal(mask.numpy(), np.squeeze(other)) for other in stored)


@pytest.mark.parametrize("layout", ["published", "pre-rename"])
def test_key_map_covers_the_official_layout_one_to_one(shared, layout):
    shapes = json.loads((shared / "manifests/ct_scroll_state_dict.json").read_text())
    state = {key: torch.zeros(shape) for key, shape in shapes.items()}
    if layout == "pre-rename":
        old = {"caudal_cranial_block": "lower_block", "cranial_caudal_block": "upper_block"}
        for new_name, old_name in old.items():
            state = {key.replace(new_name, old_name): value for key, value in state.items()}
    renamed = rename_keys(state, read_key_map(MODELS / "key_map.json", "published"))
    assert len(renamed) == len(shapes) == 155
    load_state(published(), renamed)

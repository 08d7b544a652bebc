from pathlib import Path

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.weights.card import Card
from common.weights.random_weights import random_card, random_weights, state_sha256


def layer():
    return nn.Linear(3, 2)


def test_one_seed_is_one_network_and_chance_goes_on_as_before():
    torch.manual_seed(5)
    network = layer()
    before, expected = state_sha256(network), torch.rand(1)
    torch.manual_seed(5)
    layer()
    first, second, third = (random_weights(network, seed=seed) for seed in (1, 1, 2))
    assert state_sha256(network) == before
    assert torch.equal(torch.rand(1), expected)
    assert state_sha256(first) == state_sha256(second) != state_sha256(third)


def test_the_hash_is_of_names_and_numbers():
    network = random_weights(layer(), seed=0)
    before = state_sha256(network)
    with torch.no_grad():
        network.bias[0] += 1
    assert state_sha256(network) != before


def test_the_card_says_random_and_keeps_how_to_feed_it(caplog):
    content = {
        "name": "trained", "preprocessing": {"grid": "affine"}, "sha256": "1", "score": {"a": 1}
    }  # fmt: skip
    network = random_weights(layer(), seed=4)
    card = random_card(Card(Path("c.json"), content), network=network, seed=4)
    assert card.name == "RANDOM weights, seed 4, in place of trained"
    assert card.preprocessing["grid"] == "affine"
    assert card.sha256 == state_sha256(network)
    assert card.tensors is None
    assert card.content["score"] == {}
    assert "RANDOM" in caplog.text


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed must be 0 or more for random weights, got -1"):
        random_weights(layer(), seed=-1)

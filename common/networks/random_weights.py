"""Networks that nobody trained, to compare with: the same draw for the same seed, and named so.

What a trained encoder knows is what it does better than this one: a random encoder of the same
architecture already tells bright from dark and smooth from rough.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ..card import Card
from ..errors import InputError
from ..parallel import is_first_process

logger = logging.getLogger("common.weights")

Network = TypeVar("Network", bound=nn.Module)
_OF_THE_WEIGHTS = ("tensors", "sha256", "score", "training")


def seeded_network(make: Callable[[], Network], *, seed: int) -> Network:
    """Make a network with weights drawn from a seed; torch's own stream of chance stays untouched.

    Args:
        make: Makes it.
        seed: 0 or more.

    Raises:
        InputError: If the seed is negative.
    """
    if seed < 0:
        msg = f"seed must be 0 or more for random weights, got {seed}; give one to draw them again"
        raise InputError(msg)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def random_card(card: Card, *, network: nn.Module, seed: int) -> Card:
    """A card that says that weights are random: same architecture and presets, own name and hash.

    Args:
        card: Of the weights whose place they take.
        network: Drawn by `seeded_network`.
        seed: That it was drawn from.
    """
    if is_first_process():
        logger.warning(
            "Weights are RANDOM, drawn from seed %d in place of '%s': only to compare with.",
            seed,
            card.name,
        )
    kept = {key: value for key, value in card.content.items() if key not in _OF_THE_WEIGHTS}
    content = {
        **kept,
        "name": f"RANDOM weights, seed {seed}, in place of {card.name}",
        "source": f"random, drawn from seed {seed}: trained on nothing",
        "training": {"data": "none"},
        "score": {},
        "sha256": state_sha256(network),
        "synthetic": True,
    }
    return Card(path=card.path, content=content)


def state_sha256(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and numbers of a network's state, as hexadecimal."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

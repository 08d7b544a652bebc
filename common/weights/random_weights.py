"""Networks that nobody trained, to compare with: the same draw for the same seed, and named so.

What a trained encoder knows is what it does better than this one: a random encoder of the same
architecture already tells bright from dark and smooth from rough.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from typing import TypeVar

import torch
from torch import nn

from ..errors import InputError
from ..parallel import is_first_process
from .card import Card, kept_by_training

logger = logging.getLogger("common.weights")

Network = TypeVar("Network", bound=nn.Module)


def random_weights(network: Network, *, seed: int) -> Network:
    """A copy of a network that has learnt nothing, in evaluation mode.

    Args:
        network: Stays as it is.
        seed: Of the weights, 0 or more; torch's own stream of chance stays untouched.

    Raises:
        InputError: If the seed is negative.
    """
    if seed < 0:
        msg = f"seed must be 0 or more for random weights, got {seed}; give one to draw them again"
        raise InputError(msg)
    device = next(network.parameters()).device
    fresh = copy.deepcopy(network).cpu()  # the same weights for the same seed on every device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            if callable(reset := getattr(module, "reset_parameters", None)):
                reset()
    return fresh.to(device).eval()


def random_card(card: Card, *, network: nn.Module, seed: int) -> Card:
    """A card that says that weights are random: same architecture and presets, own name and hash.

    Args:
        card: Of the weights whose place they take.
        network: Of `random_weights`.
        seed: That it was drawn from.
    """
    if is_first_process():
        logger.warning(
            "Weights are RANDOM, drawn from seed %d in place of '%s': only to compare with.",
            seed,
            card.name,
        )
    content = {
        **kept_by_training(card),
        **({"files": beside} if (beside := card.files_beside) else {}),
        "name": f"RANDOM weights, seed {seed}, in place of {card.name}",
        "source": f"random, drawn from seed {seed}: trained on nothing",
        "training": {"data": "none"},
        "score": {},
        "sha256": state_sha256(network),
        "synthetic": True,
        "clinical_use": False,
    }
    return Card(path=card.path, content=content)


def state_sha256(network: nn.Module) -> str:
    """SHA-256 over names, types, shapes and numbers of a network's state, as hexadecimal."""
    digest = hashlib.sha256()
    for key, tensor in sorted(network.state_dict().items()):
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

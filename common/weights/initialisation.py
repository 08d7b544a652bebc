"""What a network starts training from: chance, ImageNet, or weights of its own kind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..networks.heads import with_heads_for
from ..parallel import is_first_process
from .card import Card, read_card
from .hub import fetch_file
from .loading import card_beside, load_state, read_key_map, read_tensors, tensors_of, unwrap

logger = logging.getLogger("common.training")

Network = TypeVar("Network", bound=nn.Module)

HUB_PREFIX = "hf://"
STARTED_FROM = "started_from"


def start_from(
    network: Network,
    *,
    source: str,
    key_map: str | Path,
    part: str = "encoder",
    layout: str = "imagenet",
    repeat_first: bool = False,
    frozen: bool = False,
    dropout: float | None = None,
    labels: Sequence[str] | None = None,
) -> Network:
    """Load initial weights into a network, strictly, and lay it out for fast training.

    Convolutions become channels-last: the same numbers, in the order that bf16 is fast in. A
    network with a convolution that `writes_outside` of its tensors keeps torch's default layout.

    Args:
        network: To be trained; left in training mode. What it started from stands in its attribute
            `started_from`, for the card of what it becomes.
        source: Empty for random weights; a card (`.json`), its tensors or their folder for all of
            the network; a state dict without a card (`.pt`, `.pth`, `.ckpt`, `.safetensors`) or
            the card of another network for one part of it; or such a file on the Hugging Face
            hub, `hf://timm/resnet18.tv_in1k/model.safetensors`.
        key_map: The bundle's key map.
        part: The submodule that a published state dict fills.
        layout: Of the key map, from the published names to ours.
        repeat_first: Whether a published state dict of one input channel may fill a part of C:
            the first convolution is repeated C times and divided by C, so that C equal channels
            give what one gave.
        frozen: Whether `part` stays as loaded; the rest trains.
        dropout: Probability of every dropout, attention's included; None leaves the network's own.
        labels: In the channels' order. Where the card of `source` has others, heads are exchanged:
            labels of the same name keep their channel, the others start anew. None for a network
            without heads.

    Raises:
        InputError: If the file is missing, a key or shape does not fit, what is frozen would be
            random, or `dropout` is no probability.
    """
    if dropout is not None and not 0 <= dropout < 1:
        msg = f"dropout must be from 0 to below 1, or null for the network's own, got {dropout}"
        raise InputError(msg)
    if frozen and not source:
        msg = (
            f"initial_weights must be given where the {part} is not trained, got none; "
            "name a card or ImageNet weights"
        )
        raise InputError(msg)
    if source:
        notes = _load(network, source, key_map, part, layout, labels, repeat_first=repeat_first)
        setattr(network, STARTED_FROM, {"source": source, **notes})
    if dropout is not None:
        _set_dropout(network, dropout)
    if frozen or part in dict(network.named_modules()):  # not every network has an encoder
        network.get_submodule(part).requires_grad_(not frozen)
    laid_out: Network = network.to(memory_format=layout_for_training(network))  # type: ignore[call-overload]
    return laid_out.train()


def layout_for_training(network: nn.Module) -> torch.memory_format:
    """Channels-last for all of a network, or torch's default for all of it.

    One layout for the whole: a convolution computes channels-last as soon as its weights or its
    input are, and its input is what the layer before it made.
    """
    if any(writes_outside(module) for module in network.modules()):
        return torch.contiguous_format
    is_3d = any(isinstance(module, nn.Conv3d) for module in network.modules())
    return torch.channels_last_3d if is_3d else torch.channels_last


def writes_outside(module: nn.Module) -> bool:
    """Whether it is a convolution whose channels-last gradient damages memory without AVX-512.

    torch 2.13 (oneDNN held to AVX2): the backward pass of a 2D convolution of kernel 1 with a
    stride, without padding or groups and of fewer than 8 channels writes behind its tensors, and
    the process hangs or aborts steps later. 8 channels and more, three dimensions and the default
    layout are fine.
    """
    return (
        isinstance(module, nn.Conv2d)
        and set(module.kernel_size) == {1}
        and set(module.stride) != {1}
        and module.groups == 1
        and module.in_channels < 8
    )


def _set_dropout(network: nn.Module, probability: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = probability


def _load(
    network: nn.Module,
    source: str,
    key_map: str | Path,
    part: str,
    layout: str,
    labels: Sequence[str] | None,
    *,
    repeat_first: bool,
) -> dict[str, Any]:
    """Load and return what a card tells about it."""
    path = _from_hub(source) if source.startswith(HUB_PREFIX) else Path(source).expanduser()
    beside = path if path.suffix == ".json" else card_beside(path)
    card = read_card(beside) if beside else None
    if card and card.content["network"]["class"] == type(network).__name__:
        return _load_whole(network, card, labels)
    path = tensors_of(card) if card else path
    if not path.is_file():
        msg = f"initial_weights must be a file, got {source}; see docs/README.md for where from"
        raise InputError(msg)
    target = network.get_submodule(part)
    own = target.state_dict()
    wanted = [f"{part}.{key}" for key in own]
    found = unwrap(read_tensors(path), wanted, key_map=read_key_map(key_map, layout))
    found.say(f"initial_weights {path}")
    if is_first_process():
        logger.info("initial_weights %s: the %s is taken, the rest is untrained", path, part)
    state = {key.removeprefix(f"{part}."): tensor for key, tensor in found.state.items()}
    counts = {k: v for k, v in own.items() if k.endswith("num_batches_tracked")}
    state = counts | state  # older torchvision files do not count batches
    state = _with_channels_of(target, state, part, repeat_first=repeat_first)
    return {"part": part, **found.notes, **load_state(target, state, source=f"checkpoint {path}")}


def _load_whole(network: nn.Module, card: Card, labels: Sequence[str] | None) -> dict[str, Any]:
    """Load a network of the same class, whose heads may be for other labels."""
    path = tensors_of(card)
    found = unwrap(read_tensors(path), network.state_dict())
    found.say(f"initial_weights {path}")
    known = {"name": card.name, "sha256": card.sha256, **found.notes}
    if labels is None or list(labels) == card.labels:
        return {**known, **load_state(network, found.state, source=f"checkpoint {path}")}
    heads = with_heads_for(network, found.state, labels=labels, before=card.labels)
    notes = load_state(network, heads.state, source=f"checkpoint {path}")
    if is_first_process():
        logger.info(
            "initial_weights are for other labels: everything but the heads of '%s' is taken. "
            "New heads: %s. Kept by name: %s.",
            card.name, ", ".join(heads.new) or "none", ", ".join(heads.kept) or "none",
        )  # fmt: skip
    return {**known, **notes, "new_heads": heads.new, "kept_heads": heads.kept}


def _with_channels_of(
    target: nn.Module, state: dict[str, Tensor], part: str, *, repeat_first: bool
) -> dict[str, Tensor]:
    """The state with its first convolution for as many input channels as the target's has."""
    convolutions = (
        f"{name}.weight"
        for name, module in target.named_modules()
        if isinstance(module, nn.Conv2d | nn.Conv3d)
    )
    first = next(convolutions, "")
    if first not in state:
        return state
    weight = state[first]
    wanted = target.get_parameter(first).shape[1]
    if weight.shape[1] == wanted or weight.shape[1] != 1:
        return state  # fits, or load_state says what does not
    if not repeat_first:
        msg = (
            f"initial_weights must have {wanted} input channels for the {part}, got 1; "
            "set repeat_first to repeat its first convolution, or stack the windows along depth "
            "(`arrangement` in the card)"
        )
        raise InputError(msg)
    spread = weight.repeat_interleave(wanted, dim=1) / wanted
    return {**state, first: spread}


def _from_hub(source: str) -> Path:
    parts = source.removeprefix(HUB_PREFIX).split("/", 2)
    if len(parts) < 3 or not all(parts):
        msg = f"initial_weights must be hf://<owner>/<repository>/<file>, got {source}; correct it"
        raise InputError(msg)
    return fetch_file("/".join(parts[:2]), parts[2])

"""What a network starts training from: chance, ImageNet, or weights of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..card import read_card
from ..errors import InputError
from ..hub import fetch_file
from ..weights import (
    load_state,
    load_weights,
    read_key_map,
    read_tensors,
    rename_keys,
)

Network = TypeVar("Network", bound=nn.Module)

HUB_PREFIX = "hf://"


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
) -> Network:
    """Load initial weights into a network, strictly, and lay it out for fast training.

    Convolutions become channels-last: the same numbers, in the order that bf16 is fast in. A
    network with a convolution that `writes_outside` of its tensors keeps torch's default layout.

    Args:
        network: To be trained; left in training mode.
        source: Empty for random weights; a card (`.json`) for all of the network; a published
            state dict (`.pt`, `.pth`, `.ckpt`, `.safetensors`) for one part of it; or such a file
            on the Hugging Face hub, `hf://timm/resnet18.tv_in1k/model.safetensors`.
        key_map: The bundle's key map.
        part: The submodule that a published state dict fills.
        layout: Of the key map, from the published names to ours.
        repeat_first: Whether a published state dict of one input channel may fill a part of C:
            the first convolution is repeated C times and divided by C, so that C equal channels
            give what one gave.
        frozen: Whether `part` stays as loaded; the rest trains.
        dropout: Probability of every dropout, attention's included; None leaves the network's own.

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
        _load(network, source, key_map, part, layout, repeat_first=repeat_first)
    if dropout is not None:
        _set_dropout(network, dropout)
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
    *,
    repeat_first: bool,
) -> None:
    if source.endswith(".json"):
        load_weights(network, card=read_card(source))
        return
    path = _from_hub(source) if source.startswith(HUB_PREFIX) else Path(source)
    if not path.is_file():
        msg = f"initial_weights must be a file, got {source}; see docs/README.md for where from"
        raise InputError(msg)
    renamed = rename_keys(read_tensors(path), read_key_map(key_map, layout))
    state = {key.removeprefix(f"{part}."): tensor for key, tensor in renamed.items()}
    target = network.get_submodule(part)
    counts = {k: v for k, v in target.state_dict().items() if k.endswith("num_batches_tracked")}
    state = counts | state  # older torchvision files do not count batches
    load_state(target, _with_channels_of(target, state, part, repeat_first=repeat_first))


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

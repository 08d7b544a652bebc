"""What a network starts training from: chance, ImageNet, or weights of its own kind."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from torch import nn

from ..errors import InputError
from ..weights import load_state, read_card, read_key_map, read_tensors, rename_keys

Network = TypeVar("Network", bound=nn.Module)

HUB_PREFIX = "hf://"


def start_from(
    network: Network, *, source: str, key_map: str | Path, part: str = "encoder"
) -> Network:
    """Load initial weights into a network, strictly, and say nothing untrue about the rest.

    Args:
        network: To be trained; left in training mode.
        source: Empty for random weights; a card (`.json`) for all of the network; a torchvision
            ResNet state dict (`.pth`, `.safetensors`) for its encoder; or such a file on the
            Hugging Face hub, `hf://timm/resnet18.tv_in1k/model.safetensors`.
        key_map: The bundle's key map; layout `imagenet` leads from torchvision's names to ours.
        part: The submodule that ImageNet weights fill.

    Raises:
        InputError: If the file is missing or a key or shape does not fit.
    """
    if not source:
        return network.train()
    if source.endswith(".json"):
        card = read_card(source)
        if card.tensors is None:
            msg = f"initial_weights must have tensors, got the bare card {source}; name another"
            raise InputError(msg)
        load_state(network, read_tensors(card.tensors))
        return network.train()
    path = _from_hub(source) if source.startswith(HUB_PREFIX) else Path(source)
    if not path.is_file():
        msg = f"initial_weights must be a file, got {source}; see docs/README.md for where from"
        raise InputError(msg)
    renamed = rename_keys(read_tensors(path), read_key_map(key_map, "imagenet"))
    state = {key.removeprefix(f"{part}."): tensor for key, tensor in renamed.items()}
    load_state(network.get_submodule(part), state)
    return network.train()


def _from_hub(source: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    owner, repository, file = source.removeprefix(HUB_PREFIX).split("/", 2)
    try:
        return Path(hf_hub_download(f"{owner}/{repository}", file))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        msg = (
            f"initial_weights must be on the hub and reachable, got {source} ({reason}); "
            "download the file yourself and give its path"
        )
        raise InputError(msg) from error

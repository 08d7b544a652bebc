"""Weights: chosen by their card, loaded strictly, renamed from foreign layouts, saved."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from .card import Card, read_card
from .errors import InputError
from .parallel import is_first_process
from .results.atomic import replacing, write_json

logger = logging.getLogger("common.weights")

Network = TypeVar("Network", bound=nn.Module)


def choose_card(weights: str, *, bundle_root: str | Path) -> Card:
    """Decide which weights a bundle runs with.

    Args:
        weights: `auto` takes `models/model.json` where installed and `models/demo.json`
            otherwise, with a warning; `demo`; or the path of a card, of its tensors, or of the
            folder with a `model.json`. The warning comes from the first process alone.
        bundle_root: Folder with `configs` and `models`.

    Raises:
        InputError: If what is asked for is not there.
    """
    models = Path(bundle_root) / "models"
    if weights == "auto":
        installed = models / "model.json"
        card = read_card(installed if installed.is_file() else models / "demo.json")
    elif weights == "demo":
        card = read_card(models / "demo.json")
    else:
        path = Path(str(weights)).expanduser()
        card = read_card(_card_of(path))
    if card.is_synthetic and is_first_process():
        logger.warning(
            "Weights '%s' are SYNTHETIC and never saw a patient: they show that everything runs. "
            "Their results on real scans mean nothing. Not for clinical use.",
            card.name,
        )
    return card


def _card_of(path: Path) -> Path:
    """The card at a path that names a card, its tensors or their folder."""
    if path.is_dir():
        return path / "model.json"
    return path.with_suffix(".json") if path.suffix in (".pt", ".pth", ".safetensors") else path


def load_weights(network: Network, *, card: Card) -> Network:
    """Load a card's tensors into a network, strictly, and set it to evaluation mode.

    Raises:
        InputError: If the card has no tensors, the file's hash differs, or any key or shape
            does not fit; all that do not fit are named.
    """
    wanted_class = card.content["network"]["class"]
    if type(network).__name__ != wanted_class:
        msg = (
            f"network must be a {wanted_class} for {card.path}, got {type(network).__name__}; "
            "use the card's own bundle"
        )
        raise InputError(msg)
    path = card.tensors
    if path is None or not path.is_file():
        msg = (
            f"card must come with its tensors, got {card.path} without {path or 'any'}; "
            "fetch, convert or train them, or use --weights demo"
        )
        raise InputError(msg)
    if card.sha256 and file_sha256(path) != card.sha256:
        msg = (
            f"weights must match the card's sha256, got another file at {path}; "
            "fetch or train it again"
        )
        raise InputError(msg)
    load_state(network, read_tensors(path))
    return network.eval()


def load_state(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state dict; every key must fit, and all that do not are named.

    Raises:
        InputError: If a key is missing, unexpected or has another shape.
    """
    wanted = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: list(tensor.shape) for key, tensor in state.items()}
    problems = [f"missing {key} {wanted[key]}" for key in wanted.keys() - found.keys()]
    problems += [f"unexpected {key} {found[key]}" for key in found.keys() - wanted.keys()]
    problems += [
        f"{key} has shape {found[key]}, expected {wanted[key]}"
        for key in wanted.keys() & found.keys()
        if wanted[key] != found[key]
    ]
    if problems:
        listed = "\n  ".join(sorted(problems))
        msg = f"checkpoint does not fit {type(network).__name__}:\n  {listed}"
        raise InputError(msg)
    network.load_state_dict(dict(state))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, `.pt`, `.pth` or `.ckpt`.

    Nothing is unpickled but tensors.
    A checkpoint that wraps its state dict as `model`, `state_dict` or `network` is unwrapped.

    Raises:
        InputError: If the file is damaged or holds anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has errors of its own; all mean the same to a user
        reason = str(error).splitlines()[0]
        msg = (
            f"weights must be a state dict of tensors, got {path} ({reason}); "
            "fetch or convert it again"
        )
        raise InputError(msg) from error
    for wrapper in ("state_dict", "model", "network"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        msg = (
            f"weights must be a state dict of tensors, got {path} with something else; "
            "save network.state_dict()"
        )
        raise InputError(msg)
    return content


def rename_keys(state: Mapping[str, Tensor], key_map: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """Bring a foreign checkpoint's keys into our layout.

    Args:
        state: Foreign key to tensor.
        key_map: Pairs of regular expression and replacement, applied in order to every key. A key
            that becomes empty is dropped: the only way to leave part of a checkpoint out.

    Raises:
        InputError: If two keys become the same.
    """
    renamed: dict[str, Tensor] = {}
    for foreign, tensor in state.items():
        key = foreign
        for pattern, replacement in key_map:
            key = re.sub(pattern, replacement, key)
        if key in renamed:
            msg = f"key map must keep keys apart, got {key} twice (from {foreign}); mend the map"
            raise InputError(msg)
        if key:
            renamed[key] = tensor
    return renamed


def read_key_map(path: str | Path, layout: str) -> list[list[str]]:
    """Read one layout's key map from a bundle's `models/key_map.json`.

    Raises:
        InputError: If the layout is not in the file.
    """
    layouts: dict[str, list[list[str]]] = json.loads(Path(path).read_text(encoding="utf-8"))
    if layout not in layouts:
        msg = f"layout must be one of {', '.join(layouts)}, got {layout}; see {path}"
        raise InputError(msg)
    return layouts[layout]


def save_weights(network: nn.Module, content: Mapping[str, Any], path: Path) -> Card:
    """Write a network's weights and their card, see `save_state`."""
    return save_state(network.state_dict(), content, path)


def save_state(state: Mapping[str, Tensor], content: Mapping[str, Any], path: Path) -> Card:
    """Write tensors and card side by side; the card last, so that a card is never alone.

    Args:
        state: A network's state dict.
        content: The card without `tensors` and `sha256`.
        path: The card's path, `.json`. Tensors go to `.safetensors` beside a card named `demo`
            and to `.pt`, which MONAI's own tools read, beside any other.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    tensors = path.with_suffix(".safetensors" if path.stem == "demo" else ".pt")
    with replacing(tensors) as temporary:
        if tensors.suffix == ".safetensors":
            temporary.write_bytes(safetensors.torch.save(plain))
        else:
            archive = io.BytesIO()  # a file's own name would stand in it, and change its hash
            torch.save(plain, archive)
            temporary.write_bytes(archive.getbuffer())
    full = {**content, "tensors": tensors.name, "sha256": file_sha256(tensors)}
    write_json(path, full)
    return Card(path=path, content=full)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

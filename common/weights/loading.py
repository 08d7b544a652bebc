"""Weights: chosen by their card, loaded strictly, saved so that card and tensors always agree."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from ..atomic import PARTIAL, replacing, write_json
from ..errors import InputError
from ..parallel import is_first_process
from .card import Card, read_card
from .checkpoint import read_tensors
from .fitting import load_state, unwrap
from .key_map import read_key_map, rename_keys

__all__ = [
    "card_beside", "choose_card", "file_sha256", "load_state", "load_weights", "read_key_map",
    "read_tensors", "rename_keys", "save_state", "save_weights", "tensors_of", "unwrap",
]  # fmt: skip

logger = logging.getLogger("common.weights")

Network = TypeVar("Network", bound=nn.Module)

TENSOR_SUFFIXES = (".pt", ".pth", ".ckpt", ".safetensors")


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
        card = read_card(_card_of(Path(str(weights)).expanduser()))
    if card.tensors and card.tensors.is_file() and not card.sha256:  # results are known by it
        content = {**card.content, "sha256": file_sha256(card.tensors)}
        card = Card(path=card.path, content=content)
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
    if path.suffix not in TENSOR_SUFFIXES:
        return path
    card = path.with_suffix(".json")
    if path.is_file() and not card.is_file():
        msg = (
            f"weights must have a card beside them, got {path} without {card.name}; install a "
            f"checkpoint with scripts/fetch_weights.py <bundle> --from {path}"
        )
        raise InputError(msg)
    return card


def card_beside(path: Path) -> Path | None:
    """The card that describes a file of tensors, or lies in a folder; None where there is none."""
    if path.is_dir():
        return path / "model.json"
    card = path.with_suffix(".json")
    if card == path or not card.is_file():
        return None
    try:
        names = json.loads(card.read_text(encoding="utf-8")).get("tensors")
    except (OSError, ValueError, AttributeError):
        return None  # some other JSON that has the same name
    return card if names == path.name else None


def load_weights(network: Network, *, card: Card) -> Network:
    """Load a card's tensors into a network, strictly, and set it to evaluation mode.

    Raises:
        InputError: If the card has no tensors, the file's hash differs, any key or shape does not
            fit (counted, the first named), or the numbers are none (see `load_state`).
    """
    wanted_class = card.content["network"]["class"]
    if type(network).__name__ != wanted_class:
        msg = (
            f"network must be a {wanted_class} for {card.path}, got {type(network).__name__}; "
            "use the card's own bundle"
        )
        raise InputError(msg)
    path = tensors_of(card)
    load_state(network, read_tensors(path), source=f"checkpoint {path}")
    return network.eval()


def tensors_of(card: Card) -> Path:
    """The file of a card's tensors, as the card describes it.

    Raises:
        InputError: If the card has no tensors, they are not there, or their hash differs.
    """
    path = card.tensors
    if path is None or not path.is_file():
        instead = "leave --weights out" if card.path.stem == "demo" else "use --weights demo"
        msg = (
            f"card must come with its tensors, got {card.path} without {path or 'any'}; "
            f"fetch, convert or train them, or {instead}"
        )
        raise InputError(msg)
    if card.sha256 and file_sha256(path) != card.sha256:
        msg = (
            f"weights must match the card's sha256, got another file at {path}; "
            "fetch or train it again"
        )
        raise InputError(msg)
    return path


def save_weights(network: nn.Module, content: Mapping[str, Any], path: Path) -> Card:
    """Write a network's weights and their card, see `save_state`."""
    return save_state(network.state_dict(), content, path)


def save_state(state: Mapping[str, Tensor], content: Mapping[str, Any], path: Path) -> Card:
    """Write tensors and card side by side.

    Whenever this is cut off, and whoever else writes there, the card stands beside the tensors that
    it describes: new tensors first get a name of their own, which the card gives until they have
    taken the old ones' place.

    Args:
        state: A network's state dict.
        content: The card without `tensors` and `sha256`.
        path: The card's path, `.json`. Tensors go to `.safetensors` beside a card named `demo`
            and to `.pt`, which MONAI's own tools read, beside any other.

    Raises:
        InputError: If the place cannot be written; what stood there stays.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    tensors = path.with_suffix(".safetensors" if path.stem == "demo" else ".pt")
    archive = io.BytesIO()  # a file's own name would stand in it, and change its hash
    if tensors.suffix == ".safetensors":
        archive.write(safetensors.torch.save(plain))
    else:
        torch.save(plain, archive)
    digest = hashlib.sha256(archive.getbuffer()).hexdigest()
    staged = tensors.with_stem(f"{tensors.stem}-{digest[:12]}")
    full = {**content, "tensors": tensors.name, "sha256": digest}
    with _alone(path.parent):
        for left in path.parent.glob(f"{PARTIAL}*-{tensors.stem}*{tensors.suffix}"):
            left.unlink(missing_ok=True)  # of a process that was killed
        with replacing(staged) as partial:
            partial.write_bytes(archive.getbuffer())
        try:
            write_json(path, {**full, "tensors": staged.name})
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        with replacing(tensors) as partial:
            _link(staged, partial)
        write_json(path, full)
        for left in tensors.parent.glob(f"{tensors.stem}-{'[0-9a-f]' * 12}{tensors.suffix}"):
            left.unlink(missing_ok=True)
    return Card(path=path, content=full)


def _link(source: Path, target: Path) -> None:
    """A second name for a file, or a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process writes weights in a folder; ends with the process."""
    try:
        import fcntl  # not on Windows
    except ImportError:
        yield
        return
    with suppress(OSError):  # said by whoever writes there
        folder.mkdir(parents=True, exist_ok=True)
    handle = -1
    try:
        with suppress(OSError):  # some network file systems lock no folders
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

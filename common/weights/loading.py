"""Weights: chosen by their card, loaded strictly, saved so that card and tensors always agree."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import Tensor, nn

from ..atomic import PARTIAL, replacing, write_json
from ..errors import InputError
from ..parallel import is_first_process
from .card import Card, read_card
from .card_content import name_of
from .checkpoint import read_tensors
from .fitting import load_state, unwrap
from .key_map import read_key_map, rename_keys

__all__ = [
    "card_beside", "choose_card", "file_of", "file_sha256", "files_of", "load_state",
    "load_weights", "read_key_map", "read_tensors", "rename_keys", "save_state", "save_weights",
    "tensors_of", "unwrap",
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
        InputError: If the card has no tensors, a file is missing or its hash differs, any key or
            shape does not fit (counted, the first named), or the numbers are none (see
            `load_state`).
    """
    wanted_class = card.content["network"]["class"]
    if type(network).__name__ != wanted_class:
        msg = (
            f"network must be a {wanted_class} for {card.path}, got {type(network).__name__}; "
            "use the card's own bundle"
        )
        raise InputError(msg)
    path = tensors_of(card)
    files_of(card)
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
    if card.sha256:
        _check_hash(path, card.sha256)
    return path


def files_of(card: Card) -> dict[str, Path]:
    """What belongs to a card's weights beside their tensors, as the card describes it.

    Returns:
        Name, such as `vocab.json` or `tokenizer/vocab.json`, to file.

    Raises:
        InputError: If a file is not there or its hash differs.
    """
    found = {}
    for listed, digest in card.files_beside.items():
        path = card.path.parent / listed
        if not path.is_file():
            msg = (
                f"card must come with its files, got {card.path} without {path}; "
                "fetch or train the weights again"
            )
            raise InputError(msg)
        _check_hash(path, digest)
        found[name_of(listed)] = path
    return found


def file_of(card: Card, name: str) -> Path:
    """One of the files that belong to a card's weights, checked as all of them.

    Raises:
        InputError: If the card lists none of that name, or a file is missing or another one.
    """
    found = files_of(card)
    if name not in found:
        known = ", ".join(found) or "none"
        msg = f"card must list the file {name}, got {card.path} with {known}; fetch or train again"
        raise InputError(msg)
    return found[name]


def _check_hash(path: Path, sha256: str) -> None:
    if file_sha256(path) != sha256:
        msg = (
            f"weights must match the card's sha256, got another file at {path}; "
            "fetch or train it again"
        )
        raise InputError(msg)


def save_weights(
    network: nn.Module,
    content: Mapping[str, Any],
    path: Path,
    *,
    files: Mapping[str, Path] = MappingProxyType({}),
) -> Card:
    """Write a network's weights and their card, see `save_state`."""
    return save_state(network.state_dict(), content, path, files=files)


def save_state(
    state: Mapping[str, Tensor],
    content: Mapping[str, Any],
    path: Path,
    *,
    files: Mapping[str, Path] = MappingProxyType({}),
) -> Card:
    """Write tensors, what belongs to them and their card side by side.

    Whenever this is cut off, and whoever else writes there, the card stands beside the files that
    it describes: new ones first get a name of their own, which the card gives until they have
    taken the old ones' place.

    Args:
        state: A network's state dict.
        content: The card; its `tensors`, `files` and `sha256` are replaced.
        path: The card's path, `.json`. Tensors go to `.safetensors` beside a card named `demo`
            and to `.pt`, which MONAI's own tools read, beside any other.
        files: What else belongs to the weights, as `files_of` gives it: name to a file to copy.
            They go to a folder beside the card that has its name.

    Raises:
        InputError: If the place cannot be written; what stood there stays.
    """
    tensors = path.with_suffix(".safetensors" if path.stem == "demo" else ".pt")
    archive = _archive(state, tensors.suffix)
    digest = hashlib.sha256(archive).hexdigest()
    beside = {name: file_sha256(source) for name, source in files.items()}
    mark = hashlib.sha256(json.dumps([digest, beside]).encode()).hexdigest()[:12]
    staged = path.with_stem(f"{path.stem}-{mark}")
    bare = {k: v for k, v in content.items() if k not in ("tensors", "files", "sha256")}

    def card_of(stem: str) -> dict[str, Any]:
        name = f"{stem}{tensors.suffix}"
        below = {f"{stem}/{file}": beside[file] for file in beside}
        return {**bare, "tensors": name, "files": {name: digest, **below}}

    with _alone(path.parent):
        before = _listed(path)
        _sweep(path.parent.glob(f"{PARTIAL}*-{path.stem}*{tensors.suffix}"))  # of a killed process
        _sweep(path.with_suffix("").rglob(f"{PARTIAL}*"))
        try:
            with replacing(staged.with_suffix(tensors.suffix)) as partial:
                partial.write_bytes(archive)
            for name, source in files.items():
                with replacing(staged.with_suffix("") / name) as partial:
                    shutil.copyfile(source, partial)
            write_json(path, card_of(staged.stem))
        except BaseException:
            _sweep([staged.with_suffix(tensors.suffix), staged.with_suffix("")])
            raise
        moves = {staged.with_suffix(tensors.suffix): tensors}
        moves |= {staged.with_suffix("") / name: path.with_suffix("") / name for name in beside}
        for source, target in moves.items():
            with replacing(target) as partial:
                _link(source, partial)
        write_json(path, card_of(path.stem))
        _sweep(path.parent.glob(f"{path.stem}-{'[0-9a-f]' * 12}"))
        _sweep(path.parent.glob(f"{path.stem}-{'[0-9a-f]' * 12}{tensors.suffix}"))
        _sweep(path.parent / old for old in before - card_of(path.stem)["files"].keys())
    return Card(path=path, content=card_of(path.stem))


def _archive(state: Mapping[str, Tensor], suffix: str) -> bytes:
    """Tensors as the bytes of a file: a file's own name would stand in it, and change its hash."""
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
    if suffix == ".safetensors":
        memory: set[int] = set()
        for key, tensor in plain.items():  # tied ones each for itself, as safetensors wants them
            place = tensor.untyped_storage().data_ptr()
            plain[key] = tensor.clone() if place in memory else tensor
            memory.add(place)
        return safetensors.torch.save(plain)
    archive = io.BytesIO()
    torch.save(plain, archive)
    return archive.getvalue()


def _listed(path: Path) -> set[str]:
    """What an earlier card lists in its own folder; nothing where none can be read."""
    try:
        listed = read_card(path).files_beside
    except InputError:
        return set()
    return {file for file in listed if file.startswith(f"{path.stem}/")}


def _sweep(leftovers: Iterable[Path]) -> None:
    for left in leftovers:
        if left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


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

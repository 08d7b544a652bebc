"""Which bundles there are and which weights each has, told from their JSON: no torch, at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..weights.card import read_card

_BESIDE = Path(__file__).resolve().parents[2] / "bundles"
BUNDLES = _BESIDE if _BESIDE.is_dir() else Path("bundles")  # `pip install .` takes the code alone
METADATA = Path("configs", "metadata.json")

WEIGHTS = {"installed": "model.json", "demo": "demo.json", "published": "published.json"}


@dataclass(frozen=True)
class WeightsEntry:
    """One card of a bundle.

    Attributes:
        name: What the weights are called.
        present: Whether the tensors lie beside the card; if not, they can be fetched.
        synthetic: Whether they were trained on phantoms only.
        size_mb: Of the tensors' file, 10^6 bytes; None where not present.
        licence: Of the weights.
        score: What they reach, and on which data.
    """

    name: str
    present: bool
    synthetic: bool
    size_mb: float | None
    licence: str
    score: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """One way to run a bundle.

    Attributes:
        configs: Files below the bundle, in the order in which each lies over those before.
        about: What one gets, in a few words.
    """

    configs: list[str]
    about: str

    def command(self, bundle: str | Path) -> str:
        """What to type, with the bundle's folder as given."""
        files = [f"{bundle}/{config}" for config in self.configs]
        listed = files[0] if len(files) == 1 else '"[' + ",".join(map(repr, files)) + ']"'
        return f"python -m monai.bundle run --config_file {listed}"


@dataclass(frozen=True)
class BundleEntry:
    """One bundle.

    Attributes:
        name: Of its folder, as every command takes it.
        title: For people.
        version: Of the bundle.
        task: What it is for, in one sentence.
        path: Its folder.
        outputs: What the network gives, as `metadata.json` has it.
        stages: Ways to run it, by name, `inference` first.
        weights: `installed`, `demo` and `published`, those that have a card.
        runs_with: Which of them `--weights auto` takes; None if there are none.
    """

    name: str
    title: str
    version: str
    task: str
    path: str
    outputs: dict[str, Any]
    stages: dict[str, Stage]
    weights: dict[str, WeightsEntry]
    runs_with: str | None


def find_bundle(name: str) -> Path:
    """Find a bundle's folder by its name in `bundles/`, or by its path.

    Raises:
        InputError: If there is no such bundle; the message lists those that there are.
    """
    for folder in (Path(name), BUNDLES / name):
        if (folder / METADATA).is_file():
            return folder.resolve()
    known = ", ".join(path.name for path in _folders(BUNDLES)) or f"none in {BUNDLES.absolute()}"
    msg = f"bundle must be a folder with {METADATA}, got {name}; known by name: {known}"
    raise InputError(msg)


def list_bundles(folder: Path = BUNDLES) -> list[BundleEntry]:
    """Describe every bundle of a folder, by name.

    Raises:
        InputError: If there is none, or a bundle's metadata or card cannot be read.
    """
    found = _folders(folder)
    if not found:
        msg = (
            f"bundles must lie in {folder.absolute()}, got none; run from the repository's folder, "
            "or install it there with `pip install -e .`"
        )
        raise InputError(msg)
    return [_describe(path) for path in found]


def read_metadata(bundle: Path) -> dict[str, Any]:
    """Read `configs/metadata.json`.

    Raises:
        InputError: If it is no JSON object with a `version`.
    """
    path = bundle / METADATA
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"metadata must be readable JSON, got {path} ({error}); mend it"
        raise InputError(msg) from error
    if not isinstance(metadata, dict) or "version" not in metadata:
        msg = f"metadata must be a JSON object with a version, got {path} without; add it"
        raise InputError(msg)
    return metadata


def read_stages(metadata: Mapping[str, Any]) -> dict[str, Stage]:
    """The ways to run a bundle, from `stages` of its metadata: what each lies over, and is."""
    return {
        name: Stage(
            configs=[f"configs/{config}.json" for config in (*stage["over"], name)],
            about=stage["about"],
        )
        for name, stage in metadata.get("stages", {}).items()
    }


def _folders(folder: Path) -> list[Path]:
    return sorted(path.parents[1] for path in folder.glob(f"*/{METADATA}"))


def _describe(folder: Path) -> BundleEntry:
    metadata = read_metadata(folder)
    cards = {kind: folder / "models" / file for kind, file in WEIGHTS.items()}
    weights = {kind: _weights(path) for kind, path in cards.items() if path.is_file()}
    runnable = [kind for kind in ("installed", "demo") if kind in weights]
    return BundleEntry(
        name=folder.name,
        title=metadata.get("name", folder.name),
        version=metadata["version"],
        task=metadata.get("task", ""),
        path=str(folder),
        outputs=metadata.get("network_data_format", {}).get("outputs", {}),
        stages=read_stages(metadata),
        weights=weights,
        runs_with=next(iter(runnable), None),
    )


def _weights(path: Path) -> WeightsEntry:
    card = read_card(path)
    present = card.tensors is not None and card.tensors.is_file()
    return WeightsEntry(
        name=card.name,
        present=present,
        synthetic=card.is_synthetic,
        size_mb=card.tensors.stat().st_size / 1e6 if card.tensors and present else None,
        licence=str(card.content.get("licence", "")),
        score=card.content.get("score", {}),
    )

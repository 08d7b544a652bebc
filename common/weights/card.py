"""The model card: a JSON file beside the tensors that says what they are.

Its keys:

- `name`, `bundle`: what these weights are called and which bundle they belong to.
- `anatomy`: what a scan must show, one of `transforms.body_part.ANATOMIES`; `any` where not given.
- `network`: `class` (name) and `arguments` (keyword arguments of that class).
- `preprocessing`: `axcodes`, `spacing_mm`, `size`, `hu_window`, `output_range`, `grid`.
- `labels` in channel order; `thresholds`: label to probability; positive means `>=`. A segmenter's
  `numbers`: what stands for each label in a label volume; the channel's own where not given.
- `presets`: name to how a network is run: `spacing_mm`, `overlap`, what is cropped, ...
- `num_features`: of an encoder, how many numbers embed a scan.
- `tensors`, `sha256`: file beside the card and its hash. Absent in a card that only describes
  an architecture, such as `published.json` before its weights are fetched.
- `training`, `score`: what it was trained on and what it reaches there. `training.initial_weights`:
  what it started from, and which heads began anew.
- `origin`: of installed weights, the file they came from and what was done to make it fit.
- `source`, `licence`, `synthetic`, `clinical_use`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict

from ..errors import InputError
from ..vocabulary.totalsegmentator import BACKGROUND, STRUCTURES
from .card_checks import card_problems

MOST_NUMBERS = 255  # a label volume is uint8
REQUIRED_KEYS = ("name", "bundle", "network", "preprocessing", "labels", "clinical_use")


class WeightsRecord(TypedDict):
    """Which weights made the result. ``synthetic``: trained on phantoms only, or on nothing."""

    name: str
    sha256: str
    source: str
    synthetic: bool
    clinical_use: Literal[False]


class Section(dict[str, Any]):
    """A part of a card: asked for what it does not hold, it says which card and which part."""

    def __init__(self, content: Mapping[str, Any], *, name: str, path: Path) -> None:
        super().__init__(content)
        self.name = name
        self.path = path

    def __missing__(self, key: str) -> Any:
        msg = f"card must hold {self.name}.{key}, got {self.path} without it; add it"
        raise InputError(msg)


@dataclass(frozen=True)
class Card:
    """A model card, read from JSON. See the module for what the keys mean.

    Attributes:
        path: The JSON file.
        content: Everything in it.
    """

    path: Path
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What these weights are called."""
        return str(self.content["name"])

    @property
    def anatomy(self) -> str:
        """What a scan must show, see `transforms.body_part`."""
        return str(self.content.get("anatomy", "any"))

    @property
    def architecture(self) -> Mapping[str, Any]:
        """Keyword arguments of the network's class."""
        arguments = self.content["network"]["arguments"]
        return Section(arguments, name="network.arguments", path=self.path)

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """How to feed the network."""
        return Section(self.content["preprocessing"], name="preprocessing", path=self.path)

    @property
    def labels(self) -> list[str]:
        """Class names in channel order."""
        return list(self.content["labels"])

    @property
    def thresholds(self) -> dict[str, float]:
        """Probability from which each label counts as positive (`>=`); 0.5 where not given."""
        given = self.content.get("thresholds", {})
        return {label: float(given.get(label, 0.5)) for label in self.labels}

    @property
    def numbers(self) -> list[int]:
        """Number of each label in a label volume, in channel order."""
        return [int(n) for n in self.content.get("numbers", range(len(self.labels)))]

    @property
    def num_features(self) -> int:
        """Of an encoder: how many numbers embed a scan.

        Raises:
            InputError: If the card does not say.
        """
        return int(Section(self.content, name="card", path=self.path)["num_features"])

    def preset(self, name: str) -> Mapping[str, Any]:
        """One of the ways to run the network that the card offers.

        Raises:
            InputError: If there is none of that name.
        """
        presets = self.content.get("presets", {})
        if name not in presets:
            known = ", ".join(presets) or "none"
            msg = f"preset must be one of {known}, got {name}; see the presets of {self.path}"
            raise InputError(msg)
        return Section(presets[name], name=f"presets.{name}", path=self.path)

    @property
    def is_synthetic(self) -> bool:
        """Whether it was trained on phantoms only, or on nothing."""
        return bool(self.content.get("synthetic", False))

    @property
    def tensors(self) -> Path | None:
        """The file that holds the weights, or None for a bare architecture."""
        name = self.content.get("tensors")
        return self.path.parent / str(name) if name else None

    @property
    def sha256(self) -> str | None:
        """Hash of the tensors' file as the card gives it."""
        return self.content.get("sha256")

    def provenance(self) -> WeightsRecord:
        """What a result file repeats about the weights that made it."""
        return {
            "name": self.name,
            "sha256": str(self.sha256),
            "source": str(self.content.get("source", "")),
            "synthetic": self.is_synthetic,
            "clinical_use": False,
        }


def card_for_labels(
    card: Card, labels: Sequence[str], numbers: Mapping[str, int] | None = None
) -> Card:
    """The same architecture and preprocessing for other labels, as fine-tuning wants them.

    Args:
        card: What to start from.
        labels: Names in channel order, a segmenter's background first. Where all of them are
            structures of TotalSegmentator version 2, label volumes keep its numbers; otherwise they
            count on. None keeps the card as it is.
        numbers: What stands for each label in the training data's own volumes, where that is to be
            kept: 0 is the background's, and 255 the highest that a label volume can hold.
    """
    if not labels or list(labels) == card.labels:
        return card
    content = {k: v for k, v in card.content.items() if k not in ("numbers", "thresholds")}
    content["labels"] = list(labels)
    own = {BACKGROUND: 0, **(numbers or {})}
    if numbers and set(labels) <= set(own) and max(own[label] for label in labels) <= MOST_NUMBERS:
        content["numbers"] = [own[label] for label in labels]
    elif set(labels) <= set(STRUCTURES) and list(labels) != list(STRUCTURES):
        content["numbers"] = [STRUCTURES.index(label) for label in labels]
    arguments = content["network"]["arguments"]
    if "num_classes" in arguments:
        fitting = {**arguments, "num_classes": len(labels)}
        content["network"] = {**content["network"], "arguments": fitting}
    return Card(path=card.path, content=content)


def read_card(path: str | Path) -> Card:
    """Read and check a card.

    Raises:
        InputError: If the file is missing, is no JSON, lacks a required key or has one of a wrong
            type (see `card_problems`).
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = (
            f"weights must name a card that exists, got {path}; use demo or a path to a .json card"
        )
        raise InputError(msg) from error
    except (OSError, ValueError, RecursionError) as error:
        msg = (
            f"card must be readable JSON, got {path} ({error}); train or convert the weights again"
        )
        raise InputError(msg) from error
    if not isinstance(content, dict):
        msg = f"card must be a JSON object, got {path} with a {type(content).__name__}; mend it"
        raise InputError(msg)
    missing = [key for key in REQUIRED_KEYS if key not in content]
    missing += [f"network.{key}" for key in ("class", "arguments") if _lacks(content, key)]
    if missing:
        msg = (
            f"card must hold {', '.join(REQUIRED_KEYS)}, "
            f"got {path} without {', '.join(missing)}; add them"
        )
        raise InputError(msg)
    wrong = card_problems(content)
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        msg = f"card {path}: {'; '.join(wrong[:3])}{more}; mend it"
        raise InputError(msg)
    return Card(path=path, content=content)


def _lacks(content: Mapping[str, Any], key: str) -> bool:
    network = content.get("network")
    return isinstance(network, dict) and key not in network

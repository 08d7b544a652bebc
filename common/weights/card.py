"""The model card: a JSON file beside the tensors that says what they are.

Required are

- `name`, `bundle`: what these weights are called and which bundle they belong to.
- `network`: `class` (name) and `arguments` (keyword arguments of that class).
- `preprocessing`: `axcodes`, `spacing_mm`, `size`, `hu_window`, `output_range`, `grid`.
- `clinical_use`: false.

All else is a section. A bundle may have sections of its own (landmarks, readers, a tokenizer's
settings, ...): training keeps whatever is not of the old weights, see `kept_by_training`. Known are

- `anatomy`: what a scan must show, one of `transforms.body_part.ANATOMIES`; `any` where not given.
- `labels` in channel order; `thresholds`: label to probability; positive means `>=`. A segmenter's
  `numbers`: what stands for each label in a label volume; the channel's own where not given.
- `presets`: name to how a network is run: `spacing_mm`, `overlap`, what is cropped, ...
- `num_features`: of an encoder, how many numbers embed a scan.
- `tensors`: the file beside the card that holds the weights. Absent in a card that only describes
  an architecture, such as `published.json` before its weights are fetched.
- `files`: every file of these weights, by its path below the card's folder, and its sha256. What
  there is beside the tensors (a tokenizer, more tensors, ...) lies in a folder of its own,
  `model/vocab.json` of the card `model.json`, and is asked for by its name there, `vocab.json`.
- `sha256`: of the tensors, in older cards without `files`; of a network that has no file.
- `training`, `score`: what it was trained on and what it reaches there. `training.initial_weights`:
  what it started from, and which heads began anew.
- `origin`: of installed weights, the file they came from and what was done to make it fit.
- `source`, `licence`, `synthetic`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from typing_extensions import TypedDict

from ..errors import InputError
from ..typed_json import Rule
from ..vocabulary.totalsegmentator import BACKGROUND, STRUCTURES
from .card_content import MOST_NUMBERS, card_problems

SHOWN = 3  # problems that the one line of an error tells
OF_THE_WEIGHTS = (
    "name", "tensors", "files", "sha256", "training", "score", "origin", "source",
    "licence", "synthetic", "clinical_use",
)  # fmt: skip
"""What a card says about its weights and not about the task: other weights have their own.

Thresholds stay: a head may be trained no more. Whoever chooses new ones puts them in their place.
"""


class WeightsRecord(TypedDict):
    """Which weights made the result. ``synthetic``: trained on phantoms only, or on nothing."""

    name: str
    sha256: str
    source: str
    synthetic: bool
    clinical_use: Annotated[Literal[False], Rule("false")]


class Section(dict[str, Any]):
    """A card or a part of it: asked for what it does not hold, it says which card and which part.

    Args:
        content: What it holds.
        name: Of the part; empty for the whole card.
        path: Of the card.
    """

    def __init__(self, content: Mapping[str, Any], *, name: str, path: Path) -> None:
        super().__init__(content)
        self.name = name
        self.path = path

    def __missing__(self, key: str) -> Any:
        where = f"{self.name}.{key}" if self.name else key
        msg = f"card must hold {where}, got {self.path} without it; add it"
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

    def section(self, name: str) -> Any:
        """One of the card's parts, as it stands there.

        Raises:
            InputError: If the card has none of that name.
        """
        found = Section(self.content, name="", path=self.path)[name]
        return Section(found, name=name, path=self.path) if isinstance(found, Mapping) else found

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
        """Class names in channel order.

        Raises:
            InputError: If the card has none.
        """
        return list(self.section("labels"))

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
        return int(self.section("num_features"))

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
        listed: Mapping[str, str] = self.content.get("files", {})
        return listed.get(str(self.content.get("tensors"))) or self.content.get("sha256")

    @property
    def files_beside(self) -> dict[str, str]:
        """What belongs to the weights beside their tensors: path below the folder to sha256."""
        tensors = self.content.get("tensors")
        listed: Mapping[str, str] = self.content.get("files", {})
        return {path: digest for path, digest in listed.items() if path != tensors}

    def provenance(self) -> WeightsRecord:
        """What a result file repeats about the weights that made it."""
        return {
            "name": self.name,
            "sha256": str(self.sha256),
            "source": str(self.content.get("source", "")),
            "synthetic": self.is_synthetic,
            "clinical_use": False,
        }


def kept_by_training(card: Card) -> dict[str, Any]:
    """What a card says of the task and not of its weights: every other section, unknown ones too.

    The card of trained weights begins with it. Files beside the tensors, such as a tokenizer, are
    handed to `save_weights` by `files_of`, which writes them beside the new ones.
    """
    return {key: value for key, value in card.content.items() if key not in OF_THE_WEIGHTS}


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
    if not labels or list(labels) == card.content.get("labels"):
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
        InputError: If the file is missing, is no JSON, lacks a required key, has one of a wrong
            type or keys that do not agree (see `card_problems`).
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
    wrong = card_problems(content)
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        msg = f"card {path}: {'; '.join(wrong[:SHOWN])}{more}; mend it"
        raise InputError(msg)
    return Card(path=path, content=content)

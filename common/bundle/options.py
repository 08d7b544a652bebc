"""What can be set on a bundle's command line, with default and meaning.

A default stands in the bundle's configs, a meaning in `options.json`, once for all bundles. There
options are of these kinds: `text`, such as a path, that is taken as it stands, `text_or_empty`;
`names`, one or a list of them, that are never evaluated either; and `values`, which MONAI reads,
expressions too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError

MEANINGS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("options.json").read_text(encoding="utf-8")
)
NEVER_EMPTY = frozenset(MEANINGS["text"])
TEXT = NEVER_EMPTY | frozenset(MEANINGS["text_or_empty"])
NAMES = frozenset(MEANINGS["names"])


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: Of the key, as in `--name value`.
        default: As the configs have it.
        meaning: In a few words.
    """

    name: str
    default: Any
    meaning: str


def list_options(bundle: Path, stages: Sequence[str] = ()) -> list[Option]:
    """List what can be set, in the order of the configs.

    Args:
        bundle: Folder with `configs`.
        stages: Configs that are laid over `inference.json`, in this order, such as `train`.

    Raises:
        InputError: If there is no such config.
    """
    settings: dict[str, Any] = {}
    for stage in ("inference", *stages):
        settings.update(_read_config(bundle, stage))
    meanings = {name: text for kind in MEANINGS.values() for name, text in kind.items()}
    return [
        Option(name, default, meanings[name])
        for name, default in settings.items()
        if name in meanings
    ]


def _read_config(bundle: Path, stage: str) -> dict[str, Any]:
    path = bundle / "configs" / f"{stage}.json"
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        found = sorted(file.stem for file in (bundle / "configs").glob("*.json"))
        known = ", ".join(name for name in found if name != "metadata")
        msg = f"config must be one of {known}, got {stage}; choose among them"
        raise InputError(msg) from error
    return content

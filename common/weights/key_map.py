r"""Key maps: a foreign checkpoint's keys brought into our layout, by rules that are data.

`bundles/<name>/models/key_map.json` has a list of rules per layout:

    ["^features\\.0\\.", "encoder."]                  a regular expression and its replacement
    ["^projection_head\\..*", ""]                   left out
    ["^lm_head\\.", "transformer.wte.", "alias"]    the same tensor under another name
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from .checkpoint import shortened

ALIAS = "alias"
KeyMap = Sequence[Sequence[str]]


def rename_keys(state: Mapping[str, Tensor], key_map: KeyMap) -> dict[str, Tensor]:
    """Bring a foreign checkpoint's keys into our layout.

    Args:
        state: Foreign key to tensor.
        key_map: Pairs of regular expression and replacement, applied in order to every key. A key
            that becomes empty is dropped: the only way to leave part of a checkpoint out. A pair
            with a third word, `alias`, says that what it renames is the same tensor under another
            name, as tied weights are saved: where both are there, they must be equal.

    Raises:
        InputError: If two keys become the same and are no aliases, or aliases are not equal.
    """
    renamed: dict[str, Tensor] = {}
    first: dict[str, str] = {}
    own: set[str] = set()  # keys that have come under a name that is no alias
    unequal = []
    for foreign, tensor in state.items():
        key, is_alias = renamed_key(foreign, key_map)
        if not key:
            continue
        if key in own and not is_alias:
            msg = f"key map must keep keys apart, got {key} twice (from {foreign}); mend the map"
            raise InputError(msg)
        own |= set() if is_alias else {key}
        if not are_equal(renamed.setdefault(key, tensor), tensor):
            unequal.append(f"{first[key]} and {foreign}")
        first.setdefault(key, foreign)
    if unequal:
        raise unequal_aliases(unequal)
    return renamed


def read_key_map(path: str | Path, layout: str) -> list[list[str]]:
    """Read one layout's key map from a bundle's `models/key_map.json`.

    Raises:
        InputError: If the layout is not in the file, or is no list of rules (see `rename_keys`).
    """
    layouts: dict[str, list[list[str]]] = json.loads(Path(path).read_text(encoding="utf-8"))
    if layout not in layouts:
        msg = f"layout must be one of {', '.join(layouts)}, got {layout}; see {path}"
        raise InputError(msg)
    for rule in layouts[layout]:
        if not _is_rule(rule):
            msg = (
                f"key map must hold pairs of regular expression and replacement, a third word "
                f"being {ALIAS}, got {json.dumps(rule)} in {layout} of {path}; mend it"
            )
            raise InputError(msg)
    return layouts[layout]


def renamed_key(key: str, key_map: KeyMap) -> tuple[str, bool]:
    """Our name of a key, and whether it is another's alias."""
    is_alias = False
    for pattern, replacement, *kind in key_map:
        key, times = re.subn(pattern, replacement, key)
        is_alias |= bool(times and kind)
    return key, is_alias


def are_equal(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are the same numbers; of tensors without numbers, whether they may be."""
    if one is other:
        return True
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    return one.is_meta or other.is_meta or torch.equal(one, other)


def unequal_aliases(pairs: list[str]) -> InputError:
    """What is raised about aliases that hold different numbers."""
    return InputError(
        f"aliases must be equal tensors, got other numbers in {shortened(pairs)}; "
        "take a checkpoint that was saved whole, or mend the key map"
    )


def _is_rule(rule: Any) -> bool:
    if not (isinstance(rule, list) and all(isinstance(word, str) for word in rule)):
        return False
    try:
        re.compile(rule[0])
    except (re.error, IndexError):
        return False
    return len(rule) == 2 or rule[2:] == [ALIAS]

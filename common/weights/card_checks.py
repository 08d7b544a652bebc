"""What the keys of a model card may hold: what is wrong is said at once, before anything runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

Rule = tuple[str, Callable[[Any], bool]]
"""What a value must be, and whether it is."""


def card_problems(content: Mapping[str, Any]) -> list[str]:
    """Sentences about keys whose values no run can use; keys that nobody knows are anyone's own.

    Args:
        content: A card that has its required keys.
    """
    found = _broken("", content, CARD)
    for name, rules in (("network", NETWORK), ("preprocessing", PREPROCESSING)):
        if isinstance(content[name], dict):
            found += _broken(f"{name}.", content[name], rules)
    if found:
        return found
    for key, value in content["network"]["arguments"].items():
        found += _broken("network.arguments.", {key: value}, {key: SIZES})
    for name, preset in content.get("presets", {}).items():
        found += _broken(f"presets.{name}.", preset, {**PREPROCESSING, **PRESET})
    labels = content["labels"]
    strangers = [label for label in content.get("thresholds", {}) if label not in labels]
    if strangers:
        found.append(f"thresholds must be of the card's labels, got {strangers[0]!r}")
    numbers = content.get("numbers", labels)
    if len(numbers) != len(labels):
        found.append(f"numbers must be one per label ({len(labels)}), got {len(numbers)}")
    return found


def _broken(where: str, content: Mapping[str, Any], rules: Mapping[str, Rule]) -> list[str]:
    return [
        f"{where}{key} must be {rule}, got {str(content[key])[:60]!r}"
        for key, (rule, holds) in rules.items()
        if key in content and not holds(content[key])
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_size(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, list) and all(map(_is_whole, value)))


def _are(value: Any, is_one: Callable[[Any], bool], count: int | None = None) -> bool:
    """A list of values of one kind; None counts any number of them."""
    right = isinstance(value, list) and all(map(is_one, value))
    return right and count in (None, len(value))


def _is_range(value: Any) -> bool:
    return _are(value, _is_number, 2) and bool(value[0] < value[1])


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_yes_or_no(value: Any) -> bool:
    return isinstance(value, bool)


def _are_names(value: Any) -> bool:
    return _are(value, lambda one: isinstance(one, str) and one != "") and len(set(value)) == len(
        value
    )


def _are_numbers(value: Any) -> bool:
    return _are(value, lambda one: _is_whole(one) and one <= 255) and len(set(value)) == len(value)


def _are_thresholds(value: Any) -> bool:
    return _is_object(value) and all(_is_number(v) and 0 <= v <= 1 for v in value.values())


def _are_axes(value: Any) -> bool:
    pairs = ("LR", "AP", "SI")
    return (
        _is_text(value) and len(value) == 3 and all(sum(c in p for c in value) == 1 for p in pairs)
    )


def _is_file_name(value: Any) -> bool:
    return _is_text(value) and bool(re.fullmatch(r"[^/\\\0]+", value)) and value not in (".", "..")


TEXT: Rule = ("text", _is_text)
OBJECT: Rule = ("an object", _is_object)
YES_OR_NO: Rule = ("true or false", _is_yes_or_no)
WHOLE: Rule = ("a whole number", _is_whole)
NUMBER: Rule = ("a number", _is_number)
SIZES: Rule = ("a whole number from 0 or a list of such", _is_size)
RANGE: Rule = ("two numbers, the lower first", _is_range)
VOXELS: Rule = ("three whole numbers or null", lambda v: v is None or _are(v, _is_whole, 3))

CARD: Mapping[str, Rule] = {
    "name": TEXT,
    "bundle": TEXT,
    "network": OBJECT,
    "preprocessing": OBJECT,
    "labels": ("a list of different names", _are_names),
    "clinical_use": YES_OR_NO,
    "thresholds": ("an object of label and number from 0 to 1", _are_thresholds),
    "numbers": ("a list of different whole numbers to 255", _are_numbers),
    "presets": (
        "an object of objects",
        lambda v: _is_object(v) and all(map(_is_object, v.values())),
    ),
    "num_features": WHOLE,
    "tensors": ("the name of a file beside the card", _is_file_name),
    "sha256": ("64 hexadecimal digits", lambda v: bool(re.fullmatch("[0-9a-f]{64}", str(v)))),
    "training": OBJECT,
    "score": OBJECT,
    "origin": OBJECT,
    "source": TEXT,
    "licence": TEXT,
    "synthetic": YES_OR_NO,
}
NETWORK: Mapping[str, Rule] = {"class": TEXT, "arguments": OBJECT}
PREPROCESSING: Mapping[str, Rule] = {
    "axcodes": ("three letters such as RAS", _are_axes),
    "spacing_mm": (
        "three numbers above 0 or null",
        lambda v: v is None or _are(v, lambda one: _is_number(one) and one > 0, 3),
    ),
    "size": VOXELS,
    "roi_size": VOXELS,
    "hu_window": RANGE,
    "hu_windows": (
        "an object of two numbers each",
        lambda v: _is_object(v) and all(map(_is_range, v.values())),
    ),
    "output_range": RANGE,
    "grid": ("affine or half_pixel", lambda v: v in ("affine", "half_pixel")),
    "arrangement": ("channels or depth", lambda v: v in ("channels", "depth")),
    "crop_above_hu": NUMBER,
}
PRESET: Mapping[str, Rule] = {
    "overlap": ("from 0 to below 1", lambda v: _is_number(v) and 0 <= v < 1),
    "refine": WHOLE,
    "body_only": YES_OR_NO,
    "pooling": TEXT,
}

"""What the keys of a model card hold: `docs/schema/card.json` is made of these types.

Keys that are not here are a card's own sections and may hold anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Annotated, Any, Literal, Required

from annotated_types import Ge, Gt, Le, Len, Lt
from typing_extensions import TypedDict

from ..typed_json import About, Rule, problems_of, shown

MOST_NUMBERS = 255  # a label volume is uint8
PATH = r"^(?!(.*/)?\.{0,2}(/|$))[^\\:\x00\r\n]+$"
"""A plain path that stays below the folder it is joined to, on every system."""


def _differ(values: list[Any]) -> bool:
    return len(set(values)) == len(values)


def _are_axes(axes: str) -> bool:
    return len(axes) == 3 and all(sum(c in pair for c in axes) == 1 for pair in ("LR", "AP", "SI"))


def _is_argument(value: Any) -> bool:
    """Whether a network may be built of it; a number in quotes is none."""
    if isinstance(value, dict | list):
        return all(map(_is_argument, value.values() if isinstance(value, dict) else value))
    if isinstance(value, str):
        return not re.fullmatch(r"\s*[-+.\d]+\s*", value)
    if isinstance(value, float):
        return isfinite(value)
    return value is None or value >= 0


Whole = Annotated[int, Ge(0), Rule("a whole number from 0")]
Finite = Annotated[float, Rule("a number", isfinite)]
Length = Annotated[float, Gt(0), Rule("a number above 0", isfinite)]
Probability = Annotated[float, Ge(0), Le(1), Rule("a number from 0 to 1")]
Range = Annotated[
    list[Finite], Len(2, 2), Rule("two numbers, the lower first", lambda ends: ends[0] < ends[1])
]
Voxels = Annotated[Annotated[list[Whole], Len(3, 3)] | None, Rule("three whole numbers or null")]
Sha256 = Annotated[str, Rule("64 hexadecimal digits", pattern="^[0-9a-f]{64}$")]
FilePath = Annotated[
    str, Rule("a path below the card's folder, such as model/vocab.json", pattern=PATH)
]
Argument = Annotated[
    Any,
    Rule("a number (a whole one from 0), a name, true, false, null, or a list or object of such",
         _is_argument),
]  # fmt: skip

Network = TypedDict(
    "Network", {"class": Required[str], "arguments": Required[dict[str, Argument]]}, total=False
)
"""Name of a network's class and its keyword arguments."""


class Preprocessing(TypedDict, total=False):
    """How to feed a network; what a pipeline needs and a card lacks is named when asked for."""

    axcodes: Annotated[str, Rule("three letters such as RAS", _are_axes)]
    spacing_mm: Annotated[
        Annotated[list[Length], Len(3, 3)] | None, Rule("three numbers above 0 or null")
    ]
    size: Voxels
    roi_size: Voxels
    hu_window: Range
    hu_windows: dict[str, Range]
    output_range: Range
    grid: Annotated[Literal["affine", "half_pixel"], Rule("affine or half_pixel")]
    arrangement: Annotated[Literal["channels", "depth"], Rule("channels or depth")]
    crop_above_hu: Finite


class Preset(Preprocessing, total=False):
    """One of the ways to run a network; in place of what `preprocessing` says."""

    overlap: Annotated[float, Ge(0), Lt(1), Rule("from 0 to below 1")]
    refine: Whole
    body_only: bool
    pooling: str


class CardContent(TypedDict, total=False):
    """A model card: the JSON file beside a network's tensors that says what they are."""

    name: Required[Annotated[str, About("What these weights are called.")]]
    bundle: Required[Annotated[str, About("Which bundle they belong to.")]]
    network: Required[Network]
    preprocessing: Required[Preprocessing]
    clinical_use: Required[Annotated[Literal[False], Rule("false")]]
    anatomy: Annotated[str, About("What a scan must show; any where not given.")]
    labels: Annotated[
        list[str],
        Rule("a list of different names", lambda names: _differ(names) and all(names)),
        About("Different names, in channel order."),
    ]
    thresholds: Annotated[
        dict[str, Probability], About("Label to probability; positive from there on.")
    ]
    numbers: Annotated[
        list[Annotated[int, Ge(0), Le(MOST_NUMBERS)]],
        Rule(f"a list of different whole numbers to {MOST_NUMBERS}", _differ),
        About("What stands for each label in a label volume; the channel's own where not given."),
    ]
    presets: Annotated[dict[str, Preset], About("Name to how the network is run.")]
    num_features: Annotated[Whole, About("Of an encoder: how many numbers embed a scan.")]
    tensors: Annotated[
        str,
        Rule("the name of a file beside the card", lambda name: "/" not in name, PATH),
        About("The file beside the card that holds the weights; none where they are elsewhere."),
    ]
    files: Annotated[
        dict[FilePath, Sha256],
        About("Every file of the weights: path below the card's folder to its sha256."),
    ]
    sha256: Annotated[Sha256, About("Of the tensors, where a card does not list its files.")]
    training: Annotated[dict[str, Any], About("Data and recipe.")]
    score: Annotated[dict[str, Any], About("What the weights reach, and on which data.")]
    origin: Annotated[dict[str, Any], About("Of installed weights: where they came from.")]
    source: str
    licence: str
    synthetic: Annotated[bool, About("Whether they were trained on phantoms only, or on nothing.")]


def card_problems(content: Mapping[str, Any]) -> list[str]:
    """Sentences about what no run can use: keys of a wrong kind, then keys that do not agree."""
    return problems_of(content, CardContent, name="card") or [
        *_label_problems(content),
        *_file_problems(content),
    ]


def _label_problems(content: Mapping[str, Any]) -> list[str]:
    if "labels" not in content:
        return []
    labels = content["labels"]
    strangers = [label for label in content.get("thresholds", {}) if label not in labels]
    found = [
        f"thresholds must be of the card's labels, got {shown(label)}" for label in strangers[:1]
    ]
    numbers = content.get("numbers", labels)
    if len(numbers) != len(labels):
        found.append(f"numbers must be one per label ({len(labels)}), got {len(numbers)}")
    return found


def _file_problems(content: Mapping[str, Any]) -> list[str]:
    if "files" not in content:
        return []
    found, files, tensors = [], content["files"], content.get("tensors")
    if tensors and tensors not in files:
        found.append(f"files must list the tensors {tensors}, got {shown(list(files))}")
    if "sha256" in content and tensors in files and content["sha256"] != files[tensors]:
        found.append(f"sha256 must be that of {tensors} in files, got {shown(content['sha256'])}")
    names = [name_of(path) for path in files]
    twice = [path for path, name in zip(files, names, strict=True) if names.count(name) > 1]
    if twice:
        found.append(f"files must differ in name below their folders, got {shown(twice)}")
    return found


def name_of(path: str) -> str:
    """What one of a card's files is asked for by: its path below the folder beside the card."""
    return path.partition("/")[2] or path

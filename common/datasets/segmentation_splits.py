"""Which cases of a segmentation data set are for training, validation and test, by their ids.

A split is published in one of four ways, all of which are read here: a column of a table, a JSON
with a list of ids per part, a JSON data list whose training entries have a `fold` (MONAI, VISTA3D),
or a list of folds with `train` and `val` (nnU-Net). What is not published is carved: validation
from training, as VISTA3D does for TotalSegmentator (928 + 52 from 980 with `validation_share`
57 / 1082 and seed 42), and test from all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from sklearn.model_selection import train_test_split

from ..csv_table import read_text
from ..errors import InputError
from ..vocabulary.segmentation_classes import some
from .labelled import Split

FewShot = Literal["first", "random"]
Parts = Mapping[Split, Sequence[str]]
"""Ids by part; a part that is not there was not published."""

SPELLINGS: Mapping[str, Split] = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".npz")
_VOLUME_NAMES = ("ct", "image", "segmentations")  # files named alike in each case's own folder


@dataclass(frozen=True)
class SplitOptions:
    """How cases are parted; see `segmentation_cases`."""

    split: Split
    split_file: str = ""
    fold: int = -1
    validation_share: float = 0.0
    test_share: float = 0.0
    num_training: int = 0
    training_share: float = 1.0
    few_shot: FewShot = "first"
    shorten_validation: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        """Check every option on its own.

        Raises:
            InputError: If one is out of range.
        """
        for name, value, choices in (
            ("split", self.split, get_args(Split)),
            ("few_shot", self.few_shot, get_args(FewShot)),
        ):
            if value not in choices:
                msg = f"{name} must be one of {', '.join(choices)}, got {value!r}; use one of them"
                raise InputError(msg)
        for name in ("validation_share", "test_share"):
            share = getattr(self, name)
            if not 0 <= share < 1:
                msg = f"{name} must be in [0, 1), got {share}; 0 takes what is published"
                raise InputError(msg)
        if not 0 < self.training_share <= 1 or self.num_training < 0:
            msg = (
                "training_share must be in (0, 1] and num_training at least 0, got "
                f"{self.training_share} and {self.num_training}; 1 and 0 take all cases"
            )
            raise InputError(msg)
        if self.num_training and self.training_share < 1:
            msg = (
                "num_training and training_share must not both be given, got "
                f"{self.num_training} and {self.training_share}; give one of them"
            )
            raise InputError(msg)


def part_of(ids: Sequence[str], published: Parts, options: SplitOptions, source: str) -> list[str]:
    """The ids of one part, before few-shot.

    Args:
        ids: All cases of the data set, in its order.
        published: Parts that the data set itself names.
        options: How to part; `split_file` takes the place of `published`.
        source: What holds the data, for errors.

    Returns:
        Ids in the order in which they are published (carved ones in that of `ids`).

    Raises:
        InputError: If the part is neither published nor to be carved, or both, or has no case.
    """
    if options.split_file:
        source = options.split_file
        published = read_split_file(Path(options.split_file), fold=options.fold)
    elif options.fold >= 0:
        msg = f"fold must come with a split_file, got fold {options.fold} alone; name the file"
        raise InputError(msg)
    parts: dict[Split, Sequence[str]] = dict(published) or {"train": list(ids)}
    _carve(parts, "test", options.test_share, options.seed, source)
    _carve(parts, "validation", options.validation_share, options.seed, source)
    found = list(parts.get(options.split, ()))
    if not found:
        named = ", ".join(f"{len(names)} for {part}" for part, names in parts.items() if names)
        share = "test_share" if options.split == "test" else "validation_share"
        msg = (
            f"{source} must have cases for {options.split}, got {named or 'none'}; carve them from "
            f"training with {share}, or name a split_file with a list of ids per part (set fold "
            "where its validation cases are a fold)"
        )
        raise InputError(msg)
    return found


def few(ids: Sequence[str], options: SplitOptions) -> list[str]:
    """As many cases as few-shot training asks for.

    A share of n cases is `round(n * share)` of them, at least one; `first` takes the first, as
    CT-FM's published few-shot runs do, `random` draws with the seed and keeps the order.

    Args:
        ids: Of one part.
        options: Test cases are never reduced, validation only with `shorten_validation`, by the
            share.

    Raises:
        InputError: If there are fewer than `num_training` cases.
    """
    training = options.split == "train"
    if not training and not (options.split == "validation" and options.shorten_validation):
        return list(ids)
    count = max(round(len(ids) * options.training_share), 1)
    if training and options.num_training:
        count = options.num_training
    if count > len(ids):
        msg = f"num_training must be at most {len(ids)} here, got {count}; ask for fewer"
        raise InputError(msg)
    if not training or options.few_shot == "first":
        return list(ids[:count])
    chosen = np.random.default_rng(options.seed).choice(len(ids), size=count, replace=False)
    return [ids[index] for index in sorted(chosen)]


def read_split_file(path: Path, *, fold: int = -1) -> dict[Split, list[str]]:
    """Ids per part from a JSON file.

    Args:
        path: `{"train": [...], "validation": [...], "test": [...]}` in any common spelling, whose
            entries are ids, paths or `{"image": path, "fold": number}`; or a list of
            `{"train": [...], "val": [...]}`, one per fold.
        fold: Which fold is validation, from 0; negative where there are none.

    Raises:
        InputError: If the file is none of these, or a fold is missing or not asked for.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        msg = f"{path} must be JSON, got {error}; correct the file"
        raise InputError(msg) from error
    if isinstance(content, list) and content and all(isinstance(one, dict) for one in content):
        if not 0 <= fold < len(content):
            msg = f"fold must be 0 to {len(content) - 1} for {path}, got {fold}; set fold"
            raise InputError(msg)
        content = content[fold]
        fold = -1
    sections = _sections(content, path)
    folded = [entry for entry in sections.get("train", ()) if _fold_of(entry) is not None]
    if fold >= 0:
        known = sorted({number for entry in folded if (number := _fold_of(entry)) is not None})
        if fold not in known or "validation" in sections:
            msg = f"fold must be one of those of {path}, got {fold}; there are {known or 'none'}"
            raise InputError(msg)
        training = sections["train"]
        sections["validation"] = [entry for entry in training if _fold_of(entry) == fold]
        sections["train"] = [entry for entry in training if _fold_of(entry) != fold]
    return {part: [_id_of(entry, path) for entry in entries] for part, entries in sections.items()}


def bare_name(path: str) -> str:
    """A case's id from a path: the file without its ending, or its folder where files are alike."""
    parts = path.replace("\\", "/").rstrip("/").split("/")
    name = next(
        (parts[-1].removesuffix(end) for end in _ENDINGS if parts[-1].endswith(end)), parts[-1]
    )
    return parts[-2] if name in _VOLUME_NAMES and len(parts) > 1 else name


def _carve(
    parts: dict[Split, list[str]] | dict[Any, Any],
    part: Split,
    share: float,
    seed: int,
    source: str,
) -> None:
    """Take a share of the training cases out of training, by chance, in their own order."""
    if not share:
        return
    if parts.get(part):
        msg = (
            f"{part}_share must be 0 where {source} names {part} cases, got {share} and "
            f"{len(parts[part])} cases; leave it out, or name a split_file without that part"
        )
        raise InputError(msg)
    training = list(parts.get("train", ()))
    try:
        kept, taken = train_test_split(range(len(training)), test_size=share, random_state=seed)
    except ValueError as error:
        msg = (
            f"{part}_share must leave cases on both sides, got {share} of {len(training)}; "
            "give another share or more cases"
        )
        raise InputError(msg) from error
    parts["train"] = [training[index] for index in sorted(kept)]
    parts[part] = [training[index] for index in sorted(taken)]


def _sections(content: Any, path: Path) -> dict[Split, list[Any]]:
    """The lists of a split file, by part."""
    found: dict[Split, list[Any]] = {}
    for key, value in content.items() if isinstance(content, dict) else ():
        part = SPELLINGS.get(str(key).lower())
        if part is not None and isinstance(value, list):
            if part in found:
                msg = f"{path} must name each part once, got {part} again as {key!r}; keep one"
                raise InputError(msg)
            found[part] = value
    if not found:
        msg = (
            f'{path} must hold lists of ids such as {{"train": [...], "validation": [...], '
            f'"test": [...]}}, or one such pair per fold, got none; correct the file'
        )
        raise InputError(msg)
    shared = _in_two(found, path)
    if shared:
        msg = f"{path} must name a case for one part, got {some(shared)} in two; correct the file"
        raise InputError(msg)
    return found


def _in_two(sections: Mapping[Split, Sequence[Any]], path: Path) -> list[str]:
    """Cases that stand in more than one part."""
    seen: set[str] = set()
    doubles = []
    for entries in sections.values():
        names = {_id_of(entry, path) for entry in entries}
        doubles += sorted(seen & names)
        seen |= names
    return doubles


def _fold_of(entry: Any) -> int | None:
    return entry.get("fold") if isinstance(entry, dict) else None


def _id_of(entry: Any, path: Path) -> str:
    name = entry.get("image") if isinstance(entry, dict) else entry
    if not isinstance(name, str) or not name:
        msg = f'{path} must list ids, paths or {{"image": path}}, got {entry!r}; correct the file'
        raise InputError(msg)
    return bare_name(name)

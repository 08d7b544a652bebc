"""Scans with one label volume each: the Medical Segmentation Decathlon, folders of pairs, a pair.

A label volume's numbers mean nothing by themselves: their names come from the data set's own
`dataset.json`, from the user, or from a stated TotalSegmentator version.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..cases.read import format_of
from ..csv_table import read_text
from ..errors import InputError
from ..naming import safe_name
from ..truth.label_source import LabelSource, SegmentationCase, label_table
from ..vocabulary.segmentation_classes import (
    ALL,
    LabelVersion,
    check_version,
    choose_classes,
    names_by_number,
    some,
)
from ..vocabulary.totalsegmentator import BACKGROUND
from .segmentation_splits import SplitOptions, bare_name, few, part_of

log = logging.getLogger(__name__)
DECATHLON_JSON = "dataset.json"
FOLDER_NAMES = (("images", "labels"), ("imagesTr", "labelsTr"), ("Images", "Masks"))
LabelNames = Mapping[str, int] | Mapping[str, str] | Mapping[int, str] | Sequence[str]
"""Names by number, numbers by name, or the names of 1, 2, ... in order."""


@dataclass(frozen=True)
class Naming:
    """What the numbers of label volumes mean.

    Attributes:
        names: By number, background left out.
        version: Of TotalSegmentator, empty for any other data.
    """

    names: Mapping[int, str]
    version: LabelVersion = ""


def decathlon_cases(
    folder: Path,
    options: SplitOptions,
    *,
    classes: str | Sequence[str] = ALL,
    exclude: Sequence[str] = (),
) -> list[SegmentationCase]:
    """Cases of a task of the Medical Segmentation Decathlon (Antonelli et al., 2022).

    Args:
        folder: Holds `dataset.json` with `labels` and `training` (`image` and `label` each). The
            published test scans have no labels: test cases come from a split file or `test_share`.
        options: Which part, see `SplitOptions`.
        classes: See `choose_classes`; names as in `labels`.
        exclude: Ids to leave out.

    Raises:
        InputError: If the file is not of that form or no case is left.
    """
    path = folder / DECATHLON_JSON
    try:
        content = json.loads(read_text(path))
        pairs = {
            bare_name(entry["image"]): (folder / entry["image"], folder / entry["label"])
            for entry in content["training"]
        }
        names = content["labels"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        msg = (
            f'{path} must hold "labels" and "training" with an image and a label each, as the '
            f"Decathlon publishes it, got {error!r}; use the published file"
        )
        raise InputError(msg) from error
    return _cases(pairs, Naming(read_names(names)), options, classes, exclude, str(path))


def paired_cases(
    place: Path,
    options: SplitOptions,
    *,
    images: str = "",
    labels: str = "",
    classes: str | Sequence[str] = ALL,
    label_version: LabelVersion = "",
    label_names: LabelNames = (),
    exclude: Sequence[str] = (),
) -> list[SegmentationCase]:
    """Cases of two folders whose files have the same names, or one scan with its label volume.

    Args:
        place: The folder that holds both folders, or the scan.
        options: Which part, see `SplitOptions`; a single scan is in every part.
        images: The scans' folder below `place`; one of `FOLDER_NAMES` if empty.
        labels: The label volumes' folder below `place`; for a single scan, its label volume.
        classes: See `choose_classes`.
        label_version: Of TotalSegmentator, where it numbered the volumes.
        label_names: What the numbers mean, for any other data. Where neither is given, the table
            of names that TotalSegmentator writes into its files is used.
        exclude: Ids to leave out.

    Raises:
        InputError: If the folders are missing or have no name in common, or nothing says what the
            numbers mean.
    """
    if place.is_file():
        pairs = {bare_name(place.name): (place, place.parent / labels)}
        if not labels:
            msg = f"labels must name the label volume of {place}, got nothing; give its file"
            raise InputError(msg)
    else:
        pairs = _pairs(*_folders(place, images, labels))
    naming = _naming(next(iter(pairs.values()))[1], label_version, label_names)
    if place.is_file():
        return _cases(pairs, naming, None, classes, exclude, str(place))
    return _cases(pairs, naming, options, classes, exclude, str(place))


def read_names(given: LabelNames) -> dict[int, str]:
    """Names by number, background left out.

    Args:
        given: Names by number, numbers by name, or the names of 1, 2, ... in order.

    Raises:
        InputError: If a number is no whole number from 0 or has two names.
    """
    if not isinstance(given, Mapping):
        pairs: list[tuple[Any, Any]] = list(enumerate(given, start=1))
    elif all(isinstance(key, int) or str(key).isdecimal() for key in given):
        pairs = list(given.items())
    else:
        pairs = [(value, key) for key, value in given.items()]
    found: dict[int, str] = {}
    for key, value in pairs:
        if isinstance(key, bool) or not str(key).isdecimal() or int(key) in found:
            msg = (
                f"label_names must give each whole number one name, got {key!r} for {value!r}; "
                "write one number per structure"
            )
            raise InputError(msg)
        found[int(key)] = str(value)
    if found.get(0, BACKGROUND) != BACKGROUND:
        msg = f"label_names must keep 0 for background, got {found[0]!r}; number from 1"
        raise InputError(msg)
    return {number: name for number, name in found.items() if number and name != BACKGROUND}


def _naming(first: Path, version: LabelVersion, names: LabelNames) -> Naming:
    """What the numbers mean; an error where nothing says it."""
    if version and names:
        msg = (
            f"label_version and label_names must not both be given, got {version} and names; "
            "give the one that says what the numbers mean"
        )
        raise InputError(msg)
    if version:
        return Naming(names_by_number(version), version)
    known = read_names(names) if names else label_table(first) if first.is_file() else {}
    if not known:
        msg = (
            "label_version must say which TotalSegmentator numbered the labels (v1 or v2), or "
            f"label_names what each number means, got neither for {first}; versions 1 and 2 share "
            "only the numbers 1 to 6, so this cannot be guessed"
        )
        raise InputError(msg)
    return Naming(known, check_version(known.values(), "", source=str(first)))


def _folders(place: Path, images: str, labels: str) -> tuple[Path, Path]:
    """The folder of the scans and that of their labels."""
    if bool(images) != bool(labels):
        got = f"images={images!r}, labels={labels!r}"
        msg = f"images and labels must be given together, got {got}; name both folders"
        raise InputError(msg)
    wanted = [(images, labels)] if images else FOLDER_NAMES
    for pair in wanted:
        if all((place / name).is_dir() for name in pair):
            return place / pair[0], place / pair[1]
    tried = " or ".join(f"{first}/ and {second}/" for first, second in wanted)
    msg = (
        f"dataset_dir must hold meta.csv (TotalSegmentator), {DECATHLON_JSON} (Decathlon), or "
        f"{tried}, got {place} without; name the folders with images and labels"
    )
    raise InputError(msg)


def _pairs(images: Path, labels: Path) -> dict[str, tuple[Path, Path]]:
    """Scan and label volume by id; what has no partner is logged."""
    scans, truths = _volumes(images), _volumes(labels)
    alone = sorted(scans.keys() ^ truths.keys())
    if alone:
        log.warning("left out %d volumes without a partner: %s", len(alone), some(alone))
    names = sorted(scans.keys() & truths.keys())
    if not names:
        msg = (
            f"{images} and {labels} must hold files of the same names, got {some(scans) or 'none'} "
            f"and {some(truths) or 'none'}; rename the label volumes like their scans"
        )
        raise InputError(msg)
    return {name: (scans[name], truths[name]) for name in names}


def _volumes(folder: Path) -> dict[str, Path]:
    """Volume files of a folder by their name without ending."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and format_of(path) and not path.name.startswith("."):
            name = bare_name(path.name)
            if name in found:
                msg = f"{folder} must hold {name} once, got it in two formats; remove one"
                raise InputError(msg)
            found[name] = path
    return found


def _cases(
    pairs: Mapping[str, tuple[Path, Path]],
    naming: Naming,
    options: SplitOptions | None,
    classes: str | Sequence[str],
    exclude: Sequence[str],
    source: str,
) -> list[SegmentationCase]:
    """Cases of one part whose files are there."""
    ids = list(pairs)
    if options is not None:
        ids = part_of(ids, {}, options, source)
        ids = few([name for name in ids if name not in set(exclude)], options)
    there = [name for name in ids if name in pairs and all(p.is_file() for p in pairs[name])]
    if len(there) < len(ids):
        absent = [name for name in ids if name not in set(there)]
        log.warning(
            "left out %d of %d scans without files: %s", len(absent), len(ids), some(absent)
        )
    if not there:
        msg = (
            f"{source} must have a scan with its labels, got none of {some(ids) or 'no names'}; "
            "check the folder and the split"
        )
        raise InputError(msg)
    known = [naming.names[number] for number in sorted(naming.names)]
    chosen = choose_classes(classes, known, version=naming.version)
    numbers = {name: number for number, name in naming.names.items()}
    return [_case(name, *pairs[name], chosen, numbers, naming.version) for name in there]


def _case(
    name: str,
    image: Path,
    labels: Path,
    classes: list[str],
    numbers: dict[str, int],
    version: LabelVersion,
) -> SegmentationCase:
    return SegmentationCase(
        case_id=safe_name(name),
        image=str(image),
        format=format_of(image) or "",
        patient_id=name,
        segmentation=LabelSource(
            kind="volume", path=str(labels), classes=classes, version=version, numbers=numbers
        ),
    )

"""Which structures a segmentation has, by name: never by a number whose version is not known.

TotalSegmentator renumbered its structures between versions 1 and 2, and only numbers 1 to 6 mean
the same in both. A mix-up gives plausible volumes with wrong names, so numbers are turned into
names here, once, and a class is known by its name from then on. Channel 0 is background; channel
`c` is the name at place `c - 1` of a list of classes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ..errors import InputError
from .totalsegmentator import BACKGROUND, GROUPS, STRUCTURES, STRUCTURES_V1

LabelVersion = Literal["", "v1", "v2"]
"""Of TotalSegmentator's names and numbers; empty for any other data."""

ALL = "all"
SHARED = "shared"
MOST_CLASSES = 255  # a label volume is uint8

CHANGED = frozenset({"sacrum"})
"""Names of both versions for different things: version 1's sacrum includes the vertebra S1."""

_NAMES: Mapping[str, tuple[str, ...]] = {"v1": STRUCTURES_V1[1:], "v2": STRUCTURES[1:]}
_ONLY = {
    "v1": frozenset(STRUCTURES_V1) - frozenset(STRUCTURES),
    "v2": frozenset(STRUCTURES) - frozenset(STRUCTURES_V1),
}
_OTHER = {"v1": "v2", "v2": "v1"}


def names_by_number(version: LabelVersion) -> dict[int, str]:
    """TotalSegmentator's structures by number, from 1.

    Raises:
        InputError: If the version is none of `v1` and `v2`.
    """
    if version not in _NAMES:
        msg = f"label_version must be v1 or v2, got {version!r}; say which made the labels"
        raise InputError(msg)
    return dict(enumerate(_NAMES[version], start=1))


def shared_names() -> list[str]:
    """Structures that mean the same in versions 1 and 2, in the order of version 2."""
    return [name for name in _NAMES["v2"] if name in _NAMES["v1"] and name not in CHANGED]


def version_of(names: Iterable[str], *, source: str) -> LabelVersion:
    """The TotalSegmentator version that names give away; empty where they fit both or neither.

    Args:
        names: Of structures, or of mask files without their ending.
        source: What holds them, for the error.

    Raises:
        InputError: If some are of version 1 alone and some of version 2 alone.
    """
    found = set(names)
    first, second = sorted(found & _ONLY["v1"]), sorted(found & _ONLY["v2"])
    if first and second:
        msg = (
            f"{source} must hold structures of one TotalSegmentator version, got {some(first)} of "
            f"version 1 and {some(second)} of version 2; part them into folders of their own"
        )
        raise InputError(msg)
    return "v1" if first else "v2" if second else ""


def check_version(names: Iterable[str], stated: LabelVersion, *, source: str) -> LabelVersion:
    """The version of names, after comparison with what the user stated.

    Args:
        names: Of structures, or of mask files without their ending.
        stated: `v1`, `v2`, or empty where nothing was stated.
        source: What holds them, for the error.

    Raises:
        InputError: If the names are of the other version, naming them.
    """
    found = set(names)
    version = version_of(found, source=source)
    if stated and version == _OTHER.get(stated):
        names_found = some(found & _ONLY[version])
        msg = (
            f"{source} must be of TotalSegmentator version {stated}, got {names_found}, which only "
            f"{version} has; set label_version to {version} and choose classes that it has "
            f"(`{SHARED}` are the structures of both), or use data of {stated}"
        )
        raise InputError(msg)
    return version or stated


def choose_classes(
    wanted: str | Sequence[str], known: Sequence[str], *, version: LabelVersion = ""
) -> list[str]:
    """The classes of channels 1, 2, ... in the order asked for.

    Args:
        wanted: `all`, every known structure; `shared`, those that mean the same in both
            TotalSegmentator versions; a published group of `vocabulary.totalsegmentator.GROUPS`;
            or names, as a list or with commas between.
        known: Names that the data have, in the order of their numbers.
        version: Of the data, where they are TotalSegmentator's.

    Returns:
        Names, each once; the network's channel 0 is background.

    Raises:
        InputError: If a name is unknown, of the other version, background or given twice.
    """
    names, meant = _expand(wanted, known)
    _refuse_other_version(names, meant, version)
    unknown = [name for name in names if name not in set(known)]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(known), n=2)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {some(known)}"
        msg = f"classes must be structures that the data have, got {some(unknown)}; {hint}"
        raise InputError(msg)
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles or not names or BACKGROUND in names or len(names) > MOST_CLASSES:
        got = (
            f"{some(doubles)} twice" if doubles else f"{len(names)} names: {some(names) or 'none'}"
        )
        msg = (
            f"classes must be 1 to {MOST_CLASSES} names, each once and without {BACKGROUND}, "
            f"got {got}; correct the list"
        )
        raise InputError(msg)
    return names


def comparable(
    names: Sequence[str], version: LabelVersion, others: Sequence[str], other: LabelVersion
) -> list[str]:
    """Names that two label volumes share with the same meaning, in the order of the first.

    Args:
        names: Of one.
        version: Of TotalSegmentator, of one; empty where unknown.
        others: Of the other.
        other: Its version.
    """
    changed = CHANGED if version and other and version != other else frozenset()
    known = set(others)
    return [name for name in names if name in known and name not in changed]


def some(names: Iterable[str], most: int = 5) -> str:
    """The first names, and how many more there are; a set's in alphabetical order."""
    listed = sorted(names) if isinstance(names, set | frozenset) else list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _expand(wanted: str | Sequence[str], known: Sequence[str]) -> tuple[list[str], LabelVersion]:
    """Names, and the version that a published group is of."""
    if not isinstance(wanted, str):
        return [str(name) for name in wanted], ""
    if wanted == ALL:
        return [name for name in known if name != BACKGROUND], ""
    if wanted == SHARED:
        return shared_names(), ""
    if wanted in GROUPS:
        return list(GROUPS[wanted]), "v1" if wanted.endswith("_v1") else "v2"
    return [name.strip() for name in wanted.split(",") if name.strip()], ""


def _refuse_other_version(names: Sequence[str], meant: LabelVersion, version: LabelVersion) -> None:
    """Refuse names that the data's version does not have or uses for something else."""
    if not version:
        return
    other = _OTHER[version]
    wrong = [name for name in names if name in _ONLY[other]]
    if meant == other:
        wrong += [name for name in names if name in CHANGED]
    if wrong:
        msg = (
            f"classes must be structures of TotalSegmentator version {version}, got {some(wrong)}, "
            f"which {version} does not have or means otherwise; leave them out, or use data of "
            f"version {other}"
        )
        raise InputError(msg)

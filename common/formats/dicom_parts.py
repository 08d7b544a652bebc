"""From the headers of DICOM slices to series, and from a series to its acquisitions.

A series may hold more than one volume: phases, kernels and energies at the same places or between
one another's, a scout, copies. Nothing is dropped here without a reason.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dicom_header import SPLIT_KEYWORDS, SliceHeader
from .dicom_pixels import check_repeats, same_image
from .dicom_series import SAME_DIRECTION, SAME_POSITION_MM, Stack, stack_slices

Group = list[SliceHeader]
FEW_SLICES = 3  # beside a larger stack: a scout or a stray image, no scan of its own
MOST_SCANS = 6
JOINT_SLICES = 2.0  # two blocks of slices may run into each other by this many
JOINT_SHARE = 0.5  # and by this share of the shorter one
FOLDER_KEY = len(SPLIT_KEYWORDS)
ROUND_KEY = FOLDER_KEY + 1


@dataclass
class Groups:
    """What the slices of a folder are.

    Attributes:
        series: Each forms a volume, or is to be refused for what `stack_slices` says of it.
        left_out: Slices of no series, with the reason.
        ambiguous: UIDs that several different slices bear.
    """

    series: list[Group] = field(default_factory=list)
    left_out: list[tuple[Group, str]] = field(default_factory=list)
    ambiguous: set[str] = field(default_factory=set)


def group_series(headers: Iterable[SliceHeader]) -> Groups:
    """Sort slices into series and their parts.

    By patient, study and SeriesInstanceUID; where it is missing, by folder, series number and
    description. Two slices are one, there twice, only if series, place, SOPInstanceUID and pixels
    are the same. A series is parted into images of one size, orientation and spacing, and by the
    first header entry of `SPLIT_KEYWORDS` that tells acquisitions apart which share the same
    stretch of the patient, or which do not form one volume together; at last, where instance
    numbers or UIDs repeat, by folder or by how often a number came before.
    """
    by_series: dict[tuple[str, ...], Group] = defaultdict(list)
    owners: dict[tuple[str, int], set[tuple[str, ...]]] = defaultdict(set)
    for header in headers:
        by_series[_series_key(header)].append(header)
        if header.instance_uid:
            owners[header.instance_uid, header.frame].add(_series_key(header))
    groups = Groups(ambiguous={uid for (uid, _), keys in owners.items() if len(keys) > 1})
    for group in by_series.values():
        distinct = _without_copies(group, groups)
        for kind in _kinds(distinct, groups):
            groups.series += _parts(kind, groups)
    return groups


def _series_key(header: SliceHeader) -> tuple[str, ...]:
    who = header.patient_id, header.study_uid
    if header.series_uid:
        return *who, header.series_uid
    folder = str(Path(header.path).parent)
    return *who, folder, str(header.series_number), header.description


def _without_copies(group: Group, groups: Groups) -> Group:
    """Leave out slices that are there twice, by all that identifies them and by their pixels."""
    kept: Group = []
    seen: dict[tuple[object, ...], Group] = defaultdict(list)
    copies: dict[str, Group] = defaultdict(list)
    for header in group:
        key = header.instance_uid, header.frame, header.position, header.orientation
        original = next((one for one in seen[key] if _is_copy(one, header)), None)
        if original is None:
            seen[key].append(header)
            kept.append(header)
        else:
            copies[str(Path(original.path).parent)].append(header)
    for folder, copied in copies.items():
        groups.left_out.append((copied, f"the same image as one in {folder}"))
    return kept


def _is_copy(one: SliceHeader, other: SliceHeader) -> bool:
    try:
        return same_image(one, other)
    except InputError:  # one is damaged, which reading will tell
        return False


def _kinds(group: Group, groups: Groups) -> list[Group]:
    """Images of one size, orientation and spacing; a few beside a stack are left out."""
    kinds: list[Group] = []
    for header in group:
        for kind in kinds:
            if _same_kind(kind[0], header):
                kind.append(header)
                break
        else:
            kinds.append([header])
    scans = [kind for kind in kinds if len(kind) > FEW_SLICES]
    if not scans:
        return [group]
    few = [header for kind in kinds if len(kind) <= FEW_SLICES for header in kind]
    if few:
        sizes = ", ".join(sorted({f"{header.columns} x {header.rows}" for header in few})[:3])
        reason = (
            f"{len(few)} images ({sizes} pixels) of another size, direction or spacing than the "
            f"{max(map(len, scans))} slices of the series: scouts or stray images"
        )
        groups.left_out.append((few, reason))
    return scans


def _same_kind(one: SliceHeader, other: SliceHeader) -> bool:
    if (one.rows, one.columns) != (other.rows, other.columns):
        return False
    stated = (
        (*one.orientation, *one.pixel_spacing_mm),
        (*other.orientation, *other.pixel_spacing_mm),
    )
    return all(abs(a - b) <= SAME_DIRECTION for a, b in zip(*stated, strict=True))


def _parts(group: Group, groups: Groups) -> list[Group]:
    """The volumes of one series, images of one kind."""
    shared = _parted(group, 0, only_shared=True)
    if shared:
        return shared
    stack = stacked(group)
    if stack is not None:
        return [group]
    return _parted(group, 0, only_shared=False) or _main_stack(group, groups)


def _parted(group: Group, first_key: int, *, only_shared: bool) -> list[Group]:
    """Part slices by the first entry by which every part is a volume; empty where none is such.

    Args:
        group: Of one kind.
        first_key: Entries before this one have been tried.
        only_shared: Part only acquisitions that lie in the same stretch of the patient.
    """
    for key in range(first_key, ROUND_KEY + 1):
        values = list(_by_value(group, key).values())
        may_part = _overlap(values) if only_shared else _are_scans(values)
        if not may_part or (key >= FOLDER_KEY and not _is_there_twice(group)):
            continue
        parts = [_volumes(value, key + 1) for value in values]
        if all(parts):
            return [volume for part in parts for volume in part]
    return []


def _by_value(group: Group, key: int) -> dict[str, Group]:
    """Slices by the value of an entry, by folder, or by how often their number came before."""
    by_value: dict[str, Group] = defaultdict(list)
    if key != ROUND_KEY:
        for header in group:
            by_value[header.split_keys[key]].append(header)
        return by_value
    heights = _heights(group)
    if min(np.diff(np.sort(heights)), default=0.0) < SAME_POSITION_MM:
        return {"": group}  # two slices at one place: no telling which is of which volume
    rounds: dict[str, int] = defaultdict(int)
    for index in np.argsort(heights):
        number = group[index].instance_number
        by_value[str(rounds[number])].append(group[index])
        rounds[number] += 1
    return by_value


def _heights(group: Group) -> NDArray[np.float64]:
    """Of slices of one kind, along their normal, in mm."""
    row, column = np.reshape(group[0].orientation, (2, 3))
    return np.array([header.position for header in group]) @ np.cross(row, column)


def _volumes(group: Group, first_key: int) -> list[Group]:
    return _parted(group, first_key, only_shared=True) or ([group] if stacked(group) else [])


def _are_scans(parts: Sequence[Group]) -> bool:
    """Whether parts could be scans of their own, rather than pieces of one that lacks some."""
    return 1 < len(parts) <= MOST_SCANS and min(map(len, parts)) > FEW_SLICES


def _overlap(parts: Sequence[Group]) -> bool:
    """Whether parts share a stretch along the normal, by more than where they join."""
    if len(parts) < 2 or min(map(len, parts)) < 2:
        return False
    heights = _heights([header for part in parts for header in part])
    parted = np.split(np.asarray(heights), np.cumsum([len(part) for part in parts])[:-1])
    ends = sorted((part.min(), part.max(), np.diff(np.sort(part)).max()) for part in parted)
    for (low, high, gap), (next_low, next_high, next_gap) in itertools.pairwise(ends):
        joint = min(
            JOINT_SLICES * max(gap, next_gap),
            JOINT_SHARE * min(high - low, next_high - next_low),
        )
        if min(high, next_high) - next_low > joint:
            return True
    return False


def _is_there_twice(group: Group) -> bool:
    """Whether numbers, UIDs or places repeat, as they do where one series holds two."""
    stated = (
        [(one.instance_number, one.frame) for one in group if one.instance_number],
        [(one.instance_uid, one.frame) for one in group if one.instance_uid],
        [one.position for one in group],
    )
    return any(len(set(values)) < len(values) for values in stated)


def stacked(group: Group) -> Stack | None:
    """The volume that slices form; None where they form none or differ at one place."""
    try:
        stack = stack_slices(group, "")
        check_repeats(stack, "")
    except InputError:
        return None
    return stack


def _main_stack(group: Group, groups: Groups) -> list[Group]:
    """The one part that is a volume, where few slices beside it are none."""
    for key in range(FOLDER_KEY):
        by_value = _by_value(group, key)
        main = max(by_value.values(), key=len)
        few = len(group) - len(main)
        if 0 < few <= FEW_SLICES < len(main) and stacked(main):
            own = main[0].split_keys[key]
            strays = [header for header in group if header.split_keys[key] != own]
            stated = ", ".join(sorted({header.split_keys[key] or "none" for header in strays}))
            reason = (
                f"{few} slices that form no volume with the {len(main)} others of the series "
                f"({SPLIT_KEYWORDS[key]} {stated}, theirs {own or 'none'})"
            )
            groups.left_out.append((strays, reason))
            return [main]
    return [group]

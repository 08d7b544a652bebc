"""From the headers of DICOM slices to series, and from a series to its place in the patient.

Works on headers alone, so that discovery can tell a whole scan from a broken one without decoding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .affines import affine_from_lps, checked_affine
from .dicom_header import SliceHeader

SAME_POSITION_MM = 0.005
SAME_DIRECTION = 1e-3
MAX_SIDEWAYS_MM = 1.0  # slices of one stack lie on a line; vendors round positions to 0.1 mm
UNEVEN_SHARE = 0.1  # of the slice distance: rounding, not a missing slice
MAX_MISSING_IN_A_ROW = 2
MAX_MISSING_SHARE = 0.1
TILT_WORTH_SAYING_DEGREES = 0.1


@dataclass(frozen=True)
class Stack:
    """A series in order, with its gaps.

    Attributes:
        slices: By position along the normal, lowest first; one per position.
        indices: Where each of `slices` lies along K.
        num_slices: Along K, missing ones counted.
        repeats: Slices that lie where another one does: the one kept, the other.
        affine: `(4, 4)` (column, row, slice) to world mm, RAS+.
        warnings: What a result should repeat.
    """

    slices: list[SliceHeader]
    indices: list[int]
    num_slices: int
    repeats: list[tuple[SliceHeader, SliceHeader]]
    affine: NDArray[np.float64]
    warnings: list[str]


def group_series(headers: Iterable[SliceHeader]) -> list[list[SliceHeader]]:
    """Sort slices into series.

    By SeriesInstanceUID; where it is missing, by folder, series number and description. A file
    that is there twice counts once. A series in which several acquisitions (phases, kernels,
    energies) share their positions is parted by the first header entry that tells them apart.

    Returns:
        Series in the order in which their first slices came.
    """
    groups: dict[tuple[str, ...], list[SliceHeader]] = defaultdict(list)
    seen: set[tuple[str, int]] = set()
    for header in headers:
        if header.instance_uid and (header.instance_uid, header.frame) in seen:
            continue
        seen.add((header.instance_uid, header.frame))
        groups[_series_key(header)].append(header)
    return [part for group in groups.values() for part in _part_by_acquisition(group)]


def _series_key(header: SliceHeader) -> tuple[str, ...]:
    if header.series_uid:
        return header.study_uid, header.series_uid, header.patient_id
    folder = str(Path(header.path).parent)
    return header.study_uid, folder, str(header.series_number), header.description


def _part_by_acquisition(group: list[SliceHeader]) -> list[list[SliceHeader]]:
    if _all_places_differ(group):
        return [group]
    for key in range(len(group[0].split_keys)):
        parts: dict[str, list[SliceHeader]] = defaultdict(list)
        for header in group:
            parts[header.split_keys[key]].append(header)
        if len(parts) > 1 and all(
            len(part) > 1 and _all_places_differ(part) for part in parts.values()
        ):
            return list(parts.values())
    return [group]


def _all_places_differ(group: list[SliceHeader]) -> bool:
    places = {tuple(round(value, 2) for value in header.position) for header in group}
    return len(places) == len(group)


def stack_slices(series: list[SliceHeader], name: str) -> Stack:
    """Put the slices of one series in order and find their place.

    Args:
        series: All slices of the series, any order.
        name: Of the series, for errors.

    Returns:
        The stack; gaps of up to two slices are listed in its warnings, to be interpolated.

    Raises:
        InputError: If the slices do not form one volume; the message says what differs.
    """
    if len(series) < 2:
        msg = f"{name} must be a volume, got one slice; one slice is not a volume, give its series"
        raise InputError(msg)
    _check_same(series, name)
    rows = np.array(series[0].orientation).reshape(2, 3)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    normal = np.cross(rows[0], rows[1])
    ordered = sorted(series, key=lambda header: float(normal @ np.array(header.position)))
    slices, repeats = _drop_repeats(ordered)
    if len(slices) < 2:
        msg = f"{name} must be a volume, got {len(series)} slices at one position; export it again"
        raise InputError(msg)
    positions = np.array([header.position for header in slices])
    indices, warnings = _indices(positions @ normal, name)
    step = (positions[-1] - positions[0]) / indices[-1]
    _check_straight(positions, indices, step, name)
    warnings += _tilt_note(step, normal)
    if repeats:
        places = _places([float(normal @ np.array(other.position)) for _, other in repeats])
        warnings.append(f"Slices at {places} mm are there twice with equal pixels; dropped once.")
    row_mm, column_mm = series[0].pixel_spacing_mm[:2]
    columns = np.stack([rows[0] * column_mm, rows[1] * row_mm, step], axis=1)
    affine = checked_affine(affine_from_lps(columns, positions[0]), Path(name))
    return Stack(slices, indices, indices[-1] + 1, repeats, affine, warnings)


def _check_same(series: list[SliceHeader], name: str) -> None:
    first = series[0]
    if len(first.orientation) != 6 or len(first.position) != 3 or len(first.pixel_spacing_mm) < 2:
        msg = f"{name} must state position, orientation and spacing in full; export it again"
        raise InputError(msg)
    kinds = {
        "sizes": {f"{header.columns} x {header.rows}" for header in series},
        "pixel spacings": _distinct([header.pixel_spacing_mm for header in series]),
        "orientations": _distinct([header.orientation for header in series]),
    }
    for kind, values in kinds.items():
        if len(values) > 1:
            shown = ", ".join(sorted(values)[:3])
            got = f"{len(values)} {kind} ({shown})"
            msg = f"{name} must have slices of one kind, got {got}; put each kind in its own folder"
            raise InputError(msg)


def _distinct(rows: list[tuple[float, ...]]) -> set[str]:
    """Values that differ by more than rounding, as text."""
    kept: list[tuple[float, ...]] = []
    for row in rows:
        if not any(
            len(row) == len(other) and np.allclose(row, other, rtol=0, atol=SAME_DIRECTION)
            for other in kept
        ):
            kept.append(row)
    return {"/".join(f"{value:g}" for value in row) for row in kept}


def _drop_repeats(
    ordered: list[SliceHeader],
) -> tuple[list[SliceHeader], list[tuple[SliceHeader, SliceHeader]]]:
    slices = [ordered[0]]
    repeats = []
    for header in ordered[1:]:
        if math.dist(header.position, slices[-1].position) < SAME_POSITION_MM:
            repeats.append((slices[-1], header))
        else:
            slices.append(header)
    return slices, repeats


def _indices(heights: NDArray[np.float64], name: str) -> tuple[list[int], list[str]]:
    """Index of each slice along K: gaps of whole slices are counted, others refused."""
    gaps = np.diff(heights)
    distance = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # of two in the middle, the smaller
    if distance < SAME_POSITION_MM:
        msg = f"{name} must have slices one above the other, got them side by side; export it again"
        raise InputError(msg)
    steps = np.maximum(np.rint(gaps / distance), 1)
    uneven = np.abs(gaps - steps * distance) > UNEVEN_SHARE * distance * np.sqrt(steps)
    if uneven.any():
        at = int(np.argmax(uneven))
        msg = (
            f"{name} must have evenly spaced slices, got {gaps[at]:.2f} mm after position "
            f"{heights[at]:.2f} mm where others are {distance:.2f} mm apart; "
            "resample it to even slices or export it again"
        )
        raise InputError(msg)
    indices = np.concatenate([[0], np.cumsum(steps)]).astype(int)
    missing = sorted(set(range(int(indices[-1]) + 1)) - set(indices.tolist()))
    if not missing:
        return indices.tolist(), []
    height_mm = (heights[-1] - heights[0]) / indices[-1]
    places = _places([float(heights[0] + index * height_mm) for index in missing])
    too_long = int(steps.max()) - 1 > MAX_MISSING_IN_A_ROW
    if too_long or len(missing) > MAX_MISSING_SHARE * (indices[-1] + 1):
        msg = (
            f"{name} must be complete, got {len(missing)} missing of {indices[-1] + 1} slices, at "
            f"{places} mm; export the series again"
        )
        raise InputError(msg)
    note = f"{len(missing)} missing slices at {places} mm are interpolated from their neighbours."
    return indices.tolist(), [note]


def _check_straight(
    positions: NDArray[np.float64], indices: list[int], step: NDArray[np.float64], name: str
) -> None:
    # Along the stack a slice may be off by rounding: `_indices` has judged that already.
    off = positions - positions[0] - np.outer(indices, step)
    along = step / np.linalg.norm(step)
    sideways = np.linalg.norm(off - np.outer(off @ along, along), axis=1)
    if sideways.max() > MAX_SIDEWAYS_MM:
        msg = (
            f"{name} must have its slices on one line, got one {sideways.max():.1f} mm beside it; "
            "put each acquisition in its own folder"
        )
        raise InputError(msg)


def _tilt_note(step: NDArray[np.float64], normal: NDArray[np.float64]) -> list[str]:
    cosine = float(step @ normal) / float(np.linalg.norm(step))
    degrees = math.degrees(math.acos(min(1.0, cosine)))
    if degrees < TILT_WORTH_SAYING_DEGREES:
        return []
    return [f"The gantry is tilted by {degrees:.1f} degrees; the affine is sheared accordingly."]


def _places(heights: list[float]) -> str:
    shown = ", ".join(f"{height:g}" for height in np.round(heights[:5], 2))
    return shown if len(heights) <= 5 else f"{shown} and {len(heights) - 5} more"

"""From the headers of one series' DICOM slices to its order and its place in the patient.

Works on headers alone, so that discovery can tell a whole scan from a broken one without decoding.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..volumes.affines import affine_from_lps, checked_affine
from .dicom_header import SliceHeader

SAME_POSITION_MM = 0.005
SAME_DIRECTION = 1e-3
MAX_SIDEWAYS_MM = 1.0  # slices of one stack lie on a line; vendors round positions to 0.1 mm
UNEVEN_SHARE = 0.1  # of the slice distance: rounding, not a missing slice
MOST_UNEVEN_SHARE = 0.25  # of thin slices, of which rounding takes more
ROUNDING_MM = 0.055  # exporters round positions to 0.1 mm
FITS = 3
MAX_UNEVEN_MM = 10.0
MAX_UNEVEN_RATIO = 10.0
LISTED = 5
SAME_INDEX = 1e-6
DECIMALS = 9  # of positions in mm: takes off what the fit adds
MAX_MISSING_IN_A_ROW = 2
MAX_MISSING_SHARE = 0.1
TILT_WORTH_SAYING_DEGREES = 0.1


@dataclass(frozen=True)
class Stack:
    """A series in order, with its gaps.

    Attributes:
        slices: By position along the normal, lowest first; one per position.
        indices: Where each of `slices` lies along K, `(len(slices),)`; whole numbers unless the
            distances are uneven and the volume is interpolated to even ones.
        num_slices: Along K, missing ones counted.
        repeats: Slices that lie where another one does: the one kept, the other.
        affine: `(4, 4)` (column, row, slice) to world mm, RAS+.
        warnings: What a result should repeat.
    """

    slices: list[SliceHeader]
    indices: NDArray[np.float64]
    num_slices: int
    repeats: list[tuple[SliceHeader, SliceHeader]]
    affine: NDArray[np.float64]
    warnings: list[str]

    @property
    def is_even(self) -> bool:
        """Whether every slice lies at a whole index along K, so that none is moved."""
        return bool((self.indices == np.rint(self.indices)).all())


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
    origin, step = _line(positions, indices)
    _check_straight(positions, indices, name)
    warnings += _tilt_note(step, normal)
    if repeats:
        places = _places([float(normal @ np.array(other.position)) for _, other in repeats])
        warnings.append(f"Slices at {places} mm are there twice with equal pixels; dropped once.")
    uids = [(header.instance_uid, header.frame) for header in slices if header.instance_uid]
    if len(set(uids)) < len(uids):
        warnings.append("SOPInstanceUIDs repeat; the slices are told apart by their positions.")
    row_mm, column_mm = series[0].pixel_spacing_mm[:2]
    columns = np.stack([rows[0] * column_mm, rows[1] * row_mm, step], axis=1)
    affine = checked_affine(affine_from_lps(columns, origin), Path(name))
    return Stack(slices, indices, round(indices[-1]) + 1, repeats, affine, warnings)


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


def _indices(heights: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], list[str]]:
    """Where each slice lies along K: on a grid with few gaps, or between even places."""
    gaps = np.diff(heights)
    distance = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # of two in the middle, the smaller
    if distance < SAME_POSITION_MM:
        msg = f"{name} must have slices one above the other, got them side by side; export it again"
        raise InputError(msg)
    on_grid = _on_grid(heights, distance)
    if on_grid is not None and not _misses_much(on_grid):
        return on_grid, _missing_note(heights, on_grid)
    step = _finest_distance(gaps)
    if _joins_even_blocks(gaps, step):
        num_slices = round((heights[-1] - heights[0]) / step) + 1
        even = (heights[-1] - heights[0]) / (num_slices - 1)
        indices = (heights - heights[0]) / even
        whole = np.rint(indices)
        return np.where(np.abs(indices - whole) < SAME_INDEX, whole, indices), [
            f"Slices are {gaps.min():.2f} to {gaps.max():.2f} mm apart; they are interpolated to "
            f"{num_slices} even ones, {even:.2f} mm apart."
        ]
    if on_grid is not None:
        msg = f"{name} must be complete, got {_missing(heights, on_grid)}; export the series again"
        raise InputError(msg)
    at = int(np.argmax(np.abs(gaps - distance)))
    msg = (
        f"{name} must have evenly spaced slices, got {gaps[at]:.2f} mm after position "
        f"{heights[at]:.2f} mm where others are {distance:.2f} mm apart; "
        "resample it to even slices or export it again"
    )
    raise InputError(msg)


def _on_grid(heights: NDArray[np.float64], distance: float) -> NDArray[np.float64] | None:
    """Whole indices of slices that lie on an even grid, fitted to all; None where they do not."""
    for _ in range(FITS):
        steps = np.maximum(np.rint(np.diff(heights) / distance), 1)
        indices = np.concatenate([[0], np.cumsum(steps)])
        centred = indices - indices.mean()
        distance = float(centred @ heights / (centred @ centred))
    off = heights - heights.mean() - centred * distance
    allowed = min(max(UNEVEN_SHARE * distance, ROUNDING_MM), MOST_UNEVEN_SHARE * distance)
    return indices if np.abs(off).max() <= allowed + SAME_INDEX else None


def _misses_much(indices: NDArray[np.float64]) -> bool:
    num_missing = indices[-1] + 1 - len(indices)
    in_a_row = np.diff(indices).max() - 1
    return bool(
        in_a_row > MAX_MISSING_IN_A_ROW or num_missing > MAX_MISSING_SHARE * (indices[-1] + 1)
    )


def _missing_note(heights: NDArray[np.float64], indices: NDArray[np.float64]) -> list[str]:
    if len(indices) == indices[-1] + 1:
        return []
    return [f"{_missing(heights, indices)} are interpolated from their neighbours."]


def _missing(heights: NDArray[np.float64], indices: NDArray[np.float64]) -> str:
    """How many slices are missing, and where the first of them are."""
    total = round(indices[-1]) + 1
    count = total - len(indices)
    height_mm = (heights[-1] - heights[0]) / indices[-1]
    absent = itertools.islice(
        itertools.chain.from_iterable(
            range(round(below) + 1, round(above)) for below, above in itertools.pairwise(indices)
        ),
        count if count <= LISTED else LISTED,
    )
    shown = ", ".join(f"{round(heights[0] + index * height_mm, 2):g}" for index in absent)
    more = f" and {count - LISTED} more" if count > LISTED else ""
    return f"{count} missing of {total} slices, at {shown}{more} mm"


def _finest_distance(gaps: NDArray[np.float64]) -> float:
    """The smallest distance that a tenth of the gaps, and two at least, share."""
    fewest = max(2.0, len(gaps) / 10)
    for gap in np.sort(gaps):
        same = np.abs(gaps - gap) <= UNEVEN_SHARE * gap
        if same.sum() >= fewest:
            return float(gaps[same].mean())
    return float(np.median(gaps))


def _joins_even_blocks(gaps: NDArray[np.float64], step: float) -> bool:
    """Whether slices of two or more thicknesses adjoin, rather than that some are missing.

    A gap that is wider than both of its neighbours is a hole.
    """
    if len(gaps) < 2 or gaps.max() > min(MAX_UNEVEN_MM, MAX_UNEVEN_RATIO * step):
        return False
    before, after = np.r_[0.0, gaps[:-1]], np.r_[gaps[1:], 0.0]
    return bool((gaps <= (1 + UNEVEN_SHARE) * np.maximum(before, after)).all())


def _line(
    positions: NDArray[np.float64], indices: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Origin and step of the line that fits the slices best."""
    centred = indices - indices.mean()
    step = centred @ positions / (centred @ centred)
    origin = positions.mean(axis=0) - indices.mean() * step
    return np.round(origin, DECIMALS), np.round(step, DECIMALS)


def _check_straight(
    positions: NDArray[np.float64], indices: NDArray[np.float64], name: str
) -> None:
    # Along the stack a slice may be off by rounding: `_indices` has judged that already.
    step = (positions[-1] - positions[0]) / indices[-1]
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

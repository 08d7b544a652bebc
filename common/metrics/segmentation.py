"""How well one predicted label volume agrees with the truth, structure by structure.

| in the truth | in the prediction | Dice, surface Dice | surface distance | outcome |
|---|---|---|---|---|
| yes | yes | computed | computed | `found` |
| yes | no | 0 | none, would be infinite | `missed` |
| no | yes | 0 | none, would be infinite | `invented` |
| no | no | not counted (NaN) | not counted (NaN) | `absent` |

The numbers are those of MONAI's `compute_dice`, `compute_average_surface_distance` (symmetric) and
`compute_surface_dice` (without subvoxels), which look at one structure of one box at a time. Here
all surfaces are found in one pass over the volume, since a voxel is on a surface where one of its
six neighbours is named otherwise or lies outside; a k-d tree per structure measures distances. So
time and memory go with the surfaces, and a single stray voxel at the other end of the scan does
not make a structure as large as the scan.

Shapes: I J K voxels of the scan as stored, L structures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ..errors import InputError

TOLERANCE_MM = 3.0
"""Of the surface Dice; 3 mm is what TotalSegmentator's paper reports."""

Floats = NDArray[np.float64]
_ROUNDING_MM = 1e-6  # a distance of exactly the tolerance is within it


@dataclass(frozen=True)
class CaseScores:
    """Scores of one case, `(L,)` each.

    Attributes:
        dice: Twice the overlap over the sum of both volumes, in [0, 1].
        surface_distance_mm: Average symmetric surface distance: mean distance of all surface
            voxels of either volume to the other's surface. NaN where either is empty.
        surface_dice: Normalised surface Dice: share of those voxels within the tolerance, [0, 1].
        truth_ml: Volume in the truth.
        prediction_ml: Volume in the prediction.
    """

    dice: Floats
    surface_distance_mm: Floats
    surface_dice: Floats
    truth_ml: Floats
    prediction_ml: Floats


def score_case(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    *,
    num_classes: int,
    spacing_mm: Sequence[float],
    tolerance_mm: float = TOLERANCE_MM,
) -> CaseScores:
    """Score every structure of one case.

    Args:
        prediction: Labels `(I, J, K)`, 0 background, 1 to L structures; any other is ignored.
        truth: Likewise, on the same grid.
        num_classes: L.
        spacing_mm: Distance of neighbours along I, J and K.
        tolerance_mm: Up to which distance a surface voxel is right, at least 0.

    Raises:
        InputError: If the shapes differ or the tolerance is negative.
    """
    if prediction.shape != truth.shape or truth.ndim != 3:
        msg = (
            f"prediction and truth must have one shape (I, J, K), got {prediction.shape} and "
            f"{truth.shape}; bring them onto one grid first"
        )
        raise InputError(msg)
    if not tolerance_mm >= 0:
        msg = f"tolerance_mm must be at least 0, got {tolerance_mm}; {TOLERANCE_MM} is usual"
        raise InputError(msg)
    sizes = _counts(truth, prediction, num_classes)
    with np.errstate(invalid="ignore"):
        dice = 2 * sizes[2] / (sizes[0] + sizes[1])  # NaN where neither holds the structure
    surfaces = [_surfaces(labels, num_classes, spacing_mm) for labels in (prediction, truth)]
    distance_mm = np.full(num_classes, np.nan)
    within = np.where(np.isnan(dice), np.nan, 0.0)
    for index, (one, other) in enumerate(zip(*surfaces, strict=True)):
        if len(one) and len(other):
            apart = _distances(one, other)
            distance_mm[index] = apart.mean()
            within[index] = (apart <= tolerance_mm + _ROUNDING_MM).mean()
    volumes_ml = sizes[:2] * float(np.prod(np.asarray(spacing_mm, dtype=np.float64))) / 1000
    return CaseScores(dice, distance_mm, within, volumes_ml[0], volumes_ml[1])


def _counts(truth: NDArray[np.integer], prediction: NDArray[np.integer], num: int) -> Floats:
    """Voxels of each structure in the truth, in the prediction and in both, `(3, L)`."""
    counts = np.zeros((3, num + 1), dtype=np.int64)
    for k in range(truth.shape[2]):
        known, found = truth[:, :, k], prediction[:, :, k]
        for row, values in enumerate((known, found, known[known == found])):
            counts[row] += np.bincount(values.ravel(order="K"), minlength=num + 1)[: num + 1]
    return counts[:, 1:].astype(np.float64)


def _surfaces(labels: NDArray[np.integer], num: int, spacing_mm: Sequence[float]) -> list[Floats]:
    """Surface voxels of each structure, `(S, 3)` mm along I, J and K."""
    edge = np.zeros_like(labels, dtype=bool)
    for axis in range(3):
        ahead, along = np.moveaxis(labels, axis, 0), np.moveaxis(edge, axis, 0)
        differs = ahead[1:] != ahead[:-1]
        along[1:] |= differs
        along[:-1] |= differs
        along[[0, -1]] = True
    edge &= labels != 0
    stored: Literal["C", "F"] = "F" if edge.flags.f_contiguous else "C"
    places = np.flatnonzero(edge.ravel(order=stored))
    points = np.unravel_index(places, edge.shape, order=stored)
    numbers = labels[points]
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(1, num + 2))
    points_mm = np.stack(
        [axis[order] * float(step) for axis, step in zip(points, spacing_mm, strict=True)], axis=1
    )
    return [points_mm[start:end] for start, end in pairwise(ends)]


def _distances(one: Floats, other: Floats) -> Floats:
    """Distance of every point of either surface to the other surface, mm."""
    trees = KDTree(one), KDTree(other)
    return np.concatenate([trees[1].query(one)[0], trees[0].query(other)[0]])

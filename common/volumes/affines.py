"""Checks and conversions of affines that all readers share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SPACING_RANGE_MM = (0.01, 50.0)


def checked_affine(affine: NDArray[np.float64], path: Path | str) -> NDArray[np.float64]:
    """Return `affine` if it can place a CT scan.

    Args:
        affine: `(4, 4)` voxel index to world mm.
        path: Named in errors.

    Raises:
        InputError: If it is not finite, not invertible or not in millimetres.
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        msg = f"{path} must have a finite 4 x 4 affine, got {affine.tolist()}; convert it again"
        raise InputError(msg)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_RANGE_MM
    if spacing.min() < low or spacing.max() > high:
        got = " x ".join(f"{value:g}" for value in spacing)
        rule = f"have a voxel spacing of {low:g} to {high:g} mm"
        msg = f"{path} must {rule}, got {got}; convert it again"
        raise InputError(msg)
    if abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-3:
        msg = f"{path} must have an affine with three directions, got a flat one; convert it again"
        raise InputError(msg)
    return affine


def affine_from_lps(columns: ArrayLike, origin: ArrayLike) -> NDArray[np.float64]:
    """Build an affine in RAS+ from directions given in LPS+, as DICOM and NRRD state them.

    Args:
        columns: `(3, 3)`, column n is the step in mm of voxel axis n, LPS+.
        origin: Centre of the first voxel in mm, LPS+.

    Returns:
        `(4, 4)` voxel index to world mm, RAS+.
    """
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = origin
    return LPS_TO_RAS @ affine


def largest_distance_mm(
    first: NDArray[np.float64], second: NDArray[np.float64], shape: Sequence[int]
) -> float:
    """How far apart two affines put one voxel of a volume, at most; that is at a corner.

    Args:
        first: `(4, 4)` voxel index to world mm.
        second: Another.
        shape: Voxels along each axis.
    """
    corners = np.array([(*at, 1) for at in product(*((0, n - 1) for n in shape))], np.float64)
    return float(np.linalg.norm(corners @ (first - second).T, axis=1).max())

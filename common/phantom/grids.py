"""The output grid: from spacing, size and orientation, or from an affine as given."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .lattice import Lattice
from .patient import Patient

AXIS_DIRECTIONS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}
ORIENTATIONS: tuple[str, ...] = tuple(
    "".join(letters) for order in permutations(("RL", "AP", "SI")) for letters in product(*order)
)
"""All 48 ways to lay three axes along the body."""
_MAX_VOXELS = 2**31


def make_grid(
    patient: Patient,
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
    axcodes: str,
    affine: NDArray[np.float64] | None,
) -> Lattice:
    """The grid to fill, in world mm.

    Raises:
        InputError: If spacing, shape, axcodes or affine break a rule.
    """
    return grid_around(*body_box_mm(patient), spacing_mm, shape, axcodes, affine)


def grid_around(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
    axcodes: str,
    affine: NDArray[np.float64] | None,
) -> Lattice:
    """A grid around a box, or the one that is given.

    Args:
        low: Lowest world corner of the box, mm.
        high: Highest world corner, mm.
        spacing_mm: Voxel size along I, J, K.
        shape: Number of voxels; what holds the box if None.
        axcodes: Where I, J, K run to.
        affine: In place of box, spacing and axcodes; needs `shape`.

    Raises:
        InputError: If spacing, shape, axcodes or affine break a rule.
    """
    if shape is not None:
        shape = _checked_shape(shape)
    if affine is not None:
        if shape is None:
            msg = "shape must be given with affine, got None; add shape=(I, J, K)"
            raise InputError(msg)
        return Lattice(_checked_affine(affine), shape)
    spacing = np.asarray(spacing_mm, float)
    if spacing.shape != (3,) or not np.isfinite(spacing).all() or spacing.min() < 0.2:
        msg = f"spacing_mm must be three numbers of at least 0.2, got {spacing_mm}; give mm"
        raise InputError(msg)
    if axcodes.upper() not in ORIENTATIONS:
        msg = (
            f"axcodes must have one letter each of R/L, A/P and S/I, got {axcodes!r}; "
            "write for example LPS"
        )
        raise InputError(msg)
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    directions = [AXIS_DIRECTIONS[letter] for letter in axcodes.upper()]
    if shape is None:
        extents = [float(high[row] - low[row]) for row, _ in directions]
        shape = _checked_shape(
            tuple(max(1, round(e / s)) for e, s in zip(extents, spacing, strict=True))
        )
    for column, (row, sign) in enumerate(directions):
        matrix[row, column] = sign * spacing[column]
    middle = (np.asarray(shape) - 1) / 2
    matrix[:3, 3] = (low + high) / 2 - matrix[:3, :3] @ middle
    return Lattice(matrix, shape)


def body_box_mm(patient: Patient) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest world corner of the usual field of view around the patient."""
    fat = patient.fat_mm / patient.mean_scale
    wide = float(patient.profile.body_half_width.max()) + fat + 8
    deep = float(patient.profile.body_half_depth.max()) + fat + 8
    front = deep - 8 + (0.35 * patient.breast_mm)
    bottom, top = patient.scan_mm
    low = np.array([-wide, -deep - 14, bottom]) * patient.scale
    high = np.array([wide, front + 4, top]) * patient.scale
    return low, high


def _checked_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    whole = all(isinstance(n, int | np.integer) and n > 0 for n in shape)
    if len(shape) != 3 or not whole or np.prod([float(n) for n in shape]) > _MAX_VOXELS:
        msg = (
            "shape must be three whole numbers from 1 on with at most 2^31 voxels in all, "
            f"got {tuple(shape)}; give (I, J, K)"
        )
        raise InputError(msg)
    i, j, k = (int(n) for n in shape)
    return i, j, k


def _checked_affine(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.array(affine, np.float64)
    fits = matrix.shape == (4, 4) and np.isfinite(matrix).all()
    if not fits or abs(np.linalg.det(matrix[:3, :3])) < 1e-6 or (matrix[3] != (0, 0, 0, 1)).any():
        msg = (
            "affine must be an invertible 4 x 4 matrix that leads from voxel index to world mm, "
            f"got {np.asarray(affine).tolist()}; check its shape, its last row and its columns"
        )
        raise InputError(msg)
    return matrix

"""The output grid of a head, gantry tilt included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..grids import grid_around
from ..lattice import Lattice
from .build import Head

WIDEST_TILT_DEG = 30.0
FIELD_OF_VIEW_MM = (206.0, 244.0)
"""Usual field of view from side to side and from back to front, in reference mm."""
_BACK_SHARE = 0.545


def make_head_grid(
    head: Head,
    spacing_mm: tuple[float, float, float],
    shape: tuple[int, int, int] | None,
    axcodes: str,
    affine: NDArray[np.float64] | None,
    gantry_tilt_deg: float,
) -> Lattice:
    """The grid to fill, in world mm.

    Raises:
        InputError: If spacing, shape, axcodes, affine or tilt break a rule.
    """
    if not -WIDEST_TILT_DEG <= gantry_tilt_deg <= WIDEST_TILT_DEG:
        msg = (
            f"gantry_tilt_deg must be within -{WIDEST_TILT_DEG:.0f} and {WIDEST_TILT_DEG:.0f}, "
            f"got {gantry_tilt_deg}; gantries lean no farther"
        )
        raise InputError(msg)
    low, high = head_box_mm(head)
    lattice = grid_around(low, high, spacing_mm, shape, axcodes, affine)
    if not gantry_tilt_deg or affine is not None:
        return lattice
    return _leant(lattice, gantry_tilt_deg)


def head_box_mm(head: Head) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest world corner of the usual field of view around the head."""
    wide, deep = FIELD_OF_VIEW_MM
    bottom, top = head.scan_mm
    low = np.array([-0.5 * wide, -_BACK_SHARE * deep, bottom]) * head.scale
    high = np.array([0.5 * wide, (1 - _BACK_SHARE) * deep, top]) * head.scale
    return low, high


def _leant(lattice: Lattice, tilt_deg: float) -> Lattice:
    """Turn the directions within a slice about x; those from slice to slice stay along z."""
    angle = np.deg2rad(tilt_deg)
    matrix = lattice.matrix.copy()
    middle = (np.asarray(lattice.shape) - 1) / 2
    centre = matrix[:3, :3] @ middle + matrix[:3, 3]
    for column in range(3):
        along = matrix[1, column]
        if along:
            matrix[1:3, column] = along * np.cos(angle), along * np.sin(angle)
    matrix[:3, 3] = centre - matrix[:3, :3] @ middle
    return Lattice(matrix, lattice.shape)

"""Distances that are worked out only where they matter."""

from __future__ import annotations

import numpy as np

from ..compounds import FAR_MM
from ..solids import F32, Bounds, Shape, Tube


def distance_near(shape: Shape, x: F32, y: F32, z: F32, reach_mm: float = 8.0) -> F32:
    """Distance to a shape, right where it is less than `reach_mm`, else at least that.

    Args:
        shape: What; a tube is taken piece by piece.
        x: Points, flat, mm.
        y: Points, flat, mm.
        z: Points, flat, mm.
        reach_mm: How near.

    Returns:
        Distances, at most `FAR_MM`.
    """
    found = np.full(x.shape, np.float32(FAR_MM))
    for piece in shape.pieces() if isinstance(shape, Tube) else (shape,):
        where = _near(piece.bounds(), x, y, z, reach_mm)
        if where.size:
            distance = piece.distance(x[where], y[where], z[where])
            found[where] = np.minimum(found[where], distance)
    return found


def _near(bounds: Bounds, x: F32, y: F32, z: F32, reach_mm: float) -> np.ndarray:
    inside = np.ones(x.shape, bool)
    for values, low, high in zip((x, y, z), *bounds, strict=True):
        middle, half = 0.5 * (low + high), 0.5 * (high - low) + reach_mm
        inside &= np.abs(values - np.float32(middle)) < np.float32(half)
    return np.flatnonzero(inside)

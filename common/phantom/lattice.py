"""Regular grids of points: where each voxel lies, and which voxels a box touches.

The phantom is drawn on two grids. Large smooth shapes live on a coarse grid that takes every
n-th voxel of the output, about 3 mm apart; their distances are read in between linearly, so
edges stay sharp. Small shapes are drawn on the output grid inside their own box. Both grids run
along the output's own axes, so any orientation, oblique angle or shear is handled alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .solids import F32, Bounds

Window = tuple[slice, slice, slice]
Affine = NDArray[np.float64]


@dataclass(frozen=True)
class Lattice:
    """Points `matrix @ (i, j, k, 1)` for all indices within `shape`.

    Attributes:
        matrix: `(4, 4)`, index to position in mm.
        shape: Number of points along I, J, K.
    """

    matrix: Affine
    shape: tuple[int, int, int]
    inverse: Affine = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inverse", np.linalg.inv(self.matrix))

    def window(self, bounds: Bounds, margin_mm: float = 0.0) -> Window | None:
        """Indices of the box that holds `bounds`, or None where it misses the grid."""
        low, high = np.asarray(bounds[0]) - margin_mm, np.asarray(bounds[1]) + margin_mm
        centre, half = (low + high) / 2, (high - low) / 2
        middle = self.inverse[:3, :3] @ centre + self.inverse[:3, 3]
        reach = np.abs(self.inverse[:3, :3]) @ half
        start = np.maximum(np.floor(middle - reach).astype(int), 0)
        stop = np.minimum(np.ceil(middle + reach).astype(int) + 1, self.shape)
        if (start >= stop).any():
            return None
        i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
        return i, j, k

    def whole(self) -> Window:
        """Indices of every point."""
        i, j, k = (slice(0, n) for n in self.shape)
        return i, j, k

    def coordinates(self, window: Window) -> tuple[F32, F32, F32]:
        """Positions in mm; axes along which a coordinate does not change have length 1."""
        steps = [
            np.arange(part.start, part.stop).reshape(
                -1 if a == 0 else 1, -1 if a == 1 else 1, -1 if a == 2 else 1
            )
            for a, part in enumerate(window)
        ]
        x, y, z = (self._coordinate(row, steps) for row in range(3))
        return x, y, z

    def _coordinate(self, row: int, steps: list[NDArray[np.int64]]) -> F32:
        weights = self.matrix[row]
        largest = np.abs(weights[:3]).max()
        total = np.full((1, 1, 1), weights[3], np.float32)
        for weight, step in zip(weights[:3], steps, strict=True):
            if abs(weight) > 1e-6 * largest:
                total = total + (weight * step).astype(np.float32)
        return total

    def coarser(self, step_mm: float) -> tuple[Lattice, tuple[int, int, int]]:
        """Every n-th point, at most about `step_mm` apart, reaching past the last point."""
        spacing = np.linalg.norm(self.matrix[:3, :3], axis=0)
        i, j, k = (max(1, round(step_mm / s)) for s in spacing)
        strides = (i, j, k)
        shape = tuple(-(-(n - 1) // s) + 1 for n, s in zip(self.shape, strides, strict=True))
        matrix = self.matrix.copy()
        matrix[:3, :3] *= strides
        return Lattice(matrix, shape), strides  # type: ignore[arg-type]


def refine(plane: F32, strides: tuple[int, int], shape: tuple[int, int]) -> F32:
    """Read a coarse plane at all points in between, linearly.

    Args:
        plane: Coarse values `(j, k)`.
        strides: Fine points per coarse step along both axes.
        shape: Fine points wanted, `(J, K)`.

    Returns:
        Values `(J, K)`.
    """
    tall = _refine_rows(plane, strides[0])[: shape[0]]
    if strides[1] == 1:
        return tall[:, : shape[1]]
    wide = np.empty((tall.shape[0], (tall.shape[1] - 1) * strides[1] + 1), np.float32)
    wide[:, :: strides[1]] = tall
    rise = np.diff(tall, axis=1) * np.float32(1 / strides[1])
    for step in range(1, strides[1]):
        tall = tall[:, : rise.shape[1]] + rise
        wide[:, step :: strides[1]] = tall
    return wide[:, : shape[1]]


def _refine_rows(plane: F32, stride: int) -> F32:
    if stride == 1:
        return plane
    tall = np.empty(((plane.shape[0] - 1) * stride + 1, plane.shape[1]), np.float32)
    tall[::stride] = plane
    rise = np.diff(plane, axis=0) * np.float32(1 / stride)
    for step in range(1, stride):
        plane = plane[: rise.shape[0]] + rise
        tall[step::stride] = plane
    return tall

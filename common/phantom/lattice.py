"""Regular grids of points: where each voxel lies, and which voxels a box touches.

The phantom is drawn on two grids. Large smooth shapes live on a coarse grid that takes every
n-th voxel of the output, about 3 mm apart; their distances are read in between linearly, so
edges stay sharp. Small shapes are drawn on the output grid inside their own box. Both grids run
along the output's own axes, so any orientation, oblique angle or shear is handled alike.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, floor

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
        (low_x, low_y, low_z), (high_x, high_y, high_z) = bounds
        middle = (0.5 * (low_x + high_x), 0.5 * (low_y + high_y), 0.5 * (low_z + high_z))
        half = (
            0.5 * (high_x - low_x) + margin_mm,
            0.5 * (high_y - low_y) + margin_mm,
            0.5 * (high_z - low_z) + margin_mm,
        )
        parts = []
        for (a, b, c, offset), size in zip(self._inverse_rows, self.shape, strict=True):
            centre = a * middle[0] + b * middle[1] + c * middle[2] + offset
            reach = abs(a) * half[0] + abs(b) * half[1] + abs(c) * half[2]
            start, stop = max(floor(centre - reach), 0), min(ceil(centre + reach) + 1, size)
            if start >= stop:
                return None
            parts.append(slice(start, stop))
        return parts[0], parts[1], parts[2]

    def whole(self) -> Window:
        """Indices of every point."""
        i, j, k = (slice(0, n) for n in self.shape)
        return i, j, k

    def coordinates(self, window: Window) -> tuple[F32, F32, F32]:
        """Positions in mm; axes along which a coordinate does not change have length 1."""
        x, y, z = (_sum_over(terms, window) for terms in self._terms)
        return x, y, z

    @cached_property
    def _inverse_rows(self) -> list[list[float]]:
        """First three rows of the inverse, as plain numbers."""
        rows: list[list[float]] = self.inverse[:3].tolist()
        return rows

    @cached_property
    def _terms(self) -> list[list[tuple[int, F32]]]:
        """Per coordinate: the axes it changes along and what each adds, the offset included."""
        return [self._terms_of(self.matrix[row]) for row in range(3)]

    def _terms_of(self, weights: NDArray[np.float64]) -> list[tuple[int, F32]]:
        largest = np.abs(weights[:3]).max()
        offset, terms = float(weights[3]), []
        for axis, size in enumerate(self.shape):
            if abs(weights[axis]) > 1e-6 * largest:
                values = (weights[axis] * np.arange(size) + offset).astype(np.float32)
                terms.append((axis, values.reshape([-1 if a == axis else 1 for a in range(3)])))
                offset = 0.0
        return terms

    def coarser(self, step_mm: float) -> tuple[Lattice, tuple[int, int, int]]:
        """Every n-th point, at most about `step_mm` apart, reaching past the last point."""
        spacing = np.linalg.norm(self.matrix[:3, :3], axis=0)
        i, j, k = (max(1, round(step_mm / s)) for s in spacing)
        strides = (i, j, k)
        shape = tuple(-(-(n - 1) // s) + 1 for n, s in zip(self.shape, strides, strict=True))
        matrix = self.matrix.copy()
        matrix[:3, :3] *= strides
        return Lattice(matrix, shape), strides


def _sum_over(terms: list[tuple[int, F32]], window: Window) -> F32:
    every = slice(None)
    total: F32 | None = None
    for axis, values in terms:
        part = values[tuple(window[a] if a == axis else every for a in range(3))]
        total = part if total is None else total + part
    assert total is not None  # an invertible matrix has no row of zeros
    return total


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


def read_between(field: F32, window: Window, strides: tuple[int, int, int]) -> F32:
    """Read a field on every n-th point of a fine grid within a window of that grid, linearly."""
    cuts = [
        slice(w.start // s, -(-(w.stop - 1) // s) + 1) for w, s in zip(window, strides, strict=True)
    ]
    near = field[cuts[0], cuts[1], cuts[2]]
    offsets = [w.start - c.start * s for w, c, s in zip(window, cuts, strides, strict=True)]
    size = tuple(w.stop - w.start for w in window)
    values = np.empty(size, np.float32)
    flat = (strides[1], strides[2])
    fine = (offsets[1] + size[1], offsets[2] + size[2])
    planes: dict[int, F32] = {}
    for i in range(size[0]):
        n, share = divmod(offsets[0] + i, strides[0])
        for wanted in (n, n + 1) if share else (n,):
            if wanted not in planes:
                planes[wanted] = refine(near[wanted], flat, fine)[offsets[1] :, offsets[2] :]
        values[i] = planes[n]
        if share:
            values[i] += (planes[n + 1] - planes[n]) * np.float32(share / strides[0])
        planes.pop(n - 1, None)
    return values

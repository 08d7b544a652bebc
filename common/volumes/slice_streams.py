"""Output slices made one by one from stored slices, for parallel and for tilted grids.

Shapes: S M F are the axes of the stored array in the order in which a stream works on them: it
steps along S, blends rows along M, then columns along F. `'` marks the output's lengths.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .linear_blend import Taps, row_blend, slab_blend, taps, transposed


@dataclass(frozen=True)
class Values:
    """How stored values become output values: `clip(stored * scale + offset, low, high)`.

    Attributes:
        scale: Output per stored unit.
        offset: Output of the stored value 0.
        low: Least output value.
        high: Greatest output value.
        padding: Output where there is no scan.
    """

    scale: float
    offset: float
    low: float
    high: float
    padding: float


class SliceStream(Protocol):
    """What makes output slices."""

    values: Values

    def slice(self, number: int) -> NDArray[np.float32]:
        """Output slice `number` along S, `(F', M')`, stored values times scale."""

    def order(self) -> range:
        """Output slices in the order in which they are best made."""


class ParallelSlices:
    """Slices of a grid whose axes are parallel to the stored ones.

    The stored slices are blended either before the rows and columns are (cheap if many are
    skipped or merged) or after (cheap if there are fewer stored than output slices).
    """

    def __init__(
        self,
        stored: NDArray[Any],
        taps: tuple[Taps, Taps, Taps],
        values: Values,
        wait: Callable[[int], None],
    ) -> None:
        self.stored = stored
        self.slow, self.middle, self.fast = taps
        self.values = values
        self.wait = wait
        needed = np.union1d(self.slow.lower, self.slow.upper).size
        self.blend_first = needed >= len(self.slow.lower)
        rows, columns = len(self.middle.lower), len(self.fast.lower)
        self.turned = np.empty((stored.shape[2], rows), dtype=np.float32)
        self.fast_blend = row_blend(self.fast)
        self.held = [-1, -1]  # which stored slice each half of `pair` holds
        if self.blend_first:
            self.pair = np.zeros((2, *stored.shape[1:]), dtype=np.float32)
            self.middle_blend = slab_blend(self.middle)
            self.weights = np.stack([1 - self.middle.weight, self.middle.weight], axis=1)
        else:
            self.pair = np.zeros((2, columns, rows), dtype=np.float32)
            self.middle_blend = row_blend(self.middle)
            self.middle_blend.data *= np.float32(values.scale)
            self.raw = np.empty(stored.shape[1:], dtype=np.float32)

    def _in_plane(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows blended, columns not yet: `(M', F)` to `(F', M')`."""
        plane: NDArray[np.float32] = self.fast_blend @ transposed(rows, self.turned)
        return plane

    def _hold(self, index: int) -> None:
        """Bring stored slice `index` into its half of `pair`; neighbours differ in parity."""
        half = index % 2
        if self.held[half] == index:
            return
        self.wait(index + 1)
        if self.blend_first:
            np.copyto(self.pair[half], self.stored[index], casting="unsafe")
        else:
            np.copyto(self.raw, self.stored[index], casting="unsafe")
            self.pair[half] = self._in_plane(self.middle_blend @ self.raw)
        self.held[half] = index

    def slice(self, number: int) -> NDArray[np.float32]:
        """Output slice `number` along the slow axis, `(F', M')`, before the window."""
        lower, weight = int(self.slow.lower[number]), self.slow.weight[number]
        self._hold(lower)
        if weight > 0:
            self._hold(lower + 1)
        of_half = (1 - weight, weight) if lower % 2 == 0 else (weight, 1 - weight)
        if not self.blend_first:
            plane: NDArray[np.float32] = self.pair[0] * of_half[0]
            plane += self.pair[1] * of_half[1]
            return plane
        scale = np.float32(self.values.scale)
        data = self.middle_blend.data.reshape(-1, 2, 2)
        for half in (0, 1):
            np.multiply(self.weights, of_half[half] * scale, out=data[:, half])
        pair = self.pair.reshape(-1, self.pair.shape[2])
        return self._in_plane(self.middle_blend @ pair)

    def order(self) -> range:
        """Output slices in the order in which their stored slices lie in memory."""
        count = len(self.slow.lower)
        backwards = count > 1 and self.slow.lower[0] > self.slow.lower[-1]
        return range(count - 1, -1, -1) if backwards else range(count)


class TiltedSlices:
    """Slices of a grid that shares a plane with the stored one, as after a gantry tilt.

    Along the axis where both part, here M, the stored position also depends on the number of the
    output slice, so the row blend differs from slice to slice. What lies more than half a voxel
    outside the stored box is padding.

    Args:
        stored: `(S, M, F)`.
        lines: Step and start along each of S, M, F; output index to stored index.
        tilt: Stored steps along M per output step along S.
        spans: First and last-plus-one output index along each of S, M, F.
        values: Rescale and window.
    """

    def __init__(
        self,
        stored: NDArray[Any],
        lines: NDArray[np.float64],
        tilt: float,
        spans: tuple[tuple[int, int], ...],
        values: Values,
    ) -> None:
        self.stored = stored
        self.values = values
        self.middle_line, self.middle_span, self.tilt = lines[1], spans[1], tilt
        self.first = spans[0][0]
        self.slow, self.fast = (taps(lines[n], spans[n], stored.shape[n]) for n in (0, 2))
        self.no_slice, self.no_column = (
            _outside(lines[n], spans[n], stored.shape[n]) for n in (0, 2)
        )
        self.fast_blend = row_blend(self.fast)
        self.pair = np.zeros((2, *stored.shape[1:]), dtype=np.float32)
        self.held = [-1, -1]
        rows = spans[1][1] - spans[1][0]
        self.turned = np.empty((stored.shape[2], rows), dtype=np.float32)

    def slice(self, number: int) -> NDArray[np.float32]:
        """Output slice `number` along S, `(F', M')`, stored values times scale."""
        lower, weight = int(self.slow.lower[number]), self.slow.weight[number]
        for index in (lower, lower + 1) if weight > 0 else (lower,):
            if self.held[index % 2] != index:
                np.copyto(self.pair[index % 2], self.stored[index], casting="unsafe")
                self.held[index % 2] = index
        line = self.middle_line + np.array([0.0, self.tilt * (number + self.first)])
        middle = taps(line, self.middle_span, self.stored.shape[1])
        of_half = (1 - weight, weight) if lower % 2 == 0 else (weight, 1 - weight)
        blend = slab_blend(middle)
        share = np.stack([1 - middle.weight, middle.weight], axis=1)
        data = blend.data.reshape(-1, 2, 2)
        for half in (0, 1):
            np.multiply(share, of_half[half] * np.float32(self.values.scale), out=data[:, half])
        rows = blend @ self.pair.reshape(-1, self.pair.shape[2])
        plane: NDArray[np.float32] = self.fast_blend @ transposed(rows, self.turned)
        padding = np.float32(self.values.padding - self.values.offset)
        plane[:, _outside(line, self.middle_span, self.stored.shape[1])] = padding
        plane[self.no_column] = padding
        if self.no_slice[number]:
            plane[:] = padding
        return plane

    def order(self) -> range:
        """All slices; the stored array is whole, so any order will do."""
        return range(len(self.slow.lower))


def _outside(
    line: NDArray[np.float64], span: tuple[int, int], stored_length: int
) -> NDArray[np.bool_]:
    """Which output voxels lie more than half a voxel outside the stored box."""
    at = line[0] * np.arange(*span) + line[1]
    return np.asarray((at < -0.5) | (at > stored_length - 0.5))

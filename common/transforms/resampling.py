"""Trilinear resampling from stored voxels straight to network input, one slice at a time.

The whole of orient, crop, resample, rescale, window and pad is one pass that writes each output
voxel once. No float copy of the scan is made: beside the stored scan and the result only a few
slices exist, so the working set stays in the processor's cache. Everything runs on the calling
thread; loader workers, not this code, spread scans over cores.

Trilinear interpolation is separable where the axes of both grids are parallel: blend two stored
slices, then rows, then columns. Rows are blended by a sparse matrix with two entries per output
row, which reads and writes every value once. Where the axes are not parallel (gantry tilt), scipy
interpolates voxel by voxel, in slabs.

Shapes: S M F are the axes of the stored array from the slowest to the fastest in memory; D H W
are the axes of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage, sparse

Inside = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

PARALLEL_VOXELS = 1e-3
"""Axes count as parallel if dropping the rest moves no voxel by more than this many voxels."""

_BLOCK = 16  # slices gathered before they are written across the fastest axis of the result
_SLAB = 8


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


@dataclass(frozen=True)
class _Taps:
    """Along one stored axis: output voxel `o` is `(1 - weight) * lower + weight * (lower + 1)`."""

    lower: NDArray[np.intp]
    weight: NDArray[np.float32]
    stored_length: int

    @property
    def upper(self) -> NDArray[np.intp]:
        return np.minimum(self.lower + 1, self.stored_length - 1)


def parallel_axes(
    matrix: NDArray[np.float64], inside: Inside
) -> tuple[list[int], NDArray[np.float64]] | None:
    """Which result axis runs along each stored axis, or None if they are not parallel.

    Args:
        matrix: `(4, 4)` result index to stored index.
        inside: Part of the result that the scan covers.

    Returns:
        For each stored axis the result axis, and `(3, 2)` step and start: stored index along that
        axis is `step * result index + start`.
    """
    linear = matrix[:3, :3]
    axis_of = [int(np.abs(row).argmax()) for row in linear]
    if sorted(axis_of) != [0, 1, 2]:
        return None
    bounds = np.asarray(inside, dtype=np.float64)
    middle, half = (bounds.sum(axis=1) - 1) / 2, (bounds[:, 1] - bounds[:, 0] - 1) / 2
    lines = np.empty((3, 2))
    for stored, axis in enumerate(axis_of):
        rest = linear[stored].copy()
        rest[axis] = 0.0
        if np.abs(rest) @ np.maximum(half, 0) > PARALLEL_VOXELS:
            return None
        lines[stored] = linear[stored, axis], matrix[stored, 3] + rest @ middle
    return axis_of, lines


def _taps(line: NDArray[np.float64], span: tuple[int, int], stored_length: int) -> _Taps:
    """Neighbours and weights; beyond the first and last voxel the edge goes on."""
    at = line[0] * np.arange(*span) + line[1]
    at = np.clip(at, 0, stored_length - 1)
    lower = np.minimum(np.floor(at).astype(np.intp), max(stored_length - 2, 0))
    return _Taps(lower, (at - lower).astype(np.float32), stored_length)


def _row_blend(taps: _Taps) -> sparse.csr_matrix:
    """`(outputs, stored)` matrix that blends rows, two entries per row."""
    rows = len(taps.lower)
    columns = np.stack([taps.lower, taps.upper], axis=1).astype(np.int32)
    data = np.stack([1 - taps.weight, taps.weight], axis=1)
    starts = np.arange(0, 2 * rows + 1, 2, dtype=np.int32)
    shape = (rows, taps.stored_length)
    return sparse.csr_matrix((data.ravel(), columns.ravel(), starts), shape=shape)


def _slab_blend(taps: _Taps) -> sparse.csr_matrix:
    """`(outputs, 2 * stored)`: blends rows of two slices at once, entries set per slice pair."""
    rows = len(taps.lower)
    columns = np.stack([taps.lower, taps.upper], axis=1)
    columns = np.concatenate([columns, columns + taps.stored_length], axis=1).astype(np.int32)
    starts = np.arange(0, 4 * rows + 1, 4, dtype=np.int32)
    data = np.zeros(4 * rows, dtype=np.float32)
    return sparse.csr_matrix((data, columns.ravel(), starts), shape=(rows, 2 * taps.stored_length))


def _transposed(plane: NDArray[np.float32], buffer: NDArray[np.float32]) -> NDArray[np.float32]:
    """`plane.T` as a contiguous array in `buffer`; torch does it in cache-sized blocks."""
    torch.from_numpy(buffer).copy_(torch.from_numpy(plane).t())
    return buffer


class _Slices:
    """Yields output slices, in the order the stored ones arrive.

    The stored slices are blended either before the rows and columns are (cheap if many are
    skipped or merged) or after (cheap if there are fewer stored than output slices).
    """

    def __init__(
        self,
        stored: NDArray[Any],
        taps: tuple[_Taps, _Taps, _Taps],
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
        self.fast_blend = _row_blend(self.fast)
        self.held = [-1, -1]  # which stored slice each half of `pair` holds
        if self.blend_first:
            self.pair = np.zeros((2, *stored.shape[1:]), dtype=np.float32)
            self.middle_blend = _slab_blend(self.middle)
            self.weights = np.stack([1 - self.middle.weight, self.middle.weight], axis=1)
        else:
            self.pair = np.zeros((2, columns, rows), dtype=np.float32)
            self.middle_blend = _row_blend(self.middle)
            self.middle_blend.data *= np.float32(values.scale)
            self.raw = np.empty(stored.shape[1:], dtype=np.float32)

    def _in_plane(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Rows blended, columns not yet: `(M', F)` to `(F', M')`."""
        plane: NDArray[np.float32] = self.fast_blend @ _transposed(rows, self.turned)
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


def _write_slices(inside: NDArray[np.float32], slices: _Slices) -> None:
    """Window all slices and write them into the result.

    Args:
        inside: The part of the result that the scan covers, axes ordered as S M F.
        slices: Where they come from.
    """
    values = slices.values
    offset, low, high = (np.float32(v) for v in (values.offset, values.low, values.high))
    slow, middle, fast = inside.strides
    size = _BLOCK if slow < min(middle, fast) else 1
    rows, columns = inside.shape[1:]
    turned = np.empty((rows, columns), dtype=np.float32) if middle > fast else None
    block = np.empty((size, rows, columns) if middle > fast else (size, columns, rows), np.float32)
    order = slices.order()
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        first = min(numbers)
        for number in numbers:
            plane = slices.slice(number)
            plane += offset
            target = inside[number] if size == 1 else block[number - first]
            if turned is not None:
                plane = _transposed(plane, turned)
            elif size == 1:
                target = target.T
            np.clip(plane, low, high, out=target)
        if size > 1:
            done = block[: len(numbers)]
            done = done if turned is not None else done.transpose(0, 2, 1)
            np.copyto(inside[first : first + len(numbers)], done)


def _fill_parallel(
    result: NDArray[np.float32],
    inside: Inside,
    voxels: NDArray[Any],
    axes: tuple[list[int], NDArray[np.float64]],
    values: Values,
    wait: Callable[[int], None],
) -> None:
    """Resample where the axes of the stored array and of the result are parallel."""
    axis_of, lines = axes
    memory = sorted(range(3), key=lambda axis: -abs(voxels.strides[axis]))
    taps = [
        _taps(lines[stored], inside[axis_of[stored]], voxels.shape[stored]) for stored in memory
    ]
    slices = _Slices(voxels.transpose(memory), (taps[0], taps[1], taps[2]), values, wait)
    covered = result[tuple(slice(*span) for span in inside)]
    _write_slices(covered.transpose([axis_of[stored] for stored in memory]), slices)


def _fill_oblique(
    result: NDArray[np.float32],
    inside: Inside,
    voxels: NDArray[Any],
    matrix: NDArray[np.float64],
    values: Values,
) -> None:
    """Resample where they are not, in slabs along D; outside the stored box lies padding."""
    (start, stop), rows, columns = inside
    voxels = voxels if voxels.dtype.isnative else voxels.astype(voxels.dtype.newbyteorder("="))
    for first in range(start, stop, _SLAB):
        last = min(first + _SLAB, stop)
        corner = np.array([first, rows[0], columns[0]], dtype=np.float64)
        begin = matrix[:3, :3] @ corner + matrix[:3, 3]
        slab = np.empty((last - first, rows[1] - rows[0], columns[1] - columns[0]), np.float32)
        ndimage.affine_transform(
            voxels, matrix[:3, :3], begin, slab.shape, slab, order=1, mode="nearest"
        )
        slab *= np.float32(values.scale)
        slab += np.float32(values.offset)
        np.clip(slab, np.float32(values.low), np.float32(values.high), out=slab)
        steps = np.ogrid[tuple(slice(0, n) for n in slab.shape)]
        for stored, length in enumerate(voxels.shape):
            at = begin[stored] + sum(m * o for m, o in zip(matrix[stored], steps, strict=False))
            slab[(at < -0.5) | (at > length - 0.5)] = values.padding
        result[first:last, slice(*rows), slice(*columns)] = slab


def _pad(result: NDArray[np.float32], inside: Inside, padding: float) -> None:
    """Fill what lies outside `inside`, each voxel once."""
    part: list[slice] = [slice(None)] * 3
    for axis, (start, stop) in enumerate(inside):
        for span in (slice(0, start), slice(stop, None)):
            part[axis] = span
            result[tuple(part)] = padding
        part[axis] = slice(start, stop)


def resample(
    voxels: NDArray[Any],
    matrix: NDArray[np.float64],
    shape: tuple[int, int, int],
    inside: Inside,
    values: Values,
    wait_until_filled: Callable[[int], None] = lambda _stop: None,
) -> NDArray[np.float32]:
    """Stored voxels on another grid, in output values.

    Args:
        voxels: Stored values `(I, J, K)`, any real dtype, any memory order.
        matrix: `(4, 4)` result index to stored index.
        shape: Shape of the result.
        inside: First and last-plus-one result index per axis that the scan covers; the rest is
            padding. Within it, a point beyond the outermost voxel takes the value of the edge.
        values: Rescale, window and padding.
        wait_until_filled: Returns once the first `n` slices along the slowest axis are final.

    Returns:
        `shape`, float32, C order.
    """
    result = np.empty(shape, dtype=np.float32)
    _pad(result, inside, values.padding)
    axes = parallel_axes(matrix, inside)
    if axes is None:
        wait_until_filled(max(voxels.shape))
        _fill_oblique(result, inside, voxels, matrix, values)
    else:
        _fill_parallel(result, inside, voxels, axes, values, wait_until_filled)
    return result

"""Trilinear resampling from stored voxels straight to network input, one slice at a time.

The whole of orient, crop, resample, rescale, window and pad is one pass that writes each output
voxel once. No float copy of the scan is made: beside the stored scan and the result only a few
slices exist, so the working set stays in the processor's cache. Everything runs on the calling
thread; loader workers, not this code, spread scans over cores.

Trilinear interpolation is separable where the axes of both grids are parallel: blend two stored
slices, then rows, then columns. Rows are blended by a sparse matrix with two entries per output
row, which reads and writes every value once. Where one axis leans (gantry tilt) the same is done
in slices across the tilt, in which only the row blend changes. Where more than one leans, scipy
interpolates voxel by voxel, in slabs.

Shapes: S M F are the axes of the stored array from the slowest to the fastest in memory; D H W
are the axes of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .linear_blend import taps, transposed
from .slice_streams import ParallelSlices, SliceStream, TiltedSlices, Values

Inside = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

PARALLEL_VOXELS = 1e-3
"""Axes count as parallel if taking them so moves no voxel by more than this many voxels."""

_BLOCK = 16  # slices gathered before they are written across the fastest axis of the result
_SLAB = 8


@dataclass(frozen=True)
class Alignment:
    """How the axes of a result run along those of a stored array.

    Attributes:
        axis_of: For each stored axis the result axis nearest to it.
        lines: `(3, 2)` step and start for each stored axis: the stored index along it is
            `step * result index + start`, but for `tilts`.
        tilts: Stored axis, result axis and stored steps per result step, where a stored index
            depends on a second result axis as well.
    """

    axis_of: tuple[int, ...]
    lines: NDArray[np.float64]
    tilts: tuple[tuple[int, int, float], ...]


def align(matrix: NDArray[np.float64], inside: Inside) -> Alignment:
    """Match the axes of a result with the stored ones.

    Args:
        matrix: `(4, 4)` result index to stored index.
        inside: Part of the result that the scan covers.
    """
    linear = matrix[:3, :3]
    axis_of = max(
        permutations(range(3)), key=lambda axes: float(np.prod(np.abs(linear[range(3), axes])))
    )
    bounds = np.asarray(inside, dtype=np.float64)
    middle, half = (bounds.sum(axis=1) - 1) / 2, (bounds[:, 1] - bounds[:, 0] - 1) / 2
    lines = np.stack([linear[range(3), axis_of], matrix[:3, 3]], axis=1)
    tilts = []
    for stored, axis in product(range(3), range(3)):
        if axis == axis_of[stored]:
            continue
        if abs(linear[stored, axis]) * half[axis] > PARALLEL_VOXELS / 2:
            tilts.append((stored, axis, float(linear[stored, axis])))
        else:
            lines[stored, 1] += linear[stored, axis] * middle[axis]
    return Alignment(axis_of, lines, tuple(tilts))


def _write_slices(inside: NDArray[np.float32], slices: SliceStream) -> None:
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
                plane = transposed(plane, turned)
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
    found: Alignment,
    values: Values,
    wait: Callable[[int], None],
) -> None:
    """Resample where the axes are parallel, slice by slice as they lie in memory."""
    memory = sorted(range(3), key=lambda axis: -abs(voxels.strides[axis]))
    slow, middle, fast = (
        taps(found.lines[stored], inside[found.axis_of[stored]], voxels.shape[stored])
        for stored in memory
    )
    stream = ParallelSlices(voxels.transpose(memory), (slow, middle, fast), values, wait)
    covered = result[tuple(slice(*span) for span in inside)]
    _write_slices(covered.transpose([found.axis_of[stored] for stored in memory]), stream)


def _fill_tilted(
    result: NDArray[np.float32],
    inside: Inside,
    voxels: NDArray[Any],
    found: Alignment,
    values: Values,
) -> None:
    """Resample where one stored axis leans along one result axis, in slices across the latter."""
    ((leaning, hinge, tilt),) = found.tilts
    step = found.axis_of.index(hinge)
    axes = (step, leaning, 3 - step - leaning)
    spans = tuple(inside[found.axis_of[stored]] for stored in axes)
    stream = TiltedSlices(voxels.transpose(axes), found.lines[list(axes)], tilt, spans, values)
    covered = result[tuple(slice(*span) for span in inside)]
    _write_slices(covered.transpose([found.axis_of[stored] for stored in axes]), stream)


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
    found = align(matrix, inside)
    if not found.tilts:
        _fill_parallel(result, inside, voxels, found, values, wait_until_filled)
        return result
    wait_until_filled(max(voxels.shape))
    if len(found.tilts) == 1:
        _fill_tilted(result, inside, voxels, found, values)
    else:
        _fill_oblique(result, inside, voxels, matrix, values)
    return result

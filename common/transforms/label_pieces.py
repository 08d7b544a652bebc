"""The connected pieces of each label: the largest kept, or the smallest dropped.

Voxels are of one piece where they touch, be it at a corner (26 neighbours). Each label is looked at
within its own bounding box, so the work is that of the organs' sizes and not of the number of
labels times the scan; MONAI's `KeepLargestConnectedComponent` and `RemoveSmallObjects` go through
the whole volume once per label (`independent=True`, `independent_channels=True`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
_Order = Literal["C", "F"]
_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def keep_largest_piece(labels: NDArray[Any], numbers: Iterable[int]) -> NDArray[Any]:
    """Keep the largest piece of each given label; the other pieces become background.

    The largest piece is the one of most voxels. Of pieces of the same size, the one whose first
    voxel comes first in the array (first axis slowest) is kept.

    Args:
        labels: `(I, J, K)`, integers from 0 (background); stays as it is.
        numbers: Labels to clean, for TotalSegmentator all but those of `MANY_PIECES`. Labels
            that are not there are passed over, the others stay untouched.

    Returns:
        A new array of the same shape, dtype and memory order.

    Raises:
        ValueError: If ``labels`` are not integers of three axes, or 0 is among ``numbers``.
    """
    wanted = sorted({int(number) for number in numbers})
    if wanted and wanted[0] < 1:
        msg = f"numbers must be labels from 1, got {wanted[0]}; 0 is the background"
        raise ValueError(msg)
    return _without(_all_but_largest, labels, wanted)


def drop_small_pieces(labels: NDArray[Any], *, min_voxels: float) -> NDArray[Any]:
    """Make every piece of fewer voxels background, whatever its label.

    Args:
        labels: `(I, J, K)`, integers from 0 (background); stays as it is.
        min_voxels: Pieces of so many voxels or more stay.

    Returns:
        A new array of the same shape, dtype and memory order.

    Raises:
        ValueError: If ``labels`` are not integers of three axes.
    """

    def small(pieces: NDArray[Any], sizes: NDArray[np.int64], _order: _Order) -> Flags:
        below: Flags = (sizes < min_voxels)[pieces]
        return below

    return _without(small, labels, range(1, int(labels.max(initial=0)) + 1))


def _without(
    unwanted: Callable[[NDArray[Any], NDArray[np.int64], _Order], Flags],
    labels: NDArray[Any],
    numbers: Iterable[int],
) -> NDArray[Any]:
    """Labels less what is unwanted of each.

    Args:
        unwanted: From the numbered pieces of a label within its box (0 is not of the label), their
            sizes by number, and the memory order of the labels, to a mask within the box.
        labels: `(I, J, K)`.
        numbers: Labels to look at, ascending.
    """
    from scipy import ndimage

    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        msg = f"labels must be integers (I, J, K), got {labels.dtype} {labels.shape}"
        raise ValueError(msg)
    cleaned = labels.copy(order="K")
    # scipy walks along the last axis, which should be the one whose voxels lie side by side.
    order: _Order = "C" if abs(labels.strides[2]) <= abs(labels.strides[0]) else "F"
    source, target = (labels, cleaned) if order == "C" else (labels.T, cleaned.T)
    wanted = list(numbers)
    boxes = ndimage.find_objects(source, max_label=wanted[-1]) if wanted else []
    for number in wanted:
        box = boxes[number - 1]
        if box is not None:
            inside = source[box] == number
            pieces, count = ndimage.label(inside, structure=_TOUCHING)
            sizes = np.bincount(pieces.ravel(order="K"), minlength=count + 1)
            target[box][inside & unwanted(pieces, sizes, order)] = 0
    return cleaned


def _all_but_largest(pieces: NDArray[Any], sizes: NDArray[np.int64], order: _Order) -> Flags:
    """Which voxels are of other pieces than the largest."""
    largest = np.flatnonzero(sizes[1:] == sizes[1:].max()) + 1
    kept = largest[0]
    if len(largest) > 1:
        in_order = pieces.ravel(order=order)
        kept = in_order[int(np.isin(in_order, largest).argmax())]
    others: Flags = pieces != kept
    return others

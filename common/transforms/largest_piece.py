"""Of each label only its largest connected piece: what lies apart of an organ is a mistake.

Each label is looked at within its own bounding box, so the work is that of the organs' sizes and
not of the number of labels times the scan; MONAI's `KeepLargestConnectedComponent` goes through
the whole volume once per label (`independent=True`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def keep_largest_piece(labels: NDArray[Any], numbers: Iterable[int]) -> NDArray[Any]:
    """Keep the largest piece of each given label; the other pieces become background.

    Voxels are of one piece where they touch, be it at a corner (26 neighbours). The largest piece
    is the one of most voxels. Of pieces of the same size, the one whose first voxel comes first
    in the array (first axis slowest) is kept.

    Args:
        labels: `(I, J, K)`, integers from 0 (background); stays as it is.
        numbers: Labels to clean, for TotalSegmentator all but those of `MANY_PIECES`. Labels
            that are not there are passed over, the others stay untouched.

    Returns:
        A new array of the same shape, dtype and memory order.

    Raises:
        ValueError: If ``labels`` are not integers of three axes, or 0 is among ``numbers``.
    """
    from scipy import ndimage

    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        msg = f"labels must be integers (I, J, K), got {labels.dtype} {labels.shape}"
        raise ValueError(msg)
    wanted = sorted({int(number) for number in numbers})
    if wanted and wanted[0] < 1:
        msg = f"numbers must be labels from 1, got {wanted[0]}; 0 is the background"
        raise ValueError(msg)
    cleaned = labels.copy(order="K")
    # scipy walks along the last axis, which should be the one whose voxels lie side by side.
    order: Literal["C", "F"] = "C" if abs(labels.strides[2]) <= abs(labels.strides[0]) else "F"
    source, target = (labels, cleaned) if order == "C" else (labels.T, cleaned.T)
    boxes = ndimage.find_objects(source, max_label=wanted[-1]) if wanted else []
    for number in wanted:
        box = boxes[number - 1]
        if box is not None:
            target[box][_all_but_largest(source[box] == number, order)] = 0
    return cleaned


def _all_but_largest(inside: NDArray[np.bool_], first_by: Literal["C", "F"]) -> NDArray[np.bool_]:
    """Which voxels of a mask belong to other than its largest piece."""
    from scipy import ndimage

    pieces, count = ndimage.label(inside, structure=_TOUCHING)
    if count < 2:
        return np.zeros_like(inside)
    sizes = np.bincount(pieces.ravel(order="K"), minlength=count + 1)
    sizes[0] = 0
    largest = np.flatnonzero(sizes == sizes.max())
    kept = largest[0]
    if len(largest) > 1:
        in_order = pieces.ravel(order=first_by)
        kept = in_order[int(np.isin(in_order, largest).argmax())]
    others: NDArray[np.bool_] = inside & (pieces != kept)
    return others

"""The connected pieces of each label: of some only the largest stays, of none what is too small.

Voxels are of one piece where they touch, be it at a corner (26 neighbours). Each label is looked at
within its own bounding box, so the work is that of the organs' sizes and not of the number of
labels times the scan; MONAI's `KeepLargestConnectedComponent` and `RemoveSmallObjects` go through
the whole volume once per label (`independent=True`, `independent_channels=True`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def clean_pieces(
    labels: NDArray[Any], *, one_piece: Iterable[int] = (), min_voxels: float = 0.0
) -> NDArray[Any]:
    """Keep of given labels the largest piece, and of all the pieces that are large enough.

    What goes becomes background. The largest piece is the one of most voxels. Of pieces of the
    same size, the one whose first voxel comes first in the array (first axis slowest) is kept.

    Args:
        labels: `(I, J, K)`, integers from 0 (background); stays as it is.
        one_piece: Labels that are one piece, for TotalSegmentator all but those of `MANY_PIECES`.
            Labels that are not there are passed over.
        min_voxels: Pieces of fewer voxels go, whatever their label.

    Returns:
        A new array of the same shape, dtype and memory order.

    Raises:
        ValueError: If ``labels`` are not integers of three axes, or 0 is among ``one_piece``.
    """
    from scipy import ndimage

    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        msg = f"labels must be integers (I, J, K), got {labels.dtype} {labels.shape}"
        raise ValueError(msg)
    single = {int(number) for number in one_piece}
    if single and min(single) < 1:
        msg = f"one_piece must be labels from 1, got {min(single)}; 0 is the background"
        raise ValueError(msg)
    cleaned = labels.copy(order="K")
    # scipy walks along the last axis, which should be the one whose voxels lie side by side.
    order: Literal["C", "F"] = "C" if abs(labels.strides[2]) <= abs(labels.strides[0]) else "F"
    source, target = (labels, cleaned) if order == "C" else (labels.T, cleaned.T)
    for number, box in enumerate(ndimage.find_objects(source), start=1):
        if box is None or not (number in single or min_voxels > 0):
            continue
        pieces, count = ndimage.label(source[box] == number, structure=_TOUCHING)
        if count == 1 and min_voxels <= 1:
            continue
        sizes = np.bincount(pieces.ravel(order="K"))
        kept = sizes >= min_voxels
        if number in single:
            kept &= np.arange(count + 1) == _largest(pieces, sizes, order)
        kept[0] = True  # what else lies in the box
        target[box][~kept[pieces]] = 0
    return cleaned


def _largest(pieces: NDArray[Any], sizes: NDArray[np.int64], first_by: Literal["C", "F"]) -> int:
    """Number of the largest piece; `pieces` are numbered from 1, `sizes` by number."""
    largest = np.flatnonzero(sizes[1:] == sizes[1:].max()) + 1
    if len(largest) == 1:
        return int(largest[0])
    in_order = pieces.ravel(order=first_by)
    return int(in_order[int(np.isin(in_order, largest).argmax())])

"""Which planes a segmentation's figure shows, from the counts of labels per slice.

Shapes: S slices along an axis, N label numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FULL_VIEW = 0.5
"""Share of a structure's largest section from which on a slice shows it as well as any."""


def middle_slice(counts: NDArray[np.int64]) -> int:
    """The slice that halves the segmented voxels; the middle one where there are none.

    Args:
        counts: `(S, N)` voxels per slice and number, see `LabelProfiles.along`.
    """
    segmented = counts[:, 1:].sum(axis=1)
    if not segmented.any():
        return len(counts) // 2
    half = np.cumsum(segmented) * 2 >= segmented.sum()
    return int(half.argmax())


def choose_slices_for_structures(
    counts: NDArray[np.int64], num_slices: int, apart: float = 0.1
) -> list[int]:
    """Slices that together show as many structures as possible, each near its largest section.

    Greedy: each slice in turn is the one that adds most. What a slice shows of a structure counts
    from 0 to 1: its section there as a share of half of its largest one, at most 1; of several
    slices the best view counts. Greedy choice of such a sum comes within 1 - 1/e of the best one
    (Nemhauser et al., 1978).

    Args:
        counts: `(S, N)` voxels per slice and number, see `LabelProfiles.along`.
        num_slices: Most slices to choose.
        apart: Least distance of two, as a share of the scan's slices.

    Returns:
        Indices, ascending; evenly spaced where no structure was found. Fewer than ``num_slices``
        where the scan has fewer that lie apart.
    """
    size = len(counts)
    largest = counts[:, 1:].max(axis=0)
    present = np.flatnonzero(largest) + 1
    if not len(present):
        return sorted({int((turn + 0.5) / num_slices * size) for turn in range(num_slices)})
    view = np.minimum(counts[:, present] / (_FULL_VIEW * largest[present - 1]), 1.0)
    sections = counts[:, present].sum(axis=1)
    best = np.zeros(len(present))
    free = np.ones(size, dtype=bool)
    chosen: list[int] = []
    while len(chosen) < num_slices and free.any():
        gains = np.maximum(view - best, 0.0).sum(axis=1)
        # Where all is shown already, slices with more of everything come first.
        gains += 1e-3 * sections / max(int(sections.max()), 1)
        index = int(np.where(free, gains, -1.0).argmax())
        chosen.append(index)
        best = np.maximum(best, view[index])
        near = max(apart * size, 0.5)
        free &= np.abs(np.arange(size) - index) >= near
    return sorted(chosen)

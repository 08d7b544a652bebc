"""How many voxels of each label lie in each slice, along all three axes, from one pass.

Volumes, centres, what touches the edge of the scan and which slices show most all follow from
these counts, so nobody else needs to go through the labels for them.

Shapes: I J K the label volume's axes; N labels, number 0 being the background.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelProfiles:
    """Voxels of each label in each slice.

    Attributes:
        along: For each axis `(slices, N)` int64: voxels of a number at an index of that axis.
    """

    along: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

    @property
    def num_voxels(self) -> NDArray[np.int64]:
        """Voxels of each number, `(N,)`."""
        total: NDArray[np.int64] = self.along[0].sum(axis=0)
        return total

    @property
    def present(self) -> list[int]:
        """Numbers that are there, without the background, ascending."""
        return [int(number) for number in np.flatnonzero(self.num_voxels) if number]

    @property
    def touches_border(self) -> NDArray[np.bool_]:
        """Which numbers have a voxel in the first or last slice of any axis, `(N,)`."""
        ends = np.concatenate([counts[[0, -1]] for counts in self.along])
        touching: NDArray[np.bool_] = ends.sum(axis=0) > 0
        return touching

    def centre_voxel(self, number: int) -> NDArray[np.float64]:
        """Mean index of a number's voxels, `(3,)`; it must be present."""
        return np.array(
            [np.average(np.arange(len(counts)), weights=counts[:, number]) for counts in self.along]
        )


def profile_labels(
    labels: NDArray[Any],
    num_labels: int,
    each_slice: Callable[[int, NDArray[np.intp]], None] | None = None,
    order: tuple[int, int, int] | None = None,
) -> LabelProfiles:
    """Count every label in every slice of every axis, going through the volume once.

    Args:
        labels: `(I, J, K)` integers from 0 to ``num_labels`` - 1.
        num_labels: `N`.
        each_slice: Called with each index along the first axis of ``order`` and the labels there,
            `(rows, columns)` along the two others, for whoever has more to count in the same pass.
        order: Axes as they are gone through, by default the `memory_order` of ``labels``.

    Raises:
        ValueError: If ``labels`` are not such integers.
    """
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        msg = f"labels must be integers (I, J, K), got {labels.dtype} {labels.shape}"
        raise ValueError(msg)
    slow, rows, columns = order or memory_order(labels)
    tables = [np.zeros((size, num_labels), dtype=np.int64) for size in labels.shape]
    row_offset = (np.arange(labels.shape[rows]) * num_labels)[:, None]
    column_offset = np.arange(labels.shape[columns]) * num_labels
    for index, plane in enumerate(labels.transpose(slow, rows, columns)):
        found = plane.astype(np.intp)
        _check_range(found, num_labels)
        by_row = _count(found + row_offset, labels.shape[rows], num_labels)
        tables[rows] += by_row
        tables[columns] += _count(found + column_offset, labels.shape[columns], num_labels)
        tables[slow][index] = by_row.sum(axis=0)
        if each_slice is not None:
            each_slice(index, found)
    return LabelProfiles((tables[0], tables[1], tables[2]))


def memory_order(array: NDArray[Any]) -> tuple[int, int, int]:
    """The three axes from the slowest in memory to the one whose neighbours lie side by side."""
    slow, middle, fast = np.argsort([-abs(stride) for stride in array.strides], kind="stable")
    return int(slow), int(middle), int(fast)


def _count(codes: NDArray[np.intp], size: int, num_labels: int) -> NDArray[np.int64]:
    return np.bincount(codes.ravel(), minlength=size * num_labels).reshape(size, num_labels)


def _check_range(found: NDArray[np.intp], num_labels: int) -> None:
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= num_labels:
        msg = f"labels must be 0 to {num_labels - 1}, one name each, got {low} to {high}"
        raise ValueError(msg)

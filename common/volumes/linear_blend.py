"""Linear interpolation along one axis, as a sparse matrix with two entries per row.

A product with such a matrix blends whole rows: every value is read and written once, in the order
in which it lies in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True)
class Taps:
    """Along one stored axis: output voxel `o` is `(1 - weight) * lower + weight * (lower + 1)`."""

    lower: NDArray[np.intp]
    weight: NDArray[np.float32]
    stored_length: int

    @property
    def upper(self) -> NDArray[np.intp]:
        """The second neighbour; the first again where it is the last voxel."""
        return np.minimum(self.lower + 1, self.stored_length - 1)


def taps(line: NDArray[np.float64], span: tuple[int, int], stored_length: int) -> Taps:
    """Neighbours and weights; beyond the first and last voxel the edge goes on."""
    at = line[0] * np.arange(*span) + line[1]
    at = np.clip(at, 0, stored_length - 1)
    lower = np.minimum(np.floor(at).astype(np.intp), max(stored_length - 2, 0))
    return Taps(lower, (at - lower).astype(np.float32), stored_length)


def row_blend(taps: Taps) -> sparse.csr_matrix:
    """`(outputs, stored)` matrix that blends rows, two entries per row."""
    rows = len(taps.lower)
    columns = np.stack([taps.lower, taps.upper], axis=1).astype(np.int32)
    data = np.stack([1 - taps.weight, taps.weight], axis=1)
    starts = np.arange(0, 2 * rows + 1, 2, dtype=np.int32)
    shape = (rows, taps.stored_length)
    return sparse.csr_matrix((data.ravel(), columns.ravel(), starts), shape=shape)


def slab_blend(taps: Taps) -> sparse.csr_matrix:
    """`(outputs, 2 * stored)`: blends rows of two slices at once, entries set per slice pair."""
    rows = len(taps.lower)
    columns = np.stack([taps.lower, taps.upper], axis=1)
    columns = np.concatenate([columns, columns + taps.stored_length], axis=1).astype(np.int32)
    starts = np.arange(0, 4 * rows + 1, 4, dtype=np.int32)
    data = np.zeros(4 * rows, dtype=np.float32)
    return sparse.csr_matrix((data, columns.ravel(), starts), shape=(rows, 2 * taps.stored_length))


def transposed(plane: NDArray[np.float32], buffer: NDArray[np.float32]) -> NDArray[np.float32]:
    """`plane.T` as a contiguous array in `buffer`; torch does it in cache-sized blocks."""
    torch.from_numpy(buffer).copy_(torch.from_numpy(plane).t())
    return buffer

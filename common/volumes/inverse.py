"""From the network's grid back to the scan: points and label volumes.

`PreprocessCTd` leaves the shape and affine of the scan as stored in `data["source_grid"]`, as
tensors, so that they pass through every MONAI loader and collate function. After
`decollate_batch`, one case's `source_grid` and the affine of its `MetaTensor` are all that is
needed here. A crop by MONAI updates that affine, so patches are mapped back as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from .geometry import Grid, checked_affine, index_map, transform_points
from .resampling import align

_TIE = 1e-6
"""Voxels by which a place may miss a reach that it would meet but for rounding."""

SourceGrid = Mapping[str, Any]
"""`shape` `(3,)` and `affine` `(4, 4)` of a scan as stored, tensors or arrays."""


def describe_grid(grid: Grid) -> dict[str, torch.Tensor]:
    """A grid as tensors that collate: `shape` `(3,)` int64, `affine` `(4, 4)` float64."""
    return {
        "shape": torch.tensor(grid.shape, dtype=torch.int64),
        "affine": torch.tensor(grid.affine, dtype=torch.float64),
    }


def read_grid(source_grid: SourceGrid) -> Grid:
    """The grid that `describe_grid` described.

    Raises:
        InputError: If it is that of a whole batch.
    """
    shape = np.asarray(source_grid["shape"]).astype(np.int64)
    if shape.shape != (3,):
        msg = (
            f"source_grid must be that of one case, got shape {shape.tolist()}; split the batch "
            f"with monai.data.decollate_batch first"
        )
        raise InputError(msg)
    i, j, k = (int(n) for n in shape)
    return Grid((i, j, k), checked_affine(np.asarray(source_grid["affine"], dtype=np.float64)))


def points_to_world_mm(points_voxel: NDArray[np.float64], affine: Any) -> NDArray[np.float64]:
    """Points on a grid to the patient.

    Args:
        points_voxel: `(..., 3)` index on the grid, may be fractional; 0 is a voxel's centre.
        affine: `(4, 4)` of that grid, array or tensor.

    Returns:
        `(..., 3)` world mm, RAS+.
    """
    return transform_points(checked_affine(np.asarray(affine)), points_voxel)


def points_to_voxel(points_world_mm: NDArray[np.float64], affine: Any) -> NDArray[np.float64]:
    """Points in the patient to a grid; the inverse of `points_to_world_mm`."""
    inverse = np.asarray(np.linalg.inv(checked_affine(np.asarray(affine))), dtype=np.float64)
    return transform_points(inverse, points_world_mm)


def points_to_input_voxel(
    points_voxel: NDArray[np.float64], affine: Any, source_grid: SourceGrid
) -> NDArray[np.float64]:
    """Points on the network's grid to the scan as stored.

    Args:
        points_voxel: `(..., 3)` index on the network's grid.
        affine: `(4, 4)` of the network's grid, as in the `MetaTensor`.
        source_grid: What `PreprocessCTd` kept of the scan.

    Returns:
        `(..., 3)` index on the stored array, fractional; outside its shape where the network saw
        padding.
    """
    world = points_to_world_mm(points_voxel, affine)
    return points_to_voxel(world, read_grid(source_grid).affine)


def _nearest(at: NDArray[np.float64], length: int, reach: float) -> NDArray[np.intp]:
    """Index of the voxel nearest to a coordinate, -1 where all are farther than `reach`."""
    index = np.clip(np.floor(at + 0.5), 0, length - 1)
    slack = reach + _TIE
    index[(at < -slack) | (at > length - 1 + slack)] = -1
    return index.astype(np.intp)


def resample_labels(
    labels: Any,
    affine: Any,
    target: Grid,
    background: int = 0,
    reach_voxels: float | Sequence[float] = 0.5,
) -> NDArray[Any]:
    """A label volume on another grid, by nearest neighbour.

    Args:
        labels: `(D, H, W)` or `(1, D, H, W)` array or tensor of any dtype.
        affine: `(4, 4)` of the grid of `labels`.
        target: Grid wanted.
        background: Label of what lies outside `labels`.
        reach_voxels: How far the outermost labels hold beyond their centres, in voxels of
            `labels`, for all axes or each: half a voxel of the grid that the labels stand for,
            which a finer or coarser copy of it does not know.

    Returns:
        `target.shape`, dtype of `labels`, C order.

    Raises:
        InputError: If `labels` is not one volume.
    """
    array = np.asarray(labels)
    array = array[0] if array.ndim == 4 and array.shape[0] == 1 else array
    if array.ndim != 3:
        msg = f"labels must have shape (D, H, W), got {array.shape}; pass one volume at a time"
        raise InputError(msg)
    source = Grid((array.shape[0], array.shape[1], array.shape[2]), checked_affine(affine))
    matrix = index_map(source, target)
    whole = tuple((0, n) for n in target.shape)
    found = align(matrix, (whole[0], whole[1], whole[2]))
    result = np.full(target.shape, background, dtype=array.dtype)
    reach = np.broadcast_to(np.asarray(reach_voxels, dtype=np.float64), 3)
    if found.tilts:
        _fill_oblique(result, array, matrix, reach)
    else:
        _fill_parallel(result, array, found.axis_of, found.lines, reach)
    return result


def _fill_parallel(
    result: NDArray[Any],
    labels: NDArray[Any],
    axis_of: Sequence[int],
    lines: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> None:
    """Nearest neighbours where the axes are parallel: three index lists."""
    indices = [
        _nearest(
            lines[i, 0] * np.arange(result.shape[axis]) + lines[i, 1], labels.shape[i], reach[i]
        )
        for i, axis in enumerate(axis_of)
    ]
    found = [np.flatnonzero(index >= 0) for index in indices]
    if min(len(where) for where in found) == 0:
        return
    # `turned` has the axes of the result; `window` is the part of it that the labels cover.
    turned = labels.transpose(np.argsort(axis_of))
    window, take = [slice(0)] * 3, [np.empty(0, np.intp)] * 3
    for index, where, axis in zip(indices, found, axis_of, strict=True):
        window[axis] = slice(int(where[0]), int(where[-1]) + 1)
        take[axis] = index[where]
    covered = result[tuple(window)]
    for number, first in enumerate(take[0]):
        covered[number] = turned[first][take[1]][:, take[2]]


def _fill_oblique(
    result: NDArray[Any],
    labels: NDArray[Any],
    matrix: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> None:
    """Nearest neighbours where the axes are not parallel, plane by plane."""
    rows, columns = np.ogrid[: result.shape[1], : result.shape[2]]
    for first in range(result.shape[0]):
        index = [
            _nearest(
                matrix[axis, 0] * first
                + matrix[axis, 1] * rows
                + matrix[axis, 2] * columns
                + matrix[axis, 3],
                labels.shape[axis],
                reach[axis],
            )
            for axis in range(3)
        ]
        found = (index[0] >= 0) & (index[1] >= 0) & (index[2] >= 0)
        result[first][found] = labels[index[0][found], index[1][found], index[2][found]]


def labels_to_input_grid(
    labels: Any, affine: Any, source_grid: SourceGrid, background: int = 0, refine: int = 1
) -> NDArray[Any]:
    """A label volume on the network's grid, or finer, to the scan's own grid and exact shape.

    Args:
        labels: `(D, H, W)` or `(1, D, H, W)`, array or tensor of any dtype; refined by r
            `((D - 1) r + 1, (H - 1) r + 1, (W - 1) r + 1)`, as `Grid.refined`.
        affine: `(4, 4)` of the network's grid, as in the `MetaTensor`.
        source_grid: What `PreprocessCTd` kept of the scan.
        background: Label of what the network did not see.
        refine: r.

    Returns:
        Labels on the stored array's grid, `(I, J, K)`, dtype of `labels`.
    """
    finer = checked_affine(np.asarray(affine, dtype=np.float64)) @ np.diag([1 / refine] * 3 + [1])
    # The scan's last voxel may lie half a voxel of the network's beyond its last, however fine.
    return resample_labels(labels, finer, read_grid(source_grid), background, 0.5 * refine)

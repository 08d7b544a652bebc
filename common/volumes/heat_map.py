"""A cosine map on a scan's own grid: one number per voxel, to be looked at over the scan.

Linear between places, and beyond the outer ones as there. The published picture paints each
window's cosine over the whole of it, stretches it to [0, 1] and blurs it (sigma 5 voxels): ours
keeps the cosines, and each stands at its place.

Shapes: d h w places, D H W the network's grid, I J K the scan's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .geometry import Grid, checked_affine, index_map
from .place_map import CosineMap
from .resampling import align

Floats = NDArray[np.float64]


def heat_map(found: CosineMap, affine: Any, target: Grid) -> NDArray[np.float32]:
    """Cosines on another grid.

    Args:
        found: The map.
        affine: `(4, 4)` of the network's grid, voxel to world mm.
        target: The scan's own grid.

    Returns:
        `target.shape` float32, -1 to 1. Where nothing was compared, the map's lowest cosine.
    """
    cosine = np.where(np.isfinite(found.cosine), found.cosine, np.nanmin(found.cosine))
    matrix = index_map(Grid((1, 1, 1), checked_affine(np.asarray(affine))), target)
    i, j, k = ((0, n) for n in target.shape)
    aligned = align(matrix, (i, j, k))
    if aligned.tilts:
        return _oblique(cosine, found, matrix, target.shape)
    blended = cosine.astype(np.float32)
    for axis, centres in enumerate(found.centres_voxel):
        step, start = aligned.lines[axis]
        at = step * np.arange(target.shape[aligned.axis_of[axis]]) + start
        rows = np.stack([np.interp(at, centres, one) for one in np.eye(len(centres))], axis=1)
        blended = np.moveaxis(np.tensordot(rows.astype(np.float32), blended, (1, axis)), 0, axis)
    return np.ascontiguousarray(blended.transpose(np.argsort(aligned.axis_of)))


def _oblique(
    cosine: NDArray[np.float32], found: CosineMap, matrix: Floats, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """The same where the axes are not parallel (gantry tilt), plane by plane."""
    result = np.empty(shape, dtype=np.float32)
    rows, columns = np.ogrid[: shape[1], : shape[2]]
    for first in range(shape[0]):
        places = [
            np.interp(
                line[0] * first + line[1] * rows + line[2] * columns + line[3],
                centres,
                np.arange(len(centres)),
            )
            for line, centres in zip(matrix[:3], found.centres_voxel, strict=True)
        ]
        result[first] = ndimage.map_coordinates(cosine, places, order=1, mode="nearest")
    return result

"""Scans that lie askew, as if stored along the patient's axes, for pictures only.

A plane along the voxel axes of an oblique scan is no axial plane, and that of a tilted gantry is
sheared. The pictures of both are cut in the patient's frame; those of others are the scan's own
slices. Of a thin slab that lies askew, as a few slices of a tilted head, planes of the patient's
frame would show strips: there too they are the scan's own slices, and say how far they are tilted.
Only what a picture shows is interpolated, so a large scan costs no more than a small one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import numpy as np
import scipy.ndimage
from numpy.typing import ArrayLike, NDArray

from ..volumes.geometry import Grid, body_axes, index_map
from ..volumes.volume import Volume
from .axial_slice import AxialSlice
from .body_plane import BodyPlane

ACROSS = "patient's axes"
"""What stands in place of a slice's number."""
MOST_DEGREES = 1.0
"""Turned by less than this, a scan's own planes are the patient's to the eye."""
_UP = 2  # the axis from feet to head of the world, RAS+
_AIR_HU = -1024.0


def is_upright(affine: ArrayLike) -> bool:
    """Whether every voxel axis runs along an axis of the patient, to `MOST_DEGREES`."""
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    along = np.abs(matrix).max(axis=0) / np.linalg.norm(matrix, axis=0)
    return bool((along >= np.cos(np.radians(MOST_DEGREES))).all())


def is_thin_slab(source: Grid) -> bool:
    """Whether even the patient's plane through the middle shows a strip of the slices only.

    Of axial slices alone: a tall body that is thin from front to back has whole axial planes.

    Args:
        source: Grid of the scan as stored. Its slices lie across its thinnest side.
    """
    sides_mm = source.affine[:3, :3] * source.shape
    normals = np.linalg.inv(sides_mm)
    thickness_mm = 1 / np.linalg.norm(normals, axis=1)
    thin = int(thickness_mm.argmin())
    normal = normals[thin] * thickness_mm[thin]
    if np.abs(normal).argmax() != _UP:
        return False
    rise = np.eye(3)[_UP] - normal * normal[_UP]  # along the slice, away from the axial plane
    rise_mm = np.abs(rise @ np.delete(sides_mm, thin, axis=1)).sum()
    return bool(thickness_mm[thin] * abs(normal[_UP]) < rise_mm)


def slice_number(shown: AxialSlice | BodyPlane) -> str:
    """Which of the scan's own slices a picture is: `3 of 7`, or `3 of 7, tilted 19°`."""
    tilt = shown.tilt_degrees
    tilted = f", tilted {tilt:.0f}°" if tilt >= MOST_DEGREES else ""
    return f"{shown.index_voxel + 1} of {shown.num_slices}{tilted}"


class TurnedArray:
    """An array on another grid, of which only what is asked for is computed.

    Args:
        array: `(I, J, K)`.
        matrix: `(4, 4)`, index on the other grid to index of `array`.
        shape: Of the other grid.
        order: 0 for the nearest value, 1 for linear interpolation.
        outside: Value beyond the array.
    """

    def __init__(
        self,
        array: NDArray[Any],
        matrix: NDArray[np.float64],
        shape: tuple[int, int, int],
        *,
        order: int,
        outside: float,
    ) -> None:
        self.array, self.matrix, self.shape = array, matrix, shape
        self.order, self.outside = order, outside

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[Any]:
        """A part, by a whole number or a slice along each axis, as an array."""
        steps = [
            np.atleast_1d(np.arange(size)[part]) for part, size in zip(key, self.shape, strict=True)
        ]
        grid = np.meshgrid(*steps, indexing="ij", sparse=True)
        at = [
            row[3] + sum(part * step for part, step in zip(row[:3], grid, strict=True))
            for row in self.matrix[:3]
        ]
        found: NDArray[Any] = scipy.ndimage.map_coordinates(
            self.array, np.array(at), order=self.order, mode="grid-constant", cval=self.outside
        )
        # A whole number takes its axis away, as of an array.
        kept = [
            size for size, part in zip(found.shape, key, strict=True) if not isinstance(part, int)
        ]
        return found.reshape(kept)


@dataclass(frozen=True)
class Upright:
    """A scan as its pictures show it.

    Attributes:
        volume: Along the patient's axes; the scan as stored where it lies so already, or is a thin
            slab.
        is_turned: Whether it is not, so that its slices have no numbers in the input.
    """

    volume: Volume
    is_turned: bool
    _matrix: NDArray[np.float64]

    def like(self, array: NDArray[Any], *, order: int) -> NDArray[Any]:
        """What lies on the scan's grid `(I, J, K)`, with 0 around it, on this one.

        Args:
            array: Labels or values.
            order: 0 for the nearest value, 1 for linear interpolation.
        """
        if not self.is_turned:
            return array
        shape = cast(tuple[int, int, int], self.volume.voxels.shape)
        turned = TurnedArray(array, self._matrix, shape, order=order, outside=0)
        return cast(NDArray[Any], turned)


def upright(volume: Volume) -> Upright:
    """A scan along the patient's axes, or as stored where it is a thin slab askew to them.

    Args:
        volume: As stored, any orientation, oblique or sheared.
    """
    i, j, k = volume.voxels.shape
    source = Grid((i, j, k), np.asarray(volume.affine, dtype=np.float64))
    if is_upright(source.affine) or is_thin_slab(source):
        return Upright(volume, False, np.eye(4))
    target = _box_around(source)
    matrix = index_map(source, target)
    outside = (_AIR_HU - volume.intercept) / volume.slope
    volume.wait_until_filled(max(source.shape))
    voxels = volume.voxels
    if np.issubdtype(voxels.dtype, np.unsignedinteger):
        outside = max(outside, 0.0)
    turned = TurnedArray(voxels, matrix, target.shape, order=1, outside=outside)
    shown = Volume(
        cast(NDArray[Any], turned), target.affine, volume.slope, volume.intercept, volume.facts
    )
    return Upright(shown, True, matrix)


def _box_around(source: Grid) -> Grid:
    """The grid along R, A and S that holds a scan, with its spacing."""
    corners = np.array(list(product(*((-0.5, size - 0.5) for size in source.shape))))
    places = corners @ source.affine[:3, :3].T + source.affine[:3, 3]
    low, high = places.min(axis=0), places.max(axis=0)
    step = np.array([source.spacing_mm[axis] for axis in body_axes(source.affine)[0]])
    i, j, k = (max(round(float(n)), 1) for n in (high - low) / step)
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = (low + high - (np.array([i, j, k]) - 1) * step) / 2
    return Grid((i, j, k), affine)

"""Pictures of a CT as a radiologist sees it: patient's right on the left, front or head on top.

They are taken from the input's own slices and its own HU, along its own axes: nothing is
interpolated, and a slice here is the slice that a viewer shows under the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..volumes.geometry import body_axes
from ..volumes.volume import Volume
from .body_plane import body_plane


@dataclass(frozen=True)
class AxialSlice:
    """One axial slice, ready to show.

    Attributes:
        hounsfield: `(rows, columns)` float32 HU; row 0 in front, column 0 at the patient's right.
        pixel_mm: Height and width of a pixel.
        index_voxel: Which slice of the input, counted from 0 along ``axis``.
        num_slices: How many there are.
        axis: Input axis (0, 1 or 2) along which the slices are stacked.
        centre_world_mm: World coordinates of the slice's centre, RAS+.
        tilt_degrees: Between the slice and the patient's axial plane.
    """

    hounsfield: NDArray[np.float32]
    pixel_mm: tuple[float, float]
    index_voxel: int
    num_slices: int
    axis: int
    centre_world_mm: tuple[float, float, float]
    tilt_degrees: float


@dataclass(frozen=True)
class Scout:
    """The whole scan seen from the front, like a radiograph.

    Attributes:
        brightness: `(rows, columns)` float32, 0 to 1; row 0 at the head end, column 0 at the
            patient's right.
        height_mm: Extent along the body: first to last slice, their thickness included.
        width_mm: Extent from right to left.
        num_slices: Slices of the input along the body.
        axis: Input axis along which the slices are stacked.
        head_first: True where slice 0 lies at the head end.
        lowest_world_mm: World z of the lower edge.
    """

    brightness: NDArray[np.float32]
    height_mm: float
    width_mm: float
    num_slices: int
    axis: int
    head_first: bool
    lowest_world_mm: float

    def height_of(self, slice_voxel: float) -> float:
        """Distance in mm of a slice's centre (may be fractional) from the lower edge."""
        step = self.height_mm / self.num_slices
        from_low = self.num_slices - 1 - slice_voxel if self.head_first else slice_voxel
        return (from_low + 0.5) * step


def slice_position(volume: Volume, point_world_mm: ArrayLike) -> float:
    """Index, with fraction, of the axial slice through a point; may lie outside the scan."""
    point = np.append(np.asarray(point_world_mm, dtype=np.float64), 1.0)
    return float((np.linalg.inv(volume.affine) @ point)[body_axes(volume.affine)[0][2]])


def axial_slice(volume: Volume, index_voxel: int) -> AxialSlice:
    """One slice of the scan in display orientation.

    Args:
        volume: The scan as stored, any orientation.
        index_voxel: Slice along the axis nearest to head-foot; held within the scan.
    """
    plane = body_plane(volume.affine, volume.voxels.shape, "axial", index_voxel)
    volume.wait_until_filled(max(volume.voxels.shape))
    return AxialSlice(
        hounsfield=to_hounsfield(volume, plane.cut(volume.voxels)),
        pixel_mm=(volume.spacing_mm[plane.rows_axis], volume.spacing_mm[plane.columns_axis]),
        index_voxel=plane.index_voxel,
        num_slices=plane.num_slices,
        axis=plane.axis,
        centre_world_mm=plane.centre_world_mm,
        tilt_degrees=plane.tilt_degrees,
    )


def axial_slice_at(volume: Volume, point_world_mm: ArrayLike) -> AxialSlice:
    """The slice nearest to a point in world mm, in display orientation."""
    return axial_slice(volume, round(slice_position(volume, point_world_mm)))


def scout(volume: Volume, max_pixels: tuple[int, int] = (400, 256), max_depth: int = 96) -> Scout:
    """A frontal projection of the whole scan, like a radiograph, from a thinned-out copy.

    Args:
        volume: The scan as stored, any orientation.
        max_pixels: Most rows and columns to read; more are skipped over.
        max_depth: Most voxels to add up from front to back.
    """
    (across, depth, axis), (to_right, _, to_head) = body_axes(volume.affine)
    volume.wait_until_filled(max(volume.voxels.shape))
    keep: list[slice] = [slice(None)] * 3
    for number, most in ((axis, max_pixels[0]), (across, max_pixels[1]), (depth, max_depth)):
        keep[number] = slice(None, None, -(-volume.voxels.shape[number] // most))
    # Metal must not outshine the rest, nor may the scanner's padding be darker than air.
    density = to_hounsfield(volume, volume.voxels[tuple(keep)])
    summed = np.clip(density, -1000, 1200, out=density).mean(axis=depth)
    picture = summed if axis < across else summed.T
    picture = picture[:: -1 if to_head else 1, :: -1 if to_right else 1]
    shape, spacing = volume.voxels.shape, volume.spacing_mm
    lowest = [(size - 1) / 2 for size in shape]
    lowest[axis] = -0.5 if to_head else shape[axis] - 0.5
    return Scout(
        brightness=_stretch(picture),
        height_mm=shape[axis] * spacing[axis],
        width_mm=shape[across] * spacing[across],
        num_slices=shape[axis],
        axis=axis,
        head_first=not to_head,
        lowest_world_mm=float((volume.affine @ np.append(lowest, 1.0))[2]),
    )


def window(hounsfield: NDArray[Any], hu_window: Sequence[float]) -> NDArray[np.float32]:
    """HU as brightness from 0 (lower end of the window or below) to 1."""
    low, high = hu_window
    brightness: NDArray[np.float32] = np.clip((hounsfield - low) / (high - low), 0, 1).astype(
        np.float32
    )
    return brightness


def to_hounsfield(volume: Volume, voxels: NDArray[Any]) -> NDArray[np.float32]:
    """Stored values of a part of the scan as HU, float32 of the same shape."""
    return voxels.astype(np.float32) * np.float32(volume.slope) + np.float32(volume.intercept)


def _stretch(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brightness from 0 to 1 between the picture's darkest and brightest percent."""
    low, high = np.percentile(picture, (1, 99.5))
    return window(picture, (float(low), float(max(high, low + 1e-6))))

"""Planes of a scan as a radiologist looks at them, along the input's own axes.

Axial as from the feet, coronal as from the front, sagittal as from the patient's left: right is on
the left, the front on top or on the left, the head on top. Nothing is resampled to cut a plane; of
a sheared volume (gantry tilt) a plane also says how far each row is shifted against the last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..volumes.geometry import body_axes

PlaneName = Literal["axial", "coronal", "sagittal"]
_LIES: dict[PlaneName, tuple[int, int, int]] = {
    "axial": (2, 1, 0),
    "coronal": (1, 2, 0),
    "sagittal": (0, 2, 1),
}
"""Body axes (0 right-left, 1 front-back, 2 head-foot) across the plane, down it and along a row."""
_FIRST_LETTERS, _LAST_LETTERS = "RAS", "LPI"


@dataclass(frozen=True)
class BodyPlane:
    """One plane of a scan in display orientation.

    Attributes:
        name: Which kind of plane.
        axis: Input axis (0, 1 or 2) that it is cut across.
        index_voxel: Where, counted from 0 along ``axis``.
        num_slices: How many such planes the scan has.
        rows_axis: Input axis that runs down the picture.
        columns_axis: Input axis that runs along a row.
        turned: Whether rows and columns run against their input axes.
        row_step_mm: From a pixel to the one in the next row: to the right (shear), down.
        column_step_mm: From a pixel to the next in its row.
        letters: Patient directions at the left, right, upper and lower edge.
        centre_world_mm: World coordinates of the plane's centre, RAS+.
        tilt_degrees: Between this plane and the patient's of that name.
    """

    name: PlaneName
    axis: int
    index_voxel: int
    num_slices: int
    rows_axis: int
    columns_axis: int
    turned: tuple[bool, bool]
    row_step_mm: tuple[float, float]
    column_step_mm: float
    letters: tuple[str, str, str, str]
    centre_world_mm: tuple[float, float, float]
    tilt_degrees: float

    def cut(self, array: NDArray[Any]) -> NDArray[Any]:
        """This plane of an array on the scan's grid, `(rows, columns)`; a view."""
        # np.take would first copy an array in Fortran order as a whole.
        whole = slice(None)
        plane = array[tuple(self.index_voxel if n == self.axis else whole for n in range(3))]
        picture = plane.T if self.columns_axis < self.rows_axis else plane
        rows, columns = (-1 if turn else 1 for turn in self.turned)
        shown: NDArray[Any] = picture[::rows, ::columns]
        return shown

    def row_of(self, index_voxel: int, num_slices: int) -> int:
        """The row of this picture where another plane, cut across ``rows_axis``, passes."""
        return num_slices - 1 - index_voxel if self.turned[0] else index_voxel


def body_plane(
    affine: ArrayLike, shape: tuple[int, ...], name: PlaneName, index_voxel: int
) -> BodyPlane:
    """One plane of a scan.

    Args:
        affine: `(4, 4)`, voxel index to world mm, RAS+; may be oblique or sheared.
        shape: `(I, J, K)` of the scan.
        name: `axial`, `coronal` or `sagittal`: the plane nearest to it.
        index_voxel: Where along the axis across it; held within the scan.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    axes, grows = body_axes(matrix)
    across, down, along = _LIES[name]
    axis, rows_axis, columns_axis = axes[across], axes[down], axes[along]
    turned = (grows[down], grows[along])
    index = min(max(int(index_voxel), 0), shape[axis] - 1)
    row, column = (
        -matrix[:3, number] if turn else matrix[:3, number]
        for number, turn in zip((rows_axis, columns_axis), turned, strict=True)
    )
    column_step = float(np.linalg.norm(column))
    shear = float(row @ column) / column_step
    centre = [(size - 1) / 2 for size in shape]
    centre[axis] = index
    x, y, z = (matrix @ np.append(centre, 1.0))[:3]
    normal = np.cross(row, column)
    upright = abs(float(normal[across])) / float(np.linalg.norm(normal))
    return BodyPlane(
        name=name,
        axis=axis,
        index_voxel=index,
        num_slices=shape[axis],
        rows_axis=rows_axis,
        columns_axis=columns_axis,
        turned=turned,
        row_step_mm=(shear, float(np.linalg.norm(row - shear / column_step * column))),
        column_step_mm=column_step,
        letters=(
            _FIRST_LETTERS[along],
            _LAST_LETTERS[along],
            _FIRST_LETTERS[down],
            _LAST_LETTERS[down],
        ),
        centre_world_mm=(float(x), float(y), float(z)),
        tilt_degrees=float(np.degrees(np.arccos(min(upright, 1.0)))),
    )

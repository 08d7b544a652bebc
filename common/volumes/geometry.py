"""Where the voxels of a scan lie, and the grid that a network wants them on.

World coordinates are millimetres, RAS+. A grid's affine maps the index of a voxel's centre to
world mm. Grid axes are named by their number; which anatomical direction they run is `axcodes`,
three letters as nibabel writes them: `SLP` is axis 0 to the head, 1 to the left, 2 to the back.

Two conventions for the first voxel of a resampled grid:

* `half_pixel`: the outer faces of both grids coincide, as `torch.nn.functional.interpolate` with
  `align_corners=False` does. The number of voxels is rounded down, and the spacing is stretched
  to fill the field of view, so it may be a little larger than asked.
* `affine`: the centres of the first voxels coincide and the spacing is exactly as asked, as
  MONAI's `Spacing` and ITK do.

A rotated (oblique) scan keeps its own axes: only their order, direction and spacing change, so
no voxel is mixed with a neighbour that it does not touch. A sheared scan (gantry tilt) has no
orthogonal axes to keep; it is made upright. Of the orthogonal frames that keep one of its axes
and one of its planes, that nearest to the patient's axes is taken (for a tilted gantry: the table
axis stays, the slices are straightened), and the grid is the box that holds the whole scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import nibabel as nib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

GridKind = Literal["half_pixel", "affine"]
Shape = tuple[int, int, int]

COUNT_SLACK = 1e-4
"""Voxels a field of view may miss to a whole number: 300 x float32(0.7) / 0.7 is 299.999995."""

_AXES_OF_LETTERS = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}
_TIE = 1e-6  # voxels by which a corner may miss a voxel but for rounding


@dataclass(frozen=True)
class Grid:
    """A box of voxels in the patient.

    Attributes:
        shape: Number of voxels along each axis.
        affine: `(4, 4)` float64, voxel index to world mm, RAS+.
    """

    shape: Shape
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbours along each axis, in mm."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(a), float(b), float(c)

    def part(self, box: tuple[slice, slice, slice]) -> Grid:
        """The voxels in a box, where they are.

        Args:
            box: First and last-plus-one voxel along each axis, within the grid.
        """
        affine = self.affine.copy()
        affine[:3, 3] += affine[:3, :3] @ [side.start for side in box]
        i, j, k = (side.stop - side.start for side in box)
        return Grid((i, j, k), affine)

    def refined(self, factor: int) -> Grid:
        """This grid with `factor - 1` voxels more between any two: n become `(n - 1) * factor + 1`.

        Args:
            factor: 1 or more.
        """
        d, h, w = ((n - 1) * factor + 1 for n in self.shape)
        return Grid((d, h, w), self.affine @ np.diag([1 / factor] * 3 + [1.0]))

    def straightened(self) -> Grid:
        """The smallest grid without shear that holds this one: same rows and columns, even steps.

        Its slices lie along their normal, as far apart as this grid's slices are.
        """
        directions = _orthonormal(self.affine[:3, :3], (0, 1, 2))
        across_mm = directions[:, 2] @ self.affine[:3, 2]
        axes = directions * [*self.spacing_mm[:2], across_mm]
        ends = np.stack(np.meshgrid(*([0, n - 1] for n in self.shape), indexing="ij"), axis=-1)
        corners = np.linalg.solve(axes, self.affine[:3, :3] @ ends.reshape(-1, 3).T)
        first = np.floor(corners.min(axis=1) + _TIE)
        a, b, c = (int(n) for n in np.ceil(corners.max(axis=1) - _TIE) - first + 1)
        affine = np.eye(4)
        affine[:3, :3] = axes
        affine[:3, 3] = self.affine[:3, 3] + axes @ first
        return Grid((a, b, c), affine)


@dataclass(frozen=True)
class FittedGrid:
    """A grid cropped and padded to a size, and the part of it that the scan covers.

    Attributes:
        grid: The grid after crop and pad.
        inside: First and last-plus-one voxel along each axis that the uncropped grid covers;
            what lies outside is padding.
    """

    grid: Grid
    inside: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def voxel_ml(affine: NDArray[np.float64]) -> float:
    """Volume of a voxel in ml; `affine` is `(4, 4)` in mm and may be sheared."""
    return abs(float(np.linalg.det(affine[:3, :3]))) / 1000


def body_axes(affine: ArrayLike) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which array axis runs right-left, which front-back, which along the body.

    Args:
        affine: `(4, 4)`, voxel index to world mm, RAS+; may be oblique or sheared.

    Returns:
        The axes for right-left, front-back and head-foot; and for each whether its index grows
        towards R, A and S.
    """
    pairs = nib.io_orientation(np.asarray(affine, dtype=np.float64))
    order = [int(np.flatnonzero(pairs[:, 0] == world)[0]) for world in range(3)]
    grows = [bool(pairs[axis, 1] > 0) for axis in order]
    return (order[0], order[1], order[2]), (grows[0], grows[1], grows[2])


def checked_affine(affine: NDArray[np.float64], name: str = "affine") -> NDArray[np.float64]:
    """The affine as `(4, 4)` float64.

    Raises:
        InputError: If it is not a finite, invertible `(4, 4)` matrix.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        msg = f"{name} must be a finite 4x4 matrix, got {matrix.tolist()}; mend the file's header"
        raise InputError(msg)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if lengths.min() <= 0 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < 1e-3:
        msg = (
            f"{name} must have three axes that span space, got {matrix[:3, :3].tolist()}; "
            f"mend the file's header"
        )
        raise InputError(msg)
    return matrix


def checked_axcodes(axcodes: Sequence[str]) -> tuple[str, str, str]:
    """Three letters that name each anatomical axis once.

    Raises:
        InputError: If they do not.
    """
    letters = tuple(str(letter).upper() for letter in axcodes)
    if sorted(_AXES_OF_LETTERS.get(letter, -1) for letter in letters) != [0, 1, 2]:
        msg = (
            f"axcodes must name L or R, P or A, I or S once each, got {''.join(letters)!r}; "
            f"use for example 'SLP' or 'RAS'"
        )
        raise InputError(msg)
    return letters  # type: ignore[return-value]


def _axes_in_order(affine: NDArray[np.float64], axcodes: Sequence[str]) -> NDArray[np.float64]:
    """Unit directions of the stored axes, `(3, 3)` columns, ordered and signed as `axcodes`."""
    wanted = nib.orientations.axcodes2ornt(checked_axcodes(axcodes))
    found = nib.orientations.io_orientation(affine)
    if np.isnan(found).any():
        msg = (
            f"affine must point each axis to another world direction, got "
            f"{affine[:3, :3].tolist()}; mend the file's header"
        )
        raise InputError(msg)
    moves = nib.orientations.ornt_transform(found, wanted)
    columns = np.empty((3, 3))
    for stored, (axis, sign) in enumerate(moves):
        direction = affine[:3, stored] * sign
        columns[:, int(axis)] = direction / np.linalg.norm(direction)
    return columns


def upright_axes(affine: NDArray[np.float64], axcodes: Sequence[str]) -> NDArray[np.float64]:
    """Orthonormal axes nearest to the scan's own, ordered and directed as `axcodes`.

    Args:
        affine: `(4, 4)` voxel index to world mm.
        axcodes: Direction of each wanted axis.

    Returns:
        `(3, 3)`, column `d` is the direction of wanted axis `d` in the world. Equal to the scan's
        own axes unless they are sheared; then one of them, or one of its planes, is kept: that
        which brings the three nearest to the patient's axes.
    """
    columns = _axes_in_order(affine, axcodes)
    world = np.eye(3)[:, [_AXES_OF_LETTERS[letter] for letter in checked_axcodes(axcodes)]]
    frames = [_orthonormal(columns, order) for order in permutations(range(3))]
    return max(frames, key=lambda frame: float(np.round(np.abs(frame * world).sum(), 9)))


def without_shear(affine: ArrayLike) -> NDArray[np.float64]:
    """The same first voxel, rows and steps, with columns and slices square to what comes before.

    Args:
        affine: `(4, 4)` voxel index to world mm.
    """
    straight = np.array(affine, dtype=np.float64)
    steps_mm = np.linalg.norm(straight[:3, :3], axis=0)
    straight[:3, :3] = _orthonormal(straight[:3, :3], (0, 1, 2)) * steps_mm
    return straight


def _orthonormal(columns: NDArray[np.float64], order: Sequence[int]) -> NDArray[np.float64]:
    """Gram-Schmidt: the first column of `order` stays, the others become perpendicular to it."""
    result = np.empty((3, 3))
    done: list[NDArray[np.float64]] = []
    for axis in order:
        direction = columns[:, axis]
        for kept in done:
            direction = direction - kept * (kept @ direction)
        result[:, axis] = direction / np.linalg.norm(direction)
        done.append(result[:, axis])
    return result


def target_grid(
    source: Grid,
    *,
    axcodes: Sequence[str],
    spacing_mm: Sequence[float] | None,
    kind: GridKind,
) -> Grid:
    """The grid that covers the whole scan in the wanted orientation and spacing.

    Args:
        source: Grid of the scan as stored.
        axcodes: Direction of each axis of the result.
        spacing_mm: Distance of neighbours along each axis of the result. None keeps the scan's.
        kind: `half_pixel` or `affine`, see the module docstring.

    Raises:
        InputError: If an argument is none of the above, or the result would be empty or absurd.
    """
    if kind not in ("half_pixel", "affine"):
        msg = f"grid must be 'half_pixel' or 'affine', got {kind!r}; take what the card says"
        raise InputError(msg)
    affine = checked_affine(source.affine)
    axes = upright_axes(affine, axcodes)
    step_mm = axes.T @ affine[:3, :3]  # along wanted axis d per stored index j, in mm
    step_mm[np.abs(step_mm) < 1e-9 * np.abs(step_mm).max()] = 0.0
    spacing = np.abs(step_mm).max(axis=1) if spacing_mm is None else np.asarray(spacing_mm, float)
    if spacing.shape != (3,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        msg = f"spacing_mm must be three positive numbers, got {spacing_mm}; give mm per voxel"
        raise InputError(msg)
    last = np.asarray(source.shape, dtype=np.float64) - 1
    margin = 0.5 if kind == "half_pixel" else 0.0
    ends = np.stack([step_mm * -margin, step_mm * (last + margin)])
    low = axes.T @ affine[:3, 3] + ends.min(axis=0).sum(axis=1)
    extent = ends.max(axis=0).sum(axis=1) - ends.min(axis=0).sum(axis=1)
    if kind == "half_pixel":
        count = np.maximum(np.floor(extent / spacing + COUNT_SLACK), 1)
        spacing = extent / count
        low = low + spacing / 2
    else:
        count = np.round(extent / spacing) + 1
    if count.prod() > 2**33:
        msg = (
            f"spacing_mm must give at most 2**33 voxels, got {spacing.tolist()} on a field of "
            f"view of {extent.round().tolist()} mm; check the units of the spacing and the header"
        )
        raise InputError(msg)
    result = np.eye(4)
    result[:3, :3] = axes * spacing
    result[:3, 3] = axes @ low
    a, b, c = (int(n) for n in count)
    return Grid((a, b, c), result)


def fit_grid(
    grid: Grid,
    size: Sequence[int | None] | None,
    multiple: Sequence[int] = (1, 1, 1),
) -> FittedGrid:
    """Crop and pad a grid around its centre.

    Crop first voxel is `max((n - size) // 2, 0)`; voxels padded in front are
    `max((size - n) // 2, 0)`, the rest behind.

    Args:
        grid: What to fit.
        size: Voxels wanted along each axis; None, for one axis or all, keeps what there is.
        multiple: An axis without a size is padded to a multiple of this.
    """
    wanted = (None, None, None) if size is None else tuple(size)
    if len(wanted) != 3 or any(n is not None and n < 1 for n in wanted):
        msg = f"size must be three positive numbers or null, got {size}; give voxels per axis"
        raise InputError(msg)
    if len(multiple) != 3 or any(m < 1 for m in multiple):
        msg = f"pad_multiple must be three positive numbers, got {multiple}; use 1 for no padding"
        raise InputError(msg)
    shape, shift, inside = [], [], []
    for have, want, factor in zip(grid.shape, wanted, multiple, strict=True):
        target = -(-have // factor) * factor if want is None else want
        start, before = max((have - target) // 2, 0), max((target - have) // 2, 0)
        shape.append(target)
        shift.append(start - before)
        inside.append((before, before + min(have, target)))
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.asarray(shift, dtype=np.float64)
    return FittedGrid(
        Grid((shape[0], shape[1], shape[2]), affine), (inside[0], inside[1], inside[2])
    )


def index_map(source: Grid, target: Grid) -> NDArray[np.float64]:
    """`(4, 4)` float64, voxel index on `target` to voxel index on `source`."""
    return np.linalg.inv(source.affine) @ target.affine


def transform_points(
    affine: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Apply a `(4, 4)` affine to points `(..., 3)`.

    Raises:
        InputError: If the last axis of `points` does not have length 3.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.ndim == 0 or values.shape[-1] != 3:
        msg = f"points must have shape (..., 3), got {values.shape}; give one row per point"
        raise InputError(msg)
    return values @ affine[:3, :3].T + affine[:3, 3]

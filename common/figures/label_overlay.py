"""A plane of a scan with its segmentation laid over, as pixels for one place on a page.

A plane alone is cut from the scan and sampled to the size at which it is shown, so a large volume
costs no more than a small one. Structures are tinted and outlined in their colours; the scan
stays visible below.

Shapes: R rows and C columns of a picture; H W of the place it is drawn to, in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from einops import reduce
from numpy.typing import NDArray

from ..volumes.volume import Volume
from .axial_slice import to_hounsfield, window
from .body_plane import BodyPlane

TINT = 0.4
"""Share of the structure's colour in what lies within its outline."""
_LINE = 0.9
_LINE_LIGHTER = 0.12
_FINER = 2
_AIR_HU = -1024.0


@dataclass(frozen=True)
class PlanePicture:
    """A plane's own pixels, rectangular and in display orientation.

    Attributes:
        plane: Where it was cut.
        hounsfield: `(R, C)` float32 HU.
        labels: `(R, C)` integers, 0 background.
        pixel_mm: Height and width of a pixel.
    """

    plane: BodyPlane
    hounsfield: NDArray[np.float32]
    labels: NDArray[Any]
    pixel_mm: tuple[float, float]

    @property
    def shown(self) -> set[int]:
        """The numbers that are seen in it."""
        return {int(number) for number in np.unique(self.labels) if number}


def cut_picture(volume: Volume, labels: NDArray[Any], plane: BodyPlane) -> PlanePicture:
    """Cut a plane from the scan and its labels; rows of a sheared volume are shifted into place.

    Args:
        volume: The scan as stored.
        labels: `(I, J, K)` integers on its grid.
        plane: From `body_plane`.
    """
    volume.wait_until_filled(max(volume.voxels.shape))
    hounsfield = to_hounsfield(volume, plane.cut(volume.voxels))
    found = plane.cut(labels)
    shift, down = plane.row_step_mm
    across = plane.column_step_mm
    if abs(shift) * (len(found) - 1) > 0.5 * across:
        hounsfield = _straighten(hounsfield, shift / across, _AIR_HU)
        found = _straighten(found, shift / across, 0)
    return PlanePicture(plane, hounsfield, found, (down, across))


def paint(
    picture: PlanePicture,
    *,
    box_mm: tuple[float, float, float, float],
    size: tuple[int, int],
    hu_window: tuple[float, float],
    colours: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Sample a picture to the pixels of its place, with the structures in their colours.

    Args:
        picture: From `cut_picture`.
        box_mm: Left, right, top and bottom of what is shown, in mm from the picture's top left
            corner. It stays in the middle of the place, at the largest scale that fits.
        size: `(H, W)`.
        hu_window: Lower and upper HU: black and white.
        colours: `(N, 3)` float32, 0 to 1, by label number.

    Returns:
        `(H, W, 3)` RGB.
    """
    rows, columns = _places(picture, box_mm, size)
    grey = window(_between(picture.hounsfield, rows, columns), hu_window)[..., None]
    labels = _nearest(picture.labels, rows, columns)
    inside, line = (labels > 0)[..., None], _outlines(labels)[..., None]
    colour = colours[labels]
    image = np.where(inside, grey + (colour - grey) * TINT, grey)
    image = np.where(line, image + (colour + _LINE_LIGHTER - image) * _LINE, image)
    # Painted finer than shown and averaged, so that lines are smooth and noise does not alias.
    image = reduce(image, "(h i) (w j) rgb -> h w rgb", "mean", i=_FINER, j=_FINER)
    painted: NDArray[np.uint8] = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return painted


def pixels_per_mm(box_mm: tuple[float, float, float, float], size: tuple[float, float]) -> float:
    """The largest scale at which a box fits into a place of ``size`` (height, width) pixels."""
    left, right, top, bottom = box_mm
    return float(min(size[1] / (right - left), size[0] / (bottom - top)))


def _places(
    picture: PlanePicture, box_mm: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column index, with fraction, of each finer pixel's centre."""
    scale = pixels_per_mm(box_mm, size)
    left, right, top, bottom = box_mm
    middles = ((top + bottom) / 2, (left + right) / 2)
    found = []
    for count, middle, pixel in zip(size, middles, picture.pixel_mm, strict=True):
        from_middle = (np.arange(count * _FINER) + 0.5) / _FINER - count / 2
        found.append((middle + from_middle / scale) / pixel - 0.5)
    return found[0], found[1]


def _between(
    hounsfield: NDArray[np.float32], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Linear interpolation on a grid of rows and columns; air outside."""
    picture = _along_rows(hounsfield, rows)
    return _along_rows(picture.T, columns).T


def _along_rows(picture: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    last = len(picture) - 1
    held = np.clip(places, 0, last)
    lower = np.minimum(held.astype(np.intp), max(last - 1, 0))
    upper = np.minimum(lower + 1, last)
    part = (held - lower).astype(np.float32)[:, None]
    mixed: NDArray[np.float32] = picture[lower] * (1 - part) + picture[upper] * part
    mixed[(places < -0.5) | (places > last + 0.5)] = _AIR_HU
    return mixed


def _nearest(
    labels: NDArray[Any], rows: NDArray[np.float64], columns: NDArray[np.float64]
) -> NDArray[Any]:
    """Nearest labels on a grid of rows and columns; background outside."""
    found = labels
    for places in (rows, columns):
        index = np.floor(places + 0.5).astype(np.intp)
        outside = (index < 0) | (index >= len(found))
        found = found[np.clip(index, 0, len(found) - 1)]
        found[outside] = 0
        found = found.T
    return found


def _outlines(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Pixels of a structure within two of another one or of the background."""
    line = np.zeros(labels.shape, dtype=bool)
    for step in (1, 2):
        for axis in (0, 1):
            other = np.moveaxis(line, axis, 0)
            moved = np.moveaxis(labels, axis, 0)
            differs = moved[step:] != moved[:-step]
            other[step:] |= differs
            other[:-step] |= differs
    return line & (labels > 0)


def _straighten(picture: NDArray[Any], shift_pixels: float, outside: float) -> NDArray[Any]:
    """Shift each row to the right by ``shift_pixels`` more than the one above it."""
    rows, columns = picture.shape
    total = shift_pixels * (rows - 1)
    start = min(total, 0.0)
    places = np.arange(columns + int(np.ceil(abs(total)))) + start
    straight = np.empty((rows, len(places)), dtype=picture.dtype)
    known = np.arange(columns)
    for number, row in enumerate(picture):
        at = places - number * shift_pixels
        if picture.dtype.kind == "f":
            straight[number] = np.interp(at, known, row, left=outside, right=outside)
        else:
            index = np.floor(at + 0.5).astype(np.intp)
            within = (index >= 0) & (index < columns)
            straight[number] = np.where(within, row[np.clip(index, 0, columns - 1)], outside)
    return straight

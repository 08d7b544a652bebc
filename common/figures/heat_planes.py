"""Three planes of a scan through a point, with a cross and, where wanted, a heat map laid over.

Coronal and sagittal side by side at one scale, the axial plane below or at their right, on black.
Heat is see-through where it is low.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..volumes.inverse import points_to_voxel
from ..volumes.volume import Volume
from .axial_slice import window
from .body_plane import PlaneName, body_plane
from .label_overlay import PlanePicture, cut_picture, pixels_per_mm
from .page import NIGHT_MUTED, NIGHT_TEXT, Page
from .slice_choice import HU_WINDOWS
from .slice_panels import body_box_mm, draw_marks
from .upright import slice_number, upright

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HEAT_COLOURS = "inferno"
CROSS = "#3ddc97"
_WINDOW = HU_WINDOWS["mediastinal"]
_CAPTION, _GAP = 26, 12
_MOST_OPAQUE = 0.6
_AXIAL_SHARE, _THINNEST, _WORDS = 0.3, 90.0, 130.0
_NAMES: tuple[PlaneName, ...] = ("coronal", "sagittal", "axial")
_WORLD_AXIS: dict[PlaneName, tuple[int, str]] = {
    "sagittal": (0, "x"),
    "coronal": (1, "y"),
    "axial": (2, "z"),
}
Place = tuple[float, float, float, float]
Box = tuple[float, float, float, float]


class Heat(NamedTuple):
    """What is laid over a scan.

    Attributes:
        values: `(I, J, K)` on the scan's grid.
        low: Of this and below, nothing is seen.
        high: Of this and above, the brightest colour.
    """

    values: NDArray[np.float32]
    low: float
    high: float


@dataclass(frozen=True)
class _Panel:
    picture: PlanePicture
    box_mm: Box
    place: Place


def draw_heat_planes(
    page: Page,
    place: Place,
    *,
    volume: Volume,
    point_world_mm: NDArray[np.float64],
    heat: Heat | None = None,
    cross: bool = True,
) -> Place:
    """Draw the planes.

    Args:
        page: To draw on.
        place: Left, top, width and height in pixels.
        volume: The scan as stored, any orientation.
        point_world_mm: `(3,)`, RAS+: the planes nearest to it are shown.
        heat: What is laid over, if anything.
        cross: Whether the point is marked.

    Returns:
        What is left of the place, beside or below the axial plane.
    """
    volume.wait_until_filled(max(volume.voxels.shape))
    values = heat.values if heat else np.zeros((1, 1, 1), np.float32)
    if heat is None:
        values = np.broadcast_to(values, volume.voxels.shape)
    seen = upright(volume)
    volume, values = seen.volume, seen.like(values, order=1)
    voxel = points_to_voxel(point_world_mm, volume.affine)
    pictures = {name: _cut(volume, values, name, voxel) for name in _NAMES}
    panels, rest = _panels(pictures, place)
    for panel in panels:
        _draw(page, panel, heat, numbered=not seen.is_turned)
        if cross:
            _draw_cross(page, panel, on_picture(panel.picture, voxel, volume.voxels.shape))
    return rest


def draw_heat_scale(page: Page, place: Place, heat: Heat, *, name: str) -> None:
    """Draw an upright scale of the heat's colours with its two ends.

    Args:
        page: To draw on.
        place: Left, top, width and height in pixels; the scale takes 16 of the width.
        heat: Of which.
        name: What the numbers are.
    """
    left, top, _, high = place
    axes = page.axes(left, top, 16, high, xlim=(0, 1), ylim=(0, 1))
    shades = np.linspace(0, 1, 128)[:, None]
    axes.imshow(_coloured(shades, opaque=True), extent=(0, 1, 0, 1), origin="lower", aspect="auto")
    page.text(left + 24, top + 7, f"{heat.high:.3g}", size=12, colour=NIGHT_TEXT)
    page.text(left + 24, top + high - 7, f"{heat.low:.3g}", size=12, colour=NIGHT_TEXT)
    page.text(left + 24, top + high / 2, name, size=12, colour=NIGHT_MUTED)


def _cut(
    volume: Volume, heat: NDArray[np.float32], name: PlaneName, voxel: NDArray[np.float64]
) -> PlanePicture:
    axis = body_plane(volume.affine, volume.voxels.shape, name, 0).axis
    plane = body_plane(volume.affine, volume.voxels.shape, name, round(float(voxel[axis])))
    return cut_picture(volume, heat, plane)


def _panels(pictures: dict[PlaneName, PlanePicture], place: Place) -> tuple[list[_Panel], Place]:
    """Each picture's place, as large as fits, and what is left; coronal and sagittal at one scale.

    The axial plane lies below them, or at their right where they are tall.
    """
    front, side = (body_box_mm([pictures[name]]) for name in _NAMES[:2])
    upper, lower = min(front[2], side[2]), max(front[3], side[3])
    front, side = (*front[:2], upper, lower), (*side[:2], upper, lower)
    below = body_box_mm([pictures["axial"]])
    boxes = (front, side, below)
    widths, tall = [box[1] - box[0] for box in boxes], lower - upper
    _, _, wide, high = place
    room = high - 2 * _CAPTION - _GAP
    stacked = min((wide - _GAP) / sum(widths[:2]), room / (tall + below[3] - below[2]))
    abreast = min(
        (wide * (1 - _AXIAL_SHARE) - 2 * _GAP) / sum(widths[:2]), (high - _CAPTION) / tall
    )
    lay = _abreast if abreast > stacked else _stacked
    places, rest = lay(boxes, place, max(abreast, stacked))
    panels = [
        _Panel(pictures[name], box, at) for name, box, at in zip(_NAMES, boxes, places, strict=True)
    ]
    return panels, rest


def _upright_pair(
    boxes: tuple[Box, Box, Box], place: Place, scale: float, tall: float
) -> tuple[Place, Place]:
    """Coronal and sagittal side by side."""
    left, top, _, _ = place
    first, second = ((box[1] - box[0]) * scale for box in boxes[:2])
    y = top + _CAPTION
    return (left, y, first, tall), (left + first + _GAP, y, second, tall)


def _stacked(
    boxes: tuple[Box, Box, Box], place: Place, scale: float
) -> tuple[tuple[Place, Place, Place], Place]:
    """The axial plane below; what is left lies beside it, or below where it takes the width."""
    left, top, wide, high = place
    below = boxes[2]
    shape = (below[3] - below[2]) / (below[1] - below[0])
    tall = max((boxes[0][3] - boxes[0][2]) * scale, _THINNEST)
    lower = top + 2 * _CAPTION + tall + _GAP
    room = top + high - lower
    full = min(wide, (room - _WORDS) / shape)
    beside = min(wide * 0.62, room / shape)
    across = max(full, beside)
    pair = _upright_pair(boxes, place, scale, tall)
    axial = (left, lower, across, across * shape)
    if full > beside:
        rest_top = lower + axial[3] + 2 * _GAP
        return (*pair, axial), (left, rest_top, wide, top + high - rest_top)
    start = left + across + 2 * _GAP
    return (*pair, axial), (start, lower, left + wide - start, axial[3])


def _abreast(
    boxes: tuple[Box, Box, Box], place: Place, scale: float
) -> tuple[tuple[Place, Place, Place], Place]:
    """The axial plane at the right; what is left lies below it."""
    left, top, wide, high = place
    below = boxes[2]
    tall = (boxes[0][3] - boxes[0][2]) * scale
    first, second = _upright_pair(boxes, place, scale, tall)
    start = second[0] + second[2] + _GAP
    across = left + wide - start
    axial = (start, first[1], across, across * (below[3] - below[2]) / (below[1] - below[0]))
    rest_top = axial[1] + axial[3] + 2 * _GAP
    return (first, second, axial), (start, rest_top, across, top + high - rest_top)


def _draw(page: Page, panel: _Panel, heat: Heat | None, *, numbered: bool) -> None:
    left, top, wide, high = panel.place
    picture, plane = panel.picture, panel.picture.plane
    rows, columns = picture.hounsfield.shape
    down, across = picture.pixel_mm
    axes = _axes(page, panel, facecolor="black")
    whole: dict[str, Any] = {"extent": (0, columns * across, rows * down, 0), "aspect": "auto"}
    grey = window(picture.hounsfield, _WINDOW)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=1, interpolation="bicubic", **whole)
    if heat is not None:
        share = np.clip((picture.labels - heat.low) / max(heat.high - heat.low, 1e-9), 0, 1)
        axes.imshow(_coloured(share), interpolation="bilinear", **whole)
    _zoom(axes, panel)
    scale = pixels_per_mm(panel.box_mm, (high, wide))
    long = 50.0 * scale < 24
    draw_marks(
        axes, plane.letters, (100 if long else 50) * scale / wide, "10 cm" if long else "5 cm"
    )
    axis, letter = _WORLD_AXIS[plane.name]
    which = f" {slice_number(plane)}" if numbered else ""
    place = f"{letter} {plane.centre_world_mm[axis]:.0f} mm"
    caption = f"{plane.name.capitalize()}{which}   ·   {place}"
    page.text(left, top - 13, caption, size=12, colour=NIGHT_MUTED)


def _coloured(share: NDArray[Any], *, opaque: bool = False) -> NDArray[np.float64]:
    """RGBA of heat from 0 to 1."""
    from matplotlib import colormaps

    colours = np.array(colormaps[HEAT_COLOURS](share), dtype=np.float64)
    if not opaque:
        colours[..., 3] = _MOST_OPAQUE * share
    return colours


def _draw_cross(page: Page, panel: _Panel, at_mm: tuple[float, float]) -> None:
    """Two lines with a gap at the point."""
    from matplotlib.patheffects import withStroke

    x, y = at_mm
    axes = _axes(page, panel)
    _zoom(axes, panel)
    gap = 9 / pixels_per_mm(panel.box_mm, (panel.place[3], panel.place[2]))
    far = 1e4
    style: dict[str, Any] = {
        "color": CROSS,
        "lw": 1.1,
        "path_effects": [withStroke(linewidth=2.2, foreground="black", alpha=0.6)],
        "scalex": False,
        "scaley": False,
    }
    for sign in (-1, 1):
        axes.plot([x + sign * gap, x + sign * far], [y, y], **style)
        axes.plot([x, x], [y + sign * gap, y + sign * far], **style)


def on_picture(
    picture: PlanePicture, point_voxel: NDArray[np.float64], shape: Sequence[int]
) -> tuple[float, float]:
    """Where a point lies in a picture: x and y in mm from its top left corner.

    Args:
        picture: From `cut_picture`.
        point_voxel: `(3,)` in voxels of the scan, with fraction; 0 is a voxel's centre.
        shape: `(I, J, K)` of the scan.
    """
    plane = picture.plane
    row, column = (
        shape[axis] - 1 - float(point_voxel[axis]) if turned else float(point_voxel[axis])
        for axis, turned in zip((plane.rows_axis, plane.columns_axis), plane.turned, strict=True)
    )
    down, across = picture.pixel_mm
    total = plane.row_step_mm[0] / across * (shape[plane.rows_axis] - 1)
    if abs(total) > 0.5:  # a sheared scan, whose rows `cut_picture` has moved into place
        column += row * plane.row_step_mm[0] / across - min(total, 0.0)
    return (column + 0.5) * across, (row + 0.5) * down


def _axes(page: Page, panel: _Panel, **options: Any) -> Axes:
    return page.axes(*panel.place, **options)


def _zoom(axes: Axes, panel: _Panel) -> None:
    """Show the panel's box in the middle of its place, at the largest scale that fits."""
    _, _, wide, high = panel.place
    left, right, top, bottom = panel.box_mm
    scale = pixels_per_mm(panel.box_mm, (high, wide))
    spare_x, spare_y = wide / scale - (right - left), high / scale - (bottom - top)
    axes.set_xlim(left - spare_x / 2, right + spare_x / 2)
    axes.set_ylim(bottom + spare_y / 2, top - spare_y / 2)

"""The figure's middle: axial slices on black, all at one scale, each in its finding's window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .axial_slice import AxialSlice, window
from .page import NIGHT_MUTED, NIGHT_POSITIVE, NIGHT_TEXT, Page, fold, font
from .slice_choice import HU_WINDOWS
from .upright import ACROSS, slice_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION = 44.0
_BODY_HU = -300.0
_AIR_HU = -850.0


def draw_slice_panels(
    page: Page,
    place: tuple[float, float, float, float],
    *,
    pictures: Sequence[AxialSlice],
    windows: Sequence[str],
    titles: Sequence[str],
    numbered: bool = True,
    gap: float = 16.0,
) -> None:
    """Draw up to four slices, two by two.

    Args:
        page: To draw on.
        place: Left, top, width, height in pixels.
        pictures: The slices.
        windows: A key of `HU_WINDOWS` for each.
        titles: What each is shown for.
        numbered: Whether they are slices of the input, and have its numbers.
        gap: Pixels between slices.
    """
    left, top, wide, high = place
    if not pictures:
        page.text(left, top + 12, "No slice triplet lies inside the scan.", colour=NIGHT_TEXT)
        return
    each_wide, each_high = (wide - gap) / 2, (high - gap) / 2
    box_mm = body_box_mm(pictures)
    for number, picture in enumerate(pictures):
        x = left + (number % 2) * (each_wide + gap)
        y = top + (number // 2) * (each_high + gap)
        which = f"slice {slice_number(picture)}" if numbered else ACROSS
        detail = (
            f"{which}   ·   z {picture.centre_world_mm[2]:.1f} mm   ·   {windows[number]} window"
        )
        page.text(x, y + 10, str(number + 1), size=15, colour=NIGHT_POSITIVE, weight="bold")
        title = fold(titles[number], 48, 1)
        page.text(x + 20, y + 10, title, size=14, colour=NIGHT_TEXT, weight="bold")
        page.text(x + 20, y + 31, detail, size=12, colour=NIGHT_MUTED)
        frame = (x, y + _CAPTION, each_wide, each_high - _CAPTION)
        _draw_slice(page, frame, picture, HU_WINDOWS[windows[number]], box_mm)


class Picture(Protocol):
    """HU of a plane in display orientation, and how large its pixels are."""

    @property
    def hounsfield(self) -> NDArray[np.float32]:
        """`(rows, columns)` HU."""

    @property
    def pixel_mm(self) -> tuple[float, float]:
        """Height and width of a pixel."""


def body_box_mm(pictures: Sequence[Picture]) -> tuple[float, float, float, float]:
    """A box around the body in all pictures, so that all are shown at one scale.

    The body is the largest connected part that is denser than fat, and every part at least a
    twentieth of it (arms); so the table, which is thin, mostly stays out.

    Returns:
        Left, right, top, bottom in mm from the pictures' top left corner.
    """
    boxes = np.array([_body_extent_mm(picture) for picture in pictures])
    left, top = boxes[:, [0, 2]].min(axis=0)
    right, bottom = boxes[:, [1, 3]].max(axis=0)
    margin = 0.045 * float(right - left)
    high, wide = np.max(
        [np.multiply(picture.hounsfield.shape, picture.pixel_mm) for picture in pictures], axis=0
    )
    return (
        max(float(left) - margin, 0.0),
        min(float(right) + margin, float(wide)),
        max(float(top) - margin, 0.0),
        min(float(bottom) + margin, float(high)),
    )


def _body_extent_mm(picture: Picture) -> tuple[float, float, float, float]:
    from scipy import ndimage

    parts, _ = ndimage.label(picture.hounsfield > _BODY_HU)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    body = np.isin(parts, np.flatnonzero(sizes * 20 >= max(sizes.max(), 1)))
    if not body.any():
        body[:] = True
    y, x = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    high, wide = picture.pixel_mm
    return x[0] * wide, (x[-1] + 1) * wide, y[0] * high, (y[-1] + 1) * high


def _draw_slice(
    page: Page,
    place: tuple[float, float, float, float],
    picture: AxialSlice,
    hu_window: tuple[float, float],
    box_mm: tuple[float, float, float, float],
) -> None:
    _, _, wide, high = place
    brightness = window(picture.hounsfield, hu_window)
    axes = page.axes(*place, facecolor=_surrounding(picture, brightness))
    rows, columns = picture.hounsfield.shape
    row_mm, column_mm = picture.pixel_mm
    x0, x1, y0, y1 = box_mm
    scale = min(wide / (x1 - x0), high / (y1 - y0))
    axes.imshow(
        brightness,
        cmap="gray",
        vmin=0,
        vmax=1,
        extent=(0, columns * column_mm, rows * row_mm, 0),
        interpolation="hanning" if scale * min(picture.pixel_mm) < 1 else "bicubic",
    )
    spare_x, spare_y = wide / scale - (x1 - x0), high / scale - (y1 - y0)
    axes.set_xlim(x0 - spare_x / 2, x1 + spare_x / 2)
    axes.set_ylim(y1 + spare_y / 2, y0 - spare_y / 2)
    draw_marks(axes, ("R", "L", "A", "P"), bar_share=50.0 * scale / wide)


def draw_marks(
    axes: Axes, letters: tuple[str, str, str, str], bar_share: float, bar: str = "5 cm"
) -> None:
    """Patient directions at the edges of a picture and a scale bar in its lower right corner.

    Args:
        axes: The picture.
        letters: At the left, right, upper and lower edge.
        bar_share: Length of the bar as a share of the axes' width.
        bar: What it measures.
    """
    from matplotlib.patheffects import withStroke

    mark: dict[str, Any] = {
        "transform": axes.transAxes,
        "ha": "center",
        "va": "center",
        "color": NIGHT_TEXT,
        "path_effects": [withStroke(linewidth=2, foreground="black")],
    }
    x, y = 10 / axes.bbox.width, 13 / axes.bbox.height
    places = ((x, 0.5), (1 - x, 0.5), (0.5, 1 - y), (0.5, y))
    for text, (x, y) in zip(letters, places, strict=True):
        axes.text(x, y, text, **mark, **font(12))
    end = 0.965
    line: dict[str, Any] = {"color": NIGHT_TEXT, "lw": 1.6, "solid_capstyle": "butt"}
    axes.plot([end - bar_share, end], [0.8 * y] * 2, transform=axes.transAxes, **line)
    axes.text(end - bar_share / 2, 1.75 * y, bar, **mark, **font(11))


def _surrounding(picture: AxialSlice, brightness: NDArray[np.float32]) -> str:
    """Shade for what lies outside the picture: as its edge where that is air, else black."""
    edge = np.zeros(brightness.shape, dtype=bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    in_air = picture.hounsfield[edge] < _AIR_HU
    return str(float(np.median(brightness[edge]))) if in_air.mean() > 0.8 else "black"

"""The figure's left side: the scan from the front, and the relevance along the body below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .axial_slice import Scout
from .page import NIGHT_LINE, NIGHT_MUTED, NIGHT_POSITIVE, NIGHT_STRIP, Page, font

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NIGHT_AGAINST = "#6d8fae"
_GUTTER, _MARK = 30.0, 15.0


def draw_scout(
    page: Page, place: tuple[float, float, float, float], seen: Scout, slices_voxel: Sequence[int]
) -> float:
    """Draw the frontal view with a line and a number at each shown slice.

    Args:
        page: To draw on.
        place: Left, top, and the most width and height in pixels.
        seen: From `scout`.
        slices_voxel: Index of each shown slice.

    Returns:
        The height used, in pixels.
    """
    left, top, most_wide, most_high = place
    scale = min((most_wide - _GUTTER) / seen.width_mm, most_high / seen.height_mm)
    wide, high = seen.width_mm * scale, seen.height_mm * scale
    marks: dict[int, list[int]] = {}
    for picture, index in enumerate(slices_voxel):
        marks.setdefault(index, []).append(picture)
    used = max(high, _MARK * len(marks))
    start, top = left + _GUTTER + (most_wide - _GUTTER - wide) / 2, top + (used - high) / 2
    axes = page.axes(start, top, wide, high)
    axes.imshow(
        seen.brightness,
        cmap="gray",
        extent=(0, seen.width_mm, 0, seen.height_mm),
        aspect="auto",
        interpolation="bilinear",
        vmin=0,
        vmax=1,
    )
    lines = page.axes(left, top, most_wide, high, xlim=(0, most_wide), ylim=(0, seen.height_mm))
    heights = [seen.height_of(index) for index in marks]
    ends = [start - left - 6, start - left + wide]
    for index, height, at in zip(marks, heights, _spread(heights, _MARK / scale), strict=True):
        lines.plot(ends, [height, height], color=NIGHT_POSITIVE, lw=0.9, alpha=0.85)
        _mark(lines, start - left - 11, at, name_pictures(marks[index]), ha="right")
    return used


def draw_relevance_strips(
    page: Page,
    place: tuple[float, float, float, float],
    *,
    rows: Sequence[NDArray[np.float64]],
    numbers: Sequence[Sequence[int]],
    shown_voxel: Sequence[int],
    positions_voxel: NDArray[np.float64],
    seen: Scout,
    numbered: bool = True,
) -> None:
    """Draw one upright strip per finding: right of its middle speaks for the finding.

    Args:
        page: To draw on.
        place: Left, top, width, height in pixels.
        rows: Relevance of each finding, `(T,)`, any scale; each strip has its own.
        numbers: The pictures, from 0, that show each finding.
        shown_voxel: Index of each picture's slice.
        positions_voxel: `(T,)` slice index of each triplet's centre, with fraction.
        seen: From `scout`; gives the heights.
        numbered: Whether heights are given as slices of the input; as z in mm otherwise.
    """
    left, top, wide, high = place
    gap, axis_wide = 8.0, 38.0
    each = min((wide - axis_wide - gap * (len(rows) - 1)) / len(rows), 120.0)
    heights = np.array([seen.height_of(position) for position in positions_voxel])
    _draw_heights(page, (left, top, axis_wide, high), seen, numbered=numbered)
    for strip, (row, pictures) in enumerate(zip(rows, numbers, strict=True)):
        start = left + axis_wide + strip * (each + gap)
        axes = page.axes(start, top, each, high, facecolor=NIGHT_STRIP)
        _draw_strip(axes, row, heights, seen.height_mm)
        for picture in pictures:
            at = seen.height_of(shown_voxel[picture])
            axes.plot([-1.1, 1.1], [at, at], color=NIGHT_POSITIVE, lw=0.9, alpha=0.85)
        head = page.axes(start, top - 20, each, 20, xlim=(-1, 1), ylim=(0, 1))
        _mark(head, 0, 0.5, name_pictures(pictures), ha="center")


def name_pictures(pictures: Sequence[int]) -> str:
    """Pictures as the figure numbers them, from 1: `2`, `1 3` or, in a row, `1-4`."""
    numbers = [picture + 1 for picture in pictures]
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{numbers[0]}-{numbers[-1]}"
    return " ".join(str(number) for number in numbers)


def _draw_strip(
    axes: Axes, row: NDArray[np.float64], heights: NDArray[np.float64], height_mm: float
) -> None:
    most = max(float(np.abs(row).max()), 1e-12)
    thick = float(abs(heights[1] - heights[0])) if len(heights) > 1 else height_mm
    colours = np.where(row > 0, NIGHT_POSITIVE, NIGHT_AGAINST)
    axes.axvline(0, color=NIGHT_LINE, lw=0.8)
    axes.barh(heights, row / most, height=thick, color=colours, lw=0)
    axes.set_xlim(-1.08, 1.08)
    axes.set_ylim(0, height_mm)


def _draw_heights(
    page: Page, place: tuple[float, float, float, float], seen: Scout, *, numbered: bool
) -> None:
    """Slice numbers as the input counts them, or z in mm, at round numbers."""
    left, top, wide, high = place
    axes = page.axes(left, top, wide, high, xlim=(0, wide), ylim=(0, seen.height_mm))
    if numbered:
        step = _round_step(seen.num_slices / 5)
        numbers = [1, *range(step, seen.num_slices + 1, step)]
        heights = [seen.height_of(number - 1) for number in numbers]
    else:
        step, lowest = _round_step(seen.height_mm / 5), seen.lowest_world_mm
        first = int(np.ceil(lowest / step)) * step
        numbers = list(range(first, int(lowest + seen.height_mm) + 1, step))
        heights = [number - lowest for number in numbers]
    for number, height in zip(numbers, heights, strict=True):
        axes.text(
            wide - 9, height, str(number), color=NIGHT_MUTED, ha="right", va="center", **font(11)
        )
        axes.plot([wide - 5, wide - 1], [height, height], color=NIGHT_MUTED, lw=0.7)


def _mark(axes: Axes, x: float, y: float, text: str, ha: str) -> None:
    style = {"color": NIGHT_POSITIVE, "weight": "bold", "va": "center", **font(13)}
    axes.text(x, y, text, ha=ha, **style)


def _round_step(step: float) -> int:
    """The next 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(max(step, 1.0)))
    for factor in (1, 2, 5, 10):
        if factor * power >= step:
            break
    return int(factor * power)


def _spread(places: Sequence[float], apart: float) -> list[float]:
    """Move places (in any order) upwards just enough that their marks do not overlap."""
    moved = [float(place) for place in places]
    lower = -np.inf
    for index in np.argsort(places, kind="stable"):
        moved[index] = lower = max(moved[index], lower + apart)
    centre = sum(moved) / max(len(moved), 1) - sum(places) / max(len(places), 1)
    return [place - centre for place in moved]

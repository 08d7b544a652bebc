"""The figure's right side: every finding's probability and threshold, positive ones first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .page import FAINT, INK, MUTED, NEGATIVE, POSITIVE, TRACK, Page, font

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEADING, _ROW, _FOOT = 34.0, 44.0, 44.0


def draw_probability_bars(
    page: Page,
    place: tuple[float, float, float, float],
    *,
    labels: Sequence[str],
    probabilities: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    shown_in: Mapping[int, str],
) -> None:
    """Draw one bar per finding into a rectangle, sorted by probability within its group.

    Args:
        page: To draw on.
        place: Left, top, width, height in pixels.
        labels: `L` names.
        probabilities: `(L,)`, 0 to 1.
        thresholds: `(L,)`, 0 to 1; a tick on each bar.
        shown_in: Label index to the numbers of the pictures that show it.
    """
    left, top, wide, high = place
    axes = page.axes(left, top, wide, high, xlim=(0, wide), ylim=(high, 0))
    order = np.argsort(-probabilities, kind="stable")
    positive = probabilities >= thresholds
    groups = [
        ("At or above threshold", POSITIVE, [label for label in order if positive[label]]),
        ("Below threshold", NEGATIVE, [label for label in order if not positive[label]]),
    ]
    groups = [group for group in groups if group[2]]
    row = min(_ROW, (high - _FOOT - _HEADING * len(groups)) / max(len(labels), 1))
    y = 6.0
    for title, colour, members in groups:
        axes.text(0, y + _HEADING * 0.55, title, color=MUTED, va="center", **font(13))
        axes.plot([0, wide], [y + _HEADING - 4] * 2, color=FAINT, lw=0.8)
        y += _HEADING
        for label in members:
            _draw_bar(axes, (y, row, wide), probabilities[label], thresholds[label], colour)
            _draw_name(
                axes, (y, row, wide), labels[label], probabilities[label], shown_in.get(label, ""),
                bold=bool(positive[label]),
            )  # fmt: skip
            y += row
    axes.plot([1, 1], [high - 27, high - 15], color=INK, lw=1.8, solid_capstyle="butt")
    axes.text(10, high - 21, "threshold", color=MUTED, va="center", **font(12))
    axes.text(
        wide, high - 21, "Research only, not for clinical use", color=MUTED, va="center",
        ha="right", **font(12),
    )  # fmt: skip


def _draw_bar(
    axes: Axes,
    place: tuple[float, float, float],
    probability: float,
    threshold: float,
    colour: str,
) -> None:
    from matplotlib.patches import Rectangle

    top, row, wide = place
    thick = row * 0.2
    upper = top + row * 0.74 - thick / 2
    axes.add_patch(Rectangle((0, upper), wide, thick, facecolor=TRACK, lw=0))
    axes.add_patch(Rectangle((0, upper), wide * probability, thick, facecolor=colour, lw=0))
    tick = [upper - thick * 0.45, upper + thick * 1.45]
    axes.plot([wide * threshold] * 2, tick, color=INK, lw=1.8, solid_capstyle="butt")


def _draw_name(
    axes: Axes,
    place: tuple[float, float, float],
    label: str,
    probability: float,
    numbers: str,
    *,
    bold: bool,
) -> None:
    top, row, wide = place
    style: dict[str, Any] = {"va": "center", **font(min(13.5, row * 0.34))}
    weight = "bold" if bold else "normal"
    y = top + row * 0.34
    axes.text(0, y, label, color=INK, weight=weight, **style)
    axes.text(wide - 46, y, numbers, color=POSITIVE, ha="right", weight="bold", **style)
    axes.text(wide, y, f"{probability:.2f}", color=INK, ha="right", weight=weight, **style)

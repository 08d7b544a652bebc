"""`dice.png`: a bar per structure with its interval, sorted within its region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .page import (
    FAINT,
    INK,
    MUTED,
    POSITIVE,
    REFERENCE,
    TRACK,
    Page,
    fold,
    font,
    synthetic_band,
)

_ROW, _HEADER, _GAP = 19, 50, 22
_NAME, _BAR, _TEXT = 210, 210, 190
_MARGIN, _TOP, _BAND = 28, 100, 32
_MOST_COLUMNS = 3


class Bar(NamedTuple):
    """One structure.

    Attributes:
        name: Shown to the left.
        value: In [0, 1].
        interval: Lower and upper, or None.
        num_cases: Counted in the value.
        num_lost: Of these, missed or invented.
    """

    name: str
    value: float
    interval: tuple[float, float] | None
    num_cases: int
    num_lost: int


def write_score_figure(
    path: str | Path,
    groups: Mapping[str, Sequence[Bar]],
    *,
    headings: Mapping[str, str],
    subtitle: str,
    title: str = "Dice per structure",
    synthetic: bool = False,
) -> Path:
    """Draw the bars of every group, best first, groups side by side.

    Args:
        path: Where to write the PNG.
        groups: Bars by group; groups without bars are left out.
        headings: What stands beside a group's name, such as its mean.
        subtitle: Below the title.
        title: Heads the page.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        ValueError: If there is no bar at all.
        InputError: If the file cannot be written.
    """
    shown = {name: list(bars) for name, bars in groups.items() if bars}
    if not shown:
        msg = "groups must hold at least one bar, got none"
        raise ValueError(msg)
    columns = _columns({name: len(bars) for name, bars in shown.items()})
    top = _TOP + (_BAND + 14 if synthetic else 0)
    step = _NAME + _BAR + _TEXT + _MARGIN
    tallest = max(sum(_height(len(shown[name])) for name in column) for column in columns)
    page = Page(max(_MARGIN + len(columns) * step, 760), top + tallest + 10)
    page.text(_MARGIN, 34, title, size=22, weight="bold")
    page.text(_MARGIN, 66, subtitle, size=14, colour=MUTED)
    if synthetic:
        synthetic_band(page, _TOP - 8, _BAND)
    for number, column in enumerate(columns):
        height = top
        for name in column:
            _draw(page, _MARGIN + number * step, height, name, headings.get(name, ""), shown[name])
            height += _height(len(shown[name]))
    return page.save(path)


def _draw(page: Page, left: int, top: int, name: str, heading: str, bars: Sequence[Bar]) -> None:
    """One group: its name, then its bars, best first."""
    page.text(left, top + 10, name, size=15, weight="bold")
    page.text(left + _NAME + _BAR + 12, top + 10, heading, size=13, colour=MUTED)
    ordered = sorted(bars, key=lambda bar: -bar.value)
    height = len(ordered) * _ROW
    axes = page.axes(
        left + _NAME, top + 24, _BAR, height, xlim=(0, 1), ylim=(len(ordered) - 0.5, -0.5)
    )
    rows = np.arange(len(ordered))
    axes.barh(rows, np.ones(len(ordered)), height=0.72, color=TRACK, lw=0)
    axes.barh(rows, [bar.value for bar in ordered], height=0.72, color=REFERENCE, alpha=0.55, lw=0)
    for row, bar in enumerate(ordered):
        if bar.interval is not None:
            axes.plot(bar.interval, (row, row), color=INK, lw=1.3, solid_capstyle="butt")
        middle = top + 24 + (row + 0.5) * _ROW
        page.text(left + _NAME - 8, middle, fold(bar.name, 30, 1), size=12, ha="right")
        text = f"{bar.value:.3f}"
        if bar.interval is not None:
            text += f" [{bar.interval[0]:.2f}, {bar.interval[1]:.2f}]"
        page.text(left + _NAME + _BAR + 12, middle, f"{text}  n={bar.num_cases}", size=11.5)
        if bar.num_lost:
            lost = left + _NAME + _BAR + _TEXT - 22
            page.text(lost, middle, str(bar.num_lost), size=11.5, colour=POSITIVE, weight="bold")
    for share in (0.5, 0.9):
        axes.axvline(share, color=FAINT, lw=0.8, zorder=0.5)
    axes.set_xticks([0, 0.5, 0.9, 1])
    for label in axes.set_xticklabels(["0", "0.5", "0.9", "1"]):
        label.set(color=MUTED, **font(10.5))
    axes.tick_params(length=0, pad=2)


def _height(num_bars: int) -> int:
    return _HEADER + num_bars * _ROW + _GAP


def _columns(sizes: Mapping[str, int]) -> list[list[str]]:
    """Groups laid out in columns of like height, each in the order given."""
    count = min(_MOST_COLUMNS, len(sizes))
    columns: list[list[str]] = [[] for _ in range(count)]
    heights = [0] * count
    for name in sorted(sizes, key=lambda one: -sizes[one]):
        lowest = heights.index(min(heights))
        columns[lowest].append(name)
        heights[lowest] += _height(sizes[name])
    place = list(sizes)
    columns = [sorted(column, key=place.index) for column in columns]
    return sorted(columns, key=lambda column: place.index(column[0]))

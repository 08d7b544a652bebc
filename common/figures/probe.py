"""`probe.png`: AUROC per label with its interval, a panel per probe, a baseline beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .page import FAINT, INK, MUTED, POSITIVE, REFERENCE, Page, fold, font, synthetic_band

_ROW, _NAME, _PANEL, _TEXT, _MARGIN, _TOP, _BAND, _FOOT = 24, 270, 300, 170, 28, 118, 32, 44
_HEADINGS = {"linear": "linear probe, AUROC", "knn": "k-NN probe, AUROC"}


class Dot(NamedTuple):
    """One label.

    Attributes:
        name: Shown to the left.
        value: AUROC; NaN where undefined.
        interval: Lower and upper; NaN where undefined.
        baseline: AUROC of the baseline; None without one.
    """

    name: str
    value: float
    interval: tuple[float, float]
    baseline: float | None = None


def write_probe_figure(
    path: str | Path,
    panels: Mapping[str, Sequence[Dot]],
    *,
    title: str,
    names: Sequence[str],
    synthetic: bool = False,
) -> Path:
    """Draw a panel per probe, side by side; labels in the same order in all.

    Args:
        path: Where to write the PNG.
        panels: Labels by kind of probe; the first panel's names stand for all.
        title: Heads the page.
        names: Of the weights that were probed, and of the baseline's where there is one.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        ValueError: If there is no label.
        InputError: If the file cannot be written.
    """
    labels = [dot.name for dot in next(iter(panels.values()), ())]
    if not labels:
        msg = "panels must hold at least one label, got none"
        raise ValueError(msg)
    top = _TOP + (_BAND + 14 if synthetic else 0)
    width = max(_MARGIN + _NAME + len(panels) * (_PANEL + _TEXT) + _MARGIN, 860)
    page = Page(width, top + len(labels) * _ROW + _FOOT)
    page.text(_MARGIN, 32, title, size=22, weight="bold")
    for row, (name, mark, colour) in enumerate(
        zip(names, ("●", "○"), (REFERENCE, POSITIVE), strict=False)
    ):
        page.text(_MARGIN, 62 + 20 * row, mark, size=15, colour=colour)
        page.text(_MARGIN + 18, 62 + 20 * row, fold(name, 100, 1), size=13, colour=MUTED)
    if synthetic:
        synthetic_band(page, _TOP - 22, _BAND)
    for row, label in enumerate(labels):
        weight = "bold" if label == "mean" else "normal"
        middle = top + (row + 0.5) * _ROW
        page.text(
            _MARGIN + _NAME - 12, middle, fold(label, 38, 1), size=12.5, ha="right", weight=weight
        )
    for number, (kind, dots) in enumerate(panels.items()):
        _draw(page, _MARGIN + _NAME + number * (_PANEL + _TEXT), top, kind, dots)
    return page.save(path)


def _draw(page: Page, left: float, top: float, kind: str, dots: Sequence[Dot]) -> None:
    page.text(left, top - 12, _HEADINGS.get(kind, kind), size=14, weight="bold")
    lowest = min([0.4, *(x for dot in dots for x in (dot.interval[0], dot.value) if x < 0.4)])
    axes = page.axes(
        left, top, _PANEL, len(dots) * _ROW, xlim=(lowest, 1.01), ylim=(len(dots) - 0.5, -0.5)
    )
    axes.axvline(0.5, color=MUTED, lw=1, ls=(0, (3, 3)), zorder=0.5)
    for tick in (0.6, 0.7, 0.8, 0.9, 1.0):
        axes.axvline(tick, color=FAINT, lw=0.7, zorder=0.4)
    for row, dot in enumerate(dots):
        if not np.isnan(dot.interval).any():
            axes.plot(dot.interval, (row, row), color=INK, lw=1.3, solid_capstyle="butt")
        if dot.baseline is not None:
            axes.plot(
                dot.baseline, row, "o", ms=6.5, mfc="white", mec=POSITIVE, mew=1.5, zorder=2.5
            )
        axes.plot(dot.value, row, "o", ms=6.5, color=REFERENCE, zorder=3)
        page.text(left + _PANEL + 10, top + (row + 0.5) * _ROW, _numbers(dot), size=11.5)
    ticks = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    axes.set_xticks(ticks)
    for label in axes.set_xticklabels(["chance", *(f"{tick:g}" for tick in ticks[1:])]):
        label.set(color=MUTED, **font(10.5))
    axes.tick_params(length=0, pad=3)


def _numbers(dot: Dot) -> str:
    if np.isnan(dot.value):
        return "not computable"
    text = f"{dot.value:.3f}"
    if not np.isnan(dot.interval).any():
        text += f" [{dot.interval[0]:.2f}, {dot.interval[1]:.2f}]"
    return text

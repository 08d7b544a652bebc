"""`error.png` of a search's evaluation: how far each method ends from each structure, in mm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .page import (
    FAINT,
    INK,
    MUTED,
    NEGATIVE,
    POSITIVE,
    REFERENCE,
    Page,
    fold,
    font,
    synthetic_band,
)

_WIDTH, _LEFT, _RIGHT, _TOP, _BAND = 1100, 190, 300, 110, 32
_METHOD, _GAP = 19, 18
_COLOURS = (REFERENCE, POSITIVE, "#009e73")
"""Of methods with an encoder; without one, or with random weights, they are grey."""


class Score(Protocol):
    """What is drawn of a score; see `common.evaluation.search_report.SearchScore`."""

    @property
    def method(self) -> str:
        """By which places were found."""

    @property
    def structure(self) -> str:
        """What was looked for."""

    @property
    def mean_mm(self) -> float:
        """Error."""

    @property
    def median_mm(self) -> float:
        """Error."""

    @property
    def interval_mm(self) -> tuple[float, float]:
        """Of the mean; NaN where there is none."""


def write_search_scores(
    path: str | Path, scores: Sequence[Score], *, subtitle: str, synthetic: bool
) -> Path:
    """Draw errors: a dot for the mean with its interval, a line for the median.

    Args:
        path: Where to write the PNG.
        scores: By structure in the order of the page, methods in the order of each group.
        subtitle: Below the title.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    structures = list(dict.fromkeys(score.structure for score in scores))
    methods = list(dict.fromkeys(score.method for score in scores))
    group = len(methods) * _METHOD + _GAP
    top = _TOP + (_BAND + 12 if synthetic else 0)
    high = group * len(structures)
    page = Page(_WIDTH, top + high + 50)
    page.text(28, 34, "Semantic search: error, mm", size=22, weight="bold")
    page.text(28, 66, subtitle, size=14, colour=MUTED)
    if synthetic:
        synthetic_band(page, _TOP - 18, _BAND)
    far = 1.05 * max(max(score.mean_mm, score.median_mm, score.interval_mm[1]) for score in scores)
    axes = page.axes(_LEFT, top, _WIDTH - _LEFT - _RIGHT, high, xlim=(0, far), ylim=(high, 0))
    colours = _colours(methods)
    by_place = {(score.structure, score.method): score for score in scores}
    for number, structure in enumerate(structures):
        start = number * group
        page.text(_LEFT - 14, top + start + (group - _GAP) / 2, fold(structure, 24, 1), size=14,
                  ha="right", weight="bold" if number == 0 else "normal")  # fmt: skip
        if number:
            axes.axhline(start - _GAP / 2, color=FAINT, lw=0.6)
        for row, method in enumerate(methods):
            score = by_place.get((structure, method))
            if score is None:
                continue
            y, colour = start + (row + 0.5) * _METHOD, colours[method]
            axes.plot(score.interval_mm, (y, y), color=colour, lw=2.2, alpha=0.55)
            axes.plot([score.mean_mm], [y], "o", color=colour, ms=6)
            axes.plot([score.median_mm] * 2, [y - 6, y + 6], color=INK, lw=1.2)
            text = f"{score.mean_mm:.0f}  median {score.median_mm:.0f}   {method}"
            page.text(_WIDTH - _RIGHT + 14, top + y, text, size=12, colour=colour)
    axes.xaxis.set_visible(True)
    ticks = list(range(0, int(far) + 1, 50 if far > 120 else 20))
    axes.set_xticks(ticks)
    axes.grid(axis="x", color=FAINT, lw=0.6, alpha=0.7)
    for label in axes.set_xticklabels([str(tick) for tick in ticks]):
        label.set(color=MUTED, **font(12))
    axes.tick_params(length=0, pad=4)
    legend = "dot: mean, bar: its 95 % interval over targets, line: median"
    page.text(_LEFT, top + high + 36, legend, size=12, colour=MUTED)
    return page.save(path)


def _colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method that the weights in question have a part in; grey for others."""
    learned = [name for name in methods if name in ("windows", "dense")]
    return {
        name: _COLOURS[learned.index(name)] if name in learned else NEGATIVE for name in methods
    }

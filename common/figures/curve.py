"""`curve.png`: a validation's score and the loss by training step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .page import FAINT, INK, MUTED, POSITIVE, REFERENCE, Page, fold, font, synthetic_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _PANEL, _HEIGHT, _TOP, _BAND, _FOOT, _LEFT = 960, 390, 240, 104, 32, 62, 70


def write_curve_figure(
    path: str | Path,
    *,
    steps: Sequence[int],
    scores: Sequence[float],
    losses: Sequence[float | None],
    score_name: str,
    title: str,
    synthetic: bool = False,
) -> Path:
    """Draw both by step, side by side; a line across the first panel is the first score.

    Args:
        path: Where to write the PNG.
        steps: Rising; the first is the network before training.
        scores: One per step.
        losses: One per step; None where there was no training yet.
        score_name: What the score is.
        title: Heads the page.
        synthetic: Whether the data are phantoms, said in a band.

    Returns:
        ``path``.

    Raises:
        ValueError: If there is no step.
        InputError: If the file cannot be written.
    """
    if not steps:
        msg = "steps must hold at least one, got none"
        raise ValueError(msg)
    top = _TOP + (_BAND + 14 if synthetic else 0)
    page = Page(_WIDTH, top + _HEIGHT + _FOOT)
    page.text(_LEFT, 34, fold(title, 70, 1), size=22, weight="bold")
    if synthetic:
        synthetic_band(page, 62, _BAND)
    page.text(_LEFT, top - 16, score_name, size=14, weight="bold")
    first = page.axes(_LEFT, top, _PANEL, _HEIGHT)
    first.axhline(scores[0], color=POSITIVE, lw=1.2, ls=(0, (4, 3)))
    first.plot(steps, scores, "o-", color=REFERENCE, lw=1.6, ms=4, clip_on=False)
    page.text(
        _LEFT + _PANEL, top - 16, f"before training {scores[0]:.3f}, now {scores[-1]:.3f}",
        size=12, colour=MUTED, ha="right",
    )  # fmt: skip
    left = _LEFT + _PANEL + 80
    page.text(left, top - 16, "training loss", size=14, weight="bold")
    second = page.axes(left, top, _PANEL, _HEIGHT)
    known = [(step, loss) for step, loss in zip(steps, losses, strict=True) if loss is not None]
    if known:
        second.plot(*zip(*known, strict=True), "o-", color=INK, lw=1.6, ms=4, clip_on=False)
    for axes in (first, second):
        _finish(axes, steps[-1])
    return page.save(path)


def _finish(axes: Axes, last: int) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(0, max(last, 1))
    axes.margins(y=0.12)
    for side in ("bottom", "left"):
        axes.spines[side].set_visible(True)
        axes.spines[side].set_color(FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=FAINT, lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=3, color=FAINT, labelcolor=MUTED, labelsize=8)
    axes.set_xlabel("training steps", color=MUTED, **font(12))

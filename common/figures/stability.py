"""`stability.png`: cosines within and between patients, and the ICC of every number."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .page import FAINT, INK, MUTED, NEGATIVE, REFERENCE, Page, font, synthetic_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _PANEL, _HEIGHT, _TOP, _BAND, _FOOT, _LEFT = 900, 390, 250, 112, 32, 60, 40
_MOST_BINS = 40
_LIMITS = {0.75: "good", 0.9: "excellent"}

Floats = NDArray[np.float64]


def write_stability_figure(
    path: str | Path,
    *,
    within: Floats,
    between: Floats,
    icc: Floats,
    subtitle: str,
    title: str = "Test and retest",
    synthetic: bool = False,
) -> Path:
    """Draw both distributions of cosines in one panel, those of the ICC in another.

    Args:
        path: Where to write the PNG.
        within: Cosines of two scans of one patient, `(P,)`.
        between: Cosines of scans of two patients, `(P * (P - 1),)`.
        icc: Of each number of the embedding, `(F,)`; NaN is left out.
        subtitle: Below the title.
        title: Heads the page.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    top = _TOP + (_BAND + 10 if synthetic else 0)
    page = Page(_WIDTH, top + _HEIGHT + _FOOT)
    page.text(_LEFT, 32, title, size=22, weight="bold")
    page.text(_LEFT, 62, subtitle, size=13.5, colour=MUTED)
    if synthetic:
        synthetic_band(page, 82, _BAND)
    page.text(_LEFT, top - 12, "same patient", size=13.5, colour=REFERENCE, weight="bold")
    page.text(_LEFT + 122, top - 12, "other patients", size=13.5, colour=MUTED, weight="bold")
    both = np.concatenate([within, between])
    low, high = float(both.min()), float(both.max())
    span = max(high - low, 1e-6)
    bins = np.linspace(low - 0.02 * span, high + 0.02 * span, _MOST_BINS + 1)
    axes = page.axes(_LEFT, top, _PANEL, _HEIGHT)
    for values, colour in ((between, NEGATIVE), (within, REFERENCE)):
        weights = np.full(len(values), 1 / len(values))
        axes.hist(values, bins=bins.tolist(), weights=weights, color=colour, alpha=0.65, lw=0)
    _finish(axes, "cosine of two embeddings")
    other = page.axes(_LEFT + _PANEL + 50, top, _PANEL, _HEIGHT)
    known = icc[~np.isnan(icc)]
    page.text(
        _LEFT + _PANEL + 50, top - 12, f"ICC(3,1) of {len(known)} numbers", size=13.5,
        weight="bold",
    )  # fmt: skip
    if len(known):
        lowest = min(0.0, float(known.min()))
        other.hist(known, bins=np.linspace(lowest, 1, _MOST_BINS + 1).tolist(), color=REFERENCE,
                   alpha=0.65, lw=0)  # fmt: skip
        for limit, name in _LIMITS.items():
            other.axvline(limit, color=INK, lw=0.9, ls=(0, (3, 3)))
            other.text(
                limit - 0.01, 0.98, name, color=MUTED, rotation=90, ha="right", va="top",
                transform=other.get_xaxis_transform(), **font(11),
            )  # fmt: skip
    _finish(other, "intraclass correlation")
    return page.save(path)


def _finish(axes: Axes, name: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(FAINT)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(axis="x", length=3, color=FAINT, labelcolor=MUTED, labelsize=8)
    axes.set_xlabel(name, color=MUTED, **font(12))

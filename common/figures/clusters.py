"""`clusters.png`: embeddings as dots in the plane, coloured by what they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .page import INK, MUTED, REFERENCE, TRACK, Page, fold, synthetic_band

_SIDE, _LEGEND, _MARGIN, _TOP, _BAND = 640, 240, 28, 92, 32
_MOST_KINDS = 24
_HUES = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#8b6b3e",
    "#1b2430", "#9bb300", "#c1272d", "#7f8c99",
)  # fmt: skip
_MARKS = ("o", "^")
_REST = "other"


def write_cluster_figure(
    path: str | Path,
    places: NDArray[np.float64],
    values: Sequence[str],
    *,
    title: str,
    subtitle: str = "",
    legend: str = "",
    synthetic: bool = False,
) -> Path:
    """Draw a dot per case; the 24 most frequent values have colours and marks of their own.

    Args:
        path: Where to write the PNG.
        places: `(N, 2)`, no unit.
        values: What each case is, N; or none, for one colour.
        title: Heads the page.
        subtitle: Below it.
        legend: Name of the values.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    top = _TOP + (_BAND + 12 if synthetic else 0)
    width = 2 * _MARGIN + _SIDE + (_LEGEND if values else 0)
    page = Page(width, top + _SIDE + _MARGIN)
    page.text(_MARGIN, 32, title, size=22, weight="bold")
    page.text(_MARGIN, 62, fold(subtitle, width // 8, 1), size=13.5, colour=MUTED)
    if synthetic:
        synthetic_band(page, 80, _BAND)
    axes = page.axes(_MARGIN, top, _SIDE, _SIDE, facecolor=TRACK)
    size = float(np.clip(9000 / len(places), 8, 90))
    named = np.array(values if values else [""] * len(places))
    names, counts = np.unique(named, return_counts=True)
    kinds = [str(name) for name in names[np.argsort(-counts, kind="stable")][:_MOST_KINDS]]
    groups = {kind: named == kind for kind in sorted(kinds)}
    if len(names) > _MOST_KINDS:
        groups[_REST] = ~np.isin(named, kinds)
    for number, (kind, rows) in enumerate(groups.items()):
        colour = MUTED if kind == _REST else _HUES[number % len(_HUES)]
        mark = _MARKS[number // len(_HUES) % len(_MARKS)]
        colour = colour if values else REFERENCE
        axes.scatter(
            places[rows, 0],
            places[rows, 1],
            s=size,
            color=colour,
            marker=mark,
            alpha=0.85,
            lw=0.4,
            ec="white",
        )
        if values:
            left, y = _MARGIN + _SIDE + 22, top + 40 + 22 * number
            shown = "▲" if mark == "^" else "●"
            page.text(left, y, shown, size=14, colour=colour)
            text = fold(kind or "unknown", 20, 1) + f"  {int(rows.sum())}"
            page.text(left + 20, y, text, size=12.5, colour=INK)
    if values:
        page.text(_MARGIN + _SIDE + 22, top + 12, fold(legend, 22, 1), size=14, weight="bold")
    axes.margins(0.05)
    return page.save(path)

"""`roc.png` and `reliability.png`: how well a classifier separates, and whether to believe it.

Shapes: N cases, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..metrics.calibration import expected_calibration_error, reliability_curve
from .page import FAINT, INK, MUTED, REFERENCE, Page, fold, font, synthetic_band

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL, _GAP, _LEFT, _HEAD, _BAND, _CAPTION = 210, 46, 64, 92, 32, 44
_PER_ROW = 6


def write_roc_figure(
    path: str | Path,
    *,
    truth: ArrayLike,
    probabilities: ArrayLike,
    labels: Sequence[str],
    auroc: ArrayLike,
    auroc_low: ArrayLike | None = None,
    auroc_high: ArrayLike | None = None,
    macro: str = "",
    title: str = "Receiver operating characteristic",
    synthetic: bool = False,
) -> Path:
    """Draw one ROC curve per label, small multiples in the order of the labels.

    Args:
        path: Where to write the PNG.
        truth: 0, 1 or NaN (unknown, left out), `(N, L)`.
        probabilities: `(N, L)`, 0 to 1.
        labels: `L` names.
        auroc: `(L,)`; NaN where it cannot be computed. Printed, not computed here.
        auroc_low: `(L,)` lower ends of the intervals, where known.
        auroc_high: `(L,)` upper ends.
        macro: A line about all labels, such as `macro AUROC 0.97 [0.96, 0.98]`.
        title: Heads the page.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        ValueError: If the shapes disagree.
        InputError: If the file cannot be written.
    """
    known, scores = _checked(truth, probabilities, labels)
    low, high = (None if ends is None else np.asarray(ends) for ends in (auroc_low, auroc_high))
    page, places = _page(title, f"{len(known)} cases   ·   {macro}", len(labels), synthetic)
    for index, place in enumerate(places):
        axes = _panel(page, place, "false positive rate", "true positive rate", index, len(labels))
        area = float(np.asarray(auroc, dtype=float)[index])
        caption = "not computable" if np.isnan(area) else f"AUROC {area:.3f}"
        if low is not None and high is not None and np.isfinite([low[index], high[index]]).all():
            caption += f"  [{low[index]:.3f}, {high[index]:.3f}]"
        num_positive = int((known[:, index] == 1).sum())
        _caption(page, place, labels[index], caption)
        axes.text(1, 0.04, f"{num_positive} positive", ha="right", color=MUTED, **font(11))
        curve = roc_curve(known[:, index], scores[:, index])
        if curve is not None:
            axes.fill_between(*curve, color=REFERENCE, alpha=0.12, lw=0)
            axes.plot(*curve, color=REFERENCE, lw=1.6)
    return page.save(path)


def write_reliability_figure(
    path: str | Path,
    *,
    truth: ArrayLike,
    probabilities: ArrayLike,
    labels: Sequence[str],
    title: str = "Reliability",
    synthetic: bool = False,
) -> Path:
    """Draw observed against predicted frequency per label, with how many cases stand behind it.

    Bins are those of `metrics.calibration`; a dot's area grows with its cases, and its bar is the
    95 % Wilson interval.

    Args:
        path: Where to write the PNG.
        truth: 0, 1 or NaN (unknown, left out), `(N, L)`.
        probabilities: `(N, L)`, 0 to 1.
        labels: `L` names.
        title: Heads the page.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        ``path``.

    Raises:
        ValueError: If the shapes disagree.
        InputError: If the file cannot be written.
    """
    known, scores = _checked(truth, probabilities, labels)
    subtitle = f"{len(known)} cases   ·   on the diagonal a probability means what it says"
    page, places = _page(title, subtitle, len(labels), synthetic)
    for index, place in enumerate(places):
        axes = _panel(page, place, "predicted", "observed", index, len(labels))
        error = expected_calibration_error(known[:, index], scores[:, index])
        curve = reliability_curve(known[:, index], scores[:, index])
        text = "not computable" if np.isnan(error) else f"calibration error {error:.3f}"
        _caption(page, place, labels[index], text)
        if not len(curve.predicted):
            continue
        low, high = wilson_interval(curve.observed, curve.num_cases)
        axes.vlines(curve.predicted, low, high, color=REFERENCE, lw=1.2, alpha=0.45)
        axes.plot(curve.predicted, curve.observed, color=REFERENCE, lw=1.1)
        sizes = 6 + 24 * curve.num_cases / curve.num_cases.max()
        axes.scatter(
            curve.predicted, curve.observed, s=sizes, color=REFERENCE, lw=0, zorder=3, clip_on=False
        )
    return page.save(path)


def roc_curve(
    truth: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """False and true positive rates at every distinct score, from (0, 0) to (1, 1).

    Args:
        truth: 0, 1 or NaN (unknown, left out), `(N,)`.
        scores: `(N,)`.

    Returns:
        Both rates, ascending, or None where one of the classes has no case.
    """
    known = ~np.isnan(truth)
    truth, scores = truth[known], scores[known]
    positives = int((truth == 1).sum())
    if positives in (0, len(truth)):
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(truth[order] == 1)[last]
    alarms = last + 1 - hits
    true_rate = np.append(0.0, hits / positives)
    false_rate = np.append(0.0, alarms / (len(truth) - positives))
    return false_rate, true_rate


def wilson_interval(
    share: NDArray[np.float64], num_cases: NDArray[np.int64], z: float = 1.96
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of an observed share of cases (Wilson, 1927), within [0, 1].

    Args:
        share: In [0, 1].
        num_cases: Behind each share, at least 1.
        z: Quantile of the normal distribution; 1.96 gives 95 %.
    """
    spread = z**2 / num_cases
    middle = (share + spread / 2) / (1 + spread)
    half = z * np.sqrt(share * (1 - share) / num_cases + spread / (4 * num_cases)) / (1 + spread)
    return middle - half, middle + half


def _checked(
    truth: ArrayLike, probabilities: ArrayLike, labels: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = np.asarray(truth, dtype=np.float64)
    scores = np.asarray(probabilities, dtype=np.float64)
    if known.shape != scores.shape or known.ndim != 2 or known.shape[1] != len(labels):
        msg = (
            f"truth and probabilities must have shape (N, {len(labels)}), "
            f"got {known.shape} and {scores.shape}"
        )
        raise ValueError(msg)
    return known, scores


def _page(
    title: str, subtitle: str, num_panels: int, synthetic: bool
) -> tuple[Page, list[tuple[float, float]]]:
    """An empty page and the top left corner of each panel."""
    columns = min(num_panels, _PER_ROW)
    rows = -(-num_panels // _PER_ROW)
    top = _HEAD + (_BAND + 8 if synthetic else 0)
    step_x, step_y = _PANEL + _GAP, _PANEL + _GAP + _CAPTION
    width = max(_LEFT + columns * step_x, 900)
    page = Page(width, top + rows * step_y + 30)
    page.text(24, 32, title, size=22, weight="bold")
    page.text(24, 64, subtitle.rstrip(" ·"), size=14, colour=MUTED)
    if synthetic:
        synthetic_band(page, _HEAD - 4, _BAND)
    return page, [
        (_LEFT + (n % _PER_ROW) * step_x, top + _CAPTION + (n // _PER_ROW) * step_y)
        for n in range(num_panels)
    ]


def _caption(page: Page, place: tuple[float, float], label: str, text: str) -> None:
    left, top = place
    page.text(left, top - 27, fold(label, 36, 1), size=11.5, weight="bold")
    page.text(left, top - 10, text, size=11, colour=MUTED)


def _panel(
    page: Page, place: tuple[float, float], xlabel: str, ylabel: str, index: int, count: int
) -> Axes:
    axes = page.axes(*place, _PANEL, _PANEL, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    small: dict[str, Any] = font(11)
    for side in ("left", "bottom"):
        axes.spines[side].set(visible=True, color=FAINT)
    axes.plot([0, 1], [0, 1], color=FAINT, lw=1, ls=(0, (4, 3)))
    axes.tick_params(length=3, color=FAINT)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    left_most, lowest = index % _PER_ROW == 0, index + _PER_ROW >= count
    for text in axes.set_xticklabels(["0", "0.5", "1"] if lowest else ["", "", ""]):
        text.set(color=MUTED, **small)
    for text in axes.set_yticklabels(["0", "0.5", "1"] if left_most else ["", "", ""]):
        text.set(color=MUTED, **small)
    if lowest:
        axes.set_xlabel(xlabel, color=INK, **small)
    if left_most:
        axes.set_ylabel(ylabel, color=INK, **small)
    return axes

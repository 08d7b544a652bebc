"""Thresholds that validation data choose.

Each lies midway between two predicted values, not on one, so that the last bit of a float32 or
bf16 result cannot turn a decision, and `>=` and `>` decide alike.

Shapes: N cases, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..weights.decision import FALLBACK_THRESHOLD
from .classification import check_arrays


@dataclass(frozen=True)
class LabelThreshold:
    """Threshold of one label.

    Attributes:
        label: Its name.
        threshold: In [0, 1]; present if probability >= threshold.
        f1: F1 on the data that chose it, NaN if none could be computed.
        reason: Why the fallback was used; empty if it was not.
    """

    label: str
    threshold: float
    f1: float
    reason: str = ""


def f1_thresholds(
    *,
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    labels: Sequence[str],
) -> list[LabelThreshold]:
    """For each label, the threshold with the highest F1 on these (validation) cases.

    Every cut between two neighbouring distinct probabilities is tried, and the cut below all of
    them. Among cuts of equal F1 the highest wins, which raises the fewest alarms. The threshold is
    the middle of the cut. A label without positive or without negative cases cannot choose; it
    gets 0.5 and a reason.

    Args:
        truth: 0, 1 or NaN (unknown, left out), `(N, L)`.
        probabilities: `(N, L)` in [0, 1].
        labels: L names.

    Raises:
        InputError: See `classification.check_arrays`.
    """
    check_arrays(truth=truth, probabilities=probabilities, labels=labels)
    chosen = []
    for index, label in enumerate(labels):
        known = ~np.isnan(truth[:, index])
        present = truth[known, index] == 1
        if present.all() or not present.any():
            what = "no positive case" if not present.any() else "no negative case"
            chosen.append(
                LabelThreshold(label, FALLBACK_THRESHOLD, float("nan"), f"{what} to choose by")
            )
        else:
            cut, f1 = _best_cut(present, probabilities[known, index].astype(np.float64))
            chosen.append(LabelThreshold(label, cut, f1))
    return chosen


def _best_cut(
    present: NDArray[np.bool_], probabilities: NDArray[np.float64]
) -> tuple[float, float]:
    """Threshold of highest F1 and that F1; both arrays `(N,)`, both classes there."""
    values, group = np.unique(probabilities, return_inverse=True)
    positives = np.bincount(group, weights=present)
    called = np.bincount(group)[::-1].cumsum()[::-1]  # cases at or above each value
    true_positive = positives[::-1].cumsum()[::-1]
    f1 = 2 * true_positive / (called + present.sum())
    best = int(np.flatnonzero(np.isclose(f1, f1.max(), rtol=1e-12, atol=0))[-1])
    upper = float(values[best])
    lower = float(values[best - 1]) if best else 0.0
    middle = (lower + upper) / 2
    return (middle if middle > lower else upper), float(f1[best])

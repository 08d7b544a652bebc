"""Confidence intervals by a bootstrap clustered by patient.

Patients are drawn with replacement, and each brings all of its cases: several reconstructions of a
scan, or several scans of a patient, are not independent, and an interval that takes them so is too
narrow. A resample is a whole number of copies per case, so every score is computed from weights:
ranks are found once per label, and the rest is running sums over all resamples at a time.

The definitions equal `classification` to rounding (weights of one give the same numbers). The
calibration error gets no interval: resampling adds noise to every bin, and as distances do not
cancel, nearly all resamples lie above the value itself.

A resample that leaves a score undefined (no positive case of a rare label was drawn) does not count
for that score; for an average it does not count if any label of the average is undefined, as the
average would be of another set of labels. An interval from less than half of the resamples is not
given (NaN).

Shapes: N cases, L labels, P patients, R resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .classification import METRICS

RESAMPLED: tuple[str, ...] = tuple(name for name in METRICS if name != "calibration_error")
"""Scores that get an interval."""
_CHUNK = 250
"""Resamples at a time: bounds memory to about 50 MB at 3,000 cases."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """Percentile intervals.

    Attributes:
        confidence: Share of resamples inside, e.g. 0.95.
        num_resamples: R.
        num_patients: P, the number of independent draws per resample.
        labels: By score (`RESAMPLED`): `(L, 2)` lower and upper, NaN if not given.
        macro: By score, and `weighted_f1`: lower and upper of the average over labels.
        num_used_macro: By score: resamples in which the average was defined.
    """

    confidence: float
    num_resamples: int
    num_patients: int
    labels: dict[str, Floats]
    macro: dict[str, tuple[float, float]]
    num_used_macro: dict[str, int]


def bootstrap_intervals(
    *,
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    decisions: NDArray[np.bool_],
    patient_ids: Sequence[Hashable],
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Intervals:
    """Percentile intervals of every score.

    Args:
        truth: 0, 1 or NaN (unknown), `(N, L)`.
        probabilities: `(N, L)` in [0, 1].
        decisions: `(N, L)`.
        patient_ids: Whose each case is, N entries.
        num_resamples: R, at least 1; 1000 for a 95 % interval.
        confidence: In (0, 1).
        seed: Same seed and same patients in the same order, same interval.

    Raises:
        InputError: If an argument is out of range.
    """
    if num_resamples < 1:
        msg = f"num_resamples must be at least 1, got {num_resamples}; 1000 is usual"
        raise InputError(msg)
    if not 0 < confidence < 1:
        msg = f"confidence must be between 0 and 1, got {confidence}; 0.95 is usual"
        raise InputError(msg)
    if len(patient_ids) != len(truth):
        msg = (
            f"patient_ids must name one patient per case, got {len(patient_ids)} for "
            f"{len(truth)} cases; repeat the patient for each of its cases"
        )
        raise InputError(msg)
    number: dict[Hashable, int] = {}
    patient = np.array([number.setdefault(name, len(number)) for name in patient_ids])
    draws = np.random.default_rng(seed).multinomial(
        len(number), np.full(len(number), 1 / len(number)), size=num_resamples
    )
    resampled = [
        weighted_scores(
            truth=truth,
            probabilities=probabilities,
            decisions=decisions,
            weights=draws[start : start + _CHUNK, patient].T.astype(np.float64),
        )
        for start in range(0, num_resamples, _CHUNK)
    ]
    scores = {name: np.concatenate([part[name] for part in resampled]) for name in resampled[0]}
    whole = weighted_scores(
        truth=truth,
        probabilities=probabilities,
        decisions=decisions,
        weights=np.ones((len(truth), 1)),
    )
    prevalence = scores.pop("prevalence")
    averages = {metric: label_average(scores[metric], whole[metric]) for metric in RESAMPLED}
    averages["weighted_f1"] = label_average(scores["f1"], whole["f1"], prevalence)
    return Intervals(
        confidence=confidence,
        num_resamples=num_resamples,
        num_patients=len(number),
        labels={
            metric: np.array(
                [percentile_interval(column, confidence) for column in scores[metric].T]
            )
            for metric in RESAMPLED
        },
        macro={
            metric: percentile_interval(values, confidence) for metric, values in averages.items()
        },
        num_used_macro={m: int((~np.isnan(v)).sum()) for m, v in averages.items()},
    )


def weighted_scores(
    *,
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    decisions: NDArray[np.bool_],
    weights: Floats,
) -> dict[str, Floats]:
    """Every score with cases counted as often as their weights say.

    Args:
        truth: 0, 1 or NaN (unknown), `(N, L)`.
        probabilities: `(N, L)` in [0, 1].
        decisions: `(N, L)`.
        weights: Copies of each case in each resample, `(N, R)`, >= 0.

    Returns:
        By score (`RESAMPLED`) and `prevalence`: `(R, L)`, NaN where undefined.
    """
    columns = []
    for index in range(truth.shape[1]):
        known = ~np.isnan(truth[:, index])
        columns.append(
            _label_scores(
                truth[known, index].astype(np.float64),
                probabilities[known, index].astype(np.float64),
                decisions[known, index].astype(np.float64),
                weights if known.all() else weights[known],
            )
        )
    return {name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}


def _label_scores(
    truth: Floats, probabilities: Floats, decisions: Floats, weights: Floats
) -> dict[str, Floats]:
    """Scores of one label, `(R,)` each; truth, probabilities, decisions `(N,)`."""
    positives, true_positive, called, total, squared = (
        np.stack(
            [
                truth,
                truth * decisions,
                decisions,
                np.ones_like(truth),
                (probabilities - truth) ** 2,
            ]
        )
        @ weights
    )
    negatives = total - positives
    true_negative = total - positives - called + true_positive
    with np.errstate(divide="ignore", invalid="ignore"):
        f1 = np.where(positives > 0, 2 * true_positive / (positives + called), np.nan)
        # Cases called absent plus cases absent; zero only if neither exists, where F1 counts as 0.
        absent = np.maximum(negatives + total - called, 1e-300)
        f1_absent = 2 * true_negative / absent
        auroc, average_precision = _ranked_scores(truth, probabilities, weights)
        return {
            "auroc": auroc,
            "average_precision": average_precision,
            "f1": f1,
            "f1_all_positive": np.where(positives > 0, 2 * positives / (positives + total), np.nan),
            "f1_both_classes": np.where(
                negatives > 0, (positives * f1 + negatives * f1_absent) / total, np.nan
            ),
            "accuracy": (true_positive + true_negative) / total,
            "sensitivity": true_positive / positives,
            "specificity": true_negative / negatives,
            "brier": squared / total,
            "prevalence": positives / total,
        }


def _ranked_scores(truth: Floats, probabilities: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """AUROC and average precision, `(R,)` each, NaN without both classes.

    Cases are put in order once; cases of equal probability form one step.
    """
    if not len(truth):
        return np.full(weights.shape[1], np.nan), np.full(weights.shape[1], np.nan)
    order = np.argsort(-probabilities, kind="stable")
    steps = np.flatnonzero(np.diff(probabilities[order], prepend=np.inf))
    all_cases = weights[order]
    positive = all_cases * truth[order, None]
    if len(steps) < len(order):
        all_cases = np.add.reduceat(all_cases, steps, axis=0)
        positive = np.add.reduceat(positive, steps, axis=0)
    true_positive = positive.cumsum(axis=0)
    called = all_cases.cumsum(axis=0)
    positives, total = true_positive[-1], called[-1]
    # Per step: its negative cases lose to the positives above, and half to those beside them.
    negative = all_cases - positive
    wins = np.einsum("sr,sr->r", negative, true_positive - positive / 2)
    precision = np.divide(true_positive, called, out=np.zeros_like(called), where=called > 0)
    precisions = np.einsum("sr,sr->r", positive, precision)
    both = (positives > 0) & (positives < total)
    auroc = np.where(both, wins / (positives * (total - positives)), np.nan)
    return auroc, np.where(both, precisions / positives, np.nan)


def label_average(values: Floats, whole: Floats, prevalence: Floats | None = None) -> Floats:
    """Mean over the labels that the full data define, `(R,)`; NaN where one of them is NaN.

    Args:
        values: `(R, L)`.
        whole: The same score of the full data, `(1, L)`.
        prevalence: Weights, `(R, L)`; plain mean without.
    """
    used = ~np.isnan(whole[0])
    if not used.any():
        return np.full(len(values), np.nan)
    if prevalence is None:
        return np.asarray(values[:, used].mean(axis=1))
    weights = prevalence[:, used]
    return np.asarray((values[:, used] * weights).sum(axis=1) / weights.sum(axis=1))


def percentile_interval(values: Floats, confidence: float) -> tuple[float, float]:
    """Lower and upper percentile of `(R,)` resamples; NaN if less than half are defined."""
    defined = values[~np.isnan(values)]
    if not len(defined) or 2 * len(defined) < len(values):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    lower, upper = np.quantile(defined, [tail, 1 - tail])
    return float(lower), float(upper)

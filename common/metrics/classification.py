"""Scores of a multi-label classifier, per label and averaged over the labels.

| score | what it asks | needs |
|---|---|---|
| auroc | is a positive case ranked above a negative one? ties count half | both classes |
| average_precision | area under precision-recall, as the sum of steps | both classes |
| f1 | 2 TP / (2 TP + FP + FN) of the positive class | a positive case |
| f1_all_positive | F1 if all cases were called present, what f1 must beat | a positive case |
| f1_both_classes | F1 of presence and of absence, weighted by their cases | both classes |
| accuracy | share of right decisions | a case |
| sensitivity | share of positive cases called present | a positive case |
| specificity | share of negative cases called absent | a negative case |
| brier | mean squared error of the probability | a case |
| calibration_error | see `calibration` (15 bins of equal mass) | a case |

Rules:
- Truth may be NaN (unknown); such a case is left out for that label alone.
- A score whose needs are not met is NaN, with the reason. The macro average is over the labels
  that have the score, and says over how many.
- Decisions come in ready made (`thresholds.decide`); nothing here chooses a threshold.

F1 in print means three things, so never compare across them: `f1` averaged over labels (macro, here
the main one), `f1` averaged with the labels' prevalence as weights (`weighted_f1`), and averages in
which absence counts as a class too (`f1_both_classes`), which are far higher for rare findings.

Shapes: N cases, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .calibration import expected_calibration_error

METRICS: tuple[str, ...] = (
    "auroc",
    "average_precision",
    "f1",
    "f1_all_positive",
    "f1_both_classes",
    "accuracy",
    "sensitivity",
    "specificity",
    "brier",
    "calibration_error",
)
"""Every score per label, in the order of tables."""

NEEDS: dict[str, tuple[int, ...]] = {
    "auroc": (0, 1),
    "average_precision": (0, 1),
    "f1": (1,),
    "f1_all_positive": (1,),
    "f1_both_classes": (0, 1),
    "sensitivity": (1,),
    "specificity": (0,),
}
"""Classes of which a score needs at least one case; the others need any case."""


@dataclass(frozen=True)
class LabelScores:
    """Scores of one label.

    Attributes:
        label: Its name.
        num_cases: Cases whose truth is known.
        num_positive: Those among them that have the finding.
        values: Score by name (`METRICS`), NaN where undefined.
        reasons: For each undefined score, why.
    """

    label: str
    num_cases: int
    num_positive: int
    values: dict[str, float]
    reasons: dict[str, str]

    @property
    def prevalence(self) -> float:
        """Share of positive cases in [0, 1]; NaN without a case."""
        return self.num_positive / self.num_cases if self.num_cases else float("nan")


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of all labels and their averages.

    Attributes:
        labels: One entry per label, in the order given.
        macro: Plain mean over the labels that have the score, by name (`METRICS`), and
            `weighted_f1`, the mean of F1 weighted by prevalence.
        num_macro_labels: How many labels each average is over.
    """

    labels: list[LabelScores]
    macro: dict[str, float]
    num_macro_labels: dict[str, int]


def check_arrays(
    *,
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    labels: Sequence[str],
) -> None:
    """Refuse what cannot be scored.

    Args:
        truth: `(N, L)`.
        probabilities: `(N, L)`.
        labels: L names.

    Raises:
        InputError: If shapes differ, there is no case, truth is not 0, 1 or NaN, a probability
            is not in [0, 1], or two labels share a name.
    """
    if truth.ndim != 2 or truth.shape != probabilities.shape or truth.shape[1] != len(labels):
        msg = (
            f"truth and probabilities must both be (cases, {len(labels)} labels), got "
            f"{truth.shape} and {probabilities.shape}; give one column per label"
        )
        raise InputError(msg)
    if not len(truth):
        msg = "cases must hold at least one case, got 0; nothing can be scored"
        raise InputError(msg)
    if len(set(labels)) < len(labels):
        msg = f"labels must be distinct, got {list(labels)}; name each label once"
        raise InputError(msg)
    wrong = ~(np.isnan(truth) | (truth == 0) | (truth == 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        msg = (
            f"truth must be 0, 1 or NaN, got {truth[row, column]:g} for {labels[column]!r} in "
            f"case number {row}; map other codes before scoring"
        )
        raise InputError(msg)
    wrong = ~((probabilities >= 0) & (probabilities <= 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        msg = (
            f"probabilities must be in [0, 1], got {probabilities[row, column]:g} for "
            f"{labels[column]!r} in case number {row}; apply the sigmoid to logits first"
        )
        raise InputError(msg)


def score_classification(
    *,
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    decisions: NDArray[np.bool_],
    labels: Sequence[str],
) -> ClassificationScores:
    """Score every label, then average.

    Args:
        truth: 0, 1 or NaN (unknown), `(N, L)`.
        probabilities: `(N, L)` in [0, 1].
        decisions: Whether each label was called present, `(N, L)`.
        labels: L names, in column order.

    Raises:
        InputError: See `check_arrays`.
    """
    check_arrays(truth=truth, probabilities=probabilities, labels=labels)
    scores = [
        _score_label(label, truth[:, index], probabilities[:, index], decisions[:, index])
        for index, label in enumerate(labels)
    ]
    macro: dict[str, float] = {}
    num_labels: dict[str, int] = {}
    for metric in METRICS:
        values = np.array([score.values[metric] for score in scores])
        defined = ~np.isnan(values)
        num_labels[metric] = int(defined.sum())
        macro[metric] = float(values[defined].mean()) if defined.any() else float("nan")
    with_f1 = [score for score in scores if score.num_positive]
    num_labels["weighted_f1"] = len(with_f1)
    macro["weighted_f1"] = (
        float(
            np.average(
                [score.values["f1"] for score in with_f1],
                weights=[score.prevalence for score in with_f1],
            )
        )
        if with_f1
        else float("nan")
    )
    return ClassificationScores(scores, macro, num_labels)


def _score_label(
    label: str,
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    decisions: NDArray[np.bool_],
) -> LabelScores:
    """Scores of one label; all arrays `(N,)`."""
    from sklearn import metrics as sk

    known = ~np.isnan(truth)
    present, probabilities, decisions = truth[known] == 1, probabilities[known], decisions[known]
    counts = {1: int(present.sum()), 0: int((~present).sum())}
    reasons = {
        metric: f"no {'positive' if needed else 'negative'} case"
        for metric in METRICS
        for needed in NEEDS.get(metric, ())
        if not counts[needed]
    }
    if not len(present):
        reasons = dict.fromkeys(METRICS, "truth unknown in every case")
    compute = {
        "auroc": lambda: sk.roc_auc_score(present, probabilities),
        "average_precision": lambda: sk.average_precision_score(present, probabilities),
        "f1": lambda: sk.f1_score(present, decisions, zero_division=0.0),
        "f1_all_positive": lambda: 2 * counts[1] / (counts[1] + len(present)),
        "f1_both_classes": lambda: sk.f1_score(
            present, decisions, average="weighted", zero_division=0.0
        ),
        "accuracy": lambda: sk.accuracy_score(present, decisions),
        "sensitivity": lambda: sk.recall_score(present, decisions, pos_label=True),
        "specificity": lambda: sk.recall_score(present, decisions, pos_label=False),
        "brier": lambda: np.mean((probabilities - present) ** 2),
        "calibration_error": lambda: expected_calibration_error(
            present.astype(np.float64), probabilities
        ),
    }
    values = {
        metric: float("nan") if metric in reasons else float(compute[metric]())
        for metric in METRICS
    }
    return LabelScores(label, len(present), counts[1], values, reasons)

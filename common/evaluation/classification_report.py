"""An evaluation's numbers as text for a terminal, as `metrics.json` and as `metrics.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics.bootstrap import Intervals
from ..metrics.classification import METRICS, ClassificationScores

SCHEMA_VERSION = 1
DEFINITIONS: dict[str, str] = {
    "auroc": "Area under the ROC curve, 0 to 1, ties count half.",
    "average_precision": "Area under the precision-recall curve as the sum of its steps, 0 to 1.",
    "f1": "F1 of the positive class at the threshold, 0 to 1.",
    "f1_all_positive": "F1 if every case were called present, 0 to 1: what f1 must exceed.",
    "f1_both_classes": "F1 of presence and of absence, weighted by their cases, 0 to 1.",
    "accuracy": "Share of right decisions, 0 to 1.",
    "sensitivity": "Share of positive cases called present, 0 to 1.",
    "specificity": "Share of negative cases called absent, 0 to 1.",
    "brier": "Mean squared error of the probability, 0 to 1, lower is better.",
    "calibration_error": "Expected calibration error, 15 bins of equal mass, 0 to 1.",
    "weighted_f1": "Mean of the labels' f1 weighted by their prevalence, 0 to 1.",
}
_COLUMNS = {
    "auroc": "AUROC",
    "average_precision": "AP",
    "f1": "F1",
    "accuracy": "accuracy",
    "calibration_error": "ECE",
}
"""What the terminal shows of several labels; the files hold every score."""
_ROWS = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "f1": "F1",
    "f1_all_positive": "F1 if all were called positive",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "calibration_error": "calibration error (ECE)",
}
"""What the terminal shows of a single label."""
_WITH_INTERVAL = ("auroc", "average_precision")


@dataclass(frozen=True)
class Evaluation:
    """Everything one evaluation found.

    Attributes:
        labels: L names.
        unit: `volume` or `scan`: what one case is.
        num_cases: N.
        num_patients: Distinct patients.
        truth: `(N, L)`, 0, 1 or NaN.
        probabilities: `(N, L)`.
        thresholds: Per label; None where a merged label is present if any of its parts is.
        scores: Per label and macro.
        intervals: Confidence intervals, or None if none were asked for.
        weights: Names of the weights behind the probabilities, where known.
        synthetic: Whether those weights were trained on phantoms only.
        notes: Sentences a reader of the numbers must know.
    """

    labels: list[str]
    unit: str
    num_cases: int
    num_patients: int
    truth: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    thresholds: list[float | None]
    scores: ClassificationScores
    intervals: Intervals | None
    weights: list[str]
    synthetic: bool
    notes: list[str]

    def label_interval(self, metric: str, index: int) -> tuple[float, float] | None:
        """Lower and upper of one label's score; None if there is no interval."""
        if self.intervals is None or metric not in self.intervals.labels:
            return None
        return _pair(self.intervals.labels[metric][index])

    def macro_interval(self, metric: str) -> tuple[float, float] | None:
        """Lower and upper of an average; None if there is no interval."""
        if self.intervals is None or metric not in self.intervals.macro:
            return None
        return _pair(self.intervals.macro[metric])


def metrics_text(evaluation: Evaluation) -> str:
    """A table for the terminal, then the notes.

    A row per label, then the averages; of a single label a row per score.
    """
    if len(evaluation.labels) == 1:
        return _single_label_text(evaluation)
    bound = f" [{evaluation.intervals.confidence:.0%} CI]" if evaluation.intervals else ""
    rows = [["label", "n", "prevalence"]]
    rows[0] += [
        name + (bound if metric in _WITH_INTERVAL else "") for metric, name in _COLUMNS.items()
    ]
    for index, entry in enumerate(evaluation.scores.labels):
        rows.append([entry.label, str(entry.num_cases), _number(entry.prevalence)])
        rows[-1] += [
            _cell(entry.values[metric], evaluation.label_interval(metric, index), metric)
            for metric in _COLUMNS
        ]
    macro = evaluation.scores.macro
    rows.append(["mean over labels (macro)", "", ""])
    rows[-1] += [
        _cell(macro[metric], evaluation.macro_interval(metric), metric) for metric in _COLUMNS
    ]
    rows.append(["mean weighted by prevalence", "", ""])
    rows[-1] += [_number(macro["weighted_f1"]) if metric == "f1" else "" for metric in _COLUMNS]
    lines = _aligned(rows)
    rule = "-" * max(len(line) for line in lines)
    lines = [_title(evaluation), rule, lines[0], rule, *lines[1:-2], rule, *lines[-2:], rule]
    return "\n".join([*lines, *(f"- {note}" for note in _all_notes(evaluation))]) + "\n"


def _single_label_text(evaluation: Evaluation) -> str:
    (entry,) = evaluation.scores.labels
    bounds = evaluation.intervals
    rows = [[entry.label, "value", f"{bounds.confidence:.0%} CI" if bounds else ""]]
    for metric, name in _ROWS.items():
        interval = evaluation.label_interval(metric, 0)
        between = f"[{_number(interval[0])}, {_number(interval[1])}]" if interval else ""
        rows.append([name, _number(entry.values[metric]), between])
    lines = _aligned(rows)
    rule = "-" * max(len(line) for line in lines)
    title = f"{_title(evaluation)}, {entry.num_positive} of {entry.num_cases} positive"
    notes = [f"- {note}" for note in _all_notes(evaluation)]
    return "\n".join([title, rule, lines[0], rule, *lines[1:], rule, *notes]) + "\n"


def macro_text(evaluation: Evaluation) -> str:
    """The main number in one line: `macro AUROC 0.971 [0.965, 0.978]`."""
    value = evaluation.scores.macro["auroc"]
    return "macro AUROC " + _cell(value, evaluation.macro_interval("auroc"), "auroc")


def metrics_json(evaluation: Evaluation) -> dict[str, Any]:
    """The same as plain JSON values; undefined numbers are null with their reason beside them."""
    intervals = evaluation.intervals
    return {
        "schema_version": SCHEMA_VERSION,
        "unit": evaluation.unit,
        "num_cases": evaluation.num_cases,
        "num_patients": evaluation.num_patients,
        "weights": evaluation.weights,
        "synthetic_weights": evaluation.synthetic,
        "macro": {
            name: {
                "value": _json_number(value),
                "interval": evaluation.macro_interval(name),
                "num_labels": evaluation.scores.num_macro_labels[name],
            }
            for name, value in evaluation.scores.macro.items()
        },
        "labels": {
            entry.label: {
                "num_cases": entry.num_cases,
                "num_positive": entry.num_positive,
                "prevalence": _json_number(entry.prevalence),
                "threshold": evaluation.thresholds[index],
                **{
                    metric: {
                        "value": _json_number(entry.values[metric]),
                        "interval": evaluation.label_interval(metric, index),
                    }
                    for metric in METRICS
                },
                "undefined": entry.reasons,
            }
            for index, entry in enumerate(evaluation.scores.labels)
        },
        "bootstrap": None
        if intervals is None
        else {
            "confidence": intervals.confidence,
            "num_resamples": intervals.num_resamples,
            "clustered_by": "patient",
            "num_used_macro": intervals.num_used_macro,
        },
        "definitions": DEFINITIONS,
        "notes": _all_notes(evaluation),
    }


def metrics_csv(evaluation: Evaluation) -> str:
    """One row per label and one for the macro average; an undefined number is an empty cell."""
    names = [*METRICS, "weighted_f1"]
    columns = ["label", "num_cases", "num_positive", "prevalence", "threshold"]
    columns += [name + end for name in names for end in ("", "_low", "_high")]
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for index, entry in enumerate(evaluation.scores.labels):
        cells: list[float | None] = [entry.prevalence, evaluation.thresholds[index]]
        for metric in METRICS:
            cells += [
                entry.values[metric],
                *(evaluation.label_interval(metric, index) or (None,) * 2),
            ]
        table.writerow(
            [entry.label, entry.num_cases, entry.num_positive, *map(_csv_number, cells), "", "", ""]
        )
    averages: list[float | None] = []
    for name in names:
        averages += [
            evaluation.scores.macro[name],
            *(evaluation.macro_interval(name) or (None,) * 2),
        ]
    table.writerow(["macro", "", "", "", "", *map(_csv_number, averages)])
    return text.getvalue()


def _title(evaluation: Evaluation) -> str:
    weights = f", weights {', '.join(evaluation.weights)}" if evaluation.weights else ""
    return (
        f"{evaluation.num_cases} {evaluation.unit}s of {evaluation.num_patients} patients, "
        f"{len(evaluation.labels)} labels{weights}"
    )


def _all_notes(evaluation: Evaluation) -> list[str]:
    """The evaluation's own notes, and what its numbers themselves call for."""
    notes = ["synthetic weights, which never saw a patient: says nothing about one"]
    notes = [*(notes if evaluation.synthetic else []), *evaluation.notes]
    intervals = evaluation.intervals
    if intervals is not None:
        notes.append(
            f"intervals: {intervals.confidence:.0%} percentile, {intervals.num_resamples} "
            f"resamples of {intervals.num_patients} patients with all their {evaluation.unit}s"
        )
        used = intervals.num_used_macro["auroc"]
        if used < intervals.num_resamples and evaluation.scores.num_macro_labels["auroc"]:
            notes.append(
                f"macro AUROC was defined in {used} of {intervals.num_resamples} resamples"
                + ("" if 2 * used >= intervals.num_resamples else ": too few for an interval")
            )
    missing = [entry for entry in evaluation.scores.labels if "auroc" in entry.reasons]
    if missing:
        counted = evaluation.scores.num_macro_labels["auroc"]
        reasons = ", ".join(f"{entry.label} ({entry.reasons['auroc']})" for entry in missing)
        notes.append(f"macro AUROC is over {counted} of {len(evaluation.labels)} labels: {reasons}")
    return notes


def _cell(value: float, interval: tuple[float, float] | None, metric: str) -> str:
    if interval is None or metric not in _WITH_INTERVAL or math.isnan(value):
        return _number(value)
    return f"{_number(value)} [{_number(interval[0])}, {_number(interval[1])}]"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width, the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _pair(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float] | None:
    lower, upper = float(values[0]), float(values[1])
    return None if math.isnan(lower) else (lower, upper)


def _json_number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _csv_number(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.6g}"

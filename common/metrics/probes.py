"""What frozen embeddings tell about any label: a linear and a k-NN probe, scored.

| task | label | AUROC | balanced accuracy |
|---|---|---|---|
| binary | one column of two values | of the second value | mean of sensitivity and specificity |
| multi_class | one column of more values | mean over classes, each against the rest | mean over classes of sensitivity |
| multi_label | several columns of 0, 1 or unknown | mean over labels | mean over labels, each as binary |

A case is called by probability >= 0.5, of several classes by the highest. Scores are of all cases
together, each predicted when its patient was left out, and intervals resample patients. Predictions
of different folds are put in one order, which can only lower AUROC.

Shapes: N cases, L labels or classes, F numbers per embedding, R resamples.
"""  # noqa: E501 - a table's row is one line

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..embeddings.case_labels import LabelledEmbeddings
from ..embeddings.neighbours import checked_embeddings
from ..errors import InputError
from ..weights.decision import FALLBACK_THRESHOLD, decide
from .bootstrap import label_average, percentile_interval, weighted_scores
from .patient_bootstrap import patient_weights
from .probe_models import STRENGTHS, linear_probabilities, neighbour_probabilities

Kind = Literal["linear", "knn"]
Task = Literal["binary", "multi_class", "multi_label"]
SCORES = ("auroc", "balanced_accuracy")
_CHUNK = 250  # resamples at a time

Floats = NDArray[np.float64]
Predict = Callable[[NDArray[np.floating], NDArray[np.int64], Sequence[Hashable]], Floats]
"""Embeddings `(N, F)`, classes `(N,)` and owners N to probabilities `(N, C)`."""


@dataclass(frozen=True)
class ProbeScores:
    """One probe of one task.

    Attributes:
        kind: `linear` or `knn`.
        task: See the module.
        labels: L names: of columns, or of classes.
        truth: 0, 1 or NaN (unknown), `(N, L)`.
        probabilities: `(N, L)`, NaN where a label could not be probed.
        num_patients: Among the cases.
        values: By score (`SCORES`): mean over labels.
        intervals: Of `values`.
        per_label: By score: `(L,)`, NaN where undefined; a class's balanced accuracy is its
            sensitivity.
        label_intervals: By score: `(L, 2)`.
        resampled: By score: `(R,)`, the mean in each resample; see `difference`.
        notes: What could not be probed, and why.
    """

    kind: str
    task: Task
    labels: list[str]
    truth: Floats
    probabilities: Floats
    num_patients: int
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_label: dict[str, Floats]
    label_intervals: dict[str, Floats]
    resampled: dict[str, Floats]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """Plain values; None where undefined."""
        return {
            "kind": self.kind,
            "task": self.task,
            "num_cases": len(self.truth),
            "num_patients": self.num_patients,
            "scores": {
                name: {"value": _plain(self.values[name]), "interval": _plain(self.intervals[name])}
                for name in SCORES
            },
            "labels": {
                label: {
                    name: {
                        "value": _plain(self.per_label[name][place]),
                        "interval": _plain(self.label_intervals[name][place]),
                    }
                    for name in SCORES
                }
                for place, label in enumerate(self.labels)
            },
            "notes": self.notes,
        }


def probe(
    labelled: LabelledEmbeddings,
    *,
    kind: Kind = "linear",
    num_folds: int = 5,
    strengths: Sequence[float] = STRENGTHS,
    num_neighbours: int = 20,
    temperature: float = 0.07,
    balanced: bool = True,
    num_bootstrap: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ProbeScores:
    """Probe embedded cases for what a table says of them.

    One column of 0 and 1 (or any two values) is `binary`, one of more values `multi_class`, several
    columns `multi_label`.

    Args:
        labelled: From `join_labels`.
        kind: `linear` or `knn`.
        num_folds: Of the linear probe.
        strengths: Of the linear probe, to choose from inside the folds.
        num_neighbours: Of the k-NN probe.
        temperature: Of the k-NN probe.
        balanced: Whether classes count alike whatever their number of cases.
        num_bootstrap: R.
        confidence: In (0, 1).
        seed: Of folds and bootstrap.

    Raises:
        InputError: If an argument is out of range, a value cannot be read, or nothing can be
            probed.
    """
    predict: dict[str, Predict] = {
        "linear": partial(
            linear_probabilities,
            num_folds=num_folds,
            strengths=strengths,
            balanced=balanced,
            seed=seed,
        ),
        "knn": partial(
            neighbour_probabilities,
            num_neighbours=num_neighbours,
            temperature=temperature,
            balanced=balanced,
        ),
    }
    if kind not in predict:
        msg = f"kind must be one of {', '.join(predict)}, got {kind!r}; use linear"
        raise InputError(msg)
    task, labels, truth = read_task(labelled)
    known = ~np.isnan(truth).all(axis=1)
    embeddings = checked_embeddings("embeddings", labelled.table.embeddings)[known]
    owners = [labelled.table.owners[row] for row in np.flatnonzero(known)]
    truth = truth[known]
    notes = [*labelled.notes]
    if not known.all():
        notes.append(f"cases without any label, left out: {int((~known).sum())}")
    if task == "multi_class":
        probabilities = predict[kind](embeddings, truth.argmax(axis=1), owners)
        decisions = probabilities.argmax(axis=1)[:, None] == np.arange(len(labels))
    else:
        probabilities, reasons = _label_by_label(predict[kind], embeddings, truth, owners, labels)
        notes += reasons
        truth = np.where(np.isnan(probabilities), np.nan, truth)
        decisions = decide(probabilities, [FALLBACK_THRESHOLD])
    if np.isnan(truth).all():
        msg = f"labels must have two classes of 2 or more patients, got: {'; '.join(notes)}"
        raise InputError(msg)
    return _score(
        kind, task, labels, truth, probabilities, decisions, owners, notes,
        num_bootstrap=num_bootstrap, confidence=confidence, seed=seed,
    )  # fmt: skip


def _label_by_label(
    predict: Predict,
    embeddings: NDArray[np.floating],
    truth: Floats,
    owners: Sequence[Hashable],
    labels: Sequence[str],
) -> tuple[Floats, list[str]]:
    """Probability `(N, L)` of each label where it is known, and which could not be probed."""
    probabilities, notes = np.full(truth.shape, np.nan), []
    for place, label in enumerate(labels):
        rows = np.flatnonzero(~np.isnan(truth[:, place]))
        theirs = [owners[row] for row in rows.tolist()]
        reason = _unfit(truth[rows, place], theirs)
        if reason:
            notes.append(f"{label}: {reason}; not probed")
            continue
        classes = truth[rows, place].astype(np.int64)
        probabilities[rows, place] = predict(embeddings[rows], classes, theirs)[:, 1]
    return probabilities, notes


def read_task(labelled: LabelledEmbeddings) -> tuple[Task, list[str], Floats]:
    """What a table's columns ask.

    Returns:
        The task; names of labels, or classes in their order; truth `(N, L)`: 0, 1, NaN (unknown).

    Raises:
        InputError: If one of several columns holds anything but 0, 1 or nothing, or a single one
            has one value alone.
    """
    if len(labelled.columns) > 1:
        return (
            "multi_label",
            labelled.columns,
            np.array(
                [
                    [
                        _zero_or_one(text, name)
                        for text, name in zip(row, labelled.columns, strict=True)
                    ]
                    for row in labelled.values
                ]
            ),
        )
    (name,) = labelled.columns
    column = [_number(text) for text in labelled.column(name)]
    kinds = sorted({text for text in column if text}, key=_order)
    if len(kinds) < 2:
        msg = f"column {name} must hold two or more values, got {kinds}; choose another column"
        raise InputError(msg)
    if len(kinds) == 2:
        label = name if kinds == ["0", "1"] else f"{name} {kinds[1]}"
        known = [np.nan if not text else float(text == kinds[1]) for text in column]
        return "binary", [label], np.array(known)[:, None]
    one_hot = [[float(text == kind) if text else np.nan for kind in kinds] for text in column]
    return "multi_class", kinds, np.array(one_hot)


def difference(
    first: ProbeScores, second: ProbeScores, *, confidence: float = 0.95
) -> dict[str, tuple[float, float, float]]:
    """By how much one probe is better than another of the same cases, such as of another encoder.

    Both are resampled alike, so the interval is that of the difference of paired scores.

    Args:
        first: One probe.
        second: Another, of the same labelled cases, with the same seed and resamples.
        confidence: In (0, 1).

    Returns:
        By score: first less second, lower, upper.

    Raises:
        InputError: If they are not of the same cases.
    """
    same = first.labels == second.labels and np.array_equal(
        first.truth, second.truth, equal_nan=True
    )
    sizes = {each.resampled["auroc"].shape for each in (first, second)}
    if not same or len(sizes) != 1 or (0,) in sizes:
        msg = (
            "probes must be of the same cases and labels with the same resamples to be compared, "
            "got others; probe both tables with the same labels and num_bootstrap above 0"
        )
        raise InputError(msg)
    return {
        name: (
            first.values[name] - second.values[name],
            *percentile_interval(first.resampled[name] - second.resampled[name], confidence),
        )
        for name in SCORES
    }


def _score(
    kind: Kind,
    task: Task,
    labels: list[str],
    truth: Floats,
    probabilities: Floats,
    decisions: NDArray[np.bool_],
    owners: Sequence[Hashable],
    notes: list[str],
    *,
    num_bootstrap: int,
    confidence: float,
    seed: int,
) -> ProbeScores:
    """Scores of all cases and of every resample."""

    def both(weights: Floats) -> dict[str, Floats]:
        """By score `(R, L)` of weights `(N, R)`."""
        found = weighted_scores(
            truth=truth, probabilities=probabilities, decisions=decisions, weights=weights
        )
        right = found["sensitivity"]
        if task != "multi_class":
            right = (right + found["specificity"]) / 2
        return {"auroc": found["auroc"], "balanced_accuracy": right}

    whole = both(np.ones((len(truth), 1)))
    parts = []
    if num_bootstrap:
        draws = patient_weights(owners, num_resamples=num_bootstrap, seed=seed)
        parts = [both(draws[start : start + _CHUNK].T) for start in range(0, len(draws), _CHUNK)]
    empty = np.empty((0, len(labels)))
    drawn = {name: np.concatenate([empty, *(part[name] for part in parts)]) for name in SCORES}
    resampled = {name: label_average(drawn[name], whole[name]) for name in SCORES}
    return ProbeScores(
        kind=kind,
        task=task,
        labels=labels,
        truth=truth,
        probabilities=probabilities,
        num_patients=len(set(owners)),
        values={name: float(label_average(whole[name], whole[name])[0]) for name in SCORES},
        intervals={name: percentile_interval(resampled[name], confidence) for name in SCORES},
        per_label={name: whole[name][0] for name in SCORES},
        label_intervals={
            name: np.array([percentile_interval(each, confidence) for each in drawn[name].T])
            for name in SCORES
        },
        resampled=resampled,
        notes=notes,
    )


def _unfit(known: Floats, owners: Sequence[Hashable]) -> str:
    """Why a label cannot be probed; empty if it can."""
    for value, name in ((1, "positive"), (0, "negative")):
        num = len({owner for owner, each in zip(owners, known, strict=True) if each == value})
        if num < 2:
            return f"{name} in {num} patients"
    return ""


def _zero_or_one(text: str, name: str) -> float:
    found = {"": np.nan, "0": 0.0, "1": 1.0}.get(_number(text))
    if found is None:
        msg = (
            f"column {name} must hold 0, 1 or nothing where several labels are probed, got "
            f"{text!r}; probe this column alone"
        )
        raise InputError(msg)
    return found


def _number(text: str) -> str:
    """The same value, always spelled alike: 1 for 1.0."""
    try:
        number = float(text)
    except ValueError:
        return text
    return "" if np.isnan(number) else f"{number:g}"


def _order(text: str) -> tuple[bool, float, str]:
    """Numbers by size, then words."""
    try:
        return False, float(text), text
    except ValueError:
        return True, 0.0, text


def _plain(value: Any) -> Any:
    """A number or an interval for JSON; None where undefined."""
    numbers = [float(each) for each in np.atleast_1d(value)]
    if any(np.isnan(numbers)):
        return None
    return numbers if np.ndim(value) else numbers[0]

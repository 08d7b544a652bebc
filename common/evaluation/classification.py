"""Score finished results against truth, and leave the numbers where they can be read.

The step reads what inference wrote (or any CSV of probabilities), so it needs no network, runs in
seconds and can be repeated. It prints a table and writes `metrics.json`, `metrics.csv`, `roc.png`
and `reliability.png`.

What must be stated with such numbers, because published ones differ in it:

| choice | here | elsewhere |
|---|---|---|
| unit | `volume`: reconstructions of a scan counted one by one | `scan`: mean over them |
| CT-RATE valid | 3,039 volumes = 1,564 scans = 1,304 patients | non-chest or doubles removed |
| F1 | positive class, plain mean over labels; `weighted_f1` beside it | see `classification` |
| thresholds | as given, from validation data | chosen on the test data: too good |
| interval | patients resampled, all their cases together | cases resampled: too narrow |
| Rad-ChestCT | 16 shared labels, merged ones score the maximum of their parts | mappings differ |
| truth | as the table says; CT-RATE's is a language model's reading of the report | |

Shapes: N cases, L labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..atomic import write_json, write_text
from ..case import Case
from ..cases.ct_rate import VOLUME_NAME, parse_volume_name
from ..cases.rad_chestct import CALCIFICATION, MERGED, SHARED_CLASSES
from ..errors import InputError
from ..figures.classification_scores import write_reliability_figure, write_roc_figure
from ..metrics.bootstrap import bootstrap_intervals
from ..metrics.classification import score_classification
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..weights.decision import FALLBACK_THRESHOLD, decide, ordered_thresholds
from .classification_report import (
    Evaluation,
    macro_text,
    metrics_csv,
    metrics_json,
    metrics_text,
)
from .predictions import CaseTable, join, merge_labels, read_csv, read_results, truth_of_cases

Unit = Literal["volume", "scan"]
LabelSet = Literal["as_given", "ct_rate", "rad_chestct"]
Groups = Mapping[str, Sequence[str]]
"""Labels to score, each with the labels that it merges where it is not there itself."""


class ClassificationEvaluation:
    """Evaluate finished results of a multi-label classifier.

    Args:
        output_dir: Where the numbers go, and where the results lie unless `predictions` says.
        labels: Names of the labels in the order of the cases' `label`.
        cases: Cases with `label` and, where known, `patient_id`. Either this or `truth`.
        truth: A CSV with a column per label instead of cases.
        predictions: Folder of `<case_id>/result.json`, or a CSV with a column per label.
        thresholds: By label; default those stored with the results.
        label_set: `as_given`; `ct_rate`, the 18 official labels; or `rad_chestct`, the 16 that
            the two data sets share, with both calcifications as one: the higher probability.
        unit: `volume`, or `scan`: the mean probability over the reconstructions of a scan, which
            are told by CT-RATE's names (`valid_1_a_1`, `valid_1_a_2`).
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.
        allow_missing: Score the rest when cases have no prediction; they are named either way.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        labels: Sequence[str],
        cases: Sequence[Case] | None = None,
        truth: str | Path | None = None,
        predictions: str | Path | None = None,
        thresholds: Mapping[str, float] | None = None,
        label_set: LabelSet = "as_given",
        unit: Unit = "volume",
        num_bootstrap: int = 1000,
        seed: int = 0,
        allow_missing: bool = False,
    ) -> None:
        for name, value, kinds in (("label_set", label_set, LabelSet), ("unit", unit, Unit)):
            if value not in get_args(kinds):
                choices = ", ".join(get_args(kinds))
                msg = f"{name} must be one of {choices}, got {value!r}; choose one of them"
                raise InputError(msg)
        if (cases is None) == (truth is None):
            got = "neither" if cases is None else "both"
            msg = f"truth must come from `cases` or from `truth`, got {got}; give one of the two"
            raise InputError(msg)
        self.output_dir = Path(output_dir)
        self.predictions = Path(output_dir if predictions is None else predictions)
        self.labels = list(labels)
        self.cases = cases
        self.truth = truth
        self.thresholds = thresholds
        self.groups = _label_groups(label_set, self.labels)
        self.unit = unit
        self.num_bootstrap = num_bootstrap
        self.seed = seed
        self.allow_missing = allow_missing

    def run(self) -> Evaluation:
        """Join, score, print, and write the files.

        Raises:
            InputError: If truth or predictions cannot be read or do not fit, naming the cases.
        """
        evaluation = self.evaluate()
        print(metrics_text(evaluation), end="")
        write_json(self.output_dir / "metrics.json", metrics_json(evaluation))
        write_text(self.output_dir / "metrics.csv", metrics_csv(evaluation))
        _draw(self.output_dir, evaluation)
        return evaluation

    def evaluate(self) -> Evaluation:
        """Join and score; writes nothing. Raises as `run` does."""
        truth, predictions, notes = join(
            self._read_truth(), self._read_predictions(), allow_missing=self.allow_missing
        )
        thresholds, origin = self._choose_thresholds(predictions)
        patients, patient_notes = _patients(truth, predictions)
        notes += patient_notes
        if self.unit == "scan":
            truth, predictions, patients = _per_scan(truth, predictions, patients)
        labels = list(self.groups)
        known = merge_labels(truth.values, truth.labels, self.groups)
        probabilities = merge_labels(predictions.values, predictions.labels, self.groups)
        decisions, used = _decide(predictions, probabilities, thresholds, self.groups)
        scores = score_classification(
            truth=known, probabilities=probabilities, decisions=decisions, labels=labels
        )
        intervals = (
            bootstrap_intervals(
                truth=known,
                probabilities=probabilities,
                decisions=decisions,
                patient_ids=patients,
                num_resamples=self.num_bootstrap,
                seed=self.seed,
            )
            if self.num_bootstrap
            else None
        )
        return Evaluation(
            labels=labels,
            unit=self.unit,
            num_cases=len(known),
            num_patients=len(set(patients)),
            truth=known,
            probabilities=probabilities,
            thresholds=used,
            scores=scores,
            intervals=intervals,
            weights=list(predictions.weights),
            synthetic=predictions.synthetic,
            notes=[*notes, origin],
        )

    def _read_truth(self) -> CaseTable:
        if self.cases is not None:
            return truth_of_cases(self.cases, self.labels)
        assert self.truth is not None
        return read_csv(self.truth, _names(self.labels, self.groups))

    def _read_predictions(self) -> CaseTable:
        if self.predictions.is_dir():
            return read_results(self.predictions)
        return read_csv(self.predictions, _names(self.labels, self.groups))

    def _choose_thresholds(self, predictions: CaseTable) -> tuple[Mapping[str, float], str]:
        """Thresholds by label, and where they came from."""
        if self.thresholds is not None:
            return self.thresholds, "thresholds: as given; present if probability >= threshold"
        if predictions.thresholds:
            return (
                predictions.thresholds,
                "thresholds: those stored with the results; present if probability >= threshold",
            )
        fallback = dict.fromkeys(predictions.labels, FALLBACK_THRESHOLD)
        return fallback, f"thresholds: none given, {FALLBACK_THRESHOLD} for every label"


def scan_of(case_id: str) -> str:
    """The scan that a CT-RATE volume is a reconstruction of; any other case is its own scan.

    Args:
        case_id: For example `valid_1_a_2`, which belongs to the scan `valid_1_a`.
    """
    return parse_volume_name(case_id).scan_id if VOLUME_NAME.fullmatch(case_id) else case_id


def _patients(truth: CaseTable, predictions: CaseTable) -> tuple[list[str], list[str]]:
    """Whose each case is, and a note if that had to be assumed."""
    patients, assumed = [], 0
    for name, told, found in zip(
        truth.case_ids, truth.patient_ids, predictions.patient_ids, strict=True
    ):
        patient = told or found
        if patient is None and VOLUME_NAME.fullmatch(name):
            patient = parse_volume_name(name).patient_id
        assumed += patient is None
        patients.append(patient or f"case {name}")
    note = f"cases without patient_id, each taken as a patient of its own: {assumed}"
    return patients, [note] if assumed else []


def _per_scan(
    truth: CaseTable, predictions: CaseTable, patients: Sequence[str]
) -> tuple[CaseTable, CaseTable, list[str]]:
    """Both tables with one row per scan: mean probability, and the truth its volumes share."""
    scans: dict[str, list[int]] = {}
    for row, name in enumerate(truth.case_ids):
        scans.setdefault(scan_of(name), []).append(row)
    for scan, rows in scans.items():
        first = truth.values[rows[0]]
        if not all(np.array_equal(truth.values[row], first, equal_nan=True) for row in rows):
            msg = (
                f"volumes of one scan must share their truth, got different labels in {scan}; "
                "mend the table or evaluate with unit `volume`"
            )
            raise InputError(msg)
    firsts = [rows[0] for rows in scans.values()]
    means = np.array([predictions.values[rows].mean(axis=0) for rows in scans.values()])
    names = list(scans)
    owners: list[str] = [patients[row] for row in firsts]
    return (
        replace(truth, case_ids=names, values=truth.values[firsts], patient_ids=owners),
        replace(predictions, case_ids=names, values=means, patient_ids=owners),
        owners,
    )


def _decide(
    predictions: CaseTable,
    probabilities: NDArray[np.float64],
    thresholds: Mapping[str, float],
    groups: Groups,
) -> tuple[NDArray[np.bool_], list[float | None]]:
    """Decisions `(N, L)` and the threshold of each label.

    A merged label without a threshold of its own is present if any of its parts is, which no
    threshold on the maximum of the parts could say.
    """
    decisions: list[NDArray[np.bool_]] = []
    used: list[float | None] = []
    for index, (label, parts) in enumerate(groups.items()):
        if label in thresholds or label in predictions.labels:
            (limit,) = ordered_thresholds(thresholds, [label])
            decisions.append(decide(probabilities[:, index], [limit]))
            used.append(limit)
        else:
            columns = [predictions.labels.index(part) for part in parts]
            limits = ordered_thresholds(thresholds, parts)
            parts_present = decide(predictions.values[:, columns], limits)
            decisions.append(np.asarray(parts_present.any(axis=1)))
            used.append(None)
    return np.stack(decisions, axis=1), used


def _draw(output_dir: Path, evaluation: Evaluation) -> None:
    """`roc.png` and `reliability.png`."""
    entries = range(len(evaluation.labels))
    bounds = [evaluation.label_interval("auroc", index) or (np.nan, np.nan) for index in entries]
    write_roc_figure(
        output_dir / "roc.png",
        truth=evaluation.truth,
        probabilities=evaluation.probabilities,
        labels=evaluation.labels,
        auroc=[entry.values["auroc"] for entry in evaluation.scores.labels],
        auroc_low=[low for low, _ in bounds],
        auroc_high=[high for _, high in bounds],
        macro=macro_text(evaluation),
        synthetic=evaluation.synthetic,
    )
    write_reliability_figure(
        output_dir / "reliability.png",
        truth=evaluation.truth,
        probabilities=evaluation.probabilities,
        labels=evaluation.labels,
        synthetic=evaluation.synthetic,
    )


def _label_groups(label_set: LabelSet, labels: Sequence[str]) -> Groups:
    """The labels that a name stands for."""
    if label_set == "rad_chestct":
        return {label: MERGED if label == CALCIFICATION else () for label in SHARED_CLASSES}
    return dict.fromkeys(CT_RATE_LABELS if label_set == "ct_rate" else labels, ())


def _names(labels: Sequence[str], groups: Groups) -> list[str]:
    """Every column that may be needed, each once."""
    return list(dict.fromkeys([*labels, *groups, *(part for g in groups.values() for part in g)]))

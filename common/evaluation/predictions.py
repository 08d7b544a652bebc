"""Probabilities and truth of many cases, from wherever they lie, joined by case.

Sources of probabilities: a folder of `<case_id>/result.json` (any bundle whose outputs hold
`probabilities`), or a CSV with one column per label, made by any program. Sources of truth: a list
of cases, or a CSV such as CT-RATE's label tables. A CSV's case is in its column `case_id` or
`VolumeName` (else in its first column), with or without the ending of a volume file.

Shapes: N cases, L labels.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..csv_table import number, read_table
from ..errors import InputError
from ..results.case_result import read_case_result
from ..results.schema import FAILURE_NAME, RESULT_NAME, CaseResult

_ID_COLUMNS = ("case_id", "VolumeName")
_VOLUME_ENDINGS = (".nii.gz", ".nii", ".npz", ".nrrd")


@dataclass(frozen=True)
class CaseTable:
    """Numbers per case and label.

    Attributes:
        case_ids: N names.
        labels: L names.
        values: `(N, L)` float64: probabilities in [0, 1], or truth as 0, 1 and NaN (unknown).
        patient_ids: Whose each case is, N entries; None where the source does not say.
        thresholds: By label, where the source holds them.
        weights: Names of the weights that made the probabilities, where known.
        synthetic: Whether those weights were trained on phantoms only.
        failed: Reason by case, for cases that ended without a result.
    """

    case_ids: list[str]
    labels: list[str]
    values: NDArray[np.float64]
    patient_ids: Sequence[str | None]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    weights: Sequence[str] = ()
    synthetic: bool = False
    failed: Mapping[str, str] = field(default_factory=dict)


def truth_of_cases(cases: Sequence[Case], labels: Sequence[str]) -> CaseTable:
    """Truth as a list of cases holds it.

    Args:
        cases: Cases with `label`, one number per entry of `labels`, in that order.
        labels: L names.

    Raises:
        InputError: If there is no case, a case has no label or one of another length, or two
            cases share an id.
    """
    without = [case["case_id"] for case in cases if "label" not in case]
    if without or not cases:
        msg = (
            f"cases must have labels to be evaluated, got none for {_some(without) or 'no case'}; "
            "give a list with labels (CSV or JSON) as input"
        )
        raise InputError(msg)
    for case in cases:
        if len(case["label"]) != len(labels):
            msg = (
                f"label of {case['case_id']} must have {len(labels)} numbers, one per label, got "
                f"{len(case['label'])}; the list of cases and `labels` must agree"
            )
            raise InputError(msg)
    return CaseTable(
        case_ids=_distinct([case["case_id"] for case in cases], "cases"),
        labels=list(labels),
        values=np.array([case["label"] for case in cases], dtype=np.float64),
        patient_ids=[case.get("patient_id") for case in cases],
    )


def read_results(folder: str | Path) -> CaseTable:
    """Probabilities from every `<case_id>/result.json` below a folder.

    Args:
        folder: `output_dir` of an inference run.

    Raises:
        InputError: If there is no result, one is broken or holds no probabilities, or results
            differ in their labels, thresholds or weights.
    """
    folder = Path(folder)
    records = {
        path: read_case_result(
            path, needs="probabilities", hint="only a classifier's results can be evaluated here"
        )
        for path in sorted(folder.glob(f"*/{RESULT_NAME}"))
    }
    failed = {}
    for path in sorted(folder.glob(f"*/{FAILURE_NAME}")):
        try:
            failed[path.parent.name] = str(json.loads(path.read_text("utf-8"))["reason"])
        except (OSError, ValueError, KeyError, TypeError):
            failed[path.parent.name] = f"{FAILURE_NAME} cannot be read"
    if not records:
        msg = (
            f"predictions must hold finished cases (<case_id>/{RESULT_NAME}), got none in "
            f"{folder} ({len(failed)} failed); run inference with this `output_dir` first"
        )
        raise InputError(msg)
    first_path, first = next(iter(records.items()))
    labels = list(first["outputs"]["probabilities"])
    thresholds = _thresholds(first)
    for path, record in records.items():
        for what, found, wanted in (
            ("labels", list(record["outputs"]["probabilities"]), labels),
            ("thresholds", _thresholds(record), thresholds),
            ("weights", record["weights"]["sha256"], first["weights"]["sha256"]),
        ):
            if found != wanted:
                msg = (
                    f"results of one evaluation must share their {what}, got others in {path} "
                    f"than in {first_path}; keep each run in its own `output_dir`"
                )
                raise InputError(msg)
    return CaseTable(
        case_ids=_distinct([record["case"]["case_id"] for record in records.values()], "results"),
        labels=labels,
        values=np.array(
            [
                [record["outputs"]["probabilities"][label] for label in labels]
                for record in records.values()
            ],
            dtype=np.float64,
        ),
        patient_ids=[record["case"]["patient_id"] for record in records.values()],
        thresholds=thresholds,
        weights=[first["weights"]["name"]],
        synthetic=bool(first["weights"]["synthetic"]),
        failed=failed,
    )


def read_csv(path: str | Path, labels: Sequence[str]) -> CaseTable:
    """Probabilities or truth from a CSV with one column per label; an empty cell is NaN.

    Args:
        path: The file. A column `patient_id` is used where there is one.
        labels: Columns to read where they are there; others are ignored.

    Raises:
        InputError: If the file cannot be read, none of the columns is there, a cell is no number,
            there is no row, or a case has two rows.
    """
    rows = read_table(Path(path))
    columns = list(rows[0])
    found = [label for label in labels if label in columns]
    if not found:
        msg = (
            f"{path} must have a column per label ({_some(labels)}), got {_some(columns)}; "
            "check the file's header"
        )
        raise InputError(msg)
    id_column = next((name for name in _ID_COLUMNS if name in columns), columns[0])
    values = np.array(
        [[number(row[label], name=f"{path}: {label}") for label in found] for row in rows]
    )
    return CaseTable(
        case_ids=_distinct([_case_id(row[id_column]) for row in rows], str(path)),
        labels=found,
        values=values,
        patient_ids=[row.get("patient_id") or None for row in rows],
    )


def join(
    truth: CaseTable, predictions: CaseTable, *, allow_missing: bool = False
) -> tuple[CaseTable, CaseTable, list[str]]:
    """Bring truth and predictions into one order of cases.

    Args:
        truth: What is to be scored against.
        predictions: What is to be scored.
        allow_missing: Leave out cases that have truth but no prediction, instead of refusing.

    Returns:
        Both tables with the same `case_ids`, in the order of the truth, and sentences on what was
        left out.

    Raises:
        InputError: If a case has no prediction, naming it and the reason, if a probability is
            missing, or if the two have no case in common.
    """
    row = {name: index for index, name in enumerate(predictions.case_ids)}
    kept = [name for name in truth.case_ids if name in row]
    missing = {
        name: predictions.failed.get(name, "no result")
        for name in truth.case_ids
        if name not in row
    }
    left_out = _some([f"{name} ({reason})" for name, reason in missing.items()])
    if not kept or (missing and not allow_missing):
        msg = (
            f"every case must have a prediction, got none for {len(missing)} of "
            f"{len(truth.case_ids)}: {left_out}; run inference on them, or leave them out "
            "knowingly with `allow_missing`"
        )
        raise InputError(msg)
    notes = [f"cases without prediction, left out ({len(missing)}): {left_out}"] if missing else []
    known = set(truth.case_ids)
    extra = [name for name in predictions.case_ids if name not in known]
    if extra:
        notes.append(f"predictions without truth, left out ({len(extra)}): {_some(extra)}")
    joined = _select(predictions, [row[name] for name in kept])
    empty = np.argwhere(np.isnan(joined.values))
    if len(empty):
        case, label = empty[0]
        msg = (
            f"predictions must hold a probability per case and label, got none for "
            f"{joined.labels[label]!r} of {kept[case]}; complete the table"
        )
        raise InputError(msg)
    at = {name: index for index, name in enumerate(truth.case_ids)}
    return _select(truth, [at[name] for name in kept]), joined, notes


def merge_labels(
    values: NDArray[np.float64], labels: Sequence[str], groups: Mapping[str, Sequence[str]]
) -> NDArray[np.float64]:
    """Columns of another set of labels: each is there already, or is the maximum of its sources.

    Unknown truth (NaN): a merged label is 1 if any source is 1, else unknown if any source is.

    Args:
        values: `(N, L)`.
        labels: L names.
        groups: Labels wanted, each with the labels it merges.

    Returns:
        `(N, len(groups))`.

    Raises:
        InputError: If a label is neither there itself nor are all of its sources.
    """
    column = {label: index for index, label in enumerate(labels)}
    merged = []
    for target, sources in groups.items():
        if target in column:
            merged.append(values[:, column[target]])
            continue
        missing = [label for label in sources if label not in column]
        if missing or not sources:
            msg = (
                f"labels must hold {target!r}{' or all its parts' if sources else ''}, got no "
                f"{_some(missing or [target])}; choose another `label_set` or complete the table"
            )
            raise InputError(msg)
        parts = values[:, [column[label] for label in sources]]
        best = np.where(np.isnan(parts), -np.inf, parts).max(axis=1)
        unknown = np.isnan(parts).any(axis=1) & (best < 1)
        merged.append(np.where(unknown, np.nan, best))
    return np.stack(merged, axis=1)


def _select(table: CaseTable, rows: Sequence[int]) -> CaseTable:
    """The same table with these rows."""
    return replace(
        table,
        case_ids=[table.case_ids[row] for row in rows],
        values=table.values[list(rows)],
        patient_ids=[table.patient_ids[row] for row in rows],
    )


def _thresholds(record: CaseResult) -> dict[str, float]:
    """Thresholds that one result used, by label."""
    findings = record["outputs"].get("findings", {})
    return {label: float(finding["threshold"]) for label, finding in findings.items()}


def _case_id(name: str) -> str:
    """A volume's name without the ending of its file."""
    name = name.strip()
    return next((name.removesuffix(end) for end in _VOLUME_ENDINGS if name.endswith(end)), name)


def _distinct(case_ids: list[str], source: str) -> list[str]:
    """The same list, checked for doubles."""
    doubles = [name for name, count in Counter(case_ids).items() if count > 1]
    if doubles:
        msg = f"{source} must hold each case once, got {_some(doubles)} again; remove the doubles"
        raise InputError(msg)
    return case_ids


def _some(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

"""Synthetic patients with what is known of them as a table, to try searches and probes on.

| task | cases | columns |
|---|---|---|
| chest | one chest per patient | the 18 labels of CT-RATE |
| head | one head per patient | abnormal, and the findings |
| organs | eleven boxes per torso, see `ORGAN_BOXES` | organ |
| regions | one scan per patient, regions in turn | region |
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ..atomic import write_text
from ..case import Case
from ..errors import InputError
from ..phantom.cases import organ_box_cases, phantom_cases, region_cases
from ..phantom.organ_boxes import ORGAN_BOXES
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..vocabulary.head_findings import HEAD_LABELS

COLUMNS: dict[str, Sequence[str]] = {
    "chest": CT_RATE_LABELS,
    "head": HEAD_LABELS,
    "organs": ("organ",),
    "regions": ("region",),
}
"""Columns of each task's table, behind `case_id` and `patient_id`."""
SEARCHED_REGIONS = ("chest", "abdomen", "torso", "head")


def labelled_phantoms(task: str, *, num: int, split: str = "test") -> list[Case]:
    """The cases of a task.

    Args:
        task: One of `COLUMNS`.
        num: How many patients.
        split: Of `SEED_RANGES`.

    Raises:
        InputError: If an argument is out of its range.
    """
    if task not in COLUMNS:
        msg = f"task must be one of {', '.join(COLUMNS)}, got {task}; use one of them"
        raise InputError(msg)
    if task == "organs":
        return organ_box_cases(split, num=num)
    if task == "regions":
        return region_cases(split, num=num, regions=SEARCHED_REGIONS)
    return phantom_cases(split, num=num, region=task)


def columns_of(task: str, cases: Sequence[Case]) -> list[str]:
    """What there is to be told of a task's cases; nothing where there is no case."""
    return list(COLUMNS[task]) if cases else []


def write_labels(path: str | Path, cases: Sequence[Case], task: str) -> str:
    """Write what is known of a task's cases as CSV: `case_id`, `patient_id`, then `COLUMNS`.

    Returns:
        ``path``; empty, and nothing is written, where there is no case.

    Raises:
        InputError: If the place cannot be written.
    """
    if not cases:
        return ""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["case_id", "patient_id", *COLUMNS[task]])
    for case in cases:
        table.writerow([case["case_id"], case["patient_id"], *_values(case, task)])
    write_text(path, text.getvalue())
    return str(path)


def _values(case: Case, task: str) -> list[str]:
    if task == "regions":
        return [case["case_id"].rsplit("_", 1)[-1]]
    label = case["label"]
    if task == "organs":
        return [list(ORGAN_BOXES)[label.index(1.0)]]
    return [f"{value:g}" for value in label]

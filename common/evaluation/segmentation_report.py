"""A segmentation's scores: text for a terminal, `metrics.json`, `per_class.csv`, `per_case.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics.segmentation_summary import MEASURES, Average, SegmentationSummary, SegmentationTable

SCHEMA_VERSION = 1
_SHOWN = {"dice": "Dice", "surface_dice": "surface Dice", "surface_distance_mm": "distance, mm"}
_NUM_WORST = 5


@dataclass(frozen=True)
class SegmentationScores:
    """Everything one evaluation found.

    Attributes:
        table: Per case and structure.
        summary: Over cases.
        tolerance_mm: Of the surface Dice.
        weights: Names of the weights behind the predictions, where known.
        synthetic: Whether those weights were trained on phantoms only.
        notes: Sentences a reader of the numbers must know.
    """

    table: SegmentationTable
    summary: SegmentationSummary
    tolerance_mm: float
    weights: list[str]
    synthetic: bool
    notes: list[str]


def definitions(tolerance_mm: float) -> dict[str, str]:
    """What each score is."""
    return {
        "dice": "Twice the overlap over the sum of both volumes, 0 to 1; 0 where only one of truth "
        "and prediction holds the structure, not counted where neither does.",
        "dice_where_present": "The same over cases whose truth holds the structure.",
        "surface_dice": f"Share of both surfaces' voxels within {tolerance_mm} mm of the other "
        "surface, 0 to 1; 0 and not counted as for dice.",
        "surface_distance_mm": "Mean distance of both surfaces' voxels to the other surface, mm; "
        "without cases that miss or invent the structure, where it is infinite.",
        "num_missed": "Cases whose truth holds the structure and whose prediction does not.",
        "num_invented": "Cases whose prediction holds the structure and whose truth does not.",
        "macro": "Mean over cases per structure, then over structures.",
    }


def scores_text(scores: SegmentationScores) -> str:
    """A table for the terminal: a row per region, then all, then the worst structures."""
    summary, table = scores.summary, scores.table
    rows = [["", "structures", *_SHOWN.values(), "missed", "invented"]]
    missed, invented = table.missed.sum(axis=0), table.invented.sum(axis=0)
    for region, averages in summary.regions.items():
        mine = np.array([one == region for one in summary.region_of])
        counts = str(missed[mine].sum()), str(invented[mine].sum())
        rows.append([region, str(averages["dice"].num), *_cells(averages), *counts])
    rows.append(["mean over structures (macro)", str(summary.macro["dice"].num)])
    rows[-1] += [*_cells(summary.macro), str(missed.sum()), str(invented.sum())]
    lines = _aligned(rows)
    rule = "-" * max(len(line) for line in lines)
    weights = f", weights {', '.join(scores.weights)}" if scores.weights else ""
    title = (
        f"{len(table.case_ids)} cases of {len(set(table.patient_ids))} patients, "
        f"{len(table.classes)} structures{weights}"
    )
    lines = [title, rule, lines[0], rule, *lines[1:-1], rule, lines[-1], rule]
    return "\n".join([*lines, *(f"- {note}" for note in all_notes(scores))]) + "\n"


def macro_text(scores: SegmentationScores) -> str:
    """The main number in one line: `macro Dice 0.898 [0.890, 0.906]`."""
    return "macro Dice " + _cell(scores.summary.macro["dice"])


def all_notes(scores: SegmentationScores) -> list[str]:
    """The evaluation's own notes, and what its numbers themselves call for."""
    summary, table = scores.summary, scores.table
    notes = ["synthetic weights, which never saw a patient: says nothing about one"]
    notes = [*(notes if scores.synthetic else []), *scores.notes]
    present = summary.macro["dice_where_present"]
    notes.append(f"lowest Dice: {_lowest(scores, 'dice')}")
    notes.append(
        f"Dice over cases whose truth holds the structure: {_cell(present)}; "
        f"lowest: {_lowest(scores, 'dice_where_present')}"
    )
    unseen = sum(not one.num for one in summary.classes["dice"])
    if unseen:
        notes.append(f"structures that no case holds, left out of every mean: {unseen}")
    apart = int(table.missed.sum() + table.invented.sum())
    if apart:
        notes.append(f"missed or invented structures, without a surface distance: {apart}")
    if summary.bootstrap is not None:
        notes.append(
            f"intervals: {summary.bootstrap['confidence']:.0%} percentile, "
            f"{summary.bootstrap['num_resamples']} resamples of "
            f"{summary.bootstrap['num_patients']} patients with all their cases"
        )
    return notes


def scores_json(scores: SegmentationScores) -> dict[str, Any]:
    """The same as plain JSON values; a number that does not exist is null."""
    summary, table = scores.summary, scores.table
    truth = (table.truth_ml > 0).sum(axis=0)
    missed, invented = table.missed.sum(axis=0), table.invented.sum(axis=0)
    return {
        "schema_version": SCHEMA_VERSION,
        "num_cases": len(table.case_ids),
        "num_patients": len(set(table.patient_ids)),
        "weights": scores.weights,
        "synthetic_weights": scores.synthetic,
        "tolerance_mm": scores.tolerance_mm,
        "macro": _json_averages(summary.macro, "num_classes"),
        "regions": {
            name: _json_averages(averages, "num_classes")
            for name, averages in summary.regions.items()
        },
        "classes": {
            name: {
                "region": summary.region_of[index],
                "num_in_truth": int(truth[index]),
                "num_missed": int(missed[index]),
                "num_invented": int(invented[index]),
                **_json_averages({m: summary.classes[m][index] for m in MEASURES}, "num_cases"),
            }
            for index, name in enumerate(table.classes)
        },
        "bootstrap": summary.bootstrap,
        "definitions": definitions(scores.tolerance_mm),
        "notes": all_notes(scores),
    }


def per_class_csv(scores: SegmentationScores) -> str:
    """One row per structure, then per region, then for all; an empty cell has no number."""
    summary, table = scores.summary, scores.table
    ends = ("", "_low", "_high", "_median", "_num")
    header = ["class", "region", "num_in_truth", "num_missed", "num_invented"]
    rows: list[list[str]] = [[*header, *(m + end for m in MEASURES for end in ends)]]
    counts = [(table.truth_ml > 0).sum(axis=0), table.missed.sum(axis=0)]
    counts.append(table.invented.sum(axis=0))
    for index, name in enumerate(table.classes):
        averages = {m: summary.classes[m][index] for m in MEASURES}
        rows.append([name, summary.region_of[index], *(str(int(n[index])) for n in counts)])
        rows[-1] += _csv_averages(averages)
    for region, of_region in summary.regions.items():
        rows.append([f"mean of {region}", region, "", "", "", *_csv_averages(of_region)])
    rows.append(["macro", "", "", "", "", *_csv_averages(summary.macro)])
    return _csv(rows)


def per_case_csv(table: SegmentationTable) -> str:
    """One row per case and structure that the truth or the prediction holds."""
    scored, volumes = ("dice", "surface_dice", "surface_distance_mm"), ("truth_ml", "prediction_ml")
    rows = [["case_id", "class", "outcome", *scored, *volumes]]
    missed, invented = table.missed, table.invented
    for case, index in np.argwhere((table.truth_ml > 0) | (table.prediction_ml > 0)):
        at = (case, index)
        outcome = "missed" if missed[at] else "invented" if invented[at] else "found"
        cells = [_csv_number(float(getattr(table, name)[at])) for name in (*scored, *volumes)]
        rows.append([table.case_ids[case], table.classes[index], outcome, *cells])
    return _csv(rows)


def _lowest(scores: SegmentationScores, measure: str) -> str:
    """The structures of the lowest means, `C7 0.640, …`."""
    ranked = sorted(
        (one.value, name)
        for one, name in zip(scores.summary.classes[measure], scores.table.classes, strict=True)
        if one.num
    )
    return ", ".join(f"{name} {value:.3f}" for value, name in ranked[:_NUM_WORST]) or "none"


def _cells(averages: Any) -> list[str]:
    return [_cell(averages[measure]) for measure in _SHOWN]


def _cell(average: Average) -> str:
    if math.isnan(average.value):
        return "-"
    if average.interval is None:
        return f"{average.value:.3f}"
    return f"{average.value:.3f} [{average.interval[0]:.3f}, {average.interval[1]:.3f}]"


def _json_averages(averages: Any, count: str) -> dict[str, Any]:
    return {
        measure: {
            "value": None if math.isnan(one.value) else one.value,
            "median": None if math.isnan(one.median) else one.median,
            "interval": one.interval,
            count: one.num,
        }
        for measure, one in averages.items()
    }


def _csv_averages(averages: Any) -> list[str]:
    cells = []
    for measure in MEASURES:
        one = averages[measure]
        low, high = one.interval or (math.nan, math.nan)
        cells += [_csv_number(number) for number in (one.value, low, high, one.median)]
        cells.append(str(one.num))
    return cells


def _csv(rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv_number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6g}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Columns of equal width, the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

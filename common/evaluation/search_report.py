"""A search's errors over targets: text for a terminal, `metrics.json`, `scores.csv`, `pairs.csv`.

Shapes: N pairs of a query and a target.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..metrics.patient_bootstrap import mean_intervals

SCHEMA_VERSION = 1
ALL = "all"
"""Every structure together: the mean over all pairs."""
PUBLISHED = (
    "Published, heart, 469 chest scans of TotalSegmentator (arXiv 2501.09001): CT-FM 56.1 +- 54.4 "
    "mm, median 35.7 mm; SuPreM 234 mm. To be compared on those scans only."
)
DEFINITIONS: Mapping[str, str] = {
    "mean_mm": "Mean distance from the place found to the structure's centre of mass, mm; of "
    "chance, the mean over all voxels of the body.",
    "interval_mm": "95 % percentile interval of the mean; targets are resampled, each with all "
    "queries that were asked in it.",
    "median_mm": "Median over pairs; of chance, over the targets' means.",
    "sd_mm": "Standard deviation over pairs.",
    "inside": "Share of places found that lie in the structure; of chance, its share of the body.",
}


@dataclass(frozen=True)
class SearchPair:
    """One structure, asked about in one scan and looked for in another.

    Attributes:
        method: By which the place was found.
        structure: Its name.
        query: The scan that was asked about.
        target: The scan that was searched.
        error_mm: From the place found to the structure's centre.
        inside: 1 where the place lies in the structure, else 0; of chance, how often it would.
        cosine: Of the place found; None where no encoder found it.
    """

    method: str
    structure: str
    query: str
    target: str
    error_mm: float
    inside: float
    cosine: float | None


@dataclass(frozen=True)
class SearchScore:
    """One method's errors for one structure, see `DEFINITIONS`."""

    method: str
    structure: str
    mean_mm: float
    interval_mm: tuple[float, float]
    median_mm: float
    sd_mm: float
    inside: float
    num_pairs: int
    num_targets: int


def summarise(
    pairs: Sequence[SearchPair], *, num_resamples: int = 1000, seed: int = 0
) -> list[SearchScore]:
    """Scores of every method, per structure and over all of them.

    Args:
        pairs: At least one.
        num_resamples: For the intervals, at least 1.
        seed: Of the bootstrap.

    Returns:
        By method and structure in the order in which they come first, `ALL` before structures.
    """
    scores = []
    structures = list(dict.fromkeys(pair.structure for pair in pairs))
    for method in dict.fromkeys(pair.method for pair in pairs):
        for structure in (ALL, *structures):
            some = [
                pair for pair in pairs
                if pair.method == method and structure in (ALL, pair.structure)
            ]  # fmt: skip
            errors = np.array([pair.error_mm for pair in some])
            owners = [pair.target for pair in some]
            intervals = mean_intervals(
                {"mm": errors}, owners, num_resamples=num_resamples, seed=seed
            )
            scores.append(
                SearchScore(
                    method=method,
                    structure=structure,
                    mean_mm=float(errors.mean()),
                    interval_mm=intervals["mm"],
                    median_mm=float(np.median(errors)),
                    sd_mm=float(errors.std()),
                    inside=float(np.mean([pair.inside for pair in some])),
                    num_pairs=len(some),
                    num_targets=len(set(owners)),
                )
            )
    return scores


def scores_text(scores: Sequence[SearchScore], about: Mapping[str, Any]) -> str:
    """A table for the terminal: mean with interval and median per method, then per structure."""
    lines = [
        f"Semantic search with {about['weights']}: error in mm, {about['num_queries']} queried and "
        f"{about['num_targets']} searched scans",
        f"{'method':<26}{'structure':<18}{'mean [95 %]':>24}{'median':>9}{'inside':>8}{'n':>6}",
    ]
    for score in sorted(scores, key=lambda one: one.structure != ALL):
        low, high = score.interval_mm
        mean = f"{score.mean_mm:.1f} [{low:.1f}, {high:.1f}]"
        lines.append(
            f"{score.method:<26}{score.structure:<18}{mean:>24}{score.median_mm:>9.1f}"
            f"{score.inside:>8.0%}{score.num_pairs:>6}"
        )
    if about["synthetic"]:
        lines.append("Synthetic weights, which never saw a patient: says nothing about one.")
    lines.append(PUBLISHED)
    return "\n".join(lines) + "\n"


def scores_json(scores: Sequence[SearchScore], about: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values for `metrics.json`; no NaN."""
    found: dict[str, dict[str, Any]] = {}
    for score in scores:
        values = {k: v for k, v in asdict(score).items() if k not in ("method", "structure")}
        found.setdefault(score.method, {})[score.structure] = {
            **values,
            "interval_mm": [None if np.isnan(end) else end for end in score.interval_mm],
        }
    return {
        "schema_version": SCHEMA_VERSION,
        **about,
        "unit": "mm",
        "scores": found,
        "definitions": DEFINITIONS,
        "published": PUBLISHED,
        "clinical_use": False,
    }


def scores_csv(scores: Sequence[SearchScore]) -> str:
    """A row per method and structure."""
    columns = [
        "method", "structure", "mean_mm", "low_mm", "high_mm", "median_mm", "sd_mm", "inside",
        "num_pairs", "num_targets",
    ]  # fmt: skip
    rows = [
        {
            **{k: v for k, v in asdict(score).items() if k in columns},
            "low_mm": score.interval_mm[0],
            "high_mm": score.interval_mm[1],
        }
        for score in scores
    ]
    return _table(columns, rows)


def pairs_csv(pairs: Sequence[SearchPair]) -> str:
    """A row per pair."""
    return _table([field.name for field in fields(SearchPair)], [asdict(pair) for pair in pairs])


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(columns), lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow(
            {k: round(v, 4) if isinstance(v, float) else ("" if v is None else v)
             for k, v in row.items()}
        )  # fmt: skip
    return text.getvalue()

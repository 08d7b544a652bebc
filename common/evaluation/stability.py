"""Test-retest of embeddings: how alike two scans of one patient are, left as JSON and a figure.

It works on a table of embeddings, so it needs no network and can be repeated. It prints the scores
and writes `stability.json` and `stability.png`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..atomic import write_json
from ..csv_table import read_table
from ..embeddings.case_labels import case_name
from ..embeddings.neighbours import unit_length
from ..embeddings.table import EmbeddingTable, read_given_or_own
from ..figures.stability import write_stability_figure
from ..metrics.stability import Stability, retest_pairs, stability_of_table

DEFINITIONS = {
    "cosine": "Cosine of a patient's two embeddings, mean over patients, -1 to 1.",
    "between_patients": "Cosine of a patient's test to the other patients' retests, mean.",
    "gap": "The first less the second.",
    "rank_1": "Share of scans whose nearest scan of the other visit is the same patient's, 0 to 1.",
    "icc_median": "Median over the embedding's numbers of ICC(3,1), at most 1.",
    "icc_good": "Share of the numbers with an ICC of 0.75 or more.",
    "icc_excellent": "Share of the numbers with an ICC of 0.9 or more.",
    "icc_constant": "Share of the numbers that never change.",
}


class StabilityEvaluation:
    """Score test against retest.

    Args:
        output_dir: Where the numbers go, and where this run's embeddings lie.
        embeddings: `embeddings.parquet` or the output_dir of an embedding run; empty takes
            `case_ids` of this run.
        case_ids: See `embeddings`.
        pairs_file: A CSV with columns `test` and `retest`, a case each; empty pairs the first two
            scans of every `patient_id`.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        embeddings: str = "",
        case_ids: Sequence[str] = (),
        pairs_file: str | Path = "",
        num_bootstrap: int = 1000,
        seed: int = 0,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.embeddings = embeddings
        self.case_ids = case_ids
        self.pairs_file = pairs_file
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def run(self) -> Stability:
        """Score, print, and write the files.

        Raises:
            InputError: If tables cannot be read, a case has no embedding, or there are fewer than
                three pairs.
        """
        table = read_given_or_own(
            self.embeddings, output_dir=self.output_dir, case_ids=self.case_ids
        )
        tests, retests, alone = self._pairs(table)
        found = stability_of_table(
            table, tests=tests, retests=retests, num_bootstrap=self.num_bootstrap, seed=self.seed
        )
        weights = table.made_by.get("weights", {})
        notes = [f"scans that are in no pair, left out: {len(alone)}"] if alone else []
        pairs = [
            {"test": test, "retest": retest, "cosine": float(cosine), "rank_1": float(rank)}
            for test, retest, cosine, rank in zip(
                tests, retests, found.cosine, found.rank_1, strict=True
            )
        ]
        content = {
            "made_by": table.made_by,
            **found.as_json(),
            "definitions": DEFINITIONS,
            "pairs": pairs,
            "notes": notes,
        }
        write_json(self.output_dir / "stability.json", content)
        write_stability_figure(
            self.output_dir / "stability.png",
            within=found.cosine,
            between=_between(table, tests, retests),
            icc=found.icc,
            subtitle=f"{found.num_patients} patients   ·   weights {weights.get('name', 'unknown')}"
            f"   ·   rank-1 {found.values['rank_1']:.1%}",
            synthetic=bool(weights.get("synthetic")),
        )
        print(_text(found, str(weights.get("name", "unknown")), notes))
        return found

    def _pairs(self, table: EmbeddingTable) -> tuple[list[str], list[str], list[str]]:
        if not self.pairs_file:
            return retest_pairs(table)
        rows = read_table(Path(self.pairs_file), columns=("test", "retest"))
        tests, retests = ([case_name(row[side]) for row in rows] for side in ("test", "retest"))
        alone = [name for name in table.case_ids if name not in {*tests, *retests}]
        return tests, retests, alone


def _between(
    table: EmbeddingTable, tests: Sequence[str], retests: Sequence[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Cosine of every test to every other patient's retest."""
    sides = [table.select(names).embeddings.astype(np.float64) for names in (tests, retests)]
    first, second = (unit_length(each) for each in sides)
    return np.asarray((first @ second.T)[~np.eye(len(first), dtype=bool)])


def _text(found: Stability, weights: str, notes: Sequence[str]) -> str:
    lines = [f"{found.num_patients} patients scanned twice, weights {weights}"]
    for name, value in found.values.items():
        text = f"  {name:<18}{value:.4f}"
        if name in found.intervals:
            low, high = found.intervals[name]
            text += f" [{low:.4f}, {high:.4f}]"
        lines.append(text)
    return "\n".join([*lines, *(f"- {note}" for note in notes)])

"""Probe frozen embeddings for what a table says of their cases, and leave the numbers in files.

It works on tables of embeddings, so it needs no network and can be repeated. It prints a table and
writes `probe.json`, `probe.csv` and `probe.png`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_json, write_text
from ..embeddings.case_labels import LabelledEmbeddings, join_labels
from ..embeddings.table import EmbeddingTable, read_embeddings, read_given_or_own
from ..errors import InputError
from ..figures.probe import Dot, write_probe_figure
from ..metrics.probes import SCORES, Kind, ProbeScores, difference, probe
from ..metrics.retrieval import RetrievalScores, score_retrieval

_NAMES = {"auroc": "AUROC", "balanced_accuracy": "balanced accuracy"}
_AT = (3, 5, 10)

Differences = Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Probed:
    """One encoder's embeddings, probed.

    Attributes:
        table: That was probed.
        probes: By kind.
        retrieval: By the label, leaving out the query's patient; None for several columns.
    """

    table: EmbeddingTable
    probes: dict[str, ProbeScores]
    retrieval: RetrievalScores | None

    @property
    def name(self) -> str:
        """What made the embeddings."""
        return str(self.table.made_by.get("weights", {}).get("name", "embeddings"))


class ProbeEvaluation:
    """Probe one table of embeddings, or two against each other.

    Args:
        output_dir: Where the numbers go, and where this run's embeddings lie.
        embeddings: `embeddings.parquet` or the output_dir of an embedding run; empty takes
            `case_ids` of this run.
        case_ids: See `embeddings`.
        baseline: A second table of the same cases, such as of random weights; empty for none.
        labels_file: A CSV with a row per case.
        label_columns: What to probe for: names, or one text with commas between them. One column
            may hold any values, several 0, 1 or nothing.
        kinds: Of `linear` and `knn`.
        num_folds: Of the linear probe.
        num_neighbours: Of the k-NN probe.
        num_bootstrap: Resamples for the intervals; 0 for none, and then no difference either.
        seed: Of folds and bootstrap.

    Raises:
        InputError: If no labels are named.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        labels_file: str | Path,
        label_columns: str | Sequence[str],
        embeddings: str = "",
        case_ids: Sequence[str] = (),
        baseline: str = "",
        kinds: Sequence[Kind] = ("linear", "knn"),
        num_folds: int = 5,
        num_neighbours: int = 20,
        num_bootstrap: int = 1000,
        seed: int = 0,
    ) -> None:
        names = label_columns.split(",") if isinstance(label_columns, str) else label_columns
        self.columns = [str(name).strip() for name in names if str(name).strip()]
        if not labels_file or not self.columns:
            msg = (
                f"labels_file and label_columns must be given, got {labels_file!r} and "
                f"{self.columns}; name a CSV with a row per case and its columns"
            )
            raise InputError(msg)
        self.output_dir = Path(output_dir)
        self.labels_file = labels_file
        self.embeddings = embeddings
        self.case_ids = case_ids
        self.baseline = baseline
        self.kinds = kinds
        self.num_folds = num_folds
        self.num_neighbours = num_neighbours
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def run(self) -> tuple[Probed, Probed | None]:
        """Probe, print, and write the files.

        Returns:
            The encoder, and the baseline where there is one.

        Raises:
            InputError: If a table cannot be read, labels do not fit or nothing can be probed.
        """
        table = read_given_or_own(
            self.embeddings, output_dir=self.output_dir, case_ids=self.case_ids
        )
        labelled = join_labels(table, self.labels_file, columns=self.columns)
        first, second = self._probe(labelled), None
        if self.baseline:
            other = read_embeddings(self.baseline).select(labelled.table.case_ids)
            _refuse_the_same(table, other)
            second = self._probe(join_labels(other, self.labels_file, columns=self.columns))
        differences: dict[str, Differences] = {}
        if second is not None and self.num_bootstrap:
            differences = {
                kind: difference(first.probes[kind], second.probes[kind]) for kind in self.kinds
            }
        self._write(first, second, differences)
        print(_text(first, second, differences))
        return first, second

    def _probe(self, labelled: LabelledEmbeddings) -> Probed:
        probes: dict[str, ProbeScores] = {
            kind: probe(
                labelled,
                kind=kind,
                num_folds=self.num_folds,
                num_neighbours=self.num_neighbours,
                num_bootstrap=self.num_bootstrap,
                seed=self.seed,
            )
            for kind in self.kinds
        }
        return Probed(labelled.table, probes, self._retrieve(labelled))

    def _retrieve(self, labelled: LabelledEmbeddings) -> RetrievalScores | None:
        """Of a single column; None where the fewest cases of other patients are too few."""
        if len(self.columns) > 1:
            return None
        labels = labelled.column(self.columns[0])
        known = [name for name, label in zip(labelled.table.case_ids, labels, strict=True) if label]
        table = labelled.table.select(known)
        owners = table.owners
        fewest = len(owners) - max(owners.count(owner) for owner in set(owners))
        if fewest < max(_AT):
            return None
        kinds = [label for label in labels if label]
        return score_retrieval(
            queries=table, query_labels=kinds, gallery=table, gallery_labels=kinds, at=_AT,
            exclude="patient", num_bootstrap=self.num_bootstrap, seed=self.seed,
        )  # fmt: skip

    def _write(
        self, first: Probed, second: Probed | None, differences: Mapping[str, Differences]
    ) -> None:
        content = {
            "embeddings": _json(first),
            "baseline": None if second is None else _json(second),
            "difference": {
                kind: {
                    name: {"value": value, "interval": [low, high]}
                    for name, (value, low, high) in scores.items()
                }
                for kind, scores in differences.items()
            },
            "num_folds": self.num_folds,
            "num_neighbours": self.num_neighbours,
            "num_bootstrap": self.num_bootstrap,
            "seed": self.seed,
        }
        write_json(self.output_dir / "probe.json", content)
        write_text(self.output_dir / "probe.csv", probe_csv(first, second))
        weights = first.table.made_by.get("weights", {})
        write_probe_figure(
            self.output_dir / "probe.png",
            {kind: _dots(first, second, kind) for kind in self.kinds},
            title=f"What {len(first.table)} frozen embeddings tell",
            names=[first.name] + ([second.name] if second else []),
            synthetic=bool(weights.get("synthetic")),
        )


def probe_csv(first: Probed, second: Probed | None) -> str:
    """A row per encoder, probe, label and score; the label `mean` is over labels."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["weights", "probe", "label", "score", "value", "low", "high"])
    for probed in (first, *([second] if second else [])):
        for kind, scores in probed.probes.items():
            for name in SCORES:
                rows = {"mean": (scores.values[name], *scores.intervals[name])} | {
                    label: (scores.per_label[name][place], *scores.label_intervals[name][place])
                    for place, label in enumerate(scores.labels)
                }
                for label, numbers in rows.items():
                    cells = ["" if np.isnan(number) else f"{number:.6g}" for number in numbers]
                    table.writerow([probed.name, kind, label, name, *cells])
    return text.getvalue()


def _refuse_the_same(table: EmbeddingTable, other: EmbeddingTable) -> None:
    ours, theirs = (each.made_by.get("weights", {}).get("sha256") for each in (table, other))
    if ours is not None and ours == theirs:
        msg = "baseline must be of other weights, got the same ones; embed with `random.json`"
        raise InputError(msg)


def _json(probed: Probed) -> dict[str, Any]:
    return {
        "made_by": probed.table.made_by,
        "probes": {kind: scores.as_json() for kind, scores in probed.probes.items()},
        "retrieval": None if probed.retrieval is None else probed.retrieval.as_json(),
    }


def _dots(first: Probed, second: Probed | None, kind: str) -> list[Dot]:
    """AUROC of every label, and of their mean, as the figure shows them."""
    scores = first.probes[kind]
    other = None if second is None else second.probes[kind]
    dots = [
        Dot(
            "mean" if len(scores.labels) > 1 else scores.labels[0],
            scores.values["auroc"],
            scores.intervals["auroc"],
            None if other is None else other.values["auroc"],
        )
    ]
    if len(scores.labels) > 1:
        dots += [
            Dot(
                label,
                float(scores.per_label["auroc"][place]),
                _pair(scores.label_intervals["auroc"][place]),
                None if other is None else float(other.per_label["auroc"][place]),
            )
            for place, label in enumerate(scores.labels)
        ]
    return dots


def _pair(interval: Any) -> tuple[float, float]:
    return float(interval[0]), float(interval[1])


def _text(first: Probed, second: Probed | None, differences: Mapping[str, Differences]) -> str:
    """Means for a terminal; every label stands in `probe.csv`."""
    lines = []
    for probed in (first, *([second] if second else [])):
        some = next(iter(probed.probes.values()))
        lines.append(
            f"{probed.name}: {len(some.truth)} cases of {some.num_patients} patients, "
            f"{some.task}, {len(some.labels)} labels"
        )
        for kind, scores in probed.probes.items():
            cells = [_cell(_NAMES[n], scores.values[n], *scores.intervals[n]) for n in SCORES]
            lines.append(f"  {kind:<8}{'   '.join(cells)}")
        if probed.retrieval is not None:
            found = probed.retrieval
            cells = [f"@{k} {found.values[f'average_precision@{k}']:.3f}" for k in _AT]
            lines.append(f"  average precision of other patients' nearest: {'  '.join(cells)}")
    for kind, scores_of in differences.items():
        cells = [_cell(_NAMES[name], *scores_of[name], sign="+") for name in SCORES]
        lines.append(f"difference, {kind:<8}{'   '.join(cells)}")
    notes = dict.fromkeys(n for scores in first.probes.values() for n in scores.notes)
    return "\n".join([*lines, *(f"- {note}" for note in notes)])


def _cell(name: str, value: float, low: float, high: float, sign: str = "") -> str:
    text = f"{name} {value:{sign}.3f}"
    return text if np.isnan(low) else f"{text} [{low:{sign}.3f}, {high:{sign}.3f}]"

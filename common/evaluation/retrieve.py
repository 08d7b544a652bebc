"""Search a gallery of embedded scans: who is nearest, as a table, a figure and, labelled, scores.

It works on tables of embeddings, so it needs no network and can be repeated. It writes
`matches.csv`, `matches.png` and, where labels of both sides are known, `scores.json`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..atomic import write_json, write_text
from ..embeddings.case_labels import rows_by_case, with_patients
from ..embeddings.gallery_index import GalleryIndex, Match
from ..embeddings.neighbours import Metric
from ..embeddings.table import EmbeddingTable, read_given_or_own
from ..errors import InputError
from ..figures.matches import Tile, write_match_figure
from ..metrics.retrieval import Exclude, RetrievalScores, score_retrieval
from ..search.search_cases import PHANTOM
from .scores_text import scores_text

COLUMNS = ("query", "rank", "case_id", "patient_id", "path", "distance", "label", "query_label")


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        queries: Q embedded scans.
        matches: Of each query, nearest first.
        labels: By case, of queries and gallery; only what is known.
        scores: Where both sides are labelled.
        notes: Sentences a reader of the numbers must know.
    """

    queries: EmbeddingTable
    matches: list[list[Match]]
    labels: Mapping[str, str]
    scores: RetrievalScores | None
    notes: list[str]


class Retrieval:
    """Search a gallery by embedded scans.

    Args:
        output_dir: Where results go, and where this run's embeddings lie.
        gallery: `embeddings.parquet` or the output_dir of an embedding run; `phantom` takes
            `gallery_ids` of this run.
        gallery_ids: See `gallery`.
        queries: A table of embeddings; empty takes `query_ids` of this run.
        query_ids: See `queries`.
        metric: `cosine` or `euclidean`.
        top: Matches per query.
        exclude: Whom a query does not meet: `nobody`, `self` or `patient`.
        approximate: Whether to search a graph, see `GalleryIndex`.
        effort: As of `GalleryIndex`.
        graph: File of the graph; empty for none.
        labels_file: A CSV with a row per case; empty for none.
        label_column: Its column that says what a scan is.
        at: Every k of the scores.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.
        figure_queries: So many queries the figure shows; 0 for no figure.
        figure_top: So many of each query's matches.

    Raises:
        InputError: If a table is missing or an argument is out of its range.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        gallery: str,
        gallery_ids: Sequence[str] = (),
        queries: str = "",
        query_ids: Sequence[str] = (),
        metric: Metric = "cosine",
        top: int = 10,
        exclude: Exclude = "nobody",
        approximate: bool = False,
        effort: int = 128,
        graph: str = "",
        labels_file: str | Path = "",
        label_column: str = "label",
        at: Sequence[int] = (3, 5, 10),
        num_bootstrap: int = 1000,
        seed: int = 0,
        figure_queries: int = 6,
        figure_top: int = 5,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.gallery = gallery
        self.gallery_ids = gallery_ids
        self.queries = queries
        self.query_ids = query_ids
        self.metric: Metric = metric
        self.top = top
        self.exclude: Exclude = exclude
        self.approximate = approximate
        self.effort = effort
        self.graph = graph or None
        self.labels_file = labels_file
        self.label_column = label_column
        self.at = at
        self.num_bootstrap = num_bootstrap
        self.seed = seed
        self.figure_queries = figure_queries
        self.figure_top = figure_top

    def run(self) -> Found:
        """Search, print, and write the files.

        Raises:
            InputError: If tables or labels cannot be read or do not fit.
        """
        gallery = self._table(self.gallery, self.gallery_ids)
        queries = self._table(self.queries, self.query_ids)
        labels: dict[str, str] = {}
        if self.labels_file:
            rows = rows_by_case(self.labels_file, columns=[self.label_column])
            labels = {
                n: row[self.label_column] for n, row in rows.items() if row[self.label_column]
            }
            gallery, queries = with_patients(gallery, rows), with_patients(queries, rows)
            self._check_labels(gallery, labels)
        index = GalleryIndex(
            gallery,
            metric=self.metric,
            approximate=self.approximate,
            effort=self.effort,
            graph=self.graph,
        )
        matches = index.query(queries, top=self.top, exclude=self.exclude)
        notes = []
        if self.approximate:
            recall = index.recall(queries.embeddings, top=self.top)
            notes.append(f"approximate search finds {recall:.1%} of the truly nearest {self.top}")
        scores = self._score(queries, gallery, labels, notes) if labels else None
        found = Found(queries, matches, labels, scores, notes)
        self._write(found, gallery)
        print(_text(found))
        return found

    def _table(self, path: str, case_ids: Sequence[str]) -> EmbeddingTable:
        """A table of its own, or this run's cases."""
        given = "" if path == PHANTOM else path
        return read_given_or_own(given, output_dir=self.output_dir, case_ids=case_ids)

    def _check_labels(self, gallery: EmbeddingTable, labels: Mapping[str, str]) -> None:
        if not labels.keys() & set(gallery.case_ids):
            msg = (
                f"labels_file must label scans of the gallery, got {', '.join(list(labels)[:3])} "
                f"for {', '.join(gallery.case_ids[:3])}; its column case_id must hold their names"
            )
            raise InputError(msg)

    def _score(
        self,
        queries: EmbeddingTable,
        gallery: EmbeddingTable,
        labels: Mapping[str, str],
        notes: list[str],
    ) -> RetrievalScores | None:
        """Scores of the labelled part; None, with a note, where no query has a label."""
        asked = [name for name in queries.case_ids if name in labels]
        known = [name for name in gallery.case_ids if name in labels]
        for name, part, whole in (("queries", asked, queries), ("gallery", known, gallery)):
            if len(part) < len(whole):
                notes.append(f"{name} without a label, in no score: {len(whole) - len(part)}")
        if not asked:
            return None
        left_out = 0
        if self.exclude != "nobody":  # of those that the most crowded query must not meet
            mine = queries.owners if self.exclude == "patient" else list(queries.case_ids)
            theirs = gallery.owners if self.exclude == "patient" else list(gallery.case_ids)
            left_out = max(theirs.count(owner) for owner in set(mine))
        at = [k for k in self.at if k <= len(known) - left_out]
        if len(at) < len(self.at):
            notes.append(f"the gallery is too small for some of k {list(self.at)}; scored at {at}")
        if not at:
            return None
        return score_retrieval(
            queries=queries.select(asked),
            query_labels=[labels[name] for name in asked],
            gallery=gallery.select(known),
            gallery_labels=[labels[name] for name in known],
            at=at,
            metric=self.metric,
            exclude=self.exclude,
            num_bootstrap=self.num_bootstrap,
            seed=self.seed,
        )

    def _write(self, found: Found, gallery: EmbeddingTable) -> None:
        write_text(self.output_dir / "matches.csv", matches_csv(found))
        weights = gallery.made_by.get("weights", {})
        if found.scores is not None:
            content = {
                "gallery": {"num_cases": len(gallery), "made_by": gallery.made_by},
                "exclude": self.exclude,
                **found.scores.as_json(),
                "notes": found.notes,
            }
            write_json(self.output_dir / "scores.json", content)
        if self.figure_queries:
            rows = tiles(found)[: self.figure_queries]
            write_match_figure(
                self.output_dir / "matches.png",
                [(query, matches[: self.figure_top]) for query, matches in rows],
                title="Nearest scans",
                subtitle=_subtitle(found, gallery, self.metric),
                synthetic=bool(weights.get("synthetic")),
            )


def matches_csv(found: Found) -> str:
    """A row per query and match; labels are empty where unknown."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for query, matches in zip(found.queries.case_ids, found.matches, strict=True):
        for match in matches:
            labels = (found.labels.get(name, "") for name in (match.case_id, query))
            facts = (match.case_id, match.patient_id or "", match.path, f"{match.distance:.6g}")
            table.writerow([query, match.rank, *facts, *labels])
    return text.getvalue()


def tiles(found: Found) -> list[tuple[Tile, list[Tile]]]:
    """Every query and its matches as the figure shows them."""
    rows = []
    paths: Sequence[str] = found.queries.paths or [""] * len(found.queries)
    for name, path, matches in zip(found.queries.case_ids, paths, found.matches, strict=True):
        wanted = found.labels.get(name, "")
        shown = []
        for match in matches:
            label = found.labels.get(match.case_id, "")
            right = label == wanted if label and wanted else None
            detail = f"distance {match.distance:.4g}"
            shown.append(Tile(match.case_id, match.path, detail, label, right))
        rows.append((Tile(name, path, "", wanted), shown))
    return rows


def _subtitle(found: Found, gallery: EmbeddingTable, metric: str) -> str:
    weights: Mapping[str, Any] = gallery.made_by.get("weights", {})
    parts = [f"gallery of {len(gallery)} scans", f"{metric} distance"]
    if weights:
        parts.append(f"weights {weights.get('name', '')}")
    if found.scores is not None:
        k = found.scores.at[-1]
        parts.append(f"average precision@{k} {found.scores.values[f'average_precision@{k}']:.3f}")
    return "   ·   ".join(parts)


def _text(found: Found) -> str:
    """The first queries' matches, then the scores."""
    lines = []
    for name, matches in list(zip(found.queries.case_ids, found.matches, strict=True))[:10]:
        lines.append(name + (f" ({found.labels[name]})" if name in found.labels else ""))
        for match in matches:
            label = found.labels.get(match.case_id, "")
            line = f"  {match.rank:>3}  {match.distance:<10.4g}  {match.case_id}  {label}"
            lines.append(line.rstrip())
    if len(found.matches) > 10:
        lines.append(f"... and {len(found.matches) - 10} more queries, see matches.csv")
    if found.scores is not None:
        lines += ["", scores_text(found.scores)]
    return "\n".join([*lines, *(f"- {note}" for note in found.notes)])

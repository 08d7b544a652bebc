"""A gallery of embedded scans that can be asked for the nearest to a scan.

Exact search looks at every embedding: 100,000 of 512 numbers take 5 to 7 ms on two cores, so it is
the default. For galleries of millions, such as every window of every scan, there is an approximate
index: a graph of near neighbours (HNSW, Malkov & Yashunin 2018, arXiv:1603.09320) by the package
voyager, an extra (`pip install -e '.[index]'`). It proposes candidates, and their distances are
then computed exactly, so both answer with the same numbers.

Shapes: Q queries, G gallery, F numbers per embedding.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import replacing
from ..errors import InputError
from .neighbours import (
    NOBODY,
    Gallery,
    Metric,
    Neighbours,
    check_metric,
    checked_embeddings,
    nearest,
    same_owners,
)
from .table import EmbeddingTable

_LINKS, _CARE = 16, 200  # of the graph: edges per embedding, candidates looked at while building


@dataclass(frozen=True)
class Match:
    """One scan of the gallery.

    Attributes:
        rank: From 1 on.
        case_id: Its name.
        patient_id: Where known.
        path: Where it lies; empty where unknown.
        distance: `1 - cosine` in [0, 2], or the Euclidean distance.
        row: In the table of embeddings.
    """

    rank: int
    case_id: str
    patient_id: str | None
    path: str
    distance: float
    row: int


class GalleryIndex:
    """Finds the nearest scans of a table of embeddings.

    Args:
        table: The gallery, from `read_embeddings`.
        metric: `cosine`, or `euclidean`.
        approximate: Whether to search a graph instead of everything; needs the package voyager.
        effort: Candidates that an approximate search follows; more find more and take longer.
        graph: A file for the graph: read where it is there, else built and written. Building
            100,000 embeddings of 512 numbers takes two to three minutes on two cores.

    Raises:
        InputError: If an argument is out of range, an embedding is broken, voyager is missing or
            `graph` is of another gallery.
    """

    def __init__(
        self,
        table: EmbeddingTable,
        *,
        metric: Metric = "cosine",
        approximate: bool = False,
        effort: int = 128,
        graph: str | Path | None = None,
    ) -> None:
        check_metric(metric)
        if effort < 1:
            msg = f"effort must be 1 or more, got {effort}; 128 is a good choice"
            raise InputError(msg)
        self.table = table
        self.metric: Metric = metric
        self.effort = effort
        self.embeddings = checked_embeddings("gallery", table.embeddings, metric)
        self._graph = self._open(None if graph is None else Path(graph)) if approximate else None
        self._everything = None if approximate else Gallery(self.embeddings, metric=metric)

    def __len__(self) -> int:
        return len(self.table)

    def query(
        self, queries: EmbeddingTable, *, top: int = 10, exclude: str = "nobody"
    ) -> list[list[Match]]:
        """The nearest scans to each query.

        Args:
            queries: Q embedded scans, embedded as the gallery was.
            top: Matches per query.
            exclude: Whom a query does not meet: `nobody` is left out, `self` (its case_id), or
                `patient` (every scan of its patient).

        Returns:
            For each query its matches, nearest first; fewer where the gallery has no more.

        Raises:
            InputError: If an argument is out of range, or the embeddings were made differently.
        """
        self._check_alike(queries)
        owners: list[NDArray[np.int64]] | None = None
        if exclude == "self":
            owners = same_owners(queries.case_ids, self.table.case_ids)
        elif exclude == "patient":
            owners = same_owners(queries.owners, self.table.owners)
        elif exclude != "nobody":
            msg = f"exclude must be one of nobody, self, patient, got {exclude!r}; use self"
            raise InputError(msg)
        found = self.neighbours(
            queries.embeddings,
            top=top,
            query_owners=None if owners is None else owners[0],
            gallery_owners=None if owners is None else owners[1],
        )
        return [
            [
                self._match(rank, int(row), float(distance))
                for rank, (row, distance) in enumerate(zip(rows, distances, strict=True), 1)
                if row != NOBODY
            ]
            for rows, distances in zip(found.rows, found.distances, strict=True)
        ]

    def neighbours(
        self,
        queries: NDArray[np.floating],
        *,
        top: int = 10,
        query_owners: NDArray[np.int64] | None = None,
        gallery_owners: NDArray[np.int64] | None = None,
    ) -> Neighbours:
        """The nearest rows to embeddings `(Q, F)`; see `nearest`."""
        if self._everything is not None:
            return self._everything.nearest(
                queries, top=top, query_owners=query_owners, gallery_owners=gallery_owners
            )
        queries = checked_embeddings("queries", queries, self.metric)
        num = min(top, len(self))
        rows = np.full((len(queries), num), NOBODY, dtype=np.int64)
        distances = np.full((len(queries), num), np.inf)
        for place, query in enumerate(queries):
            barred = np.empty(0, dtype=np.int64)
            if query_owners is not None and gallery_owners is not None:
                barred = np.flatnonzero(gallery_owners == query_owners[place])
            candidates = np.setdiff1d(self._candidates(query, num + len(barred)), barred)
            if not len(candidates):
                continue
            found = nearest(query[None], self.embeddings[candidates], metric=self.metric, top=num)
            count = found.rows.shape[1]
            rows[place, :count] = candidates[found.rows[0]]
            distances[place, :count] = found.distances[0]
        return Neighbours(rows, distances)

    def recall(self, queries: NDArray[np.floating], *, top: int = 10) -> float:
        """Share of the truly nearest `top` of embeddings `(Q, F)` that this index finds, 0 to 1."""
        exact = nearest(queries, self.embeddings, metric=self.metric, top=top)
        found = self.neighbours(queries, top=top)
        shared = [
            len(np.intersect1d(a, b)) / len(a) for a, b in zip(exact.rows, found.rows, strict=True)
        ]
        return float(np.mean(shared))

    def _candidates(self, query: NDArray[np.floating], num: int) -> NDArray[np.int64]:
        assert self._graph is not None
        num = min(num, len(self))
        rows, _ = self._graph.query(query.astype(np.float32), k=num, query_ef=max(self.effort, num))
        return np.asarray(rows, dtype=np.int64)

    def _open(self, path: Path | None) -> Any:
        """The graph of the gallery: read, or built and written."""
        if importlib.util.find_spec("voyager") is None:
            msg = (
                "approximate must have the package voyager, got none; install it with "
                "`pip install -e '.[index]'` or search exactly"
            )
            raise InputError(msg)
        import voyager

        spaces = {"cosine": voyager.Space.Cosine, "euclidean": voyager.Space.Euclidean}
        width = self.embeddings.shape[1]
        if path is not None and path.is_file():
            try:
                graph = voyager.Index.load(str(path))
            except (RuntimeError, ValueError) as error:
                msg = f"graph must be an index of voyager, got {path} ({error}); remove it"
                raise InputError(msg) from error
            if not self._is_of_this_gallery(graph, spaces[self.metric]):
                msg = f"graph must be of this gallery, got {path} of another; remove it"
                raise InputError(msg)
            return graph
        graph = voyager.Index(
            spaces[self.metric],
            num_dimensions=width,
            M=_LINKS,
            ef_construction=_CARE,
            random_seed=0,
            max_elements=len(self),
        )
        # One thread: several would insert in another order each time.
        graph.add_items(self.embeddings.astype(np.float32), num_threads=1)
        if path is not None:
            with replacing(path) as partial:
                graph.save(str(partial))
        return graph

    def _is_of_this_gallery(self, graph: Any, space: Any) -> bool:
        """Whether it holds the same vectors, by a few of them."""
        if (graph.space, graph.num_elements, graph.num_dimensions) != (
            space,
            *self.embeddings.shape,
        ):
            return False
        some = np.unique(np.linspace(0, len(self) - 1, 20).astype(int))
        held = np.array([graph.get_vector(int(row)) for row in some], dtype=np.float64)
        wanted = self.embeddings[some].astype(np.float64)
        if self.metric == "cosine":  # held at length 1
            held, wanted = (
                each / np.linalg.norm(each, axis=1, keepdims=True) for each in (held, wanted)
            )
        return bool(np.allclose(held, wanted, rtol=1e-4, atol=1e-5))

    def _check_alike(self, queries: EmbeddingTable) -> None:
        """Refuse embeddings of other weights or another way of pooling."""
        keys: Sequence[str] = ("weights", "pooling", "num_dimensions", "settings")
        ours, theirs = self.table.made_by, queries.made_by
        different = [k for k in keys if k in ours and k in theirs and ours[k] != theirs[k]]
        if different:
            msg = (
                f"queries must be embedded as the gallery was, got another {', '.join(different)}; "
                "embed both with the same weights and settings"
            )
            raise InputError(msg)

    def _match(self, rank: int, row: int, distance: float) -> Match:
        return Match(
            rank=rank,
            case_id=self.table.case_ids[row],
            patient_id=self.table.patient_ids[row],
            path=self.table.paths[row] if self.table.paths else "",
            distance=distance,
            row=row,
        )

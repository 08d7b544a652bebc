"""Which embeddings lie nearest: exact ranking, for retrieval, search and probes.

Shapes: Q queries, G gallery, F numbers per embedding, K neighbours.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Metric = Literal["cosine", "euclidean"]
METRICS: tuple[Metric, ...] = get_args(Metric)
NOBODY = -1
"""Row of a place that no neighbour fills."""
_AT_ONCE = 1 << 24  # distances held at a time, 128 MiB

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Neighbours:
    """The nearest of a gallery, nearest first.

    Attributes:
        rows: Rows of the gallery, `(Q, K)`; `NOBODY` behind the last where fewer than K are left.
        distances: `(Q, K)`, float64: `1 - cosine` in [0, 2], or the Euclidean distance; infinite
            where there is nobody.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]


class Gallery:
    """Embeddings made ready to be ranked, once for many queries.

    Args:
        embeddings: `(G, F)`.
        metric: `cosine` or `euclidean`.

    Raises:
        InputError: If the metric is unknown, or an embedding has no direction or is not finite.
    """

    def __init__(self, embeddings: Floats, *, metric: Metric = "cosine") -> None:
        check_metric(metric)
        self.metric = metric
        self._ready = self._prepare("gallery", embeddings)

    def __len__(self) -> int:
        return len(self._ready)

    def nearest(
        self,
        queries: Floats,
        *,
        top: int | None = None,
        query_owners: NDArray[np.int64] | None = None,
        gallery_owners: NDArray[np.int64] | None = None,
    ) -> Neighbours:
        """Rank the gallery for each query; see the function `nearest`."""
        queries = self._prepare("queries", queries)
        if queries.shape[1] != self._ready.shape[1]:
            msg = (
                f"queries must be as long as the gallery's embeddings ({self._ready.shape[1]}), "
                f"got {queries.shape[1]}; embed both with the same weights"
            )
            raise InputError(msg)
        if top is not None and top < 1:
            msg = f"top must be 1 or more, got {top}; 10 is usual"
            raise InputError(msg)
        num = min(len(self) if top is None else top, len(self))
        rows = np.full((len(queries), num), NOBODY, dtype=np.int64)
        distances = np.full((len(queries), num), np.inf)
        for start, block in self._blocks(queries):
            if query_owners is not None and gallery_owners is not None:
                own = query_owners[start : start + len(block), None] == gallery_owners
                block[own] = np.inf
            for place, row in enumerate(block, start):
                found = _first(row, num)
                rows[place, : len(found)] = found
                distances[place, : len(found)] = row[found]
        return Neighbours(rows, distances)

    def _prepare(self, name: str, embeddings: Floats) -> Floats:
        embeddings = checked_embeddings(name, embeddings, self.metric)
        if self.metric == "cosine":
            return unit_length(embeddings)
        return embeddings.astype(np.float64)  # differences of like vectors keep their digits

    def _blocks(self, queries: Floats) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """The first query of a block, and its distances to the gallery, `(block, G)`."""
        from scipy.spatial.distance import cdist

        step = max(_AT_ONCE // len(self), 1)
        for start in range(0, len(queries), step):
            part = queries[start : start + step]
            if self.metric == "cosine":
                yield start, 1 - (part @ self._ready.T).astype(np.float64)
            else:
                yield start, cdist(part, self._ready)


def nearest(
    queries: Floats,
    gallery: Floats,
    *,
    metric: Metric = "cosine",
    top: int | None = None,
    query_owners: NDArray[np.int64] | None = None,
    gallery_owners: NDArray[np.int64] | None = None,
) -> Neighbours:
    """Rank a gallery for each query. Equal distances keep the order of the gallery.

    Args:
        queries: `(Q, F)`.
        gallery: `(G, F)`.
        metric: `cosine` or `euclidean`.
        top: K; the whole gallery if None.
        query_owners: Number of each query's owner, `(Q,)`; see `same_owners`.
        gallery_owners: Of each gallery row, `(G,)`; a query never meets a row of its own owner.

    Raises:
        InputError: If an argument is out of range or an embedding has no direction or is not
            finite.
    """
    return Gallery(gallery, metric=metric).nearest(
        queries, top=top, query_owners=query_owners, gallery_owners=gallery_owners
    )


def distances_of_pairs(
    first: Floats, second: Floats, metric: Metric = "cosine"
) -> NDArray[np.float64]:
    """Distance of each row of `first` `(N, F)` to the same row of `second` `(N, F)`, `(N,)`."""
    if metric == "cosine":
        first, second = unit_length(first), unit_length(second)
        return np.asarray(1 - np.einsum("nf,nf->n", first, second), dtype=np.float64)
    return np.asarray(np.linalg.norm(first.astype(np.float64) - second, axis=1))


def unit_length(embeddings: Floats) -> Floats:
    """Embeddings `(N, F)` divided by their lengths."""
    lengths = np.linalg.norm(embeddings.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(embeddings / lengths.astype(embeddings.dtype))


def check_metric(metric: str) -> None:
    """Refuse what is no metric.

    Raises:
        InputError: If `metric` is unknown.
    """
    if metric not in METRICS:
        msg = f"metric must be one of {', '.join(METRICS)}, got {metric!r}; use cosine"
        raise InputError(msg)


def checked_embeddings(name: str, embeddings: Floats, metric: Metric = "cosine") -> Floats:
    """The embeddings themselves, if they can be compared.

    Args:
        name: In the error.
        embeddings: `(N, F)`, N and F at least 1.
        metric: `cosine` needs a direction, so no row may be all zeros.

    Raises:
        InputError: If they cannot.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2 or 0 in embeddings.shape:
        msg = f"{name} must be (embeddings, numbers), got shape {embeddings.shape}; give some"
        raise InputError(msg)
    if not np.issubdtype(embeddings.dtype, np.floating):
        embeddings = embeddings.astype(np.float64)
    broken = ~np.isfinite(embeddings).all(axis=1)
    if metric == "cosine":
        broken |= ~embeddings.any(axis=1)
    if broken.any():
        msg = (
            f"{name} must be finite numbers that are not all zero, got {int(broken.sum())} that "
            f"are not, the first in row {int(broken.argmax())}; embed these scans again"
        )
        raise InputError(msg)
    return embeddings


def same_owners(
    *groups: Sequence[Hashable],
) -> list[NDArray[np.int64]]:
    """Number owners across several lists: the same owner, the same number.

    Args:
        groups: Owners (patients, or cases) of queries, of a gallery, ...

    Returns:
        Numbers in the shape of each list.
    """
    number: dict[Hashable, int] = {}
    return [
        np.array([number.setdefault(owner, len(number)) for owner in group], dtype=np.int64)
        for group in groups
    ]


def _first(row: NDArray[np.float64], num: int) -> NDArray[np.int64]:
    """The nearest `num` of a row of distances, in order; fewer where the rest is left out."""
    candidates = np.arange(len(row))
    if num < len(row):
        limit = np.partition(row, num - 1)[num - 1]
        candidates = np.flatnonzero(row <= limit)
    order = candidates[np.argsort(row[candidates], kind="stable")][:num]
    return np.asarray(order[np.isfinite(row[order])])

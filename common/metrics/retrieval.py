"""How well the nearest of a gallery are of the query's kind.

Per query, over its k nearest, of which those with the query's label are hits:

| score | definition |
|---|---|
| precision@k | hits / k |
| hit_rate@k | 1 if there is a hit |
| average_precision@k | sum over hits of precision at the hit's rank, / hits; 0 without a hit |
| f1@k | harmonic mean of average_precision@k and hit_rate@k; 0 if both are |
| full_average_precision@k | the same sum / min(k, relevant cases in the gallery) |

A score is the mean over queries. `average_precision` is what CT-FM publishes for OrganMNIST3D
(k 3, 5, 10) and, at k 10, for 3D-MIR: there it is scikit-learn's `average_precision_score` of the
first ten with scores that fall with the rank, which is the same number. It divides by the hits
that were found, so one hit at rank 1 counts as much as ten: `full_average_precision` does not
forgive what was missed. F1 is of those two as published, not of precision and recall.

CT-FM's papers say cosine; its OrganMNIST3D numbers are Euclidean.

Shapes: Q queries, G gallery, F numbers per embedding, K the largest k.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..embeddings.neighbours import NOBODY, Metric, nearest, same_owners
from ..embeddings.table import EmbeddingTable
from ..errors import InputError
from .patient_bootstrap import mean_intervals

Exclude = Literal["nobody", "self", "patient"]
SCORES = ("precision", "hit_rate", "average_precision", "f1", "full_average_precision")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RetrievalScores:
    """Scores of one retrieval.

    Attributes:
        at: Every k.
        metric: By which the gallery was ranked.
        per_query: By `<score>@<k>`: `(Q,)`.
        owners: Whose each query is, Q.
        values: By `<score>@<k>`: mean over queries.
        intervals: Lower and upper of each mean, patients resampled; empty if not asked for.
        num_without_relevant: Queries of which the gallery holds none of the kind: they score 0.
    """

    at: tuple[int, ...]
    metric: str
    per_query: dict[str, Floats]
    owners: list[Hashable]
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    num_without_relevant: int

    def as_json(self) -> dict[str, Any]:
        """Plain values: counts, and by score its value and interval."""
        return {
            "metric": self.metric,
            "num_queries": len(self.owners),
            "num_without_relevant": self.num_without_relevant,
            "scores": {
                name: {"value": value, "interval": list(self.intervals.get(name, ())) or None}
                for name, value in self.values.items()
            },
        }


def score_retrieval(
    *,
    queries: EmbeddingTable,
    query_labels: Sequence[Hashable],
    gallery: EmbeddingTable,
    gallery_labels: Sequence[Hashable],
    at: Sequence[int] = (3, 5, 10),
    metric: Metric = "cosine",
    exclude: Exclude = "nobody",
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> RetrievalScores:
    """Rank the gallery for each query and score the first k.

    Args:
        queries: Q embedded cases.
        query_labels: What each is; equal means of one kind.
        gallery: G embedded cases; may be the queries themselves with `exclude`.
        gallery_labels: What each is.
        at: Every k.
        metric: `cosine` or `euclidean`.
        exclude: Whom a query may not meet: `nobody` is left out, itself (`self`, by case_id), or
            any case of its own patient (`patient`).
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.

    Raises:
        InputError: If an argument is out of range, labels are not one per case, or what is left
            of the gallery is smaller than the largest k.
    """
    if exclude not in get_args(Exclude):
        msg = f"exclude must be one of {', '.join(get_args(Exclude))}, got {exclude!r}"
        raise InputError(msg + "; use patient where queries and gallery share patients")
    ks = tuple(sorted({int(k) for k in at}))
    if not ks or ks[0] < 1:
        msg = f"at must be one or more numbers from 1 on, got {list(at)}; 3, 5 and 10 are usual"
        raise InputError(msg)
    for name, table, labels in (
        ("query_labels", queries, query_labels),
        ("gallery_labels", gallery, gallery_labels),
    ):
        if len(labels) != len(table):
            msg = f"{name} must be one per case ({len(table)}), got {len(labels)}; join them first"
            raise InputError(msg)
    owners = _owners(queries, gallery, exclude)
    found = nearest(
        queries.embeddings,
        gallery.embeddings,
        metric=metric,
        top=ks[-1],
        query_owners=owners[0],
        gallery_owners=owners[1],
    )
    if found.rows.shape[1] < ks[-1] or (found.rows == NOBODY).any():
        fewest = int((found.rows != NOBODY).sum(axis=1).min())
        msg = (
            f"gallery must hold at least {ks[-1]} cases for every query (at), got {fewest} for "
            "one; take a larger gallery or a smaller k"
        )
        raise InputError(msg)
    kinds, of_gallery = same_owners(query_labels, gallery_labels)
    relevant = kinds[:, None] == of_gallery[None]
    if exclude != "nobody":
        relevant &= owners[0][:, None] != owners[1][None]
    hits = of_gallery[found.rows] == kinds[:, None]
    per_query = score_hits(hits, relevant.sum(axis=1), ks)
    return _summary(
        ks, metric, per_query, list(queries.owners),
        num_without_relevant=int((~relevant.any(axis=1)).sum()),
        num_bootstrap=num_bootstrap, seed=seed,
    )  # fmt: skip


def score_hits(
    hits: NDArray[np.bool_], num_relevant: NDArray[np.integer], at: Sequence[int]
) -> dict[str, Floats]:
    """Scores of each query by `<score>@<k>`, `(Q,)`.

    Args:
        hits: Whether the neighbour of each rank is of the query's kind, `(Q, K)`, nearest first.
        num_relevant: Cases of that kind in the gallery, `(Q,)`.
        at: Every k, at most K.
    """
    ranks = np.arange(1, hits.shape[1] + 1)
    found = hits.cumsum(axis=1)
    precisions = np.where(hits, found / ranks, 0.0).cumsum(axis=1)
    scores: dict[str, Floats] = {}
    for k in at:
        num_hits, gain = found[:, k - 1], precisions[:, k - 1]
        any_hit = (num_hits > 0).astype(np.float64)
        average = gain / np.maximum(num_hits, 1)
        scores[f"precision@{k}"] = num_hits / k
        scores[f"hit_rate@{k}"] = any_hit
        scores[f"average_precision@{k}"] = average
        scores[f"f1@{k}"] = 2 * average * any_hit / np.maximum(average + any_hit, 1e-300)
        scores[f"full_average_precision@{k}"] = gain / np.maximum(np.minimum(num_relevant, k), 1)
    return scores


def pool_retrievals(
    parts: Sequence[RetrievalScores], *, num_bootstrap: int = 1000, seed: int = 0
) -> RetrievalScores:
    """Several retrievals as one: every query counts once, such as over 3D-MIR's four organs.

    Args:
        parts: With the same k and metric.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.

    Raises:
        InputError: If there is none or they differ in k or metric.
    """
    kinds = {(part.at, part.metric) for part in parts}
    if len(kinds) != 1:
        msg = f"parts must share their k and metric, got {sorted(kinds)}; score them alike"
        raise InputError(msg)
    first = parts[0]
    return _summary(
        first.at,
        first.metric,
        {name: np.concatenate([p.per_query[name] for p in parts]) for name in first.per_query},
        [owner for part in parts for owner in part.owners],
        num_without_relevant=sum(part.num_without_relevant for part in parts),
        num_bootstrap=num_bootstrap,
        seed=seed,
    )


def _summary(
    at: tuple[int, ...],
    metric: str,
    per_query: dict[str, Floats],
    owners: list[Hashable],
    *,
    num_without_relevant: int,
    num_bootstrap: int,
    seed: int,
) -> RetrievalScores:
    return RetrievalScores(
        at=at,
        metric=metric,
        per_query=per_query,
        owners=owners,
        values={name: float(each.mean()) for name, each in per_query.items()},
        intervals=(
            mean_intervals(per_query, owners, num_resamples=num_bootstrap, seed=seed)
            if num_bootstrap
            else {}
        ),
        num_without_relevant=num_without_relevant,
    )


def _owners(
    queries: EmbeddingTable, gallery: EmbeddingTable, exclude: Exclude
) -> list[NDArray[np.int64]]:
    """Numbers of the owners that must not meet, of queries and of the gallery."""
    if exclude == "nobody":
        return [np.full(len(queries), -2), np.full(len(gallery), -1)]
    if exclude == "self":
        return same_owners(queries.case_ids, gallery.case_ids)
    return same_owners(queries.owners, gallery.owners)

"""Scores of a retrieval as a table for a terminal, published numbers beside them where known."""

from __future__ import annotations

from collections.abc import Mapping

from ..metrics.retrieval import SCORES, RetrievalScores


def scores_text(scores: RetrievalScores, *, published: Mapping[str, float] | None = None) -> str:
    """A row per score, a column per k: `value [lower, upper]`, and what was published.

    Args:
        scores: Of one retrieval.
        published: By `<score>@<k>`, of the same protocol.
    """
    known = published or {}
    rows = [[f"{len(scores.owners)} queries, {scores.metric}", *(f"@{k}" for k in scores.at)]]
    for name in SCORES:
        keys = [f"{name}@{k}" for k in scores.at]
        rows.append([name.replace("_", " "), *(_cell(scores, key) for key in keys)])
        if any(key in known for key in keys):
            rows.append(["  published", *(f"{known[k]:.3f}" if k in known else "" for k in keys)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _cell(scores: RetrievalScores, key: str) -> str:
    text = f"{scores.values[key]:.3f}"
    if key in scores.intervals:
        low, high = scores.intervals[key]
        text += f" [{low:.3f}, {high:.3f}]"
    return text

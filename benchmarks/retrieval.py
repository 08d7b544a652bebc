"""The nearest 10 of 100,000 embeddings of 512 numbers: exact, and by the graph, interleaved.

    python -m benchmarks.retrieval --rounds 3      # on a quiet machine; --quick to see it work

Two galleries, from a seed: points around 1,000 centres, and points without any structure, which
are the hardest to put into a graph. Each way is a fresh process that builds its index, then answers
200 queries, one after another. Recorded: seconds to build, memory for it, milliseconds per query,
and the share of the truly nearest ten that were found.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.embeddings.gallery_index import GalleryIndex
from common.embeddings.table import EmbeddingTable

from .protocol import (
    Sample,
    fresh_process,
    interleave,
    load_note,
    machine,
    markdown,
    read_results,
    spread,
    summarize,
    timed,
    write_results,
)

GALLERY, QUICK_GALLERY, FEATURES = 100_000, 500, 512
QUERIES, TOP = 200, 10
CENTRES, AROUND = 1_000, 0.5
KINDS, WAYS = ("around centres", "anywhere"), ("exact", "graph")
MODULE = "benchmarks.retrieval"


def points(kind: str, num: int, seed: int) -> NDArray[np.float32]:
    """Embeddings `(num, FEATURES)`: around centres, or anywhere."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((num, FEATURES), dtype=np.float32)
    if kind == "anywhere":
        return noise
    centres = np.random.default_rng(0).standard_normal((CENTRES, FEATURES), dtype=np.float32)
    return centres[rng.integers(CENTRES, size=num)] + np.float32(AROUND) * noise


def measure_one(way: str, kind: str, quick: bool) -> Sample:
    """Build an index and ask it one query after another."""
    num = QUICK_GALLERY if quick else GALLERY
    names, queries = [str(row) for row in range(num)], points(kind, QUERIES, 2)
    table = EmbeddingTable(names, [None] * num, points(kind, num, 1))
    index, built = timed(lambda: GalleryIndex(table, approximate=way == "graph"))
    _, sample = timed(lambda: [index.neighbours(query[None], top=TOP) for query in queries])
    return sample | {
        "build_s": built["wall_s"],
        "peak_mb": built["peak_mb"],
        "query_ms": 1000 * sample["wall_s"] / QUERIES,
        "recall": index.recall(queries, top=TOP),
    }


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """The record."""
    flags = ["--quick"] if quick else []
    names = [f"{kind}, {way}" for kind in KINDS for way in WAYS]

    def one(name: str, _: int) -> Sample:
        kind, way = name.split(", ")
        return fresh_process(MODULE, "--way", way, "--kind", kind, *flags)

    samples = interleave(names, rounds, one)
    return {
        "machine": machine("voyager"),
        "rounds": rounds,
        "median_min_max": {name: summarize(rows) for name, rows in samples.items()},
        "samples": samples,
    }


def table(record: dict[str, Any]) -> str:
    """The record as README.md holds it."""
    rows = record["median_min_max"]
    header = [f"nearest {TOP} of {GALLERY:,}", "build s", "build MB", "ms per query", "recall"]
    shown = (
        [
            name, f"{row['build_s'][0]:.1f}", f"{row['peak_mb'][0]:.0f}", spread(row, "query_ms"),
            f"{row['recall'][0]:.3f}",
        ]
        for name, row in rows.items()
    )  # fmt: skip
    return "\n\n".join([markdown(header, shown), load_note(rows.values())])


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it works")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table:
        print(table(read_results("retrieval")))
    elif given.way:
        print(json.dumps(measure_one(given.way, given.kind, given.quick)))
    else:
        record = measure(given.rounds, given.quick)
        write_results("retrieval", record, quick=given.quick)
        if not given.quick:
            print(table(record))


if __name__ == "__main__":
    main()

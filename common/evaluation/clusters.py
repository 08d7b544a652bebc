"""A table of embeddings as a map: t-SNE or UMAP, coloured by anything that is known of the cases.

Likeness shows in who lies beside whom; distances between groups and their sizes mean nothing.
It writes `clusters.csv` (case_id, x, y, value) and `clusters.png`.
"""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..atomic import write_text
from ..embeddings.case_labels import join_labels
from ..embeddings.neighbours import Metric, checked_embeddings
from ..embeddings.table import EmbeddingTable, read_given_or_own
from ..errors import InputError
from ..figures.clusters import write_cluster_figure

Method = Literal["tsne", "umap"]
TABLE_COLUMNS = ("patient_id", "path", "num_windows")


class Clusters:
    """Map embeddings to the plane.

    Args:
        output_dir: Where results go, and where this run's embeddings lie.
        embeddings: `embeddings.parquet` or the output_dir of an embedding run; empty takes
            `case_ids` of this run.
        case_ids: See `embeddings`.
        method: `tsne` (van der Maaten & Hinton 2008) or `umap` (McInnes et al. 2018), which needs
            the extra `umap`.
        metric: `cosine` or `euclidean`.
        perplexity: Of t-SNE: about how many neighbours count; held below a third of the cases.
        num_neighbours: The same of UMAP.
        labels_file: A CSV with a row per case; empty takes a column of the table.
        colour_by: A column of `labels_file`, or `patient_id`, `path` or `num_windows`; empty for
            one colour.
        seed: Of the map.

    Raises:
        InputError: If an argument is out of its range or UMAP is not installed.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        embeddings: str = "",
        case_ids: Sequence[str] = (),
        method: Method = "tsne",
        metric: Metric = "cosine",
        perplexity: float = 30.0,
        num_neighbours: int = 15,
        labels_file: str | Path = "",
        colour_by: str = "",
        seed: int = 0,
    ) -> None:
        if method not in get_args(Method):
            msg = f"method must be one of {', '.join(get_args(Method))}, got {method}; use tsne"
            raise InputError(msg)
        if method == "umap" and importlib.util.find_spec("umap") is None:
            msg = (
                "method umap must have the package umap-learn, got none; install it with "
                "`pip install -e '.[umap]'` or use tsne"
            )
            raise InputError(msg)
        if perplexity <= 0 or num_neighbours < 2:
            msg = (
                "perplexity must be above 0 and num_neighbours 2 or more, got "
                f"{perplexity} and {num_neighbours}; 30 and 15 are usual"
            )
            raise InputError(msg)
        self.output_dir = Path(output_dir)
        self.embeddings = embeddings
        self.case_ids = case_ids
        self.method = method
        self.metric: Metric = metric
        self.perplexity = perplexity
        self.num_neighbours = num_neighbours
        self.labels_file = labels_file
        self.colour_by = colour_by
        self.seed = seed

    def run(self) -> NDArray[np.float64]:
        """Map, print, and write the files.

        Returns:
            Places in the plane, `(N, 2)`, without unit.

        Raises:
            InputError: If tables cannot be read, do not fit, or hold fewer than 5 cases.
        """
        table = read_given_or_own(
            self.embeddings, output_dir=self.output_dir, case_ids=self.case_ids
        )
        table, values = self._values(table)
        if len(table) < 5:
            msg = f"embeddings must be of 5 or more cases, got {len(table)}; embed more scans"
            raise InputError(msg)
        vectors = checked_embeddings("embeddings", table.embeddings, self.metric)
        places = self._places(vectors)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case_id", "x", "y", self.colour_by or "value"])
        for name, (x, y), value in zip(table.case_ids, places, values, strict=True):
            writer.writerow([name, f"{x:.6g}", f"{y:.6g}", value])
        write_text(self.output_dir / "clusters.csv", text.getvalue())
        weights = table.made_by.get("weights", {})
        title = {"tsne": "t-SNE", "umap": "UMAP"}[self.method]
        write_cluster_figure(
            self.output_dir / "clusters.png",
            places,
            values if self.colour_by else [],
            title=f"{title} of {len(table)} scans",
            subtitle=f"weights {weights.get('name', 'unknown')}   ·   {self.metric} distance",
            legend=self.colour_by,
            synthetic=bool(weights.get("synthetic")),
        )
        print(f"{title} of {len(table)} scans: {self.output_dir / 'clusters.png'}")
        return places

    def _values(self, table: EmbeddingTable) -> tuple[EmbeddingTable, list[str]]:
        """The cases that are shown and what colours them."""
        if self.labels_file and self.colour_by:
            labelled = join_labels(table, self.labels_file, columns=[self.colour_by])
            return labelled.table, labelled.column(self.colour_by)
        if not self.colour_by:
            return table, [""] * len(table)
        columns: dict[str, Sequence[Any]] = {
            "patient_id": table.patient_ids,
            "path": table.paths,
            "num_windows": table.num_windows,
        }
        if not columns.get(self.colour_by):
            msg = (
                f"colour_by must be a column of labels_file or one of {', '.join(TABLE_COLUMNS)} "
                f"of the table, got {self.colour_by}; give labels_file with that column"
            )
            raise InputError(msg)
        return table, ["" if v is None else str(v) for v in columns[self.colour_by]]

    def _places(self, vectors: NDArray[Any]) -> NDArray[np.float64]:
        num = len(vectors)
        if self.method == "umap":
            import umap

            mapping = umap.UMAP(
                n_neighbors=min(self.num_neighbours, num - 1), metric=self.metric,
                random_state=self.seed, n_jobs=1, init="random" if num < 10 else "spectral",
            )  # fmt: skip
        else:
            from sklearn.manifold import TSNE

            mapping = TSNE(
                perplexity=min(self.perplexity, (num - 1) / 3), metric=self.metric,
                random_state=self.seed,
            )  # fmt: skip
        return np.asarray(mapping.fit_transform(vectors), dtype=np.float64)

"""OrganMNIST3D's retrieval: embed its volumes, rank the training ones for each of the others.

| protocol | axes | distance |
|---|---|---|
| published | reversed, as CT-FM's notebook does | Euclidean, though the paper says cosine |
| corrected | turned to the network's own, see `ORIENTATIONS` | cosine |

Volumes hold an abdominal window as [0, 1] and go through the encoder whole, in both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ..atomic import write_json
from ..datasets.retrieval_protocols import OrganVolumes, read_organ_mnist
from ..embeddings.neighbours import Metric
from ..embeddings.table import EmbeddingTable, read_embeddings, write_embeddings
from ..inferers.embedding import EmbeddingInferer
from ..metrics.retrieval import RetrievalScores, score_retrieval
from ..weights.card import Card
from .published_scores import ORGAN_MNIST, SOURCE, checked_protocol
from .scores_text import scores_text


class OrganMnistRetrieval:
    """Embed, rank and score OrganMNIST3D.

    Args:
        data: `organmnist3d_64.npz`, or the folder that holds it.
        output_dir: Gets `gallery.parquet`, `queries.parquet` and `scores.json`. Tables that the
            same weights made in the same way are not made again.
        network: The encoder.
        inferer: That runs it on whole volumes.
        card: Of the network's weights.
        protocol: `published` or `corrected`.
        orientation: In place of the protocol's, see `read_organ_mnist`; empty for the protocol's.
        metric: In place of the protocol's; empty for the protocol's.
        at: Every k.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.

    Raises:
        InputError: If the protocol is unknown.
    """

    def __init__(
        self,
        *,
        data: str | Path,
        output_dir: str | Path,
        network: nn.Module,
        inferer: EmbeddingInferer,
        card: Card,
        protocol: str = "corrected",
        orientation: str = "",
        metric: Metric | str = "",
        at: tuple[int, ...] = (3, 5, 10),
        num_bootstrap: int = 1000,
        seed: int = 0,
    ) -> None:
        self.protocol = checked_protocol(protocol)
        self.orientation = orientation or protocol
        self.metric: Any = metric or ("euclidean" if protocol == "published" else "cosine")
        self.data = Path(data)
        self.output_dir = Path(output_dir)
        self.network = network
        self.inferer = inferer
        self.card = card
        self.at = at
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def run(self) -> RetrievalScores:
        """Embed, score, print, and write the files.

        Raises:
            InputError: If the data set is missing or not what MedMNIST publishes; the message
                says where to download it.
        """
        gallery, queries = read_organ_mnist(
            self.data,
            orientation=self.orientation,
            axcodes=str(self.card.preprocessing["axcodes"]),
        )
        scores = score_retrieval(
            queries=self._embedded("queries", queries),
            query_labels=queries.labels,
            gallery=self._embedded("gallery", gallery),
            gallery_labels=gallery.labels,
            at=self.at,
            metric=self.metric,
            num_bootstrap=self.num_bootstrap,
            seed=self.seed,
        )
        content = {
            "protocol": self.protocol,
            "orientation": self.orientation,
            "made_by": self._made_by(),
            **scores.as_json(),
            "published": {"source": SOURCE, "scores": ORGAN_MNIST},
        }
        write_json(self.output_dir / "scores.json", content)
        print(f"OrganMNIST3D, protocol {self.protocol}, weights {self.card.name}")
        print(scores_text(scores, published=ORGAN_MNIST))
        print(f"- published: {SOURCE}")
        return scores

    def _embedded(self, name: str, volumes: OrganVolumes) -> EmbeddingTable:
        """The table of one side: read where the same run made it, else made and written."""
        path, made_by = self.output_dir / f"{name}.parquet", self._made_by()
        if path.is_file():
            table = read_embeddings(path)
            if table.made_by == made_by and list(table.case_ids) == volumes.case_ids:
                return table
        device = next(self.network.parameters()).device
        rows = []
        for case in tqdm(volumes, total=len(volumes), unit="volume", desc=name):
            image: torch.Tensor = case["image"][None].to(device)
            rows.append(self.inferer(image, self.network)["embedding"][0].float().cpu().numpy())
        table = EmbeddingTable(
            case_ids=volumes.case_ids,
            patient_ids=[None] * len(volumes),
            embeddings=np.stack(rows).astype(np.float32),
            made_by=made_by,
        )
        write_embeddings(path, table)
        return table

    def _made_by(self) -> dict[str, Any]:
        return {
            "bundle": str(self.card.content["bundle"]),
            "weights": dict(self.card.provenance()),
            "precision": self.inferer.precision,
            "pooling": self.inferer.pooling,
            "settings": {"data": "OrganMNIST3D", "orientation": self.orientation},
            "clinical_use": False,
        }

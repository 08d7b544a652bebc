"""3D-MIR's retrieval: four organs of the Medical Segmentation Decathlon, by lesion and by its size.

The scans are embedded as any other; which protocol it is, the encoder's preset decides: `3d_mir`
takes the smallest number over overlapping windows, as published, `corrected` the mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from ..atomic import write_json
from ..case import Case, CaseList
from ..datasets.retrieval_protocols import (
    ORGANS,
    Organ,
    Relevance,
    RetrievalSplit,
    missing_scans,
    read_3d_mir,
)
from ..embeddings.neighbours import Metric
from ..embeddings.table import EmbeddingTable, read_embeddings
from ..errors import InputError
from ..metrics.retrieval import RetrievalScores, pool_retrievals, score_retrieval
from .published_scores import MIR, MIR_PER_ORGAN, SOURCE, checked_protocol
from .scores_text import scores_text

DECATHLON_URL = "http://medicaldecathlon.com"
RELEVANCES: tuple[Relevance, ...] = get_args(Relevance)


def preset_of(protocol: str) -> str:
    """The encoder's preset that a protocol runs with.

    Raises:
        InputError: If there is no such protocol.
    """
    return {"published": "3d_mir", "corrected": "corrected"}[checked_protocol(protocol)]


def mir_cases(
    *,
    data_dir: str | Path,
    scans_dir: str | Path,
    organs: Sequence[Organ] = ORGANS,
    embeddings: str = "",
    allow_missing: bool = False,
) -> CaseList:
    """The scans that 3D-MIR's lists name; none where they are embedded already.

    Args:
        data_dir: 3D-MIR's folder `Data`.
        scans_dir: Holds the tasks of the Decathlon, at any depth; each scan once outside of
            `labelsTr`.
        organs: Which parts.
        embeddings: A table of embeddings; empty where scans are to be embedded.
        allow_missing: Go on with the scans that are there.

    Raises:
        InputError: If lists or scans are missing; the message says what to download.
    """
    if embeddings:
        return CaseList()
    splits = [read_3d_mir(data_dir, organ=organ) for organ in organs]
    found = {
        path.name.removesuffix(".nii.gz"): path
        for path in sorted(Path(scans_dir).rglob("*.nii.gz"))
        if path.parent.name != "labelsTr" and not path.name.startswith(".")
    }
    wanted = dict.fromkeys(n for split in splits for n in (*split.query_ids, *split.gallery_ids))
    have = [name for name in wanted if name in found]
    if not have or (len(have) < len(wanted) and not allow_missing):
        raise _lacking(splits, have, f"scans below {scans_dir}")
    return CaseList(
        Case(case_id=name, image=str(found[name]), format="nifti", patient_id=name) for name in have
    )


class MirRetrieval:
    """Rank and score 3D-MIR's parts, each alone and pooled.

    Args:
        data_dir: 3D-MIR's folder `Data`.
        output_dir: Gets `scores.json`, and holds this run's embeddings.
        embeddings: `embeddings.parquet`, or an output_dir; empty takes this run's.
        protocol: `published` or `corrected`; named beside the scores, see `preset_of`.
        organs: Which parts.
        metric: `cosine`, as published, or `euclidean`.
        at: Every k.
        allow_missing: Score without the cases that have no embedding.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.

    Raises:
        InputError: If the protocol is unknown.
    """

    def __init__(
        self,
        *,
        data_dir: str | Path,
        output_dir: str | Path,
        embeddings: str = "",
        protocol: str = "corrected",
        organs: Sequence[Organ] = ORGANS,
        metric: Metric = "cosine",
        at: Sequence[int] = (3, 5, 10),
        allow_missing: bool = False,
        num_bootstrap: int = 1000,
        seed: int = 0,
    ) -> None:
        self.protocol = checked_protocol(protocol)
        self.data_dir = data_dir
        self.output_dir = Path(output_dir)
        self.embeddings = embeddings
        self.organs = organs
        self.metric: Metric = metric
        self.at = at
        self.allow_missing = allow_missing
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def run(self) -> dict[str, RetrievalScores]:
        """Score, print, and write.

        Returns:
            The pooled scores by what makes a scan relevant.

        Raises:
            InputError: If lists or embeddings are missing.
        """
        table = read_embeddings(self.embeddings or self.output_dir)
        print(
            f"3D-MIR, protocol {self.protocol}, pooling {table.made_by.get('pooling', 'unknown')}, "
            f"weights {table.made_by.get('weights', {}).get('name', 'unknown')}"
        )
        pooled: dict[str, RetrievalScores] = {}
        content: dict[str, Any] = {"protocol": self.protocol, "made_by": table.made_by}
        for relevance in RELEVANCES:
            parts: dict[str, RetrievalScores] = {
                organ: self._score(table, organ, relevance) for organ in self.organs
            }
            pooled[relevance] = pool_retrievals(
                list(parts.values()), num_bootstrap=self.num_bootstrap, seed=self.seed
            )
            content[relevance] = {
                "pooled": pooled[relevance].as_json(),
                "organs": {organ: part.as_json() for organ, part in parts.items()},
                "published": {
                    "source": SOURCE,
                    "pooled": MIR[relevance],
                    "organs_precision@3": MIR_PER_ORGAN[relevance],
                },
            }
            print(f"\n{relevance}, organs {', '.join(self.organs)}")
            print(scores_text(pooled[relevance], published=MIR[relevance]))
            print(_organs_text(parts, MIR_PER_ORGAN[relevance]))
        print(f"- published: {SOURCE}; all four organs")
        write_json(self.output_dir / "scores.json", content)
        return pooled

    def _score(self, table: EmbeddingTable, organ: Organ, relevance: Relevance) -> RetrievalScores:
        split = read_3d_mir(self.data_dir, organ=organ, relevance=relevance)
        have = set(table.case_ids)
        queries = _known(split.query_ids, split.query_labels, have)
        gallery = _known(split.gallery_ids, split.gallery_labels, have)
        complete = len(queries) == len(split.query_ids) and len(gallery) == len(split.gallery_ids)
        if not queries or not gallery or not (complete or self.allow_missing):
            raise _lacking([split], list(have), "embeddings")
        return score_retrieval(
            queries=table.select(list(queries)),
            query_labels=list(queries.values()),
            gallery=table.select(list(gallery)),
            gallery_labels=list(gallery.values()),
            at=self.at,
            metric=self.metric,
            num_bootstrap=self.num_bootstrap,
            seed=self.seed,
        )


def _known(names: Sequence[str], labels: Sequence[str], have: set[str]) -> dict[str, str]:
    return {name: label for name, label in zip(names, labels, strict=True) if name in have}


def _organs_text(parts: Mapping[str, RetrievalScores], published: Mapping[str, float]) -> str:
    lines = []
    for organ, part in parts.items():
        key = f"precision@{part.at[0]}"
        known = f" (published {published[organ]:.3f})" if key == "precision@3" else ""
        lines.append(f"  {organ}: {len(part.owners)} queries, {key} {part.values[key]:.3f}{known}")
    return "\n".join(lines)


def _lacking(splits: Sequence[RetrievalSplit], have: Sequence[str], what: str) -> InputError:
    missing: dict[str, set[str]] = {}
    for split in splits:
        for task, names in missing_scans(split, have).items():
            missing.setdefault(task, set()).update(names)
    listed = "; ".join(
        f"{task} {len(names)} (such as {min(names)})" for task, names in sorted(missing.items())
    )
    return InputError(
        f"{what} must hold the scans of 3D-MIR's lists, got none for {listed}; download these "
        f"tasks from {DECATHLON_URL} or go on without them with --allow_missing True"
    )

"""How far from the truth a semantic search ends, where the anatomy is known.

As published for CT-FM (Pai et al., arXiv 2501.09001): the query is a structure's centre in one
scan, the truth its centre in another, and the score is their distance. Published for the heart in
469 chest scans of TotalSegmentator: 56.1 +- 54.4 mm, median 35.7 (CT-FM), 234 mm (SuPreM); given
there in cm. What is done otherwise here: scans keep the orientation the encoder was trained in,
labels are not blurred, several queries may be asked, and what costs nothing stands beside it:

| method | the place is |
|---|---|
| `<way>` | most alike by the encoder |
| `<way>, random weights` | most alike by the same network that has learned nothing |
| `same share of the body` | at the same share of the body's box, from each of its sides |
| `chance` | any voxel of the body; the mean distance of all of them |

The body is the largest piece above -500 HU, its holes filled, on every other voxel of what the
network gets.

Shapes: I J K the scan as stored, D H W the network's grid, N pairs of a query and a target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from ..atomic import write_json, write_text
from ..errors import InputError, at_least_one
from ..figures.search_scores import write_search_scores
from ..inferers.places import PlaceEncoder
from ..search.point_query import structure_centre
from ..truth.label_source import SegmentationCase
from ..truth.segmentation import grid_of, read_labels
from ..volumes.geometry import voxel_ml
from ..volumes.inverse import points_to_voxel, points_to_world_mm
from ..volumes.place_map import PlaceVectors
from ..volumes.volume import Volume
from .search_report import SearchPair, pairs_csv, scores_csv, scores_json, scores_text, summarise

BODY_HU = -500.0
CHANCE, SAME_SHARE = "chance", "same share of the body"
RANDOM = "random weights"
_EVERY = 2  # voxels; the body is found on every other one
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class KnownScan:
    """A scan with known anatomy, ready for the network.

    Attributes:
        case_id: Its name.
        image: `(1, 1, D, H, W)` in the card's range, on the network's device.
        affine: `(4, 4)` of its grid.
        labels: `(I, J, K)`, 0 background, `c` the structure at place `c - 1` of those asked for.
        volume: The scan as stored.
        body_voxel: `(M, 3)` voxels of the body on the network's grid, every other one.
        centres_world_mm: By structure: `(3,)`, RAS+; without those it does not hold.
    """

    case_id: str
    image: Tensor
    affine: Floats
    labels: NDArray[np.uint8]
    volume: Volume
    body_voxel: Floats
    centres_world_mm: Mapping[str, Floats]

    @property
    def body_box(self) -> Floats:
        """`(2, 3)` first and last voxel of the body on the network's grid."""
        return np.stack([self.body_voxel.min(axis=0), self.body_voxel.max(axis=0)])

    def holds(self, number: int, point_world_mm: Floats) -> bool:
        """Whether a point lies in a structure, by the nearest voxel."""
        at = np.floor(points_to_voxel(point_world_mm, self.volume.affine) + 0.5).astype(int)
        if (at < 0).any() or (at >= self.labels.shape).any():
            return False
        return bool(self.labels[tuple(at)] == number)


class SearchEvaluation:
    """Search held-out scans for the centres of structures.

    Args:
        output_dir: Gets `metrics.json`, `scores.csv`, `pairs.csv` and `error.png`.
        cases: Cases with `segmentation`; the first `num_queries` are asked about, the others are
            searched.
        preprocessing: From a case to `volume` and `image`.
        ways: How scans become vectors with places, by name.
        networks: By name: the empty name for the weights in question, `RANDOM` for chance's.
        device: Where the networks are.
        body_above: `BODY_HU` in the network's input range.
        num_queries: How many scans are asked about; 1 as published.
        num_bootstrap: Resamples of targets for the intervals.
        seed: Of the bootstrap.
        weights: Names of the weights, for the report.
        synthetic: Whether they were trained on phantoms only.
        settings: What else decides the numbers, for the report.

    Raises:
        InputError: If there are no targets left, or the cases have no segmentation.
    """

    def __init__(
        self,
        *,
        output_dir: str | Path,
        cases: Sequence[SegmentationCase],
        preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]],
        ways: Mapping[str, PlaceEncoder],
        networks: Mapping[str, nn.Module],
        device: torch.device | str,
        body_above: float,
        num_queries: int = 1,
        num_bootstrap: int = 1000,
        seed: int = 0,
        weights: str = "",
        synthetic: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        at_least_one(num_queries=num_queries, num_bootstrap=num_bootstrap)
        if len(cases) <= num_queries:
            msg = (
                f"cases must be more than num_queries, got {len(cases)} and {num_queries}; "
                "give more cases, or ask about fewer"
            )
            raise InputError(msg)
        self.output_dir = Path(output_dir)
        self.cases = cases
        self.structures = list(cases[0]["segmentation"]["classes"])
        self.preprocessing = preprocessing
        self.ways = ways
        self.networks = networks
        self.device = torch.device(device)
        self.body_above = body_above
        self.num_queries = num_queries
        self.num_bootstrap = num_bootstrap
        self.seed = seed
        self.weights = weights
        self.synthetic = synthetic
        self.settings = settings or {}

    def run(self) -> list[SearchPair]:
        """Search, score, print and write.

        Raises:
            InputError: If a scan or its truth cannot be read, or no pair holds the same structure.
        """
        pairs = self.pairs()
        if not pairs:
            msg = (
                f"cases must share one of {', '.join(self.structures)}, got none that is in a "
                "query and a target; choose other organs"
            )
            raise InputError(msg)
        scores = summarise(pairs, num_resamples=self.num_bootstrap, seed=self.seed)
        about = {
            "weights": self.weights,
            "synthetic": self.synthetic,
            "num_queries": self.num_queries,
            "num_targets": len(self.cases) - self.num_queries,
            "settings": self.settings,
        }
        print(scores_text(scores, about), end="")
        write_json(self.output_dir / "metrics.json", scores_json(scores, about))
        write_text(self.output_dir / "scores.csv", scores_csv(scores))
        write_text(self.output_dir / "pairs.csv", pairs_csv(pairs))
        write_search_scores(
            self.output_dir / "error.png", scores, synthetic=self.synthetic,
            subtitle=f"{self.weights}   ·   {about['num_targets']} targets, "
            f"{self.num_queries} quer{'y' if self.num_queries == 1 else 'ies'}",
        )  # fmt: skip
        return pairs

    def pairs(self) -> list[SearchPair]:
        """Every query in every target; writes nothing. Raises as `run` does, but for no pair."""
        queries = [self._read(case) for case in self.cases[: self.num_queries]]
        asked = [self._ask(query) for query in queries]
        pairs: list[SearchPair] = []
        for case in tqdm(self.cases[self.num_queries :], unit="target"):
            target = self._read(case)
            places = {
                method: encoder.places(target.image, network)
                for method, encoder, network in self._methods()
            }
            for query, vectors in zip(queries, asked, strict=True):
                shared = [
                    name for name in self.structures
                    if name in query.centres_world_mm and name in target.centres_world_mm
                ]  # fmt: skip
                pairs += self._by_encoder(query, target, vectors, places, shared)
                pairs += self._without_encoder(query, target, shared)
        return pairs

    def _read(self, case: SegmentationCase) -> KnownScan:
        data = self.preprocessing(dict(case))
        volume, image = data["volume"], data["image"]
        volume.wait_until_filled(max(volume.voxels.shape))
        labels = read_labels(case["segmentation"], grid=grid_of(volume)).voxels
        found = {
            name: structure_centre(labels, number, volume.affine)
            for number, name in enumerate(self.structures, start=1)
        }
        plain = image.as_subclass(Tensor)
        return KnownScan(
            case_id=case["case_id"],
            image=plain[None].to(self.device),
            affine=np.asarray(image.affine, dtype=np.float64),
            labels=labels,
            volume=volume,
            body_voxel=find_body(plain[0].numpy(), self.body_above, case["case_id"]),
            centres_world_mm={name: each for name, each in found.items() if each is not None},
        )

    def _methods(self) -> Iterator[tuple[str, PlaceEncoder, nn.Module]]:
        for kind, network in self.networks.items():
            for way, encoder in self.ways.items():
                yield f"{way}, {kind}" if kind else way, encoder, network

    def _ask(self, query: KnownScan) -> dict[tuple[str, str], Tensor]:
        """The vector of each structure's centre, by method and structure."""
        return {
            (method, name): encoder.at(query.image, points_to_voxel(point, query.affine), network)
            for method, encoder, network in self._methods()
            for name, point in query.centres_world_mm.items()
        }

    def _by_encoder(
        self,
        query: KnownScan,
        target: KnownScan,
        vectors: Mapping[tuple[str, str], Tensor],
        places: Mapping[str, PlaceVectors],
        shared: Sequence[str],
    ) -> Iterator[SearchPair]:
        for method, encoder, _ in self._methods():
            for name in shared:
                alike = places[method].compare(vectors[method, name])
                found, cosine = alike.best(between=encoder.between)
                point = points_to_world_mm(found, target.affine)
                yield self._pair(method, name, query, target, point, cosine)

    def _without_encoder(
        self, query: KnownScan, target: KnownScan, shared: Sequence[str]
    ) -> Iterator[SearchPair]:
        where = points_to_world_mm(target.body_voxel, target.affine)
        body_ml = len(where) * _EVERY**3 * voxel_ml(target.affine)
        (first, last), (low, high) = query.body_box, target.body_box
        for name in shared:
            truth = target.centres_world_mm[name]
            asked = points_to_voxel(query.centres_world_mm[name], query.affine)
            share = (asked - first) / np.maximum(last - first, 1e-9)
            point = points_to_world_mm(low + share * (high - low), target.affine)
            yield self._pair(SAME_SHARE, name, query, target, point, None)
            num_inside = int((target.labels == self.structures.index(name) + 1).sum())
            yield SearchPair(
                method=CHANCE,
                structure=name,
                query=query.case_id,
                target=target.case_id,
                error_mm=float(np.linalg.norm(where - truth, axis=1).mean()),
                inside=min(num_inside * voxel_ml(target.volume.affine) / body_ml, 1.0),
                cosine=None,
            )

    def _pair(
        self, method: str, name: str, query: KnownScan, target: KnownScan,
        point_world_mm: Floats, cosine: float | None,
    ) -> SearchPair:  # fmt: skip
        error = np.linalg.norm(point_world_mm - target.centres_world_mm[name])
        number = self.structures.index(name) + 1
        return SearchPair(
            method=method, structure=name, query=query.case_id, target=target.case_id,
            error_mm=float(error), inside=float(target.holds(number, point_world_mm)),
            cosine=cosine,
        )  # fmt: skip


def find_body(image: NDArray[np.float32], above: float, case_id: str) -> Floats:
    """Voxels of the largest piece above a value, its holes filled in every plane across axis 0.

    Args:
        image: `(D, H, W)`; every other voxel along each axis is looked at.
        above: In the same range.
        case_id: For the error.

    Returns:
        `(M, 3)`.

    Raises:
        InputError: If nothing is above the value.
    """
    pieces, number = scipy.ndimage.label(image[::_EVERY, ::_EVERY, ::_EVERY] > above)
    if not number:
        msg = f"{case_id} must hold a body above {BODY_HU} HU, got none; check the scan"
        raise InputError(msg)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    filled = np.stack([scipy.ndimage.binary_fill_holes(plane) for plane in largest])
    return np.argwhere(filled).astype(np.float64) * _EVERY

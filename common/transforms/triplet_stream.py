"""Single slice triplets of many scans, in mixed order, for training a slice encoder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..parallel import StretchSampler


class TripletStream(IterableDataset[dict[str, Tensor]]):
    """Triplets of scans, drawn from a buffer so that neighbours in a batch are of many scans.

    Scans are read in the order of a sampler and shared out among the loader's workers. Triplets
    of one value throughout (padding) are left out.

    Args:
        dataset: Cases with `image` `(1, D, H, W)` and `label` `(1 + T, L)`, see `TripletTruthd`.
        sampler: Order of the scans, and which of them an epoch takes.
        buffer_size: Triplets per worker to draw from.
        repeats: How often each triplet comes, mirrored left to right half of the time; drawing a
            phantom takes longer than training on it.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        sampler: StretchSampler,
        buffer_size: int = 1000,
        repeats: int = 1,
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.buffer_size = buffer_size
        self.repeats = repeats

    def set_epoch(self, epoch: int) -> None:
        """Say which stretch of the scans the next pass takes."""
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """`image` `(3, H, W)` and `label` `(L,)`, both float32."""
        worker = get_worker_info()
        mine = slice(worker.id, None, worker.num_workers) if worker else slice(None)
        rng = np.random.default_rng(torch.initial_seed() % 2**63)
        buffer: list[dict[str, Tensor]] = []
        for index in list(self.sampler)[mine]:
            for triplet in self._triplets(index):
                for _ in range(self.repeats):
                    buffer.append(_mirrored(triplet, rng) if self.repeats > 1 else triplet)
                    if len(buffer) > self.buffer_size:
                        yield _take(buffer, rng)
        while buffer:
            yield _take(buffer, rng)

    def _triplets(self, index: int) -> Iterator[dict[str, Tensor]]:
        case = self.dataset[index]
        scan = torch.as_tensor(case["image"]).as_subclass(Tensor)[0]
        pictures = scan.reshape(-1, 3, *scan.shape[1:])
        for picture, label in zip(pictures, case["label"][1:], strict=True):
            if picture.amin() < picture.amax():
                yield {"image": picture.clone(), "label": label}


def _mirrored(triplet: dict[str, Tensor], rng: np.random.Generator) -> dict[str, Tensor]:
    """The triplet, or, half of the time, its mirror image: rows run from right to left."""
    if rng.random() < 0.5:
        return triplet
    return {**triplet, "image": triplet["image"].flip(1)}


def _take(buffer: list[dict[str, Tensor]], rng: np.random.Generator) -> dict[str, Tensor]:
    """Remove a random item: the last one takes its place."""
    place = int(rng.integers(len(buffer)))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()

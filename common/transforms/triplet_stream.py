"""Single slice triplets of many scans, in mixed order, for training a slice encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..parallel import StretchSampler

COPIES = 0.3, 8.0
"""Least and most copies of a triplet."""


class TripletStream(IterableDataset[dict[str, Tensor]]):
    """Triplets of scans, drawn from a buffer so that neighbours in a batch are of many scans.

    Scans are read in the order of a sampler and shared out among the loader's workers. Triplets
    of one value throughout (padding) are left out. Those that show a rare finding come more often
    than others: some copies go into the buffer, `share` divided by the finding's share so far, at
    least 0.3 of a copy and at most 8.

    Args:
        dataset: Cases with `image` `(1, D, H, W)`.
        sampler: Order of the scans, and which of them an epoch takes.
        transform: Makes `where` `(T, L, h, w)` of a case, see `TripletTruthd`, and may vary its
            image: it is called anew for each repeat.
        buffer_size: Triplets per worker to draw from.
        repeats: How often each scan comes; drawing a phantom takes longer than training on it.
        share: Of all triplets that each finding should be in.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        sampler: StretchSampler,
        transform: Callable[[Any], Any],
        buffer_size: int = 1000,
        repeats: int = 1,
        share: float = 0.15,
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.transform = transform
        self.buffer_size = buffer_size
        self.repeats = repeats
        self.share = share

    def set_epoch(self, epoch: int) -> None:
        """Say which stretch of the scans the next pass takes."""
        self.sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """`image` `(3, H, W)` and `label` `(L, h, w)`, both float32."""
        worker = get_worker_info()
        mine = slice(worker.id, None, worker.num_workers) if worker else slice(None)
        rng = np.random.default_rng(torch.initial_seed() % 2**63)
        buffer: list[dict[str, Tensor]] = []
        frequency = _Frequency()
        for index in list(self.sampler)[mine]:
            case = self.dataset[index]
            for _ in range(self.repeats):
                for triplet in _triplets(self.transform(case)):
                    copies = (self.share * frequency.rarity(triplet["label"])).clip(*COPIES)
                    for _ in range(int(copies + rng.random())):
                        buffer.append(triplet)
                        if len(buffer) > self.buffer_size:
                            yield _taken(buffer, rng)
        while buffer:
            yield _taken(buffer, rng)


class _Frequency:
    """How often each finding has been seen so far."""

    def __init__(self) -> None:
        self.total = 0
        self.shown: NDArray[np.float64] = np.zeros(1)

    def rarity(self, where: Tensor) -> np.float64:
        """Count a triplet `(L, h, w)`; one per share of its rarest finding, 0 if it shows none."""
        shown = (where.amax(dim=(1, 2)) > 0).numpy()
        self.total += 1
        self.shown = self.shown + shown.astype(np.float64)
        return np.float64((self.total / self.shown[shown]).max(initial=0.0))


def _triplets(case: dict[str, Any]) -> Iterator[dict[str, Tensor]]:
    scan = torch.as_tensor(case["image"]).as_subclass(Tensor)[0]
    pictures = scan.reshape(-1, 3, *scan.shape[1:])
    for picture, where in zip(pictures, case["where"], strict=True):
        if picture.amin() < picture.amax():
            yield {"image": picture.clone(), "label": where.float()}


def _taken(buffer: list[dict[str, Tensor]], rng: np.random.Generator) -> dict[str, Tensor]:
    """Remove a random item: the last one takes its place."""
    place = int(rng.integers(len(buffer)))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()

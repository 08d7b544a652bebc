"""Single slice triplets of many scans, in mixed order, for training a slice encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from ..parallel import StretchSampler

LEAST, MOST = 0.3, 8.0
"""How much less and more often than others a triplet may come for what it shows."""
_BEFORE = 50  # triplets that count as seen, each finding in its share of them


class TripletStream(IterableDataset[dict[str, Tensor]]):
    """Triplets of scans, drawn from a buffer so that a batch is of many scans.

    Scans are read in the order of a sampler and shared out among the loader's workers. Triplets
    of one value throughout (padding) are left out. The others come `repeats` times on average
    where their rarest finding is in its `share` of all triplets, more often where it is in fewer,
    between 0.3 and 8 times that. Until they have, they stay in the buffer, in half precision.

    Args:
        dataset: Cases with `image` `(1, D, H, W)` and `where` `(T, L, h, w)`, see `TripletTruthd`.
        sampler: Order of the scans, and which of them an epoch takes.
        buffer_size: Triplets per worker to draw from; one of 240 x 240 pixels takes 0.35 MB.
        repeats: Drawing a phantom takes longer than training on it.
        share: Of all triplets that each finding should be in.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        sampler: StretchSampler,
        buffer_size: int = 2000,
        repeats: float = 1.0,
        share: float = 0.15,
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
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
        frequency = _Frequency(self.share)
        buffer: list[_Entry] = []
        for index in list(self.sampler)[mine]:
            for image, where in _triplets(self.dataset[index]):
                wanted = self.repeats * float(np.clip(frequency.rarity(where), LEAST, MOST))
                left = int(wanted + rng.random())
                if left:
                    buffer.append(_Entry(image.half(), where, left))
                while len(buffer) > self.buffer_size:
                    yield _draw(buffer, rng)
        while buffer:
            yield _draw(buffer, rng)


@dataclass
class _Entry:
    """A triplet in the buffer, and how many more times it comes."""

    image: Tensor
    where: Tensor
    left: int


class _Frequency:
    """How often each finding has been seen so far, against a share of all."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.total = float(_BEFORE)
        self.shown = np.full(1, share * _BEFORE)

    def rarity(self, where: Tensor) -> float:
        """Count a triplet `(L, h, w)`; the share over that of its rarest finding, 0 with none."""
        shown = (where.amax(dim=(1, 2)) > 0).numpy()
        self.total += 1
        self.shown = self.shown + shown
        return float((self.share * self.total / self.shown[shown]).max(initial=0.0))


def _triplets(case: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    scan = torch.as_tensor(case["image"]).as_subclass(Tensor)[0]
    pictures = rearrange(scan, "(t three) h w -> t three h w", three=3)
    for picture, where in zip(pictures, case["where"], strict=True):
        if picture.amin() < picture.amax():
            yield picture, where


def _draw(buffer: list[_Entry], rng: np.random.Generator) -> dict[str, Tensor]:
    """One at random; when it has come often enough, the last takes its place."""
    place = int(rng.integers(len(buffer)))
    entry = buffer[place]
    entry.left -= 1
    if not entry.left:
        buffer[place] = buffer[-1]
        buffer.pop()
    return {"image": entry.image.float(), "label": entry.where.float()}

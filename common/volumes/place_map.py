"""How alike each place of a scan is to what is looked for, and where it is most alike.

A place is where an encoder gave a vector: the middle of a window, or of a voxel of a feature map.
Places form a lattice, which may be irregular: the last window of an axis is moved back to fit.

Shapes: d h w places along the axes of the network's grid, F numbers per vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Centres = tuple[Floats, Floats, Floats]


@dataclass(frozen=True)
class CosineMap:
    """Cosines on a lattice of places.

    Attributes:
        cosine: `(d, h, w)` float32, -1 to 1; NaN where there was nothing to compare.
        centres_voxel: Where the places lie, along each axis: ascending voxels of the network's
            grid, 0 is the first voxel's centre.
    """

    cosine: NDArray[np.float32]
    centres_voxel: Centres

    @property
    def num_places(self) -> int:
        """Places that were compared."""
        return int(np.isfinite(self.cosine).sum())

    def best(self, *, between: bool) -> tuple[Floats, float]:
        """The place that is most alike.

        Args:
            between: Look between the places, too: along each axis the top of the parabola through
                the best place and its two neighbours, at most half way to one of them. Otherwise
                it is the centre of the best place.

        Returns:
            Voxel `(3,)` on the network's grid, and the cosine of the best place itself.
        """
        index = np.unravel_index(int(np.nanargmax(self.cosine)), self.cosine.shape)
        at = np.array(index, dtype=np.float64)
        if between:
            at += [self._top(axis, tuple(map(int, index))) for axis in range(3)]
        point = [
            np.interp(where, np.arange(len(centres)), centres)
            for where, centres in zip(at, self.centres_voxel, strict=True)
        ]
        return np.array(point), float(self.cosine[index])

    def _top(self, axis: int, index: tuple[int, ...]) -> float:
        """From the best place to the parabola's top along an axis, in places."""
        here = index[axis]
        line = np.moveaxis(self.cosine, axis, 0)[(slice(None), *np.delete(index, axis))]
        if not 0 < here < len(line) - 1 or not np.isfinite(line[here - 1 : here + 2]).all():
            return 0.0
        before, middle, after = (float(value) for value in line[here - 1 : here + 2])
        bend = before - 2 * middle + after
        return float(np.clip((before - after) / (2 * bend), -0.5, 0.5)) if bend < 0 else 0.0


@dataclass(frozen=True)
class PlaceVectors:
    """Vectors on a lattice of places.

    Attributes:
        vectors: `(d, h, w, F)` float32; NaN where nothing was encoded.
        centres_voxel: As of `CosineMap`.
    """

    vectors: Tensor
    centres_voxel: Centres

    @classmethod
    def of_windows(cls, vectors: Tensor, centres_voxel: Floats) -> PlaceVectors:
        """From vectors `(N, F)` of a sliding window's places and their centres `(N, 3)`."""
        axes = [np.unique(centres_voxel[:, axis], return_inverse=True) for axis in range(3)]
        lattice = vectors.new_full((*(len(each) for each, _ in axes), vectors.shape[1]), torch.nan)
        lattice[tuple(torch.from_numpy(index) for _, index in axes)] = vectors
        return cls(lattice, cast(Centres, tuple(each for each, _ in axes)))

    def compare(self, vector: Tensor) -> CosineMap:
        """The cosine of every place to a vector `(F,)`."""
        lengths = self.vectors.norm(dim=-1).clamp_min(1e-12) * vector.norm().clamp_min(1e-12)
        cosine = (self.vectors @ vector) / lengths
        return CosineMap(cosine.float().clamp(-1, 1).cpu().numpy(), self.centres_voxel)

    def at(self, point_voxel: Floats) -> Tensor:
        """The vector `(F,)` at a point, linear between places; beyond the outer ones, theirs.

        Args:
            point_voxel: `(3,)` on the network's grid.
        """
        vectors = self.vectors
        for where, centres in zip(point_voxel, self.centres_voxel, strict=True):
            place = float(np.interp(where, centres, np.arange(len(centres))))
            lower = min(int(place), max(len(centres) - 2, 0))
            upper = min(lower + 1, len(centres) - 1)
            vectors = torch.lerp(vectors[lower], vectors[upper], place - lower)
        return vectors

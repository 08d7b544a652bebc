"""Two ways from a scan to vectors with places: a window at a time, or one dense feature map.

`windows`, as published (Pai et al., arXiv 2501.09001): every window of the scan is embedded on its
own; its place is its centre. Precise to a window's step, and slow, as windows overlap.

`dense`: the encoder's last map over the whole scan, one vector for every `stride` voxels along each
axis. A convolution of width 3, padding 1 and stride 2 puts output j over input 2 j, so after n of
them place j lies over voxel `2**n j`, the first one over the first voxel: not over the middle
of the block of voxels that it stands for, which is half a stride less one voxel further on.

Both keep the orientation that the encoder was trained in; the published measurement turned its
scans to another one.

Shapes: D H W the scan on the network's grid, F numbers per vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

from ..errors import InputError
from ..volumes.place_map import Centres, Floats, PlaceVectors
from .acceleration import AcceleratedInferer
from .embedding import EmbeddingInferer
from .windows import checked_scan


class PlaceEncoder(Protocol):
    """Gives vectors with places.

    Attributes:
        between: Whether the best place may be looked for between places.
        precision: `fp32` or `bf16`, as used.
    """

    between: bool
    precision: str

    def places(self, image: Tensor, network: nn.Module) -> PlaceVectors:
        """Of a whole scan `(1, 1, D, H, W)` in the card's range."""

    def at(self, image: Tensor, point_voxel: Floats, network: nn.Module) -> Tensor:
        """The vector `(F,)` of one point `(3,)`, in voxels of the scan."""


def choose_way(way: str, ways: Mapping[str, PlaceEncoder]) -> PlaceEncoder:
    """One of the ways by its name.

    Raises:
        InputError: If there is none of that name.
    """
    if way not in ways:
        msg = f"way must be one of {', '.join(ways)}, got {way!r}; dense is the faster one"
        raise InputError(msg)
    return ways[way]


class WindowPlaces:
    """Vectors of windows, as published.

    Args:
        roi_size: Window d h w, in voxels.
        overlap: Share of a window that the next one repeats, 0 up to 1.
        kwargs: Of `EmbeddingInferer`: `empty_below`, `windows_at_once`, `device`, ...

    Raises:
        InputError: If an argument is out of its range.
    """

    between = False

    def __init__(
        self, *, roi_size: Sequence[int], overlap: float | Sequence[float], **kwargs: Any
    ) -> None:
        self.inferer = EmbeddingInferer(roi_size=roi_size, overlap=overlap, **kwargs)
        self.precision = self.inferer.precision

    def places(self, image: Tensor, network: nn.Module) -> PlaceVectors:
        """A vector per window, at its centre; see `PlaceEncoder`."""
        found = self.inferer(image, network)
        return PlaceVectors.of_windows(found["windows"][0], found["centres_voxel"].numpy())

    def at(self, image: Tensor, point_voxel: Floats, network: nn.Module) -> Tensor:
        """The vector of the window round a point, to the nearest voxel; see `PlaceEncoder`.

        What of the window lies outside the scan is 0, as is what is padded there.
        """
        window = cut_around(checked_scan(image), point_voxel, self.inferer.windowing.size)
        vector: Tensor = self.inferer(window, network)["embedding"][0]
        return vector


class DensePlaces(AcceleratedInferer):
    """The encoder's last map over a scan.

    A scan larger than a tile goes through the encoder in tiles that lie on the map's lattice.
    Where they overlap, each gives the half that is further from its own edge.

    Args:
        tile_size: The most voxels along each axis that are run at once, rounded up to the
            network's stride. Memory grows with it, and so does what a vector can see.
        overlap: Share of a tile that the next one repeats, 0 up to 1.
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of the network.
        backend: `eager`, `compile` or `openvino`; the last two prepare for every size anew.

    Raises:
        InputError: If an argument is out of its range or the device cannot compute so.
    """

    between = True

    def __init__(
        self,
        *,
        tile_size: Sequence[int],
        overlap: float = 0.25,
        device: torch.device | str = "cpu",
        precision: str = "auto",
        backend: str = "eager",
    ) -> None:
        super().__init__(device=device, precision=precision, backend=backend)
        if len(tile_size) != 3 or min(tile_size) < 1:
            msg = f"tile_size must be three numbers of voxels, got {tile_size}; 160 is usual"
            raise InputError(msg)
        if not 0 <= overlap < 1:
            msg = f"tile_overlap must be from 0 up to but below 1, got {overlap}; 0.25 is usual"
            raise InputError(msg)
        self.tile_size = tuple(int(side) for side in tile_size)
        self.overlap = overlap

    def places(self, image: Tensor, network: nn.Module) -> PlaceVectors:
        """A vector for every `network.stride` voxels; see `PlaceEncoder`."""
        return self(image, network)

    @torch.inference_mode()
    def __call__(
        self, inputs: Tensor, network: nn.Module, *_args: Any, **_kwargs: Any
    ) -> PlaceVectors:
        """The same, as MONAI calls an inferer."""
        image, stride = checked_scan(inputs), int(cast(int, network.stride))
        encode = self.accelerated(network, image.device)
        cuts = [
            tiles(size, side, self.overlap, stride)
            for size, side in zip(image.shape[2:], self.tile_size, strict=True)
        ]
        rows = []
        for d, kept_d in cuts[0]:
            columns = []
            for h, kept_h in cuts[1]:
                line = [
                    encode(image[:, :, d, h, w])[0, :, kept_d, kept_h, kept_w]
                    for w, kept_w in cuts[2]
                ]
                columns.append(torch.cat(line, dim=3))
            rows.append(torch.cat(columns, dim=2))
        vectors = torch.cat(rows, dim=1).movedim(0, -1).float()
        centres = tuple(np.arange(n, dtype=np.float64) * stride for n in vectors.shape[:3])
        return PlaceVectors(vectors, cast(Centres, centres))

    def at(self, image: Tensor, point_voxel: Floats, network: nn.Module) -> Tensor:
        """The map's vector at a point, linear between its places; see `PlaceEncoder`."""
        return self.places(image, network).at(point_voxel)


def tiles(size: int, side: int, overlap: float, stride: int) -> list[tuple[slice, slice]]:
    """Cut one axis into overlapping tiles that start on the map's lattice.

    Args:
        size: Voxels along the axis.
        side: Of a tile, rounded up to the stride.
        overlap: Share of a tile that the next one repeats, at least.
        stride: Voxels per place of the map.

    Returns:
        Per tile: its voxels, and which places of its own map are kept. Kept places follow on one
        another and cover the axis.
    """
    num_places = -(-size // stride)
    long = min(-(-side // stride), num_places)
    step = max(int(long * (1 - overlap)), 1)
    starts = [*range(0, num_places - long, step), num_places - long]
    edges = [0]
    edges += [(before + long + after + 1) // 2 for before, after in pairwise(starts)]  # mid overlap
    edges.append(num_places)
    return [
        (
            slice(start * stride, min((start + long) * stride, size)),
            slice(edges[number] - start, edges[number + 1] - start),
        )
        for number, start in enumerate(starts)
    ]


def cut_around(image: Tensor, point_voxel: Floats, size: Sequence[int]) -> Tensor:
    """A window of a scan round a point, 0 where it reaches beyond the scan.

    Args:
        image: `(1, 1, D, H, W)`.
        point_voxel: `(3,)`; the window's centre lies within half a voxel of it.
        size: d h w of the window.

    Returns:
        `(1, 1, d, h, w)`.
    """
    starts = [
        int(np.floor(at - (side - 1) / 2 + 0.5)) for at, side in zip(point_voxel, size, strict=True)
    ]
    pads: list[int] = []
    for start, side, length in zip(starts, size, image.shape[2:], strict=True):
        before = min(max(-start, 0), side)
        after = min(max(start + side - length, 0), side - before)
        pads = [before, after, *pads]
    inside = tuple(
        slice(min(max(start, 0), n), max(min(start + side, n), 0))
        for start, side, n in zip(starts, size, image.shape[2:], strict=True)
    )
    return F.pad(image[:, :, *inside], pads)

"""Named solids painted voxel by voxel, each over what is there, with the mask they leave.

The voxels and the mask come from one distance, so a mask is exactly what was drawn: inside where
the distance is negative, which is where a voxel is more than half filled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .anatomy import ORGAN_IDS
from .compounds import distance_on
from .fields import FAT_HU
from .lattice import Lattice, Window, read_between
from .raster import edge_width_mm
from .solids import F32, Shape, Texture, cover

_TEXTURE_TO_UNIT = 2.9  # a texture's values have a standard deviation of about 0.35
UNNAMED = 255
"""In the mask of `paint`: painted, but none of TotalSegmentator's structures."""


@dataclass(frozen=True)
class Filling:
    """What a solid is filled with.

    Attributes:
        hu: Within.
        wall_hu: In its outermost layer; as within if None.
        wall_mm: Thickness of that layer.
        soft_mm: Over how many mm one becomes the other.
        mottle_hu: Standard deviation of its texture within, HU.
        grain_mm: Over which distance the texture changes.
    """

    hu: float
    wall_hu: float | None = None
    wall_mm: float = 0.0
    soft_mm: float = 1.5
    mottle_hu: float = 0.0
    grain_mm: float = 9.0


@dataclass(frozen=True)
class Layer:
    """A solid to paint.

    Attributes:
        name: One of TotalSegmentator's structures, or another name for what is none of them.
        shape: Reference mm.
        filling: Of what.
        fat_mm: Layer of fat around it that takes the place of what is there.
        within: What it ends at: `abdomen` (the diaphragm and the abdominal wall), `skin`, or
            nothing.
    """

    name: str
    shape: Shape
    filling: Filling
    fat_mm: float = 0.0
    within: Literal["", "abdomen", "skin"] = ""


@dataclass(frozen=True)
class Limits:
    """Where layers may be: distances to it, mm, on every n-th point of a grid.

    Attributes:
        abdomen: To the space for the abdominal organs.
        skin: To what is under the skin.
        strides: That n along each axis.
    """

    abdomen: F32
    skin: F32
    strides: tuple[int, int, int]

    def on(self, window: Window, within: Literal["abdomen", "skin"]) -> F32:
        """Distance on a window of the grid."""
        field = self.abdomen if within == "abdomen" else self.skin
        return read_between(field, window, self.strides)


def paint(
    voxels: NDArray[np.int16],
    lattice: Lattice,
    reference: Lattice,
    layers: Iterable[Layer],
    limits: Limits,
    seed: int,
) -> NDArray[np.uint8]:
    """Paint solids into the voxels, in order.

    Args:
        voxels: HU `(I, J, K)`; changed in place.
        lattice: The voxels' grid in world mm.
        reference: The same grid in reference mm.
        layers: What.
        limits: Where layers may be.
        seed: Of the textures.

    Returns:
        TotalSegmentator v2 ids `(I, J, K)`, 0 where nothing was painted, `UNNAMED` where what was
        painted has none.
    """
    names = np.zeros(lattice.shape, np.uint8)
    i, j, k = np.linalg.norm(lattice.matrix[:3, :3], axis=0)
    width = edge_width_mm((float(i), float(j), float(k)))
    for number, layer in enumerate(layers):
        window = reference.window(layer.shape.bounds(), width + layer.fat_mm)
        if window is None:
            continue
        distance = distance_on(layer.shape, reference, window)
        if layer.within:
            np.maximum(distance, limits.on(window, layer.within), out=distance)
        patch, mask = voxels[window], names[window]
        if layer.fat_mm:
            outer = distance - np.float32(layer.fat_mm)
            _blend(patch, outer, _near(outer, width), np.float32(FAT_HU), width)
            mask[outer < 0] = UNNAMED
        near = _near(distance, width)
        points = [np.broadcast_to(v, distance.shape)[near] for v in reference.coordinates(window)]
        hu = density(layer.filling, distance[near], points, seed + number)
        _blend(patch, distance, near, hu, width)
        mask[distance < 0] = ORGAN_IDS.get(layer.name, UNNAMED)
    return names


def _near(distance: F32, width_mm: float) -> NDArray[np.bool_]:
    return np.asarray(distance < np.float32(0.5 * width_mm))


def _blend(
    patch: NDArray[np.int16],
    distance: F32,
    near: NDArray[np.bool_],
    hu: F32 | np.float32,
    width_mm: float,
) -> None:
    under = patch[near]
    patch[near] = np.rint(under + cover(distance[near], width_mm) * (hu - under))


def density(filling: Filling, distance: F32, points: list[F32], seed: int) -> F32 | np.float32:
    """Densities within a solid.

    Args:
        filling: Of what.
        distance: To its surface, mm, at points.
        points: Their x, y, z, in the frame in which the texture lies.
        seed: Of the texture.

    Returns:
        HU at each point, or the one there is.
    """
    hu: F32 | np.float32 = np.float32(filling.hu)
    if filling.mottle_hu:
        texture = Texture(seed, filling.grain_mm).at(*points)
        hu = hu + np.float32(filling.mottle_hu * _TEXTURE_TO_UNIT) * texture
    if filling.wall_hu is not None:
        inner = cover(distance + np.float32(filling.wall_mm), filling.soft_mm)
        hu = np.float32(filling.wall_hu) + inner * (hu - np.float32(filling.wall_hu))
    return hu

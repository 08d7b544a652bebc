"""A head into voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..anatomy import ORGAN_IDS
from ..fields import AIR_HU
from ..lattice import Lattice, read_between
from ..painting import UNNAMED, Limits, paint
from ..raster import HU_RANGE, add_noise, edge_width_mm
from ..solids import F32, Texture, cover, smooth_union
from .base import base_layers, muscle_layers
from .inside import Inside, fill_inside
from .rest import draw_rest
from .scene import HeadScene
from .vault import FORAMEN_MM, Surfaces, surfaces

COARSE_STEP_MM = 3.0
THICK_SLICE_MM = 2.5
SCALP_FAT_HU, SKIN_HU, SKIN_MM = -92.0, 45.0, 2.0
_TABLE_HU, _DIPLOE_HU, _TABLE_MM = 1250.0, 620.0, 1.7
_SUTURE_HU, _GAP_HU, _BRUISE_HU = 250.0, 30.0, 55.0
Ids = NDArray[np.uint8]


@dataclass(frozen=True)
class Drawn:
    """A head as voxels, `(I, J, K)` each.

    Attributes:
        voxels: HU.
        organs: TotalSegmentator v2 ids.
        lesions: Number of the finding that fills more than half of a voxel, from 1 on, else 0.
    """

    voxels: NDArray[np.int16]
    organs: Ids
    lesions: Ids


def render(scene: HeadScene, lattice: Lattice) -> Drawn:
    """Fill the voxels of a grid in world mm.

    A slice that is thicker than its neighbours are wide shows the mean of what it cuts: it is
    drawn as thinner ones, some 2.5 mm each, which are then averaged.
    """
    fine, axis, number = _thinner(lattice)
    drawn = _draw(scene, fine)
    if number > 1:
        drawn = _averaged(drawn, lattice.shape, axis, number)
    head = scene.head
    i, j, k = (float(v) for v in np.linalg.norm(lattice.matrix[:3, :3], axis=0))
    draw_rest(drawn.voxels, lattice, head)
    add_noise(drawn.voxels, (i, j, k), head.noise_hu, head.noise_grain_mm, (head.seed,))
    return drawn


def _thinner(lattice: Lattice) -> tuple[Lattice, int, int]:
    spacing = np.linalg.norm(lattice.matrix[:3, :3], axis=0)
    axis = int(np.argmax(spacing))
    number = max(1, round(float(spacing[axis]) / THICK_SLICE_MM))
    if spacing[axis] < 1.5 * spacing.min():
        number = 1
    matrix = lattice.matrix.copy()
    matrix[:3, axis] /= number
    matrix[:3, 3] -= matrix[:3, axis] * (number - 1) / 2
    i, j, k = (n * number if a == axis else n for a, n in enumerate(lattice.shape))
    return Lattice(matrix, (i, j, k)), axis, number


def _averaged(drawn: Drawn, shape: tuple[int, int, int], axis: int, number: int) -> Drawn:
    parted = (*shape[: axis + 1], number, *shape[axis + 1 :])
    total = drawn.voxels.reshape(parted).sum(axis=axis + 1, dtype=np.int32)
    mean = np.floor_divide(total + number // 2, number).astype(np.int16)
    organs, lesions = (
        np.asarray(np.take(ids.reshape(parted), number // 2, axis + 1), np.uint8)
        for ids in (drawn.organs, drawn.lesions)
    )
    return Drawn(mean, organs, lesions)


def _draw(scene: HeadScene, lattice: Lattice) -> Drawn:
    head = scene.head
    i, j, k = (float(v) for v in np.linalg.norm(lattice.matrix[:3, :3], axis=0))
    width = edge_width_mm((i, j, k))
    to_reference = np.linalg.inv(head.world_from_reference)
    reference = Lattice(to_reference @ lattice.matrix, lattice.shape)
    coarse, strides = reference.coarser(COARSE_STEP_MM)
    x, y, z = (np.ascontiguousarray(np.broadcast_to(v, coarse.shape))
               for v in coarse.coordinates(coarse.whole()))  # fmt: skip
    large = surfaces(head, x, y, z, tuple(scene.dents))
    skin = large.skin
    for bruise in scene.bruises:
        skin = smooth_union(skin, bruise.shape.distance(x, y, z) - np.float32(2.5), 8.0)
    whole = lattice.whole()
    fine = Surfaces(*(read_between(f, whole, strides) for f in (large.cavity, large.bone, skin)))
    voxels = _scalp(scene, reference, fine.skin, width)
    limits = Limits(skin, skin + np.float32(SKIN_MM), strides)
    paint(voxels, lattice, reference, muscle_layers(), limits, head.seed + 50)
    _add_vault(voxels, scene, reference, fine, width)
    names = paint(voxels, lattice, reference, base_layers(head), limits, head.seed)
    organs = np.where(
        (fine.bone < 0) & (fine.cavity > 0), np.uint8(ORGAN_IDS["skull"]), np.uint8(0)
    )
    np.copyto(organs, names, where=names > 0)
    organs[organs == UNNAMED] = 0
    inside, where = _inside(scene, reference, fine.cavity, width)
    flat = voxels.reshape(-1)
    under = flat[where]
    share = cover(fine.cavity.reshape(-1)[where], width)
    flat[where] = np.clip(np.rint(under + share * (inside.hu - under)), *HU_RANGE)
    _name_inside(organs, inside, where, fine.cavity, reference)
    lesions = np.zeros(lattice.shape, np.uint8)
    for number, part in inside.shares.items():
        lesions.reshape(-1)[where[part > 0.5]] = number + 1
    return Drawn(voxels, organs, lesions)


def _inside(
    scene: HeadScene, reference: Lattice, cavity: F32, width: float
) -> tuple[Inside, NDArray[np.intp]]:
    where = np.flatnonzero(cavity < np.float32(0.5 * width))
    x, y, z = _points(reference, where)
    return fill_inside(scene, (x, y, z), cavity.reshape(-1)[where], width), where


def _points(reference: Lattice, where: NDArray[np.intp]) -> tuple[F32, F32, F32]:
    index = np.unravel_index(where, reference.shape)
    i, j, k = (part.astype(np.float32) for part in index)
    rows = reference.matrix[:3].astype(np.float32)
    x, y, z = (row[0] * i + row[1] * j + row[2] * k + row[3] for row in rows)
    return x, y, z


def _scalp(scene: HeadScene, reference: Lattice, skin: F32, width: float) -> NDArray[np.int16]:
    """Skin, the fat under it, bruises."""
    hu = cover(skin + np.float32(SKIN_MM), width)
    hu *= np.float32(SCALP_FAT_HU - SKIN_HU)
    hu += np.float32(SKIN_HU - AIR_HU)
    hu *= cover(skin, width)
    hu += np.float32(AIR_HU)
    for bruise in scene.bruises:
        window = reference.window(bruise.shape.bounds(), width)
        if window is not None:
            share = cover(bruise.shape.distance(*reference.coordinates(window)), width)
            hu[window] += share * (np.float32(_BRUISE_HU) - hu[window])
    return np.rint(hu, out=hu).astype(np.int16)


def _add_vault(
    voxels: NDArray[np.int16], scene: HeadScene, reference: Lattice, fine: Surfaces, width: float
) -> None:
    """The bone between the inner table and the scalp."""
    where = np.flatnonzero((fine.bone < width) & (fine.cavity > -width))
    outer, inner = fine.bone.reshape(-1)[where], fine.cavity.reshape(-1)[where]
    bone = _bone(scene, _points(reference, where), outer, inner, width)
    flat = voxels.reshape(-1)
    under = flat[where]
    flat[where] = np.rint(under + cover(outer, width) * (bone - under))


def _bone(
    scene: HeadScene, place: tuple[F32, F32, F32], outer: F32, inner: F32, width: float
) -> F32:
    """Two tables, the diploe between them, sutures and cracks."""
    seed = scene.head.seed
    deep = np.minimum(-outer, inner)
    marrow = cover(np.float32(_TABLE_MM) - deep, 1.5)
    diploe = np.float32(_DIPLOE_HU) + np.float32(220) * Texture(seed + 7, 4.0).at(*place)
    hu = np.float32(_TABLE_HU) + marrow * (diploe - np.float32(_TABLE_HU))
    hu += cover(_sutures(seed, *place), max(width, 1.0)) * (np.float32(_SUTURE_HU) - hu)
    for crack in scene.cracks:
        hu += cover(crack.distance(*place), width) * (np.float32(_GAP_HU) - hu)
    return np.asarray(hu, np.float32)


def _sutures(seed: int, x: F32, y: F32, z: F32) -> F32:
    """Distance to the coronal, sagittal and lambdoid sutures: they wind by some mm."""
    bend = np.float32(2.5) * Texture(seed + 8, 4.0).at(x, y, z)
    side = np.abs(x)
    coronal = np.maximum(np.abs(y - 12 + 0.25 * (70 - z) * 0.3 + bend), -z)
    sagittal = np.maximum(np.maximum(np.abs(x + bend), 35 - z), np.abs(y + 34) - 46)
    lambdoid = np.maximum(np.abs(y + 82 - 0.62 * side + bend) * 0.85, np.maximum(z - 44, -28 - z))
    return np.asarray(
        np.minimum(np.minimum(coronal, sagittal), np.maximum(lambdoid, y + 40)) - 0.45
    )


def _name_inside(
    organs: Ids, inside: Inside, where: NDArray[np.intp], cavity: F32, reference: Lattice
) -> None:
    """Brain is all within the inner table, fluid and blood included; below it is the cord."""
    deep = cavity.reshape(-1)[where] < 0
    z = _points(reference, where)[2]
    flat = organs.reshape(-1)
    flat[where[deep]] = np.where(
        z[deep] > FORAMEN_MM,
        ORGAN_IDS["brain"],
        np.where(inside.cord[deep] < 0, ORGAN_IDS["spinal_cord"], 0),
    )

"""Fields and small solids into voxels, plus the scanner's noise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from .fields import AIR_HU, FAT_HU, Fields
from .lattice import Lattice, refine
from .skeleton import CARTILAGE_HU
from .solids import F32, Shape, cover

HU_RANGE = (-1024, 3071)
SEPTUM_MM = 1.5
_CORTICAL_HU, _SEPTUM_HU = 620.0, -120.0


@dataclass(frozen=True)
class Stroke:
    """A small solid drawn over what is there.

    Attributes:
        shape: In world mm.
        hu: What it is made of.
        mode: `over` replaces, `brighter` and `darker` only where that raises or lowers.
    """

    shape: Shape
    hu: float
    mode: str = "over"


def edge_width_mm(spacing_mm: tuple[float, float, float]) -> float:
    """Over how many mm an edge rises at this voxel size: the scanner's blur and the voxel."""
    return float(np.hypot(0.7, np.prod(spacing_mm) ** (1 / 3)))


def fill(fields: Fields, lattice: Lattice, strides: tuple[int, int, int]) -> NDArray[np.int16]:
    """Read the fields between their coarse points and mix the materials.

    Args:
        fields: On the coarse grid.
        lattice: The output grid, in world mm.
        strides: Fine points per coarse step.

    Returns:
        HU `(I, J, K)`.
    """
    width = edge_width_mm(_spacing(lattice))
    volume = np.empty(lattice.shape, np.int16)
    (_, rows, columns), step = lattice.shape, strides[0]

    def plane(index: int) -> list[F32]:
        return [refine(f[index], strides[1:], (rows, columns)) for f in fields.stack()]

    following = plane(0)
    for start in range(0, lattice.shape[0], step):
        current = following
        if start + 1 < lattice.shape[0]:
            following = plane(start // step + 1)
        volume[start] = _mix(current, width)
        rises = [(b - a) * np.float32(1 / step) for a, b in zip(current, following, strict=True)]
        for i in range(start + 1, min(start + step, lattice.shape[0])):
            current = [a + rise for a, rise in zip(current, rises, strict=True)]
            volume[i] = _mix(current, width)
    return volume


def _mix(planes: list[F32], width_mm: float) -> F32:
    body, lean, lean_hu, bone, bone_hu, lung, lung_hu, *septa = planes
    share = cover(lean, width_mm)
    hu = (lean_hu - np.float32(FAT_HU)) * share
    hu += np.float32(FAT_HU)
    flat = hu.reshape(-1)
    where = np.flatnonzero(bone < width_mm)
    if where.size:
        depth, marrow = bone.reshape(-1)[where], bone_hu.reshape(-1)[where]
        shell = np.clip(np.float32(1.0) + depth * np.float32(0.4), 0, 1)  # gone 2.5 mm deep
        shell *= np.clip((marrow - np.float32(CARTILAGE_HU + 5)) * np.float32(0.05), 0, 1)
        marrow += shell * np.float32(_CORTICAL_HU - 170)
        under = flat[where]
        flat[where] = under + cover(depth, width_mm) * (marrow - under)
    where = np.flatnonzero(lung < width_mm)
    if where.size:
        inner, under = lung_hu.reshape(-1)[where], flat[where]
        if septa:
            inner = _add_septa(inner, [field.reshape(-1)[where] for field in septa], width_mm)
        flat[where] = under + cover(lung.reshape(-1)[where], width_mm) * (inner - under)
    hu -= np.float32(AIR_HU)
    hu *= cover(body, width_mm)
    hu += np.float32(AIR_HU)
    return hu


def _add_septa(lung_hu: F32, septa: list[F32], width_mm: float) -> F32:
    first, second, share = septa
    distance = np.minimum(np.abs(first), np.abs(second)) - np.float32(SEPTUM_MM / 2)
    line = cover(distance, max(width_mm, SEPTUM_MM)) * share
    return np.asarray(lung_hu + line * (np.float32(_SEPTUM_HU) - lung_hu))


def draw(volume: NDArray[np.int16], lattice: Lattice, strokes: Iterable[Stroke]) -> None:
    """Draw small solids, in order, into the volume."""
    width = edge_width_mm(_spacing(lattice))
    for stroke in strokes:
        window = lattice.window(stroke.shape.bounds(), width)
        if window is None:
            continue
        patch = volume[window]
        share = cover(stroke.shape.distance(*lattice.coordinates(window)), width)
        hu = patch + share * (np.float32(stroke.hu) - patch)
        if stroke.mode == "brighter":
            np.maximum(hu, patch, out=hu)
        elif stroke.mode == "darker":
            np.minimum(hu, patch, out=hu)
        patch[...] = np.rint(hu)


def add_noise(
    volume: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    noise_hu: float,
    grain_mm: float,
    seed: tuple[int, ...],
) -> None:
    """Add noise that is correlated over `grain_mm`, then clip to what a scanner stores.

    One block of noise, whose opposite ends fit, is laid over the volume like tiles.
    `seed` is the patient's, and that of the scan where it is not the first.
    """
    rng = np.random.default_rng([seed[0], 9, *seed[1:]])
    block = rng.standard_normal([min(n, 109) for n in volume.shape], np.float32)
    for axis, spacing in enumerate(spacing_mm):
        if grain_mm / spacing > 0.25:
            block = gaussian_filter1d(block, grain_mm / spacing, axis=axis, mode="wrap", truncate=3)
    block *= noise_hu / max(float(block.std()), 1e-6)
    tile = np.rint(block).astype(np.int16)
    size = tile.shape
    for start in np.ndindex(*(-(-n // s) for n, s in zip(volume.shape, size, strict=True))):
        part = tuple(slice(a * s, (a + 1) * s) for a, s in zip(start, size, strict=True))
        patch = volume[part]
        patch += tile[tuple(slice(0, n) for n in patch.shape)]
        np.clip(patch, *HU_RANGE, out=patch)


def _spacing(lattice: Lattice) -> tuple[float, float, float]:
    i, j, k = np.linalg.norm(lattice.matrix[:3, :3], axis=0)
    return float(i), float(j), float(k)

"""Volumes and affines by formula, and the slow float64 road that ours must equal."""

from itertools import permutations, product

import nibabel as nib
import numpy as np

from common.volumes.volume import Volume

ORIENTATIONS = [
    "".join(letters) for axes in permutations(("LR", "PA", "IS")) for letters in product(*axes)
]


def wave(shape: tuple[int, int, int], dtype: str = "int16", order: str = "F") -> np.ndarray:
    """HU-like values without repeats: air, lung, tissue and bone mixed, different everywhere."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    values = 700 * np.sin(0.9 * i + 0.3 * j) * np.cos(0.7 * j - 0.5 * k) + 9 * k - 250
    return np.asarray(np.round(values), dtype=dtype, order=order)


def oriented_affine(
    axcodes: str,
    spacing_mm: tuple[float, float, float] = (0.8, 0.9, 2.1),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shear: float = 0.0,
    shear_x: float = 0.0,
    gantry_degrees: float = 0.0,
) -> np.ndarray:
    """Affine of a scan stored as `axcodes`, then rotated about x, y, z and sheared.

    With `shear` (`shear_x`), level slices drift to the front (right) along the stack. With
    `gantry_degrees`, the slices lean to the front and are stacked along the table.
    """
    start = nib.orientations.inv_ornt_aff(nib.orientations.axcodes2ornt(axcodes), (1, 1, 1))
    linear = np.linalg.inv(start[:3, :3]) @ np.diag(spacing_mm)
    tilt = np.eye(3)
    tilt[:2, 2] = shear_x, shear
    lean = np.deg2rad(gantry_degrees)
    tilt[1:, 1] = np.cos(lean), np.sin(lean)
    turn = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        a, b = [n for n in range(3) if n != axis]
        rotation = np.eye(3)
        rotation[a, a] = rotation[b, b] = np.cos(angle)
        rotation[a, b], rotation[b, a] = -np.sin(angle), np.sin(angle)
        turn = rotation @ turn
    affine = np.eye(4)
    affine[:3, :3] = turn @ tilt @ linear
    affine[:3, 3] = (-37.5, 12.25, 801.0)
    return affine


def trilinear(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Float64 trilinear interpolation at indices `(..., 3)`; the edge goes on outside."""
    result = np.zeros(at.shape[:-1])
    top = np.array(values.shape) - 1
    at = np.clip(at, 0, top)
    lower = np.minimum(np.floor(at).astype(int), np.maximum(top - 1, 0))
    weight = at - lower
    for corner in product((0, 1), repeat=3):
        index = np.minimum(lower + corner, top)
        share = np.where(np.array(corner) == 1, weight, 1 - weight).prod(axis=-1)
        result += share * values[index[..., 0], index[..., 1], index[..., 2]].astype(np.float64)
    return result


def plain_road(volume: Volume, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray:
    """HU of a volume on another grid, float64; edges go on outside."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    world = index @ affine[:3, :3].T + affine[:3, 3]
    inverse = np.linalg.inv(volume.affine)
    hu = volume.voxels.astype(np.float64) * volume.slope + volume.intercept
    return trilinear(hu, world @ inverse[:3, :3].T + inverse[:3, 3])


def make_volume(
    axcodes: str = "LPS",
    shape: tuple[int, int, int] = (13, 12, 9),
    dtype: str = "int16",
    order: str = "F",
    slope: float = 1.0,
    intercept: float = 0.0,
    **affine: object,
) -> Volume:
    """A scan stored as `axcodes`; further arguments go to `oriented_affine`."""
    return Volume(wave(shape, dtype, order), oriented_affine(axcodes, **affine), slope, intercept)

"""NPZ files of the two public chest CT data sets. They hold voxels and no place in the patient.

CT-RATE style: key `arr_0`, HU, already resampled, axes S L P (feet to head, right to left, front
to back). Rad-ChestCT style: key `ct`, int16 HU, axes I P L (head to feet, front to back, right to
left). Spacing comes from the case's affine; without it, from the data set's usual spacing.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..volume import Volume
from .affines import checked_affine
from .gunzip import BackgroundFill, check_plausible
from .zip_member import open_member

DIRECTIONS_RAS = {
    "R": (1.0, 0.0, 0.0),
    "L": (-1.0, 0.0, 0.0),
    "A": (0.0, 1.0, 0.0),
    "P": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}


@dataclass(frozen=True)
class NpzStyle:
    """How one data set writes its volumes.

    Attributes:
        name: Of the data set.
        axcodes: Where each array axis runs to, as nibabel names it.
        spacing_mm: Usual distance between neighbours along each axis.
    """

    name: str
    axcodes: tuple[str, str, str]
    spacing_mm: tuple[float, float, float]


STYLES = {
    "arr_0": NpzStyle("CT-RATE", ("S", "L", "P"), (1.5, 0.75, 0.75)),
    "ct": NpzStyle("Rad-ChestCT", ("I", "P", "L"), (0.8, 0.8, 0.8)),
}


def npz_affine(
    axcodes: tuple[str, str, str], spacing_mm: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Place an array whose axes run along the body, first voxel at the origin.

    Args:
        axcodes: Where each array axis runs to, of R L A P S I.
        spacing_mm: Distance between neighbours along each axis.

    Returns:
        `(4, 4)` voxel index to world mm, RAS+.
    """
    affine = np.eye(4)
    for axis, (code, spacing) in enumerate(zip(axcodes, spacing_mm, strict=True)):
        affine[:3, axis] = np.array(DIRECTIONS_RAS[code]) * spacing
    return affine


def read_npz(path: Path, *, affine: list[list[float]] | None = None) -> Volume:
    """Read one NPZ file of CT-RATE or Rad-ChestCT style.

    Args:
        path: The file.
        affine: Voxel to world mm, RAS+, from the data set's table.

    Returns:
        The stored values in HU, `(D, H, W)` with the axes of its style.

    Raises:
        InputError: If the file is damaged, or holds neither `arr_0` nor `ct`, or no 3D numbers.
            Damage further on shows in `wait_until_filled`.
    """
    key, header, stream = open_npz(path)
    style = STYLES[key]
    if header.dtype.kind not in "iuf" or len(header.shape) != 3 or min(header.shape) < 2:
        stream.close()
        got = f"{header.dtype} {header.shape}"
        msg = f"{path} must hold a 3D volume of numbers in {key}, got {got}; save one scan per file"
        raise InputError(msg)
    warnings = []
    if affine is None:
        placed = npz_affine(style.axcodes, style.spacing_mm)
        spacing = " x ".join(f"{value:g}" for value in style.spacing_mm)
        warnings.append(f"The file holds no spacing: {style.name}'s {spacing} mm is assumed.")
    else:
        placed = checked_affine(np.asarray(affine, dtype=np.float64), path)
    check_plausible(path, int(np.prod(header.shape, dtype=np.float64)) * header.dtype.itemsize)
    voxels = np.empty(header.shape, header.dtype, order=header.order)
    fill = BackgroundFill(stream, voxels, path)
    facts = {"format": "npz", "path": str(path), "style": style.name, "warnings": warnings}
    return Volume(voxels, placed, facts=facts, wait_until_filled=fill.wait_until_filled)


class ArrayHeader(NamedTuple):
    """Shape, type and memory order of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]


def open_npz(path: Path) -> tuple[str, ArrayHeader, IO[bytes]]:
    """Open the volume in an NPZ file without inflating it.

    Returns:
        Its key in `STYLES`, its header, and a stream that stands before its first value.

    Raises:
        InputError: If the file is damaged or holds neither `arr_0` nor `ct`. Nothing is unpickled.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            keys = sorted(name.removesuffix(".npy") for name in archive.namelist())
        key = next((key for key in STYLES if key in keys), None)
        if key is not None:
            stream = open_member(path, f"{key}.npy")
            return key, _array_header(stream), stream
    except (PermissionError, FileNotFoundError):
        raise
    except Exception as error:  # a damaged header fails in many ways inside zipfile and numpy
        got = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"{path} must be a readable NPZ file of numbers, got {got!r}; copy it again"
        raise InputError(msg) from error
    msg = f"{path} must hold arr_0 (CT-RATE) or ct (Rad-ChestCT), got {keys[:5]}; rename its array"
    raise InputError(msg)


def _array_header(stream: IO[bytes]) -> ArrayHeader:
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    shape, is_fortran, dtype = read(stream)
    return ArrayHeader(shape, dtype, "F" if is_fortran else "C")

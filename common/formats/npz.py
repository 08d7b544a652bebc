"""NPZ files of the two public chest CT data sets. They hold voxels and no place in the patient.

CT-RATE style: key `arr_0`, HU, already resampled, axes S L P (feet to head, right to left, front
to back). Rad-ChestCT style: key `ct`, int16 HU, axes I P L (head to feet, front to back, right to
left). Spacing comes from the case's affine; without it, from the data set's usual spacing.
"""

from __future__ import annotations

import io
import sys
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..memory import AUTO, array_bytes, check_memory
from ..volumes.affines import checked_affine
from ..volumes.volume import Volume
from .background_fill import BackgroundFill, check_plausible
from .regular_file import open_regular
from .zip_member import open_member

HEADER_BYTES = 10_000  # at most, as numpy has it
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


def read_npz(
    path: Path, *, affine: list[list[float]] | None = None, max_gb: float | str = AUTO
) -> Volume:
    """Read one NPZ file of CT-RATE or Rad-ChestCT style.

    Args:
        path: The file.
        affine: Voxel to world mm, RAS+, from the data set's table.
        max_gb: Most memory that the voxels may take, see `common.memory`.

    Returns:
        The stored values in HU, `(D, H, W)` with the axes of its style. They are still being read
        when this returns; `wait_until_filled` says when a slab is final.

    Raises:
        InputError: If the file is damaged, or too large, or holds neither `arr_0` nor `ct`, or no
            3D numbers. Damage further on shows in `wait_until_filled`.
    """
    with ExitStack() as opened:
        key, header, stream = open_npz(path)
        opened.enter_context(stream)
        style = STYLES[key]
        shape, dtype = header.shape, header.dtype
        if dtype.kind not in "iuf" or dtype.itemsize > 8 or len(shape) != 3 or min(shape) < 2:
            got = f"{dtype} {shape}"
            msg = (
                f"{path} must hold a 3D volume of numbers in {key}, got {got}; "
                "save one scan per file"
            )
            raise InputError(msg)
        warnings = []
        if affine is None:
            placed = npz_affine(style.axcodes, style.spacing_mm)
            spacing = " x ".join(f"{value:g}" for value in style.spacing_mm)
            warnings.append(f"The file holds no spacing: {style.name}'s {spacing} mm is assumed.")
        else:
            placed = checked_affine(np.asarray(affine, dtype=np.float64), path)
        num_bytes = array_bytes(shape, dtype)
        check_plausible(path, num_bytes)
        check_memory(path, num_bytes, f"{shape} {dtype.name}", max_gb=max_gb)
        voxels: NDArray[Any] = np.empty(shape, dtype, order=header.order)
        fill = BackgroundFill(stream, voxels, path)
        opened.pop_all()
    facts = {"format": "npz", "path": str(path), "style": style.name, "warnings": warnings}
    return Volume(voxels, placed, facts=facts, wait_until_filled=fill.wait_until_filled)


class ArrayHeader(NamedTuple):
    """Shape, type and memory order of a stored array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]


def open_npz(path: Path) -> tuple[str, ArrayHeader, io.BufferedIOBase]:
    """Open the volume in an NPZ file without inflating it.

    Returns:
        Its key in `STYLES`, its header, and a stream that stands before its first value.

    Raises:
        InputError: If the file is damaged or holds neither `arr_0` nor `ct`. Nothing is unpickled.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            keys = sorted(name.removesuffix(".npy") for name in archive.namelist())
        key = next((key for key in STYLES if key in keys), None)
        if key is not None:
            with ExitStack() as opened:
                stream = opened.enter_context(open_member(path, f"{key}.npy"))
                header = _array_header(stream)
                opened.pop_all()
            return key, header, stream
    except (PermissionError, FileNotFoundError, InputError):
        raise
    except Exception as error:  # a damaged header fails in many ways inside zipfile and numpy
        got = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        msg = f"{path} must be a readable NPZ file of numbers, got {got!r}; copy it again"
        raise InputError(msg) from error
    msg = f"{path} must hold arr_0 (CT-RATE) or ct (Rad-ChestCT), got {keys[:5]}; rename its array"
    raise InputError(msg)


def _array_header(stream: io.BufferedIOBase) -> ArrayHeader:
    """Read the header of a `.npy` member, however long it says it is."""
    version = np.lib.format.read_magic(stream)
    long = version != (1, 0)
    length = stream.read(4 if long else 2)
    num_bytes = int.from_bytes(length, "little")
    if num_bytes > HEADER_BYTES:
        msg = f"an array header of {num_bytes} bytes"
        raise ValueError(msg)
    read = np.lib.format.read_array_header_2_0 if long else np.lib.format.read_array_header_1_0
    shape, is_fortran, dtype = read(io.BytesIO(length + stream.read(num_bytes)))
    if any(abs(entries) > sys.maxsize for entries in shape):
        msg = "an axis longer than memory"
        raise ValueError(msg)
    return ArrayHeader(shape, dtype, "F" if is_fortran else "C")

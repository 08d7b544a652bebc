"""NRRD files, attached or with a detached header, raw or compressed.

pynrrd reads the header, and the voxels of the rarer encodings; gzip is inflated in the background.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..volume import Volume
from .affines import affine_from_lps, checked_affine
from .gunzip import BackgroundFill, check_plausible, open_gzip

# Sign that turns each world axis of a space into LPS.
SPACES = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}
NUMBER_TYPES = {
    name: dtype
    for dtype, names in {
        "i1": "signed char|int8|int8_t",
        "u1": "uchar|unsigned char|uint8|uint8_t",
        "i2": "short|short int|signed short|signed short int|int16|int16_t",
        "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
        "i4": "int|signed int|int32|int32_t",
        "u4": "uint|unsigned int|uint32|uint32_t",
        "i8": "longlong|long long|long long int|signed long long|int64|int64_t",
        "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
        "f4": "float",
        "f8": "double",
    }.items()
    for name in names.split("|")
}
Header = dict[str, Any]


def read_nrrd(path: Path) -> Volume:
    """Read one NRRD file, `.nrrd` or `.nhdr`.

    Returns:
        The stored values `(I, J, K)`, first axis fastest in memory, as NRRD stores them.

    Raises:
        InputError: If the file is no 3D volume with a place in the patient, or is damaged.
    """
    with path.open("rb") as file:
        header = read_nrrd_header(file, path)
        affine, warnings = spatial_affine(header, path)
        facts = {"format": "nrrd", "path": str(path), "warnings": warnings}
        if is_plain_gzip(header):
            return _inflate(file, header, path, affine, facts)
        try:
            values = nrrd.read_data(header, file, str(path), index_order="F")
        except Exception as error:  # so does damaged data
            raise _damaged(path, error) from error
    return Volume(values.reshape(_shape(header, path), order="F"), affine, facts=facts)


def read_nrrd_header(file: IO[bytes], path: Path) -> Header:
    """Read the header and leave `file` at the first byte after it.

    Raises:
        InputError: If this is not an NRRD header of numbers.
    """
    try:
        header: Header = nrrd.read_header(file)
    except Exception as error:  # a damaged header fails in many ways inside pynrrd
        raise _damaged(path, error) from error
    missing = [key for key in ("sizes", "encoding", "type") if key not in header]
    if missing:
        msg = f"{path} must have a complete NRRD header, got none of {missing}; export it again"
        raise InputError(msg)
    dtype = NUMBER_TYPES.get(str(header["type"]))
    if dtype is None:
        msg = f"{path} must hold numbers, got type {header['type']}; export it again"
        raise InputError(msg)
    little = str(header.get("endian", "little")).lower() == "little"
    header["dtype"] = np.dtype(dtype).newbyteorder("<" if little else ">")
    return header


def _damaged(path: Path, error: Exception) -> InputError:
    got = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(f"{path} must be a readable NRRD file, got {got!r}; export it again")


def _spatial_axes(header: Header, path: Path) -> list[int]:
    """Which axes run through space: all but those of length one that have no direction."""
    sizes = [int(size) for size in header["sizes"]]
    directions = header.get("space directions")
    if directions is None or "space" not in header:
        msg = f"{path} must say where it lies (space, space directions), got neither; export again"
        raise InputError(msg)
    rows = [np.asarray(row, dtype=np.float64) for row in directions]
    if len(rows) != len(sizes):
        got = f"{len(sizes)} sizes and {len(rows)} space directions"
        msg = (
            f"{path} must have a direction (or none) for each of its sizes, got {got}; export again"
        )
        raise InputError(msg)
    axes = [axis for axis, row in enumerate(rows) if np.isfinite(row).all() and row.size == 3]
    others = [sizes[axis] for axis in range(len(sizes)) if axis not in axes]
    if len(axes) != 3 or any(size != 1 for size in others):
        msg = f"{path} must be one 3D volume, got sizes {sizes}; save one volume per file"
        raise InputError(msg)
    if min(sizes[axis] for axis in axes) == 1:
        msg = f"{path} must be a volume, got one slice {sizes}; give the whole scan"
        raise InputError(msg)
    return axes


def spatial_affine(header: Header, path: Path) -> tuple[NDArray[np.float64], list[str]]:
    """Where the volume lies, `(4, 4)` voxel to world mm in RAS+, and what was assumed.

    Raises:
        InputError: If the header does not place one 3D volume in the patient.
    """
    spatial = _spatial_axes(header, path)
    signs = SPACES.get(str(header["space"]).lower())
    if signs is None:
        known = ", ".join(name for name in SPACES if "-" in name)
        msg = f"{path} must have a space of {known}, got {header['space']}; export it again"
        raise InputError(msg)
    warnings = []
    origin = np.asarray(header.get("space origin", ()), dtype=np.float64)
    if origin.shape != (3,) or not np.isfinite(origin).all():
        warnings.append("No space origin: the first voxel is placed at 0, 0, 0.")
        origin = np.zeros(3)
    directions = [np.asarray(header["space directions"][axis], float) for axis in spatial]
    columns = np.array(signs)[:, None] * np.stack(directions, axis=1)
    affine = affine_from_lps(columns, np.array(signs) * origin)
    return checked_affine(affine, path), warnings


def _shape(header: Header, path: Path) -> tuple[int, int, int]:
    sizes = [int(header["sizes"][axis]) for axis in _spatial_axes(header, path)]
    return sizes[0], sizes[1], sizes[2]


def is_plain_gzip(header: Header) -> bool:
    """Whether the voxels follow in this file as one gzip stream."""
    skips = [header.get(key, 0) for key in ("line skip", "lineskip", "byte skip", "byteskip")]
    detached = "data file" in header or "datafile" in header
    return header["encoding"] in ("gzip", "gz") and not detached and not any(skips)


def _inflate(
    file: IO[bytes], header: Header, path: Path, affine: NDArray[np.float64], facts: Header
) -> Volume:
    shape = _shape(header, path)
    check_plausible(path, int(np.prod(shape, dtype=np.float64)) * header["dtype"].itemsize)
    remainder = path.open("rb")
    remainder.seek(file.tell())
    voxels: NDArray[Any] = np.empty(shape, header["dtype"], order="F")
    fill = BackgroundFill(open_gzip(remainder), voxels, path)
    return Volume(voxels, affine, facts=facts, wait_until_filled=fill.wait_until_filled)

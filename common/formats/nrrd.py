"""NRRD files, attached or with a detached header, raw, text or compressed.

pynrrd reads the header; the voxels are read in the background straight into their array.
"""

from __future__ import annotations

import bz2
import io
import warnings
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any

import nrrd
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..memory import AUTO, array_bytes, check_memory
from ..volumes.affines import affine_from_lps, checked_affine
from ..volumes.volume import Volume
from .background_fill import SMALL_BYTES, BackgroundFill, check_complete, check_plausible
from .gunzip import DAMAGE_ERRORS, damaged, open_gzip
from .regular_file import open_regular

HEADER_BYTES = 1 << 20  # at most; a segmentation of 117 structures takes a tenth of it
HIGHEST_SKIP = 1 << 28
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


def read_nrrd(path: Path, *, max_gb: float | str = AUTO) -> Volume:
    """Read one NRRD file, `.nrrd` or `.nhdr`.

    Args:
        path: The file; a data file that it names must lie in its folder or below.
        max_gb: Most memory that the voxels may take, see `common.memory`.

    Returns:
        The stored values `(I, J, K)`, first axis fastest in memory, as NRRD stores them. They are
        still being read when this returns; `wait_until_filled` says when a slab is final.

    Raises:
        InputError: If the file is no 3D volume with a place in the patient, is damaged, or too
            large.
    """
    with ExitStack() as opened:
        file = opened.enter_context(open_regular(path))
        header = read_nrrd_header(file, path)
        affine, notes = spatial_affine(header, path)
        shape, dtype = _shape(header, path), header["dtype"]
        check_memory(path, array_bytes(shape, dtype), f"{shape} {dtype.name}", max_gb=max_gb)
        stream, more = open_nrrd_voxels(file, header, path)
        opened.enter_context(stream)
        voxels: NDArray[Any] = np.empty(shape, dtype, order="F")
        to_the_end = str(header["encoding"]).lower() != "raw"
        fill = BackgroundFill(stream, voxels, path, to_the_end=to_the_end)
        opened.pop_all()
    facts = {"format": "nrrd", "path": str(path), "warnings": [*notes, *more]}
    return Volume(voxels, affine, facts=facts, wait_until_filled=fill.wait_until_filled)


def read_nrrd_header(file: io.BufferedReader, path: Path) -> Header:
    """Read the header and leave `file` at the first byte after it.

    Raises:
        InputError: If this is not an NRRD header of numbers.
    """
    start = io.BytesIO(file.read(HEADER_BYTES))
    try:
        header: Header = nrrd.read_header(start)
    except Exception as error:  # a damaged header fails in many ways inside pynrrd
        raise _damaged(path, error) from error
    if start.tell() == HEADER_BYTES:
        raise _damaged(path, ValueError(f"a header of more than {HEADER_BYTES} bytes"))
    file.seek(start.tell())
    missing = [key for key in ("sizes", "encoding", "type") if key not in header]
    if missing:
        msg = f"{path} must have a complete NRRD header, got none of {missing}; export it again"
        raise InputError(msg)
    dtype = NUMBER_TYPES.get(str(header["type"]))
    if dtype is None:
        msg = f"{path} must hold numbers, got type {header['type']}; export it again"
        raise InputError(msg)
    endian = str(header.get("endian", "little")).lower()
    if endian not in ("little", "big"):
        msg = f"{path} must have an endian of little or big, got {endian!r}; export it again"
        raise InputError(msg)
    header["dtype"] = np.dtype(dtype).newbyteorder("<" if endian == "little" else ">")
    return header


def _damaged(path: Path, error: Exception) -> InputError:
    got = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return InputError(f"{path} must be a readable NRRD file, got {got!r}; export it again")


def _spatial_axes(header: Header, path: Path) -> list[int]:
    """Which axes run through space: all but those of length one that have no direction."""
    sizes = [int(size) for size in header["sizes"]]
    directions = header.get("space directions")
    if directions is None or "space" not in header:
        msg = f"{path} must say where it lies (space, space directions), got neither; export again"
        raise InputError(msg)
    rows = [np.asarray(row, dtype=np.float64) for row in directions]
    if len(rows) != len(sizes) or header.get("dimension") != len(sizes):
        got = (
            f"dimension {header.get('dimension')}, {len(sizes)} sizes and "
            f"{len(rows)} space directions"
        )
        msg = (
            f"{path} must have a direction (or none) for each of its sizes, got {got}; export again"
        )
        raise InputError(msg)
    axes = [axis for axis, row in enumerate(rows) if np.isfinite(row).all() and row.size == 3]
    others = [sizes[axis] for axis in range(len(sizes)) if axis not in axes]
    if len(axes) != 3 or any(size != 1 for size in others):
        msg = f"{path} must be one 3D volume, got sizes {sizes}; save one volume per file"
        raise InputError(msg)
    if min(sizes[axis] for axis in axes) < 1:
        msg = f"{path} must have sizes of 1 or more, got {sizes}; export it again"
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
    notes = []
    origin = np.asarray(header.get("space origin", ()), dtype=np.float64)
    if origin.shape != (3,) or not np.isfinite(origin).all():
        notes.append("No space origin: the first voxel is placed at 0, 0, 0.")
        origin = np.zeros(3)
    directions = [np.asarray(header["space directions"][axis], float) for axis in spatial]
    columns = np.array(signs)[:, None] * np.stack(directions, axis=1)
    affine = affine_from_lps(columns, np.array(signs) * origin)
    if "endian" not in header and header["dtype"].itemsize > 1 and not _is_text(header):
        notes.append("No byte order in the header: little endian is assumed.")
    return checked_affine(affine, path), notes


def _shape(header: Header, path: Path) -> tuple[int, int, int]:
    sizes = [int(header["sizes"][axis]) for axis in _spatial_axes(header, path)]
    return sizes[0], sizes[1], sizes[2]


def _is_text(header: Header) -> bool:
    return str(header["encoding"]).lower() in ("ascii", "text", "txt")


def open_nrrd_voxels(
    file: io.BufferedReader, header: Header, path: Path
) -> tuple[io.BufferedIOBase, list[str]]:
    """Open what holds the voxels, for reading from the first to the last.

    Args:
        file: The header's file, at its end; closed with what is returned, if that is not it.
        header: As `read_nrrd_header` gave it.
        path: Of the header.

    Returns:
        A stream before the first voxel, and what a result should repeat.

    Raises:
        InputError: If the data file is not in the header's folder, or what is there cannot hold
            the voxels.
    """
    data = _data_file(header, path)
    if data is not None:
        file.close()
        file = open_regular(data)
    try:
        return _decoded(file, header, data or path)
    except BaseException:
        file.close()
        raise


def _data_file(header: Header, path: Path) -> Path | None:
    """The file that the header names; None where the voxels follow the header."""
    name = header.get("data file", header.get("datafile"))
    if name is None:
        return None
    inside = PurePosixPath(str(name))
    if inside.is_absolute() or ".." in inside.parts or "\\" in str(name) or "\0" in str(name):
        msg = (
            f"{path} must name a data file in its own folder, got {str(name)!r}; "
            "put both into one folder and write the name alone"
        )
        raise InputError(msg)
    data = path.parent / inside
    if not data.is_file():
        msg = (
            f"{path} must be a readable NRRD file, got no data file {str(name)!r} beside it; "
            "copy that as well, or export the scan as one file"
        )
        raise InputError(msg)
    return data


def _decoded(
    file: io.BufferedReader, header: Header, path: Path
) -> tuple[io.BufferedIOBase, list[str]]:
    """The voxels in `file`, which stands at the end of what is no data."""
    num_bytes = array_bytes(header["sizes"], header["dtype"])
    lines = _skip(header, "line skip", "lineskip", path)
    skip = _skip(header, "byte skip", "byteskip", path, least=-1)
    size = path.stat().st_size
    while lines and file.tell() < size:
        file.readline(HIGHEST_SKIP)
        lines -= 1
    encoding = str(header["encoding"]).lower()
    if encoding == "raw":
        file.seek(size - num_bytes if skip == -1 and num_bytes <= size else file.tell() + skip)
        num_found = size - file.tell()
        return file, check_complete(path, _shape(header, path), header["dtype"], num_found)
    if skip == -1:
        msg = f"{path} must be raw to have a byte skip of -1, got {encoding}; export it again"
        raise InputError(msg)
    stream: io.BufferedIOBase
    if encoding in ("gzip", "gz"):
        check_plausible(path, num_bytes)
        stream = open_gzip(file)
    elif encoding in ("bzip2", "bz2"):
        check_plausible(path, num_bytes, small_bytes=SMALL_BYTES)
        stream = _Bzip2(file)
    elif _is_text(header):
        file.seek(skip, io.SEEK_CUR)
        return _numbers(file, header, path), []
    else:
        msg = (
            f"{path} must be raw, gzip, bzip2 or ascii, got encoding {encoding!r}; export it again"
        )
        raise InputError(msg)
    try:
        stream.seek(skip)
    except DAMAGE_ERRORS as error:
        raise damaged(path, error) from error
    return stream, []


class _Bzip2(bz2.BZ2File):
    """Content of a bzip2 file; closes the file as well."""

    def __init__(self, file: io.BufferedReader) -> None:
        super().__init__(file)
        self._compressed = file

    def close(self) -> None:
        super().close()
        self._compressed.close()


def _skip(header: Header, name: str, other_name: str, path: Path, *, least: int = 0) -> int:
    """How much to skip before the voxels."""
    number: int = header[name] if name in header else header.get(other_name, 0)
    if not least <= number <= HIGHEST_SKIP:
        msg = (
            f"{path} must have a {name} of {least} to {HIGHEST_SKIP}, got {number}; export it again"
        )
        raise InputError(msg)
    return number


def _numbers(file: io.BufferedReader, header: Header, path: Path) -> io.BytesIO:
    """Voxels written as text, as bytes."""
    count, size = array_bytes(header["sizes"], np.uint8), path.stat().st_size
    if 2 * count - 1 > size:  # a digit each and a space between
        msg = f"{path} must hold {count} numbers, got a file of {size} bytes; export it again"
        raise InputError(msg)
    with file, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # what is no number ends the list
        try:
            values = np.fromfile(file, header["dtype"], count=count + 1, sep=" ")
        except ValueError as error:
            raise _damaged(path, error) from error
    if len(values) != count:
        found = "more" if len(values) > count else str(len(values))
        msg = (
            f"{path} must be a readable NRRD file of {count} numbers, got {found}; export it again"
        )
        raise InputError(msg)
    return io.BytesIO(values.tobytes())

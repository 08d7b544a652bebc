"""NIfTI-1 and NIfTI-2 files, plain or gzipped.

nibabel reads the header; the voxels are inflated in the background straight into their array.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray

from ..errors import InputError
from ..volume import Volume
from .affines import checked_affine
from .gunzip import DAMAGE_ERRORS, BackgroundFill, check_plausible, damaged, open_gzip

HEADER_BYTES = 540  # the longer of NIfTI-1 (348) and NIfTI-2 (540)
HEADER_CLASSES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class NiftiHeader:
    """What the reader needs from a header.

    Attributes:
        shape: Voxels along I, J, K.
        dtype: As stored, with its byte order.
        offset: Bytes before the first voxel.
        affine: `(4, 4)` voxel to world mm, RAS+; None where the header is blank.
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        warnings: What a result should repeat.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    affine: NDArray[np.float64] | None
    slope: float
    intercept: float
    warnings: list[str]


def read_nifti(
    path: Path, *, affine: list[list[float]] | None = None, rescale: list[float] | None = None
) -> Volume:
    """Read one NIfTI file.

    Args:
        path: A `.nii` or `.nii.gz` file.
        affine: Voxel to world mm, RAS+, used only where the file's own header is blank.
        rescale: Slope and intercept, used only together with `affine`.

    Returns:
        The stored voxels `(I, J, K)`. A gzipped file is still being inflated when this returns;
        `wait_until_filled` says when a slab is final.

    Raises:
        InputError: If the file is no 3D CT in NIfTI format, or is damaged.
    """
    stream = open_voxels(path)
    try:
        header = read_header(stream, path)
    except BaseException:
        stream.close()
        raise
    slope, intercept, warnings = header.slope, header.intercept, list(header.warnings)
    placed = header.affine
    if placed is None:
        if affine is None:
            stream.close()
            msg = (
                f"{path} must say where it lies (qform or sform), got a blank header; "
                "give its table of metadata, or convert the scan again from DICOM"
            )
            raise InputError(msg)
        placed = checked_affine(np.asarray(affine, dtype=np.float64), path)
        warnings.append("The header is blank: position and rescale are taken from the table.")
        if rescale is not None and (slope, intercept) == (1.0, 0.0):
            slope, intercept = rescale
    facts = {"format": "nifti", "path": str(path), "warnings": warnings}
    if isinstance(stream, io.BufferedReader):  # not compressed
        stream.close()
        return Volume(_map_voxels(header, path), placed, slope, intercept, facts)
    voxels, wait_until_filled = _inflate_voxels(stream, header, path)
    return Volume(voxels, placed, slope, intercept, facts, wait_until_filled)


def open_voxels(path: Path) -> IO[bytes]:
    """Open a NIfTI file for reading, through gunzip where its content is gzip."""
    raw = path.open("rb")
    magic = raw.read(2)
    raw.seek(0)
    if magic != GZIP_MAGIC:
        return raw
    raw.close()
    return open_gzip(path)


def read_header(stream: IO[bytes], path: Path) -> NiftiHeader:
    """Read and check the header; leaves `stream` somewhere before the first voxel.

    Raises:
        InputError: If this is not the header of one 3D volume of numbers.
    """
    try:
        start = stream.read(HEADER_BYTES)
    except DAMAGE_ERRORS as error:
        raise damaged(path, error) from error
    sizes = {int.from_bytes(start[:4], order) for order in BYTE_ORDERS}
    known = sizes & HEADER_CLASSES.keys()
    if not known or len(start) < max(known):
        got = f"a file that starts with {start[:12]!r}" if start else "an empty file"
        msg = f"{path} must be a NIfTI file, got {got}; check its name or convert it again"
        raise InputError(msg)
    try:
        size = known.pop()
        header = HEADER_CLASSES[size](start[:size])
        slope, intercept = header.get_slope_inter()
    except (HeaderDataError, WrapStructError) as error:
        msg = f"{path} must have a valid NIfTI header, got {str(error).splitlines()[0]}; convert it"
        raise InputError(msg) from error
    if header["magic"].item() not in (b"n+1", b"n+2"):
        msg = f"{path} must be one file, got a header without its image; convert it to .nii.gz"
        raise InputError(msg)
    slope = 1.0 if slope is None else float(slope)
    intercept = 0.0 if intercept is None else float(intercept)
    shape = _volume_shape(header.get_data_shape(), path)
    dtype = _number_type(header, path)
    affine, warnings = _affine(header, path)
    offset = max(int(header["vox_offset"]), int(header.single_vox_offset))
    return NiftiHeader(shape, dtype, offset, affine, slope, intercept, warnings)


def _volume_shape(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) != 3 or min(shape) < 1:
        msg = f"{path} must be one 3D volume, got shape {shape}; save one volume per file"
        raise InputError(msg)
    if min(shape) == 1:
        msg = f"{path} must be a volume, got one slice {shape}; give the whole scan"
        raise InputError(msg)
    return shape[0], shape[1], shape[2]


def _number_type(header: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except HeaderDataError as error:
        msg = f"{path} must hold numbers, got data type code {header['datatype']}; convert it"
        raise InputError(msg) from error
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        msg = f"{path} must hold CT numbers, got {_colour_or_name(dtype)}; convert it again"
        raise InputError(msg)
    return dtype


def _colour_or_name(dtype: np.dtype[Any]) -> str:
    return "a colour image" if dtype.names else f"data type {dtype.name}"


def _affine(header: Any, path: Path) -> tuple[NDArray[np.float64] | None, list[str]]:
    sform = header.get_sform(coded=True)[0]
    try:
        qform = header.get_qform(coded=True)[0]
    except (ValueError, HeaderDataError):
        qform = None
    best = sform if sform is not None else qform
    if best is None:
        return None, []
    warnings = []
    if sform is not None and qform is not None and not np.allclose(sform, qform, atol=1e-2):
        warnings.append("sform and qform differ; the sform is used.")
    return checked_affine(np.asarray(best, dtype=np.float64), path), warnings


def _map_voxels(header: NiftiHeader, path: Path) -> NDArray[Any]:
    num_bytes = int(np.prod(header.shape, dtype=np.int64)) * header.dtype.itemsize
    size = path.stat().st_size
    if size < header.offset + num_bytes:
        msg = (
            f"{path} must hold {num_bytes} bytes of voxels, got {max(size - header.offset, 0)}; "
            "copy or download it again"
        )
        raise InputError(msg)
    mapped: NDArray[Any] = np.memmap(
        path, dtype=header.dtype, mode="c", offset=header.offset, shape=header.shape, order="F"
    )
    return np.asarray(mapped)


def _inflate_voxels(
    stream: IO[bytes], header: NiftiHeader, path: Path
) -> tuple[NDArray[Any], Callable[[int], None]]:
    check_plausible(path, int(np.prod(header.shape, dtype=np.float64)) * header.dtype.itemsize)
    try:
        stream.seek(header.offset)
    except DAMAGE_ERRORS as error:
        raise damaged(path, error) from error
    voxels = np.empty(header.shape, header.dtype, order="F")
    return voxels, BackgroundFill(stream, voxels, path).wait_until_filled

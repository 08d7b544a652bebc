"""NIfTI-1 and NIfTI-2 files, plain or gzipped.

nibabel reads the header; the voxels are inflated in the background straight into their array.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from ..errors import InputError
from ..memory import AUTO, array_bytes, check_memory
from ..volumes.affines import checked_affine, largest_distance_mm
from ..volumes.volume import Qform, Volume
from .background_fill import BackgroundFill, check_complete, check_plausible
from .gunzip import DAMAGE_ERRORS, MAGIC, damaged, is_gzip, open_gzip
from .regular_file import open_regular

HEADER_BYTES = 540  # the longer of NIfTI-1 (348) and NIfTI-2 (540)
HEADER_CLASSES = {348: nib.Nifti1Header, 540: nib.Nifti2Header}
BYTE_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
HIGHEST_OFFSET = 1 << 28  # bytes; a header with larger extensions was never seen


@dataclass(frozen=True)
class NiftiHeader:
    """What the reader needs from a header.

    Attributes:
        shape: Voxels along I, J, K.
        dtype: As stored, with its byte order.
        offset: Bytes before the first voxel.
        affine: `(4, 4)` voxel to world mm, RAS+; None where the header is blank.
        qform: The header's own, where it has one.
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        warnings: What a result should repeat.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    offset: int
    affine: NDArray[np.float64] | None
    qform: Qform | None
    slope: float
    intercept: float
    warnings: list[str]

    @property
    def num_bytes(self) -> int:
        """Of the voxels."""
        return array_bytes(self.shape, self.dtype)


def read_nifti(
    path: Path,
    *,
    affine: list[list[float]] | None = None,
    rescale: list[float] | None = None,
    max_gb: float | str = AUTO,
) -> Volume:
    """Read one NIfTI file.

    Args:
        path: A `.nii` or `.nii.gz` file.
        affine: Voxel to world mm, RAS+, used only where the file's own header is blank.
        rescale: Slope and intercept, used only together with `affine`.
        max_gb: Most memory that the voxels may take, see `common.memory`.

    Returns:
        The stored voxels `(I, J, K)`. They are still being read when this returns;
        `wait_until_filled` says when a slab is final.

    Raises:
        InputError: If the file is no 3D CT in NIfTI format, is damaged, or too large.
    """
    with ExitStack() as opened:
        stream = opened.enter_context(open_voxels(path))
        header = read_header(stream, path)
        check_memory(path, header.num_bytes, f"{header.shape} {header.dtype.name}", max_gb=max_gb)
        slope, intercept, warnings = header.slope, header.intercept, list(header.warnings)
        placed = header.affine
        if placed is None:
            placed = _affine_of_table(affine, path)
            warnings.append("The header is blank: position and rescale are taken from the table.")
            if rescale is not None and (slope, intercept) == (1.0, 0.0):
                slope, intercept = rescale
        try:
            stream.seek(header.offset)
        except DAMAGE_ERRORS as error:
            raise damaged(path, error) from error
        voxels: NDArray[Any] = np.empty(header.shape, header.dtype, order="F")
        fill = BackgroundFill(stream, voxels, path, to_the_end=is_gzip(stream))
        opened.pop_all()
    facts = {"format": "nifti", "path": str(path), "warnings": warnings}
    return Volume(
        voxels, placed, slope, intercept, facts, fill.wait_until_filled, qform=header.qform
    )


def _affine_of_table(affine: list[list[float]] | None, path: Path) -> NDArray[np.float64]:
    if affine is None:
        msg = (
            f"{path} must say where it lies (qform or sform), got a blank header; "
            "give its table of metadata, or convert the scan again from DICOM"
        )
        raise InputError(msg)
    return checked_affine(np.asarray(affine, dtype=np.float64), path)


def open_voxels(path: Path) -> io.BufferedReader:
    """Open a NIfTI file for reading, through gunzip where its content is gzip."""
    raw = open_regular(path)
    return open_gzip(raw) if raw.peek(len(MAGIC)).startswith(MAGIC) else raw


def read_header(stream: io.BufferedReader, path: Path) -> NiftiHeader:
    """Read and check the header; leaves `stream` somewhere before the first voxel.

    Raises:
        InputError: If this is not the header of one 3D volume of numbers, or claims more voxels
            than the file can hold.
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
    except Exception as error:  # a damaged header fails in many ways inside nibabel
        got = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"{path} must have a valid NIfTI header, got {got}; convert it"
        raise InputError(msg) from error
    if header["magic"].item() not in (b"n+1", b"n+2"):
        msg = f"{path} must be one file, got a header without its image; convert it to .nii.gz"
        raise InputError(msg)
    affine, qform, warnings = _affine(header, path)
    found = NiftiHeader(
        shape=_volume_shape(header.get_data_shape(), path),
        dtype=_number_type(header, path),
        offset=_offset(header, path),
        affine=affine,
        qform=qform,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        warnings=warnings,
    )
    if is_gzip(stream):
        check_plausible(path, found.num_bytes)
    else:
        num_found = path.stat().st_size - found.offset
        warnings += check_complete(path, found.shape, found.dtype, num_found)
    return found


def _offset(header: Any, path: Path) -> int:
    """Bytes before the first voxel; 0 is taken for the least, as everyone does."""
    stated, least = float(header["vox_offset"]), int(header.single_vox_offset)
    if stated == 0:
        return least
    if not least <= stated <= HIGHEST_OFFSET or not stated.is_integer():
        msg = (
            f"{path} must have its voxels (vox_offset) at byte {least} to {HIGHEST_OFFSET}, "
            f"got {stated:g}; convert it again"
        )
        raise InputError(msg)
    return int(stated)


def _volume_shape(shape: tuple[int, ...], path: Path) -> tuple[int, int, int]:
    shape = tuple(int(length) for length in shape)
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


def _affine(header: Any, path: Path) -> tuple[NDArray[np.float64] | None, Qform | None, list[str]]:
    """The sform, else the qform, each only where it can place a scan; and what was wrong."""
    sform = header.get_sform(coded=True)[0]
    qform = _qform(header, path)
    if sform is None:
        stated = int(header["qform_code"])
        if qform is None and stated > 0:  # say what is wrong with the only one there is
            checked_affine(_qform_matrix(header), path)
        return None if qform is None else qform.affine, qform, []
    try:
        placed = checked_affine(np.asarray(sform, dtype=np.float64), path)
    except InputError:
        if qform is None:
            raise
        return qform.affine, qform, ["The sform cannot place a scan; the qform is used."]
    if qform is None:
        return placed, None, []
    shape = _volume_shape(header.get_data_shape(), path)
    apart_mm = largest_distance_mm(placed, qform.affine, shape)
    if apart_mm <= np.linalg.norm(placed[:3, :3], axis=0).min() / 2:
        return placed, qform, []
    note = f"sform and qform put voxels up to {apart_mm:.3g} mm apart; the sform is used."
    return placed, qform, [note]


def _qform(header: Any, path: Path) -> Qform | None:
    """The header's qform where it has one that can place a scan."""
    code = int(header["qform_code"])
    if code <= 0:
        return None
    try:
        return Qform(checked_affine(_qform_matrix(header), path), code)
    except InputError:
        return None


def _qform_matrix(header: Any) -> NDArray[np.float64]:
    """`(4, 4)`, not finite where the quaternion is none."""
    try:
        return np.asarray(header.get_qform(), dtype=np.float64)
    except (ValueError, HeaderDataError):
        return np.full((4, 4), np.nan)

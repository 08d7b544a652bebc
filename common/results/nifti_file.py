"""A `.nii.gz` that puts a volume where its scan is, written slab by slab, whole or not at all.

The sform holds the affine to the float32 that NIfTI-1 keeps, oblique or sheared. The qform holds it
too where it can, within a hundredth of a voxel; it knows no shear (gantry tilt), and is then marked
as absent rather than filled with something near.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import igzip
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .atomic import replacing

SUFFIX = ".nii.gz"
COMPRESS_LEVEL = 2
"""Of ISA-L (0 to 3): 20 to 40 times as fast as zlib's 6 on label volumes, at twice its size."""
_SLICES_AT_ONCE = 64
_SCANNER = 1
_QFORM_TOLERANCE_VOXELS = 0.01


@contextmanager
def nifti_file(
    path: Path, shape: tuple[int, ...], affine: ArrayLike, *, dtype: DTypeLike, intent: str
) -> Iterator[IO[bytes]]:
    """A file that takes voxels after its header; it is there once all went well.

    Neither its name nor the time stand in it: the same voxels give the same bytes.

    Args:
        path: Ends in `.nii.gz`.
        shape: `(I, J, K)`.
        affine: `(4, 4)`, voxel index to world mm, RAS+.
        dtype: Of the voxels as they will be written, in Fortran order.
        intent: NIfTI's name for what they are, such as `label` or `none`.

    Raises:
        InputError: If the file cannot be written.
        ValueError: If it would end otherwise.
    """
    if not path.name.endswith(SUFFIX):
        msg = f"path must end in {SUFFIX}, got {path.name}"
        raise ValueError(msg)
    header = _header(shape, np.asarray(affine, dtype=np.float64), dtype, intent)
    with (
        replacing(path) as partial,
        partial.open("wb") as raw,
        igzip.IGzipFile("", "wb", COMPRESS_LEVEL, raw, mtime=0) as stream,
    ):
        stream.write(header.binaryblock)
        stream.write(bytes(int(header["vox_offset"]) - len(header.binaryblock)))
        yield stream


def slabs(volume: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Runs of slices `(I, J, k)` along the last axis, which is how a file takes a volume."""
    for first in range(0, volume.shape[2], _SLICES_AT_ONCE):
        yield volume[:, :, first : first + _SLICES_AT_ONCE]


def _header(
    shape: tuple[int, ...], affine: NDArray[np.float64], dtype: DTypeLike, intent: str
) -> Any:
    from nibabel import Nifti1Header

    header = Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    header.set_intent(intent)
    header.set_slope_inter(1, 0)
    header.set_sform(affine, code=_SCANNER)
    header.set_zooms(np.linalg.norm(affine[:3, :3], axis=0))
    header.set_qform(affine, code=_SCANNER, strip_shears=True)
    if _largest_shift_voxels(header.get_qform(), affine, shape) > _QFORM_TOLERANCE_VOXELS:
        header["qform_code"] = 0
    header["magic"] = header.single_magic
    header["vox_offset"] = header.single_vox_offset
    return header


def _largest_shift_voxels(
    found: NDArray[np.float64], wanted: NDArray[np.float64], shape: tuple[int, ...]
) -> float:
    """How far the corners of a volume lie apart under two affines, in voxels of the second."""
    ends = np.meshgrid(*([0, size - 1] for size in shape), indexing="ij")
    corners = np.stack([*(end.ravel() for end in ends), np.ones(8)])
    shift = np.linalg.inv(wanted) @ (found - wanted) @ corners
    return float(np.abs(shift[:3]).max())

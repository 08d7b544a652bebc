"""A `.nii.gz` that puts a volume where its scan is, written slab by slab, whole or not at all.

The sform holds the affine to the float32 that NIfTI-1 keeps, oblique or sheared. The qform, which
knows no shear, is the scan's own where it has one. Otherwise it is the nearest to the affine where
that is within a hundredth of a voxel. Of a tilted scan it stacks the slices along their normal, as
ITK does with the series itself: ITK opens no NIfTI without a form that is free of shear, and mask
and scan then lie on each other in its programs (3D Slicer, ITK-SNAP, elastix, ANTs).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import igzip
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ..atomic import replacing
from ..volumes.affines import largest_distance_mm
from ..volumes.geometry import without_shear
from ..volumes.volume import Qform, Volume

SUFFIX = ".nii.gz"
COMPRESS_LEVEL = 2
"""Of ISA-L (0 to 3): 20 to 40 times as fast as zlib's 6 on label volumes, at twice its size."""
_SLICES_AT_ONCE = 64
_SCANNER, _ALIGNED = 1, 2  # NIfTI's codes for what a form leads to
_QFORM_TOLERANCE_VOXELS = 0.01


@contextmanager
def nifti_file(
    path: Path,
    shape: tuple[int, ...],
    affine: ArrayLike,
    *,
    dtype: DTypeLike,
    intent: str,
    qform: Qform | None = None,
) -> Iterator[IO[bytes]]:
    """A file that takes voxels after its header; it is there once all went well.

    Neither its name nor the time stand in it: the same voxels give the same bytes.

    Args:
        path: Ends in `.nii.gz`.
        shape: `(I, J, K)`.
        affine: `(4, 4)`, voxel index to world mm, RAS+.
        dtype: Of the voxels as they will be written, in Fortran order.
        intent: NIfTI's name for what they are, such as `label` or `none`.
        qform: The scan's own, where it has one.

    Raises:
        InputError: If the file cannot be written.
        ValueError: If it would end otherwise.
    """
    if not path.name.endswith(SUFFIX):
        msg = f"path must end in {SUFFIX}, got {path.name}"
        raise ValueError(msg)
    header = _header(shape, np.asarray(affine, dtype=np.float64), dtype, intent, qform)
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
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    dtype: DTypeLike,
    intent: str,
    qform: Qform | None,
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
    if qform is not None:
        header.set_qform(qform.affine, code=qform.code, strip_shears=True)
    elif is_sheared(affine, shape):
        header.set_qform(without_shear(affine), code=_ALIGNED, strip_shears=True)
    else:
        header.set_qform(affine, code=_SCANNER, strip_shears=True)
    header["magic"] = header.single_magic
    header["vox_offset"] = header.single_vox_offset
    return header


def is_sheared(affine: ArrayLike, shape: tuple[int, ...]) -> bool:
    """Whether no qform can hold an affine to within a hundredth of a voxel.

    Args:
        affine: `(4, 4)`, voxel index to world mm.
        shape: `(I, J, K)`.
    """
    from nibabel import Nifti1Header

    wanted, header = np.asarray(affine, dtype=np.float64), Nifti1Header()
    header.set_qform(wanted, code=_SCANNER, strip_shears=True)
    return _largest_shift_voxels(header.get_qform(), wanted, shape) > _QFORM_TOLERANCE_VOXELS


def tilt_warning(volume: Volume) -> list[str]:
    """What to know of the NIfTI files of a tilted scan, as a sentence; none of any other."""
    shape = volume.voxels.shape
    if volume.qform is not None or not is_sheared(volume.affine, shape):
        return []
    apart_mm = largest_distance_mm(without_shear(volume.affine), volume.affine, shape)
    return [
        "The scan is tilted: NIfTI files beside it hold that in their sform; their qform stacks "
        "the slices along their normal, as ITK and 3D Slicer do with the series itself, and is up "
        f"to {apart_mm:.1f} mm away from where the tissue is."
    ]


def _largest_shift_voxels(
    found: NDArray[np.float64], wanted: NDArray[np.float64], shape: tuple[int, ...]
) -> float:
    """How far the corners of a volume lie apart under two affines, in voxels of the second."""
    ends = np.meshgrid(*([0, size - 1] for size in shape), indexing="ij")
    corners = np.stack([*(end.ravel() for end in ends), np.ones(8)])
    shift = np.linalg.inv(wanted) @ (found - wanted) @ corners
    return float(np.abs(shift[:3]).max())

"""A NIfTI-1 header that puts a volume where its scan is.

The sform holds the affine to the float32 that NIfTI-1 keeps, oblique or sheared. The qform holds it
too where it can, within a hundredth of a voxel; it knows no shear (gantry tilt), and is then marked
as absent rather than filled with something near.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_SCANNER = 1
_QFORM_TOLERANCE_VOXELS = 0.01


def nifti_header(
    shape: tuple[int, ...], affine: NDArray[np.float64], *, dtype: DTypeLike, intent: str
) -> Any:
    """A header for one file, header and voxels together.

    Args:
        shape: `(I, J, K)`.
        affine: `(4, 4)`, voxel index to world mm, RAS+.
        dtype: Of the voxels as they will be written.
        intent: NIfTI's name for what they are, such as `label` or `none`.
    """
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

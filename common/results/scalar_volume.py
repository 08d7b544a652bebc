"""A number per voxel of a scan as `.nii.gz`, float32, so any viewer shows it on the scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..volumes.volume import Qform
from .nifti_file import nifti_file, slabs


def write_scalar_volume(
    path: str | Path, values: NDArray[Any], affine: ArrayLike, *, qform: Qform | None = None
) -> Path:
    """Write a volume of numbers, whole or not at all; the same numbers, the same bytes.

    Args:
        path: Ends in `.nii.gz`.
        values: `(I, J, K)` finite numbers, on the input's grid.
        affine: `(4, 4)`, voxel index to world mm, RAS+.
        qform: The scan's own, where it has one.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
        ValueError: If ``values`` are not such numbers.
    """
    path = Path(path)
    if values.ndim != 3 or values.dtype.kind not in "iuf":
        msg = f"values must be numbers (I, J, K), got {values.dtype} {values.shape}"
        raise ValueError(msg)
    with nifti_file(
        path, values.shape, affine, dtype=np.float32, intent="none", qform=qform
    ) as stream:
        for part in slabs(values):
            slab = part.astype(np.float32)
            if not np.isfinite(slab).all():
                msg = "values must be finite, got NaN or infinity"
                raise ValueError(msg)
            stream.write(slab.tobytes(order="F"))
    return path

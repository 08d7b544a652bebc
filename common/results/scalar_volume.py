"""A number per voxel of a scan as `.nii.gz`, float32, so any viewer shows it on the scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from isal import igzip
from numpy.typing import ArrayLike, NDArray

from .atomic import replacing
from .label_volume import COMPRESS_LEVEL, SUFFIX
from .nifti_header import nifti_header

_SLICES_AT_ONCE = 64


def write_scalar_volume(path: str | Path, values: NDArray[Any], affine: ArrayLike) -> Path:
    """Write a volume of numbers, whole or not at all; the same numbers, the same bytes.

    Args:
        path: Ends in `.nii.gz`.
        values: `(I, J, K)` finite numbers, on the input's grid.
        affine: `(4, 4)`, voxel index to world mm, RAS+.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
        ValueError: If ``values`` are not such numbers.
    """
    path = Path(path)
    if not path.name.endswith(SUFFIX):
        msg = f"path must end in {SUFFIX}, got {path.name}"
        raise ValueError(msg)
    if values.ndim != 3 or values.dtype.kind not in "iuf":
        msg = f"values must be numbers (I, J, K), got {values.dtype} {values.shape}"
        raise ValueError(msg)
    matrix = np.asarray(affine, dtype=np.float64)
    header = nifti_header(values.shape, matrix, dtype=np.float32, intent="none")
    with (
        replacing(path) as partial,
        partial.open("wb") as raw,
        igzip.IGzipFile("", "wb", COMPRESS_LEVEL, raw, mtime=0) as stream,
    ):
        stream.write(header.binaryblock)
        stream.write(bytes(int(header["vox_offset"]) - len(header.binaryblock)))
        for first in range(0, values.shape[2], _SLICES_AT_ONCE):
            slab = values[:, :, first : first + _SLICES_AT_ONCE].astype(np.float32)
            if not np.isfinite(slab).all():
                msg = "values must be finite, got NaN or infinity"
                raise ValueError(msg)
            stream.write(slab.tobytes(order="F"))
    return path

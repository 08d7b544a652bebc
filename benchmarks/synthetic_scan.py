"""A chest-like scan of any size in a .nii.gz that compresses like a real one."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip

SCAN_SPACING_MM = (0.7, 0.7, 1.0)


def write_scan(path: Path, shape: tuple[int, int, int]) -> float:
    """A chest-like scan with noise like a real one's; returns bytes per compressed byte."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:2]), indexing="ij")
    noise = rng.standard_normal((6, *shape[:2]), dtype=np.float32)
    header = nib.Nifti1Header()
    affine = np.diag([-SCAN_SPACING_MM[0], -SCAN_SPACING_MM[1], SCAN_SPACING_MM[2], 1.0])
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    with igzip.open(path, "wb", compresslevel=3) as file:
        file.write(header.binaryblock + bytes(4))
        for k in range(shape[2]):
            z = k / shape[2]
            body = (x / 0.85) ** 2 + (y / 0.6) ** 2 < 1
            lungs = ((np.abs(x) - 0.38) / 0.3) ** 2 + ((y + 0.05 * np.sin(9 * z)) / 0.42) ** 2 < 1
            hu = np.where(body, 40 + 60 * np.sin(25 * x + 9 * z) * np.cos(19 * y), -1000.0)
            hu[lungs] = -850 + 90 * np.sin(40 * x[lungs]) * np.cos(33 * y[lungs] + 20 * z)
            hu[(x / 0.08) ** 2 + ((y - 0.4) / 0.1) ** 2 < 1] = 500
            grain = np.roll(noise[k % 6], (37 * k, 101 * k), (0, 1))
            hu += grain * np.where(body, 8, 2)
            file.write(np.round(hu).astype(np.int16).tobytes(order="F"))
    return float(np.prod(shape)) * 2 / path.stat().st_size

"""Small scans to be found."""

from pathlib import Path

import nibabel as nib
import numpy as np

CT = (np.arange(6 * 7 * 8) - 1000).reshape(6, 7, 8).astype(np.int16)
AFFINE = np.diag([-0.8, -0.8, 2.0, 1.0])


def write_nifti(path: Path, voxels: np.ndarray = CT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(voxels, AFFINE).to_filename(path)
    return path


def ids(cases: list) -> list[str]:
    return [case["case_id"] for case in cases]

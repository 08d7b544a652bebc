"""A CT volume as it is stored, and where it lies in the patient.

Shapes: I J K are the axes of the stored array, whichever way they run in the patient.
World coordinates are millimetres, RAS+: x grows to the patient's right, y to the front, z up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


def _already_filled(_stop: int) -> None:
    """Nothing to wait for: the whole array was read at once."""


class Qform(NamedTuple):
    """Where a NIfTI file's own qform puts it: a rotation, a spacing and a place, no shear.

    Attributes:
        affine: `(4, 4)` float64, voxel index to world mm, RAS+.
        code: What the world is, as NIfTI counts: 1 the scanner, 2 another scan, 3 Talairach, 4 MNI.
    """

    affine: NDArray[np.float64]
    code: int


@dataclass(frozen=True)
class Volume:
    """One CT scan: stored values, rescale and affine. Nothing is resampled or copied yet.

    Attributes:
        voxels: Stored values `(I, J, K)` in the file's own dtype and memory order. HU is
            `voxels * slope + intercept`.
        affine: `(4, 4)` float64, voxel index (i, j, k, 1) to world mm, RAS+. May be oblique
            or sheared (gantry tilt).
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        facts: What the reader found and a result should repeat: `format`, `path`,
            and where known `modality`, `series_uid`, `study_uid`, `patient_id`,
            `series_description`, `warnings` (list of sentences).
        wait_until_filled: Readers that decompress in the background hand the array out early.
            `wait_until_filled(n)` returns once the first `n` entries along the slowest axis in
            memory are final, and raises what the reader raised.
        qform: The file's own, for files that should lie on it in every viewer; `affine` may differ
            from it. None where the file has none that can place a scan.
    """

    voxels: NDArray[Any]
    affine: NDArray[np.float64]
    slope: float = 1.0
    intercept: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)
    wait_until_filled: Callable[[int], None] = _already_filled
    qform: Qform | None = None

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbours along I, J and K, in mm."""
        i, j, k = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(i), float(j), float(k)

    def hounsfield(self) -> NDArray[np.float32]:
        """The whole volume in HU, float32 `(I, J, K)`."""
        self.wait_until_filled(max(self.voxels.shape))
        return self.voxels.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)

"""The scanner's table: a thin shell of carbon fibre around foam, hollow like a tray."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lattice import Lattice
from .patient import Patient
from .profile import BODY_HALF_DEPTH
from .raster import Stroke, draw
from .solids import F32, Bounds


@dataclass(frozen=True)
class TableShell:
    """Part of a long cylinder that opens to the front.

    Attributes:
        top: World y of its lowest point's upper side, mm.
        thickness_mm: Of the layer.
    """

    top: float
    thickness_mm: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        surface = np.float32(self.top) + x * x * np.float32(1 / 900.0)
        middle = y - surface + np.float32(self.thickness_mm / 2)
        return np.maximum(
            np.abs(middle) - np.float32(self.thickness_mm / 2), np.abs(x) - np.float32(205)
        ) + 0 * z  # fmt: skip

    def bounds(self) -> Bounds:
        """Box around it; as long as any scan."""
        return (-206.0, self.top - self.thickness_mm, -5000.0), (206.0, self.top + 50, 5000.0)


def draw_table(volume: NDArray[np.int16], lattice: Lattice, patient: Patient) -> None:
    """Draw the table under the patient, if it is in view."""
    if patient.table_gap_mm is None:
        return
    fat = patient.fat_mm / patient.mean_scale
    back = -(float(BODY_HALF_DEPTH.max()) + fat + 8) * patient.scale[1]
    top = back - patient.table_gap_mm
    draw(
        volume,
        lattice,
        [
            Stroke(TableShell(top, 2.0), -150.0, "brighter"),
            Stroke(TableShell(top - 2.0, 26.0), -940.0, "brighter"),
            Stroke(TableShell(top - 28.0, 2.0), -150.0, "brighter"),
        ],
    )

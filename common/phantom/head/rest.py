"""The head rest: a thin shell around the back of the head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..lattice import Lattice
from ..raster import Stroke, draw
from ..solids import F32, Bounds
from .build import Head


@dataclass(frozen=True)
class Shell:
    """Part of a long tube that opens to the front.

    Attributes:
        radius_mm: Inner radius.
        middle: World y of its axis, mm.
        thickness_mm: Of its wall.
    """

    radius_mm: float
    middle: float
    thickness_mm: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        half = np.float32(0.5 * self.thickness_mm)
        around = np.hypot(x, y - np.float32(self.middle)) - np.float32(self.radius_mm)
        wall = np.abs(around - half) - half
        return np.asarray(np.maximum(wall, y - np.float32(self.middle - 25)) + 0 * z)

    def bounds(self) -> Bounds:
        """Box around it; as long as any scan."""
        reach = self.radius_mm + self.thickness_mm
        low = (-reach, self.middle - reach, -5000.0)
        return low, (reach, self.middle - 25, 5000.0)


def draw_rest(volume: NDArray[np.int16], lattice: Lattice, head: Head) -> None:
    """Draw the rest under the head, if it is in view."""
    if head.rest_gap_mm is None:
        return
    radius = 104.0
    back = -(116.0 * head.scale[1] + head.scalp_mm) - head.rest_gap_mm
    shells = (Shell(radius, back + radius, 1.6), Shell(radius + 1.6, back + radius, 9.0))
    hu = (-250.0, -930.0)
    draw(volume, lattice, [Stroke(s, h, "brighter") for s, h in zip(shells, hu, strict=True)])

"""What findings do to a head: one class per way of changing it. Reference mm, patient in place.

Each carries `number`, the index of its entry in `HeadScene.findings`; `NOBODY` where it is a
variant of normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..painting import Filling
from ..solids import F32, Ellipsoid, Point, Shape, Texture, Tube, ramp
from .vault import VAULT_MIDDLE_MM, VAULT_RADII_MM

NOBODY = -1


class Outer(Protocol):
    """A shape between the brain and the inner table."""

    def distance(self, x: F32, y: F32, z: F32, cavity: F32) -> F32:
        """Distance at points whose distance to the inner table is `cavity`."""
        ...


@dataclass(frozen=True)
class Lens:
    """Blood between bone and dura, or a tumour of the dura: an ellipsoid cut by the inner table.

    Attributes:
        body: The whole ellipsoid.
    """

    body: Ellipsoid

    def distance(self, x: F32, y: F32, z: F32, cavity: F32) -> F32:
        """Distance at points whose distance to the inner table is `cavity`."""
        return np.maximum(self.body.distance(x, y, z), cavity)


@dataclass(frozen=True)
class Crescent:
    """Blood under the dura: a layer along one half of the vault that thins out to its ends.

    Attributes:
        side: -1 left, 1 right.
        deep_mm: Thickness of its middle.
        turn_deg: Direction of its middle around the head: 0 aside, 90 to the front.
        lift_deg: The same upwards.
        reach_deg: How far it reaches around the head from its middle, and up and down.
        seed: Of its unevenness.
    """

    side: float
    deep_mm: float
    turn_deg: float
    lift_deg: float
    reach_deg: tuple[float, float]
    seed: int

    def distance(self, x: F32, y: F32, z: F32, cavity: F32) -> F32:
        """Distance at points whose distance to the inner table is `cavity`."""
        u, v, w = (
            (p - np.float32(m)) * np.float32(1 / r)
            for p, m, r in zip((x, y, z), VAULT_MIDDLE_MM, VAULT_RADII_MM, strict=True)
        )
        flat = np.hypot(u, v)
        turn = np.rad2deg(np.arctan2(v, np.float32(self.side) * u)) - np.float32(self.turn_deg)
        lift = np.rad2deg(np.arctan2(w, flat)) - np.float32(self.lift_deg)
        turn = turn * np.float32(1 / self.reach_deg[0])
        lift = lift * np.float32(1 / self.reach_deg[1])
        share = np.maximum(1 - turn * turn - lift * lift, 0)
        deep = np.float32(self.deep_mm) * np.power(share, np.float32(0.75))
        deep = deep * (1 + np.float32(0.15) * Texture(self.seed, 22.0).at(x, y, z))
        layer = np.maximum(-cavity - deep + np.float32(3) * (share <= 0), cavity)
        return np.asarray(np.maximum(layer, np.float32(1.2) - np.float32(self.side) * x))


@dataclass(frozen=True)
class Around:
    """Something between brain and bone that takes room from the brain.

    Attributes:
        number: Of its finding.
        shape: Where.
        filling: Of what; `wall_hu` is not used.
        level: In a layered bleed, the y under which what is heavy has settled.
        settled_hu: That.
    """

    number: int
    shape: Outer
    filling: Filling
    level: float | None = None
    settled_hu: float = 0.0


@dataclass(frozen=True)
class Within:
    """Something in the brain in the place of tissue and fluid.

    Attributes:
        number: Of its finding.
        shape: Where; it ends at the brain's surface.
        filling: Of what.
    """

    number: int
    shape: Shape
    filling: Filling


@dataclass(frozen=True)
class Change:
    """Tissue that is denser or less dense than it was.

    Attributes:
        number: Of its finding.
        shape: Where.
        to_hu: What it becomes.
        grey: How far grey matter takes part, in [0, 1].
        soft_mm: Over how many mm it fades.
        below: Whether it is under the tentorium.
    """

    number: int
    shape: Shape
    to_hu: float
    grey: float = 1.0
    soft_mm: float = 4.0
    below: bool = False


@dataclass(frozen=True)
class InSpaces:
    """Blood in the fluid around the brain.

    Attributes:
        number: Of its finding.
        hu: Where there is most of it.
        sources: Places it spreads from, each with how far.
    """

    number: int
    hu: float
    sources: tuple[tuple[Point, float], ...]

    def share(self, x: F32, y: F32, z: F32) -> F32:
        """How bloody the fluid is, in [0, 1]."""
        clear = np.ones_like(x)
        for place, reach in self.sources:
            dx, dy, dz = (v - np.float32(m) for v, m in zip((x, y, z), place, strict=True))
            clear *= 1 - ramp(np.sqrt(dx * dx + dy * dy + dz * dz), reach, 0.55 * reach)
        return 1 - clear


@dataclass(frozen=True)
class InVentricles:
    """Blood in the ventricles: it settles behind, or fills them.

    Attributes:
        number: Of its finding.
        hu: Of it.
        level: The y under which it lies in the patient on the back.
        sides: Distances from the midline between which it is, positive to the right.
        middle: Whether the third and the fourth ventricle are filled.
    """

    number: int
    hu: float
    level: float
    sides: tuple[float, float]
    middle: bool

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Distance to the lateral ventricles' part that it takes."""
        across = np.maximum(np.float32(self.sides[0]) - x, x - np.float32(self.sides[1]))
        return np.asarray(np.maximum(y - np.float32(self.level), across))


@dataclass(frozen=True)
class Crack:
    """A line through the vault.

    Attributes:
        number: Of its finding.
        middle: On the vault.
        normal: Across the line, length 1.
        long_mm: Its length.
        wide_mm: Its width.
        seed: Of its bends.
    """

    number: int
    middle: Point
    normal: Point
    long_mm: float
    wide_mm: float
    seed: int

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Distance to the gap."""
        dx, dy, dz = (v - np.float32(m) for v, m in zip((x, y, z), self.middle, strict=True))
        a, b, c = (np.float32(v) for v in self.normal)
        across = a * dx + b * dy + c * dz + np.float32(3) * Texture(self.seed, 14.0).at(x, y, z)
        ends = np.sqrt(dx * dx + dy * dy + dz * dz) - np.float32(0.5 * self.long_mm)
        return np.asarray(np.maximum(np.abs(across) - np.float32(0.5 * self.wide_mm), ends))


@dataclass(frozen=True)
class Bruise:
    """Blood under the scalp, which stands out over it.

    Attributes:
        number: Of its finding.
        shape: On the outer table.
    """

    number: int
    shape: Ellipsoid


@dataclass(frozen=True)
class Vessel:
    """A clot in an artery.

    Attributes:
        number: Of its finding.
        shape: Where the artery runs in a brain that is not pushed.
        hu: Of the clot.
    """

    number: int
    shape: Tube
    hu: float

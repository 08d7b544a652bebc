"""Where findings are put: parts of the brain and vascular territories. Reference mm, right side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..solids import F32, Bounds, Point, Texture


@dataclass(frozen=True)
class Wedge:
    """A cone with an uneven side, as the territory of a branch: its tip deep, its base outside.

    Attributes:
        tip: mm.
        base: Middle of its base, mm.
        spread: Radius per mm from the tip.
        seed: Of the unevenness.
        flat: Half its thickness up and down at most, mm.
    """

    tip: Point
    base: Point
    spread: float
    seed: int
    flat: float = 60.0

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance, to first order."""
        tip, along = np.asarray(self.tip), np.asarray(self.base) - np.asarray(self.tip)
        length = float(np.linalg.norm(along))
        a, b, c = (np.float32(v) for v in along / length)
        dx, dy, dz = (v - np.float32(t) for v, t in zip((x, y, z), tip, strict=True))
        far = a * dx + b * dy + c * dz
        off = np.sqrt(np.maximum(dx * dx + dy * dy + dz * dz - far * far, 0))
        cone = (off - np.float32(self.spread) * (far + 4)) * np.float32(
            1 / np.hypot(1, self.spread)
        )
        cone = np.maximum(cone, np.abs(dz - c * far) - np.float32(self.flat))
        uneven = np.float32(3.5) * Texture(self.seed, 9.0).at(x, y, z)
        return np.asarray(np.maximum(cone, far - np.float32(length + 14)) + uneven, np.float32)

    def bounds(self) -> Bounds:
        """Box around it."""
        tip, base = np.asarray(self.tip), np.asarray(self.base)
        end = base + 14 * (base - tip) / np.linalg.norm(base - tip)
        radius = self.spread * (np.linalg.norm(end - tip) + 4) + 4
        low, high = np.minimum(tip, end) - radius, np.maximum(tip, end) + radius
        return as_corner(low), as_corner(high)


def as_corner(values: np.ndarray) -> Point:
    """Three numbers as a plain point."""
    x, y, z = (float(v) for v in values)
    return x, y, z


LOBAR: dict[str, Point] = {
    "frontal lobe": (30.0, 32.0, 26.0),
    "parietal lobe": (32.0, -42.0, 38.0),
    "temporal lobe": (44.0, -16.0, -16.0),
    "occipital lobe": (24.0, -76.0, 8.0),
}
"""Middle of each lobe's white matter."""
DEEP: dict[str, Point] = {"basal ganglia": (26.0, 2.0, 3.0), "thalamus": (13.0, -17.0, 7.0)}
HINDBRAIN: dict[str, Point] = {"cerebellum": (24.0, -60.0, -36.0), "pons": (2.0, -27.0, -32.0)}

TERRITORIES: dict[str, tuple[Point, Point, float, float]] = {
    "middle cerebral artery territory": ((18.0, -4.0, 10.0), (62.0, -8.0, 12.0), 0.82, 36.0),
    "anterior division of the middle cerebral artery": (
        (24.0, 4.0, 12.0), (56.0, 26.0, 24.0), 0.62, 24.0),
    "posterior division of the middle cerebral artery": (
        (26.0, -18.0, 14.0), (60.0, -44.0, 22.0), 0.62, 24.0),
    "posterior cerebral artery territory": ((18.0, -42.0, 2.0), (18.0, -88.0, 2.0), 0.50, 20.0),
    "anterior cerebral artery territory": ((7.0, 12.0, 26.0), (12.0, 40.0, 50.0), 0.46, 34.0),
    "posterior inferior cerebellar artery territory": (
        (12.0, -48.0, -46.0), (30.0, -80.0, -50.0), 0.60, 14.0),
}  # fmt: skip
"""Tip, middle of the base, spread and half height of each: chosen to look like published maps."""


def on_side(point: Point, side: str) -> Point:
    """A point of the right half on the wanted side."""
    x, y, z = point
    return (x if side == "right" else -x), y, z

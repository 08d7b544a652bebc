"""Folds of the brain: where the sulci are.

Plane waves of one length in all directions add up to a field whose zero crossings wind as sulci
do, half a wave apart. It is read at the surface above a point, so sulci run inwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..solids import F32
from .vault import VAULT_MIDDLE_MM, VAULT_RADII_MM

_WAVES = 18


@dataclass(frozen=True)
class Folds:
    """Sheets through the cortex.

    Attributes:
        seed: Which.
        wave_mm: Twice the distance from one to the next.
    """

    seed: int
    wave_mm: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """About the distance to the nearest sheet, mm, never negative."""
        rng = np.random.default_rng([self.seed, 41])
        ways = rng.standard_normal((_WAVES, 3))
        ways /= np.linalg.norm(ways, axis=1, keepdims=True)
        number = 2 * np.pi / self.wave_mm
        ways = (ways * number).astype(np.float32)
        starts = rng.uniform(0, 2 * np.pi, _WAVES).astype(np.float32)
        total = np.zeros_like(x)
        for (a, b, c), start in zip(ways, starts, strict=True):
            total += np.sin(a * x + b * y + c * z + start)
        return np.asarray(np.abs(total) * np.float32(1 / (number * np.sqrt(_WAVES / 2))))


def on_the_surface(x: F32, y: F32, z: F32) -> tuple[F32, F32, F32, F32]:
    """The place above each point, almost at the brain's surface, and how high the point is.

    Returns:
        x, y, z, and the point's own level: 0 in the middle of the vault, 1 at its surface.
    """
    middle, radii = VAULT_MIDDLE_MM, VAULT_RADII_MM
    dx, dy, dz = (v - np.float32(m) for v, m in zip((x, y, z), middle, strict=True))
    u, v, w = (d * np.float32(1 / r) for d, r in zip((dx, dy, dz), radii, strict=True))
    level = np.sqrt(u * u + v * v + w * w)
    stretch = np.power(np.maximum(level, np.float32(0.3)), np.float32(-0.8))
    return dx * stretch, dy * stretch, dz * stretch, level

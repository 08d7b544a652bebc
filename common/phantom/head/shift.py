"""Mass effect: where each point of the brain has come from.

What takes room pushes the brain before it. The anatomy is drawn at the places that the points had
before, so ventricles, deep nuclei and the midline move and are compressed, and the skull is not.
Two pushes add up: one away from a sphere, as of tissue that cannot be compressed, and one of a
hemisphere across the midline that fades towards the skull.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..solids import F32, Point
from .vault import VAULT_MIDDLE_MM

SEPTUM_MM: Point = (0.0, 14.0, 8.0)
"""Between both frontal horns: where midline shift is measured."""


@dataclass(frozen=True)
class Push:
    """One thing that takes room.

    Attributes:
        middle: Of it, reference mm.
        radius_mm: Of a sphere with the room that it takes from the tissue around it.
        across_mm: How far it moves the midline in addition; positive to the right.
        efface: Share of their width that the sulci near it lose, in [0, 1].
        reach_mm: How near that is.
    """

    middle: Point
    radius_mm: float
    across_mm: float
    efface: float
    reach_mm: float


def displaced(pushes: Sequence[Push], x: F32, y: F32, z: F32) -> tuple[F32, F32, F32]:
    """Where points have been before the pushes, reference mm."""
    ox, oy, oz = x, y, z
    for push in pushes:
        if push.across_mm:
            ox = ox - np.float32(push.across_mm) * _across(push, x, y, z)
        if push.radius_mm:
            dx, dy, dz = (v - np.float32(m) for v, m in zip((x, y, z), push.middle, strict=True))
            away = np.sqrt(dx * dx + dy * dy + dz * dz)
            share = np.float32(push.radius_mm) / np.maximum(away, np.float32(push.radius_mm))
            back = 1 - np.cbrt(1 - np.float32(0.98) * share * share * share)
            ox, oy, oz = ox - back * dx, oy - back * dy, oz - back * dz
    return ox, oy, oz


def _across(push: Push, x: F32, y: F32, z: F32) -> F32:
    """Largest on the side of what pushes, 1 at the midline, 0 at the rest of the skull."""
    to = 1.0 if push.across_mm * -push.middle[0] >= 0 else -1.0  # away from it, or towards it
    side = -1.0 if push.middle[0] < 0 else 1.0
    beyond = np.maximum(np.float32(-side) * x, 0) * np.float32(1 / 64)
    _, my, mz = VAULT_MIDDLE_MM
    v = (y - np.float32(0.6 * my + 0.4 * push.middle[1])) * np.float32(1 / 80)
    w = (z - np.float32(0.6 * mz + 0.4 * push.middle[2])) * np.float32(1 / 62)
    fade = np.maximum(1 - beyond * beyond - v * v - w * w, 0)
    near = np.clip(np.float32(side) * x * np.float32(1 / 45), 0, 1)
    return np.asarray(fade * fade * (1 + np.float32(0.35 * to) * near), np.float32)


def effacement(pushes: Sequence[Push], x: F32, y: F32, z: F32) -> F32:
    """Share of their width that is left to the sulci."""
    left = np.ones_like(x)
    for push in pushes:
        dx, dy, dz = (v - np.float32(m) for v, m in zip((x, y, z), push.middle, strict=True))
        gone = np.exp((dx * dx + dy * dy + dz * dz) * np.float32(-0.5 / push.reach_mm**2))
        left *= 1 - np.float32(push.efface) * gone
    return left


def midline_shift_mm(pushes: Sequence[Push]) -> float:
    """How far the septum between the frontal horns is off the midline, positive to the right."""
    x = np.linspace(-30, 30, 1201, dtype=np.float32)
    y, z = (np.full_like(x, v) for v in SEPTUM_MM[1:])
    before = displaced(pushes, x, y, z)[0]
    return float(x[np.argmin(np.abs(before))])


def largest_push_mm(pushes: Sequence[Push], places: NDArray[np.floating]) -> float:
    """How far the farthest moved of some places `(N, 3)` has come, about."""
    if not pushes:
        return 0.0
    points = [np.asarray(v, np.float32) for v in np.asarray(places, float).T]
    moved = displaced(pushes, *points)
    gone = sum((a - b) ** 2 for a, b in zip(points, moved, strict=True))
    return float(np.sqrt(np.max(gone)))

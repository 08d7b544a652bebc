"""The large surfaces of the head: inner table, outer table and skin, as signed distances.

Reference mm, RAS, anterior commissure at the origin. The space inside the skull is made of the
vault, an egg that is wider behind, of both middle fossae and of the posterior fossa.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..solids import F32, Ellipsoid, Point, Texture, Tube, ramp, smooth_union
from .build import Head

VAULT_MIDDLE_MM: Point = (0.0, -17.0, 6.0)
VAULT_RADII_MM: Point = (67.0, 86.0, 71.0)
FORAMEN_MM = -68.0
"""Height of the foramen magnum: the brain ends and the spinal cord begins."""
_TAPER, _POWER = 0.13, 2.25
_MIDDLE_FOSSA = Ellipsoid((40.0, -12.0, -21.0), (26.0, 35.0, 25.0), (0.0, 0.0, 8.0))
_POSTERIOR_FOSSA = Ellipsoid((0.0, -58.0, -33.0), (56.0, 43.0, 37.0))
_CANAL = Tube(((0.0, -36.0, -56.0), (0.0, -41.0, -80.0), (0.0, -43.0, -150.0)), (15.5, 13.0, 11.0))
_PETROUS = Tube(
    ((15.0, -12.0, -37.0), (38.0, -25.0, -40.0), (62.0, -38.0, -44.0)), (6.0, 9.5, 15.0)
)


@dataclass(frozen=True)
class Dent:
    """A piece of the vault that is pushed inwards.

    Attributes:
        middle: On the outer table, mm.
        radius_mm: Of the piece.
        deep_mm: How far its middle is pushed.
    """

    middle: Point
    radius_mm: float
    deep_mm: float


@dataclass(frozen=True)
class Surfaces:
    """Distances of points to the head's large surfaces, negative inside, mm.

    Attributes:
        cavity: To the space inside the skull and the spinal canal.
        bone: To the outer side of the vault and of the fossae.
        skin: To the skin.
    """

    cavity: F32
    bone: F32
    skin: F32


def surfaces(head: Head, x: F32, y: F32, z: F32, dents: tuple[Dent, ...] = ()) -> Surfaces:
    """Distances at points given in reference mm."""
    brain_room = cranium(x, y, z)
    for dent in dents:
        dx, dy, dz = (v - np.float32(m) for v, m in zip((x, y, z), dent.middle, strict=True))
        away = np.sqrt(dx * dx + dy * dy + dz * dz)
        brain_room += np.float32(dent.deep_mm) * ramp(away, dent.radius_mm, 0.5 * dent.radius_mm)
    cavity = np.minimum(brain_room, _CANAL.distance(x, y, z))
    thick = np.float32(head.skull_mm) * (
        1 + np.float32(0.12) * Texture(head.seed, 30.0).at(x, y, z)
    )
    thick += np.float32(2.0) * ramp(np.abs(y + 17), 70, 90)  # forehead and occiput
    thick -= np.float32(head.skull_mm - 2.5) * ramp(z, -8, -24) * ramp(y, -70, -50)
    bone = brain_room - thick
    scalp = bone - np.float32(head.scalp_mm) * (1 + np.float32(0.25) * ramp(z, 20, -30))
    return Surfaces(cavity, np.asarray(bone), _skin(head, x, y, z, scalp))


def cranium(x: F32, y: F32, z: F32) -> F32:
    """Distance to the space inside the skull, without the spinal canal."""
    side = np.abs(x)
    inner = np.maximum(_egg(x, y, z), _floor(side, y, z))
    middle = _MIDDLE_FOSSA.distance(side, y, z)
    inner = smooth_union(inner, np.asarray(middle), 8.0)
    inner = smooth_union(inner, _POSTERIOR_FOSSA.distance(x, y, z), 7.0)
    ridge = _PETROUS.distance(side, y, z)
    return -smooth_union(-inner, ridge, 4.0)


def _egg(x: F32, y: F32, z: F32) -> F32:
    (_, my, mz), (rx, ry, rz) = VAULT_MIDDLE_MM, VAULT_RADII_MM
    v = (y - np.float32(my)) * np.float32(1 / ry)
    wide = np.float32(rx) * (1 - np.float32(_TAPER) * np.clip(v, -1, 1.1))
    up = z - np.float32(mz)
    w = np.maximum(up, 0) * np.float32(1 / rz) + np.minimum(up, 0) * np.float32(1 / 170)
    u = np.abs(x) / wide
    a, b, c = (np.power(np.abs(t), np.float32(_POWER)) for t in (u, v, w))
    level = np.maximum(np.power(a + b + c, np.float32(1 / _POWER)), np.float32(0.05))
    gu, gv, gw = (
        np.power(np.abs(t) / level, np.float32(_POWER - 1)) / r
        for t, r in ((u, wide), (v, np.float32(ry)), (w, np.float32(rz)))
    )
    slope = np.sqrt(gu * gu + gv * gv + gw * gw)
    return np.asarray((level - 1) / np.maximum(slope, np.float32(1 / 95)), np.float32)


def _floor(side: F32, y: F32, z: F32) -> F32:
    """Above the roofs of the orbits in front, above the tentorium's level behind."""
    roof = 7 * np.exp(-((side - 30) ** 2) / 320 - (y - 46) ** 2 / 700)
    front = np.float32(-23.0) + roof
    level = front + (np.float32(-34.0) - front) * ramp(y, 16, 4)
    return np.asarray(level - z, np.float32)


def _skin(head: Head, x: F32, y: F32, z: F32, scalp: F32) -> F32:
    face = Ellipsoid((0.0, 26.0, -62.0), (61.0 + head.scalp_mm, 56.0, 62.0)).distance(x, y, z)
    nose = Ellipsoid((0.0, 82.0, -56.0), (13.0, 17.0, 19.0), (-18.0, 0, 0)).distance(x, y, z)
    neck = Tube(((0, -42, -70), (0, -40, -190)), (62.0, 58.0)).distance(x, y, z)
    whole = smooth_union(scalp, smooth_union(face, nose, 10.0), 16.0)
    return smooth_union(whole, neck, 24.0)


def inner_table(direction: Point, start: Point = VAULT_MIDDLE_MM) -> NDArray[np.float64]:
    """Where a ray from the middle of the vault meets the inner table, reference mm."""
    along = np.asarray(direction, float) / np.linalg.norm(direction)
    far = np.linspace(0, 130, 521)
    points = np.asarray(start) + far[:, None] * along
    x, y, z = points.T.astype(np.float32)
    inside = cranium(x, y, z) < 0
    last = len(far) - 1 if inside.all() else int(np.argmin(inside))
    return np.asarray(points[last])


def outward(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction out of the skull at a place on the inner table, length 1."""
    steps = np.concatenate([np.eye(3), -np.eye(3)]) + place
    x, y, z = steps.T.astype(np.float32)
    values = cranium(x, y, z).astype(float)
    slope = values[:3] - values[3:]
    return np.asarray(slope / np.linalg.norm(slope))

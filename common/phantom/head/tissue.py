"""The brain and what surrounds it, as distances at points where it has not been pushed.

Reference mm. `Parts` holds what is where; densities are mixed in `inside`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..compounds import Joined
from ..solids import F32, Ellipsoid, Shape, Tube, ramp, smooth_union
from .build import Head
from .folds import Folds, on_the_surface
from .near import distance_near

RIBBON_MM = 3.1
_SULCUS_MM, _FOLIUM_MM = 24.0, 9.0

_SUPRASELLAR = Joined(
    (Ellipsoid((0.0, 4.0, -18.0), (10.5, 8.5, 6.0)), Tube(((0, 9, -19), (0, 24, -19)), (2.5, 1.2)),
     Ellipsoid((0.0, -10.0, -16.0), (4.5, 5.0, 6.0)),
     Ellipsoid((0.0, -12.0, -34.0), (12.0, 3.5, 16.0), (-14.0, 0.0, 0.0))), 4.0)  # fmt: skip
_RING = Tube(((8, 4, -18), (15, -12, -15), (20, -24, -12), (16, -35, -8), (0, -41, -5)),
             (2.0, 2.0, 2.2, 2.4, 4.2))  # fmt: skip
_STEM = Tube(((8, 5, -18), (22, 9, -17), (34, 11, -13)), (2.2, 1.8, 1.6))
_ANGLE = Ellipsoid((21.0, -27.0, -38.0), (9.0, 7.0, 10.0))
_AROUND_CORD = Tube(((0, -33, -46), (0, -40, -70), (0, -43, -150)), (14.0, 13.0, 10.0))

_STEM_PARTS: tuple[tuple[Shape, float], ...] = (
    (Ellipsoid((0.0, -25.0, -8.0), (15.0, 9.5, 11.0)), 3.0),
    (Ellipsoid((9.0, -17.0, -10.0), (7.0, 6.0, 10.0), (0.0, 20.0, -25.0)), 3.0),
    (Ellipsoid((5.0, -34.0, -8.0), (5.5, 5.0, 8.0)), 3.0),
    (Ellipsoid((0.0, -27.0, -32.0), (17.5, 13.0, 14.5)), 5.0),
    (Tube(((10, -30, -33), (22, -42, -36)), (8.0, 9.0)), 4.0),
    (
        Tube(((0, -32, -44), (0, -38, -60), (0, -42, -84), (0, -43, -150)), (8.5, 7.5, 6.0, 5.5)),
        4.0,
    ),
)
CAUDATE = Joined(
    (Ellipsoid((14.5, 15.0, 4.0), (5.0, 10.0, 9.0), (0.0, 0.0, -14.0)),
     Tube(((14, 6, 13), (18, -10, 20), (22, -24, 19)), (4.0, 3.0, 2.0))), 3.0)  # fmt: skip
PUTAMEN = Ellipsoid((26.0, 2.0, 2.0), (5.2, 17.0, 11.0), (0.0, -8.0, 12.0))
PALLIDUM = Ellipsoid((19.5, -3.0, 0.0), (4.0, 8.0, 7.0), (0.0, -8.0, 24.0))
THALAMUS = Ellipsoid((11.0, -18.0, 6.0), (8.5, 14.0, 9.5), (0.0, 0.0, 18.0))


@dataclass
class Parts:
    """Distances to parts of the brain, mm, flat arrays.

    Attributes:
        cerebrum: To the surface of the cerebrum, sulci left out.
        cerebellum: To the surface of the cerebellum.
        stem: To the brain stem and the cord.
        below: To the space under the tentorium.
        falx: To the falx.
        tent: To the tentorium.
        deep: To the deep grey matter.
        pallidum: To the pallidum.
        folia: To the fissures of the cerebellum.
        core: To the white matter of the cerebellum.
    """

    cerebrum: F32
    cerebellum: F32
    stem: F32
    below: F32
    falx: F32
    tent: F32
    deep: F32
    pallidum: F32
    folia: F32
    core: F32


@dataclass(frozen=True)
class Room:
    """What the brain has to fit into.

    Attributes:
        envelope: Distance to what is left of the cavity, blood around the brain taken away.
        sulci: Share of their width that the sulci have.
        swell_mm: How far hydrocephalus pushes the deep nuclei aside.
    """

    envelope: F32
    sulci: F32
    swell_mm: float


def tentorium(side: F32, y: F32, z: F32) -> F32:
    """Distance to the space under the tentorium and behind the petrous ridges."""
    height = np.float32(1) - np.float32(0.27) * np.maximum(-38 - y, 0) - np.float32(0.42) * side
    ridge = (y + 5 + np.float32(0.83) * (side - 12)) * np.float32(0.77)
    return smooth_union_max(np.asarray(z - height) * np.float32(0.9), ridge, 4.0)


def smooth_union_max(first: F32, second: F32, blend_mm: float) -> F32:
    """What two shapes have in common, the edge rounded."""
    return -smooth_union(-first, -second, blend_mm)


def find_parts(head: Head, room: Room, x: F32, y: F32, z: F32) -> Parts:
    """Distances at places in the unpushed brain, reference mm."""
    side = np.abs(x)
    below = tentorium(side, y, z)
    gap = 0.6 + 2.6 * head.atrophy
    fissure = _fissure(head, room.sulci, side, y, z)
    kept = np.maximum(below, _notch(side, y, z))
    outer = np.maximum(room.envelope + np.float32(gap) * room.sulci, np.float32(1.0) - kept)
    deepest = np.minimum(-outer, fissure)
    sylvian = _sylvian(head, room.sulci, side, y, z)
    folds = _folds(head, room.sulci, (x, y, z), np.minimum(deepest, 2.0 * sylvian + 4.0))
    cisterns = smooth_union(
        smooth_union(distance_near(_SUPRASELLAR, x, y, z), distance_near(_RING, side, y, z), 2.0),
        distance_near(_STEM, side, y, z),
        2.0,
    )
    cisterns = cisterns - (1.6 * head.atrophy - 0.4) * room.sulci
    stem = _stem(x, y, z)
    csf = np.minimum.reduce([fissure, sylvian, folds, cisterns, _STEM_MARGIN + stem])
    cerebrum = np.maximum(outer, -csf)
    nucleus = side - np.float32(0.55 * room.swell_mm)
    deep = np.minimum.reduce(
        [distance_near(s, nucleus, y, z) for s in (CAUDATE, PUTAMEN, THALAMUS)]
    )
    return Parts(
        cerebrum=cerebrum,
        cerebellum=_cerebellum(head, room, (x, y, z), below),
        stem=stem,
        below=below,
        falx=_falx(side, y, z, below),
        tent=_tent_sheet(side, y, below),
        deep=deep,
        pallidum=distance_near(PALLIDUM, nucleus, y, z),
        folia=Folds(head.seed + 3, _FOLIUM_MM).distance(0.3 * x, 0.6 * y, z),
        core=Ellipsoid((17.0, -55.0, -36.0), (13.0, 15.0, 8.0)).distance(side, y, z),
    )


_STEM_MARGIN = np.float32(-1.3)


def _stem(x: F32, y: F32, z: F32) -> F32:
    side = np.abs(x)
    total = distance_near(_STEM_PARTS[0][0], x, y, z, 12.0)
    for part, blend in _STEM_PARTS[1:]:
        total = smooth_union(total, distance_near(part, side, y, z, 12.0), blend)
    notch = Ellipsoid((0.0, -9.0, -15.0), (4.0, 6.0, 8.0)).distance(x, y, z)
    return np.maximum(total, -notch)


def _notch(side: F32, y: F32, z: F32) -> F32:
    """Positive in the notch of the tentorium, where the temporal lobes reach the midbrain."""
    u, v = side * np.float32(1 / 25), (y + 16) * np.float32(1 / 21)
    return np.asarray(np.minimum((1 - np.sqrt(u * u + v * v)) * 20, z + 25))


def _fissure(head: Head, sulci: F32, side: F32, y: F32, z: F32) -> F32:
    """Distance to the space between both hemispheres: around the corpus callosum."""
    wide = (0.5 + 1.5 * head.atrophy * ramp(y, -30, 45) + 0.5 * head.atrophy) * sulci
    kept = Ellipsoid((0.0, -7.0, 2.0), (500.0, 41.0, 26.0)).distance(np.zeros_like(y), y, z)
    return np.maximum(side - wide, -kept)


def _sylvian(head: Head, sulci: F32, side: F32, y: F32, z: F32) -> F32:
    """Distance to the lateral fissure: a sheet over the insula and a cleft that opens outwards."""
    wide = (0.7 + 2.2 * head.atrophy) * sulci
    v, w = y + 2, z - 4
    bent = side - 42 + np.float32(0.006) * (v * v + w * w)
    insula = np.maximum(np.abs(bent) - wide, np.sqrt(v * v / 625 + w * w / 324) * 20 - 20)
    height = np.abs(z + 1 + np.float32(0.5) * y) * np.float32(0.9)
    ends = np.maximum(np.abs(y + 6) - 31, 41 - side)
    return np.asarray(np.minimum(insula, np.maximum(height - 0.9 * wide, ends)))


def _folds(head: Head, sulci: F32, place: tuple[F32, F32, F32], depth: F32) -> F32:
    """Distance to the sulci of the cerebrum: narrower with depth, gone some 20 mm deep."""
    *above, level = on_the_surface(*place)
    near = Folds(head.seed + 1, _SULCUS_MM).distance(*above)
    wide = (0.25 + 1.55 * head.atrophy) * sulci
    end = np.float32(17.0)
    taper = np.clip(1 - depth / end, 0, 1)
    below = np.maximum(depth - end, 0) + np.maximum(np.float32(0.62) - level, 0) * 45
    return np.asarray(near - wide * (0.35 + 0.65 * taper) + below, np.float32)


def _cerebellum(head: Head, room: Room, place: tuple[F32, F32, F32], below: F32) -> F32:
    x, y, z = place
    side = np.abs(x)
    half = Ellipsoid((26.0, -61.0, -36.0), (31.0, 36.0, 33.0)).distance(side, y, z)
    worm = Ellipsoid((0.0, -62.0, -28.0), (13.0, 28.0, 27.0)).distance(x, y, z)
    whole = smooth_union(half, worm, 5.0)
    more = head.variants.cisterna_mm
    magna = Ellipsoid(
        (0.0, -96.0 - 0.2 * more, -64.0), (11.0 + more, 18.0 + more, 17.0 + 0.9 * more)
    )
    gap = (0.4 + 1.2 * head.atrophy) * room.sulci
    whole = np.maximum.reduce([whole, below + 1.2, room.envelope + gap])
    spaces = np.minimum(distance_near(magna, x, y, z), distance_near(_AROUND_CORD, x, y, z))
    return np.maximum(whole, -np.minimum(spaces, distance_near(_ANGLE, side, y, z)))


def _falx(side: F32, y: F32, z: F32, below: F32) -> F32:
    """Distance to the falx: nearer to the corpus callosum behind than in front."""
    inner = Ellipsoid((0.0, -4.0, 2.0), (500.0, 52.0, 33.0)).distance(np.zeros_like(y), y, z)
    inner -= 7 * ramp(y, -20, 40)
    floor = np.maximum(-(z + 12), -(y + 40)) * (y > -40) + (y <= -40) * np.float32(-9)
    return np.asarray(np.maximum.reduce([side - np.float32(0.65), -inner, -below, floor]))


def _tent_sheet(side: F32, y: F32, below: F32) -> F32:
    u, v = side * np.float32(1 / 21), (y + 24) * np.float32(1 / 25)
    notch = (np.sqrt(u * u + v * v) - 1) * 22
    return np.asarray(np.maximum(np.abs(below) - np.float32(0.7), -notch))

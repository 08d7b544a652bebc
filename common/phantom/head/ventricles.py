"""The ventricles, where the brain has not been pushed. Reference mm; radii grow with atrophy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..solids import F32, Ellipsoid, Point, Tube, smooth_union
from .build import Head
from .near import distance_near

FRONT: tuple[Point, ...] = ((13, 33, 1), (9, 22, 7), (6.5, 8, 12), (9, -8, 20), (13, -24, 23))
BACK: tuple[Point, ...] = ((13, -24, 23), (20, -38, 17), (25, -46, 8))
HORN: tuple[Point, ...] = ((25, -46, 8), (25.5, -60, 5), (22, -76, 4))
TEMPORAL: tuple[Point, ...] = ((25, -46, 8), (31, -39, -4), (33, -26, -13), (31, -13, -19))
THIRD: Point = (0.0, -11.0, 0.0)
FOURTH: Point = (0.0, -45.0, -33.0)
_FRONT_MM, _BACK_MM = (3.2, 4.6, 4.6, 4.4, 4.8), (4.8, 6.0, 7.0)
_HORN_MM, _TEMPORAL_MM = (6.2, 4.2, 1.8), (5.6, 3.4, 2.4, 2.2)


@dataclass(frozen=True)
class Ventricles:
    """How wide one patient's ventricles are.

    Attributes:
        wider_mm: Of the right and the left lateral ventricle, than the reference.
        third_mm: Half width of the third.
        fourth: Size of the fourth against the reference.
        septum_mm: Width of the cavum of the septum, 0 for none.
        temporal: How far both temporal horns take part in `wider_mm`.
    """

    wider_mm: tuple[float, float]
    third_mm: float
    fourth: float
    septum_mm: float
    temporal: float = 0.3

    def lateral(self, x: F32, y: F32, z: F32) -> F32:
        """Distance to both lateral ventricles."""
        side = np.abs(x)
        found = np.empty_like(x)
        for more, half in zip(self.wider_mm, (x > 0, x <= 0), strict=True):
            here = side[half], y[half], z[half]
            front = distance_near(_tube(FRONT, _FRONT_MM, more), *here, 12.0)
            back = distance_near(_tube(BACK, _BACK_MM, more), *here, 12.0)
            horn = distance_near(_tube(HORN, _HORN_MM, 0.7 * more), *here, 12.0)
            temporal = _tube(TEMPORAL, _TEMPORAL_MM, self.temporal * more)
            whole = smooth_union(smooth_union(front, back, 4.0), horn, 5.0)
            found[half] = smooth_union(whole, distance_near(temporal, *here, 12.0), 3.0)
        return np.maximum(found, np.float32(0.8 + 0.5 * self.septum_mm) - side)

    def cavum(self, x: F32, y: F32, z: F32) -> F32:
        """Distance to the cavum of the septum pellucidum."""
        height = Ellipsoid((0, 12, 9), (30.0, 17.0, 8.0)).distance(x, y, z)
        return np.maximum(np.abs(x) - np.float32(0.5 * self.septum_mm), height)

    def middle(self, x: F32, y: F32, z: F32) -> F32:
        """Distance to the third ventricle, the foramina and the aqueduct."""
        third = distance_near(Ellipsoid(THIRD, (self.third_mm, 14.5, 10.5)), x, y, z)
        gates = distance_near(Tube(((6.5, 6, 11), (0.5, -1, 5)), (1.6, 1.2)), np.abs(x), y, z)
        narrow = 0.8 + 0.15 * max(self.third_mm - 2, 0)
        aqueduct = Tube(((0, -24, -5), (0, -34, -13), (0, -41, -25)), (narrow,) * 3)
        return np.minimum(np.minimum(third, gates), distance_near(aqueduct, x, y, z))

    def lowest(self, x: F32, y: F32, z: F32) -> F32:
        """Distance to the fourth ventricle."""
        s = self.fourth
        room = Ellipsoid(FOURTH, (6.5 * s, 4.2 * s, 10.0 * s), (14.0, 0, 0))
        roof = Tube(((0, -45, -34), (0, -52, -33)), (2.6 * s, 1.0))
        return smooth_union(distance_near(room, x, y, z), distance_near(roof, x, y, z), 2.0)


def usual_ventricles(head: Head, swell_mm: float = 0.0, fourth_mm: float = 0.0) -> Ventricles:
    """A patient's ventricles.

    Args:
        head: Who.
        swell_mm: How much wider hydrocephalus has made the lateral and the third ventricle.
        fourth_mm: The same for the fourth.
    """
    wide = 2.6 * head.atrophy - 1.3 + swell_mm
    half = 0.5 * head.variants.asymmetry_mm
    return Ventricles(
        wider_mm=(max(wide - half, -2.0), max(wide + half, -2.0)),
        third_mm=1.5 + 2.4 * head.atrophy + 0.65 * swell_mm,
        fourth=1 + 0.15 * head.atrophy + fourth_mm / 8,
        septum_mm=head.variants.septum_mm,
        temporal=0.3 if swell_mm < 1 else 0.6,
    )


def _tube(points: tuple[Point, ...], radii: tuple[float, ...], more: float) -> Tube:
    return Tube(points, tuple(max(r + more, 0.35 * r) for r in radii))

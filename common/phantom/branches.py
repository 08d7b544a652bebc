"""Pulmonary vessels and bronchi: two trees per lung that fill it, thinning from the hilum out.

Points are scattered in the lung and joined, nearest to the hilum first, each to the closest
branch there is. Radii follow Murray's law. Bronchi run beside the arteries that are thick enough.
Positions and radii are world mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .anatomy import BRONCHUS_END, HILUM, airways
from .patient import Patient
from .raster import Stroke
from .solids import Point, Tube

LEAF_RADIUS_MM = 0.85
_MURRAY = 2.6
_TIPS_PER_LUNG = 300


@dataclass(frozen=True)
class Branch:
    """One stretch of a tree.

    Attributes:
        start: World mm.
        stop: World mm.
        start_radius: Of the artery, mm.
        stop_radius: Of the artery, mm.
        side: `left` or `right`.
    """

    start: Point
    stop: Point
    start_radius: float
    stop_radius: float
    side: str


def grow(patient: Patient, points: NDArray[np.float64]) -> list[Branch]:
    """All branches of both lungs, from the hilum outwards.

    Args:
        patient: Whose.
        points: Random places in the lungs, reference mm `(N, 3)`; the first ones are grown to.

    Returns:
        Branches, each after the one it springs from.
    """
    branches: list[Branch] = []
    for side, sign in (("right", 1), ("left", -1)):
        tips = points[np.sign(points[:, 0]) == sign][:_TIPS_PER_LUNG]
        if len(tips):
            branches += _grow_lung(np.asarray(HILUM[side]), tips, side, patient)
    return branches


def _grow_lung(
    hilum: NDArray[np.float64], tips: NDArray[np.float64], side: str, patient: Patient
) -> list[Branch]:
    order = np.argsort(np.linalg.norm(tips - hilum, axis=1))
    points, parents = [hilum], [-1]
    for tip in tips[order]:
        known = np.asarray(points)
        gaps = np.linalg.norm(known - tip, axis=1)
        # a branch does not turn back towards the hilum
        back = np.linalg.norm(known - hilum, axis=1) > np.linalg.norm(tip - hilum)
        nearest = int(np.argmin(gaps + 30.0 * back))
        pieces = max(1, round(float(gaps[nearest]) / 14.0))
        start, last = points[nearest], nearest
        for n in range(1, pieces + 1):
            points.append(start + (tip - start) * (n / pieces))
            parents.append(last)
            last = len(points) - 1
    matrix = patient.world_from_reference
    world = np.asarray(points) @ matrix[:3, :3].T + matrix[:3, 3]
    radii = _murray(parents)
    return [
        Branch(_point(world[parent]), _point(world[n]), float(min(radii[parent], 1.25 * radii[n])),
               float(radii[n]), side)
        for n, parent in enumerate(parents) if parent >= 0
    ]  # fmt: skip


def _murray(parents: list[int]) -> NDArray[np.float64]:
    flow = np.zeros(len(parents))
    has_child = np.zeros(len(parents), bool)
    has_child[[p for p in parents if p >= 0]] = True
    flow[~has_child] = LEAF_RADIUS_MM**_MURRAY
    for n in range(len(parents) - 1, 0, -1):  # children come after their parents
        flow[parents[n]] += flow[n]
    return np.asarray(np.minimum(flow ** (1 / _MURRAY), 6.5))


@dataclass(frozen=True)
class Bronchi:
    """How the bronchi of a patient look.

    Attributes:
        wall_mm: Thickness of their walls.
        widened: Centre and reach (world mm) of where bronchi are widened; empty for none.
        widening: How much wider than normal they are there.
    """

    wall_mm: float = 0.8
    widened: tuple[tuple[Point, float], ...] = ()
    widening: float = 3.0


def vessel_strokes(branches: list[Branch], patient: Patient) -> list[Stroke]:
    """Arteries and veins as strokes."""
    hu = max(patient.blood_hu, 40.0)
    return [
        Stroke(Tube((b.start, b.stop), (b.start_radius, b.stop_radius)), hu, "brighter")
        for b in branches
    ]


def bronchus_tubes(branches: list[Branch], bronchi: Bronchi, patient: Patient) -> list[Tube]:
    """Inner surface of each bronchus from the trachea on."""
    matrix = patient.world_from_reference
    tubes = [
        Tube(tuple(_point(matrix[:3, :3] @ p + matrix[:3, 3]) for p in tube.points), tube.radii)
        for tube in airways(patient)
    ]
    for side in ("right", "left"):
        first = next((b for b in branches if b.side == side), None)
        if first is not None:
            end = matrix[:3, :3] @ np.asarray(BRONCHUS_END[side]) + matrix[:3, 3]
            tubes.append(Tube((_point(end), _beside(first)[0]), (5.2, 3.6)))
    for branch in branches:
        widening = _widening(branch, bronchi)
        if branch.stop_radius < (1.0 if widening > 1 else 1.5):
            continue
        radii = (
            min(0.8 * branch.start_radius, 3.6) * widening,
            min(0.8 * branch.stop_radius, 3.4) * widening,
        )
        tubes.append(Tube(_beside(branch, widening), radii))
    return tubes


def bronchus_strokes(tubes: list[Tube], bronchi: Bronchi) -> list[Stroke]:
    """Walls first, then the air within, so that branches open into each other."""
    walls = [
        Stroke(Tube(t.points, tuple(r + bronchi.wall_mm for r in t.radii)), 35.0, "brighter")
        for t in tubes
    ]
    return walls + [Stroke(tube, -985.0, "darker") for tube in tubes]


def _widening(branch: Branch, bronchi: Bronchi) -> float:
    for centre, reach in bronchi.widened:
        if np.linalg.norm(np.subtract(branch.stop, centre)) < reach:
            return bronchi.widening
    return 1.0


def _beside(branch: Branch, widening: float = 1.0) -> tuple[Point, Point]:
    """Where the bronchus runs: beside the artery, on the same side all the way."""
    start, stop = np.asarray(branch.start), np.asarray(branch.stop)
    along = stop - start
    along /= max(float(np.linalg.norm(along)), 1e-6)
    across = np.array([0.0, 1.0, 0.35]) - along * (along @ np.array([0.0, 1.0, 0.35]))
    across /= max(float(np.linalg.norm(across)), 0.2)
    gap = 1.0 + 0.8 * widening
    return (
        _point(start + across * (gap * min(branch.start_radius, 4.5) + 0.8)),
        _point(stop + across * (gap * min(branch.stop_radius, 4.5) + 0.8)),
    )


def _point(values: NDArray[np.float64]) -> Point:
    x, y, z = (float(v) for v in values)
    return x, y, z

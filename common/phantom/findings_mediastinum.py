"""Findings of heart, vessels, lymph nodes, gullet and airways, and medical material.

Each function adds one CT-RATE label to a scene. Places are reference mm, sizes world mm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from .anatomy import AORTA, AORTA_RADII, Heart
from .fields import Frame, Space
from .patient import CHEST_WIDTH_REFERENCE_MM
from .profile import (
    BODY_HALF_DEPTH,
    BODY_HALF_WIDTH,
    CAGE_HALF_DEPTH,
    CAGE_MIDDLE,
    height_index,
)
from .raster import Stroke
from .scene import LOBES, Region, Scene, Solid, as_point, lobe_index, side_of
from .solids import F32, Bounds, Cap, Ellipsoid, Point, Tube, ramp

Rng = np.random.Generator

NODE_STATIONS: dict[str, tuple[Point, str | None]] = {
    "right upper paratracheal": ((17, -4, 82), "right"),
    "right lower paratracheal": ((19, -8, 57), "right"),
    "aortopulmonary window": ((-29, -12, 54), "left"),
    "prevascular": ((-10, 46, 62), None),
    "subcarinal": ((4, -27, 24), None),
    "right hilar": ((51, -4, 6), "right"),
    "left hilar": ((-58, -14, 8), "left"),
}
"""Where lymph nodes lie. Every patient has small ones there."""

CORONARY_COURSES: dict[str, tuple[Point, ...]] = {
    "left anterior descending": ((-0.35, 0.0, 0.94), (0.2, -0.42, 0.88), (0.62, -0.4, 0.66),
                                 (0.88, -0.3, 0.36)),
    "circumflex": ((-0.35, 0.1, 0.93), (-0.25, 0.66, 0.7), (-0.3, 0.94, 0.15)),
    "right": ((-0.45, -0.5, 0.74), (-0.42, -0.84, 0.33), (-0.45, -0.86, -0.2)),
}  # fmt: skip
"""Along the heart's surface, in the axes of `Heart.at`."""


def add_cardiomegaly(scene: Scene, rng: Rng) -> None:
    """The heart itself was made wide; here it is only recorded."""
    patient = scene.patient
    width = patient.cardiothoracic_ratio * CHEST_WIDTH_REFERENCE_MM * patient.scale[0]
    scene.add("Cardiomegaly", size_mm=width, centre=scene.heart.centre)


def add_pericardial_effusion(scene: Scene, rng: Rng) -> None:
    """A shell of fluid round the heart, outside a thin layer of fat."""
    thick = float(rng.uniform(9, 18))
    heart = scene.heart
    low, high = (np.asarray(corner) for corner in heart.bounds())
    box: Bounds = (as_point(low - thick - 6), as_point(high + thick + 6))
    shell = Region(box, PericardialFluid(heart, thick), float(rng.uniform(2, 16)))
    size = thick * scene.patient.mean_scale
    scene.add_solid("Pericardial effusion", shell, side=None, lobe=None, size_mm=size)


@dataclass(frozen=True)
class PericardialFluid:
    """Fluid between the fat on the heart and the pericardium.

    Attributes:
        heart: Around which.
        thick_mm: Reference mm.
    """

    heart: Heart
    thick_mm: float

    def __call__(self, space: Space, frame: Frame) -> F32:
        """Distance to the fluid."""
        distance = np.full(space.x.shape, 60.0, np.float32)
        window = space.window(self.heart.bounds(), self.thick_mm + 10.0)
        if window is not None:
            near = self.heart.distance(*space.at(window))
            # supine, more of it gathers behind the heart; none above the great vessels' roots
            less = ramp(space.at(window)[2], self.heart.centre[2] + 20, self.heart.centre[2] + 48)
            outer = near - np.float32(3 + self.thick_mm) * (np.float32(1) - less)
            distance[window] = np.maximum(outer, np.float32(3.0) - near)
        return distance


def add_coronary_courses(scene: Scene) -> None:
    """Every patient's coronary arteries, thin lines in the fat on the heart."""
    hu = max(scene.patient.blood_hu - 10, 40.0)
    for course in CORONARY_COURSES.values():
        line = tuple(scene.world(p) for p in _on_heart(scene.heart, course, 1.035))
        scene.over.append(Stroke(Tube(line, (1.8,) * len(line)), hu, "brighter"))


def add_coronary_calcification(scene: Scene, rng: Rng) -> None:
    """Bright specks and short rails along the coronary courses."""
    volume, longest, centres = 0.0, 0.0, []
    courses = list(CORONARY_COURSES.values())
    for number in range(int(rng.integers(5, 12))):
        course = courses[0] if number < 2 else courses[int(rng.integers(3))]
        points = np.asarray(_on_heart(scene.heart, course, 1.035))
        middle, along = _on_line(points, float(rng.uniform(0.05, 0.75)))
        length, radius = float(rng.uniform(2, 11)), float(rng.uniform(1.5, 2.6))
        ends = (scene.world(middle - along * length / 2), scene.world(middle + along * length / 2))
        speck = Tube(ends, (radius, radius))
        scene.over.append(Stroke(speck, float(rng.uniform(550, 1100)), "brighter"))
        volume += np.pi * radius**2 * (length + 4 / 3 * radius) / 1000
        longest = max(longest, length + 2 * radius)
        centres.append(middle)
    scene.add(
        "Coronary artery wall calcification",
        size_mm=longest,
        volume_ml=float(volume),
        centre=np.mean(centres, axis=0),
    )


def add_arterial_calcification(scene: Scene, rng: Rng) -> None:
    """Plaques on the wall of the aorta, most on the arch and below it."""
    line, widen = np.asarray(AORTA, float), 1 + 0.004 * (scene.patient.age - 55)
    volume, longest, centres = 0.0, 0.0, []
    for number in range(int(rng.integers(8, 17))):
        stretch = int(rng.integers(3, 7)) if number < 4 else int(rng.integers(2, 10))
        share = float(rng.random())
        axis = line[stretch + 1] - line[stretch]
        axis /= np.linalg.norm(axis)
        middle = line[stretch] + (line[stretch + 1] - line[stretch]) * share
        wall = (AORTA_RADII[stretch] * (1 - share) + AORTA_RADII[stretch + 1] * share) * widen
        out = np.cross(axis, rng.normal(0, 1, 3))
        out /= np.linalg.norm(out)
        round_it = np.cross(axis, out)
        arc = float(rng.uniform(0.1, 0.45))
        turn = [np.cos(a) * out + np.sin(a) * round_it for a in (-arc, 0.0, arc)]
        points = tuple(scene.world(middle + wall * direction) for direction in turn)
        radius = float(rng.uniform(1.4, 2.5))
        scene.over.append(
            Stroke(Tube(points, (radius,) * 3), float(rng.uniform(600, 1200)), "brighter")
        )
        length = 2 * arc * wall
        volume += np.pi * radius**2 * (length + 4 / 3 * radius) / 1000
        longest = max(longest, length + 2 * radius)
        centres.append(middle)
    scene.add(
        "Arterial wall calcification",
        size_mm=float(longest),
        volume_ml=float(volume),
        centre=np.mean(centres, axis=0),
    )


def add_stomach_air(scene: Scene) -> None:
    """Every patient's air bubble in the stomach, below the diaphragm."""
    rng = np.random.default_rng([scene.patient.seed, 5])
    centre = scene.world((-66.0, 20.0, -114.0 + scene.patient.dome_raise_mm[1]))
    bubble = Ellipsoid(centre, as_point(rng.uniform((22, 26, 16), (32, 36, 24))))
    scene.under.append(Stroke(Cap(bubble, float(rng.uniform(0.1, 0.7))), -950.0))


def add_lymph_nodes(scene: Scene, rng: Rng, *, enlarged: bool) -> None:
    """Ovals at the usual stations: 4 to 6 mm across in everyone, 13 to 24 mm where enlarged."""
    stations = list(NODE_STATIONS)
    sick = set(rng.choice(stations, int(rng.integers(3, 6)), replace=False)) if enlarged else set()
    for station in stations:
        place, side = NODE_STATIONS[station]
        short = float(rng.uniform(13, 24) if station in sick else rng.uniform(3.5, 6))
        radii = np.array([0.5 * short, 0.5 * short * rng.uniform(1.0, 1.3), 0.0])
        radii[2] = radii[1] * rng.uniform(1.0, 1.4)
        turn = as_point(rng.uniform(-20, 20, 3))
        node = Solid(Ellipsoid(place, as_point(radii), turn), 48.0, only_lung=False)
        if station in sick:
            size = short * scene.patient.mean_scale
            scene.add_solid("Lymphadenopathy", node, side=side, lobe=None, size_mm=size)
        else:
            scene.edits.append(node)


def add_hiatal_hernia(scene: Scene, rng: Rng) -> None:
    """Stomach above the diaphragm, behind the heart: a wall, fluid, and air on top of it."""
    radii = rng.uniform((26, 22, 24), (38, 28, 36))
    centre: Point = (float(rng.uniform(-16, -2)), -26.0, float(rng.uniform(-66, -52)))
    sac = Ellipsoid(centre, as_point(radii), rough_mm=2.0, grain_mm=18.0, seed=scene.patient.seed)
    size = float(2 * radii.max() * scene.patient.mean_scale)
    scene.add_solid(
        "Hiatal hernia", Solid(sac, 48.0, only_lung=False), side=None, lobe=None, size_mm=size
    )
    inner = Ellipsoid(
        scene.world(centre), as_point((radii - 4.0) * np.asarray(scene.patient.scale))
    )
    scene.over.append(Stroke(inner, float(rng.uniform(0, 22))))
    scene.over.append(Stroke(Cap(inner, float(rng.uniform(-0.15, 0.35))), -950.0))


def add_peribronchial_thickening(scene: Scene, rng: Rng) -> None:
    """Bronchial walls several times as thick as normal, in both lungs."""
    wall = float(rng.uniform(2.4, 3.4))
    scene.bronchi = replace(scene.bronchi, wall_mm=wall)
    scene.add("Peribronchial thickening", side="bilateral", size_mm=wall)


def add_bronchiectasis(scene: Scene, rng: Rng) -> None:
    """Bronchi wider than the artery beside them, in one or two regions."""
    lungs = scene.lungs
    regions: list[tuple[Point, float]] = []
    widening = float(rng.uniform(3.0, 4.2))
    for _ in range(int(rng.integers(1, 4))):
        place = lungs.choose(rng, (lungs.depth_mm > 20) & (lungs.z < 50))
        regions.append((scene.world(place), 52.0))
        lobe = LOBES[int(lobe_index(place[:1], place[1:2], place[2:3])[0])]
        scene.add(
            "Bronchiectasis",
            side=side_of(place[0]),
            lobe=lobe,
            size_mm=2.4 * widening,
            centre=place,
        )
    scene.bronchi = replace(scene.bronchi, widened=tuple(regions), widening=widening)


def add_medical_material(scene: Scene, rng: Rng) -> None:
    """A port, a pacemaker, sternal wires or a feeding tube."""
    kind = int(rng.integers(4))
    (_port, _pacemaker, _sternal_wires, _feeding_tube)[kind](scene, rng)


def _under_skin(scene: Scene, x: float, z: float, deep_mm: float) -> Point:
    index = height_index(np.array([z], np.float32))
    fat = scene.patient.fat_mm / scene.patient.mean_scale
    half_width, half_depth = BODY_HALF_WIDTH[index][0] + fat, BODY_HALF_DEPTH[index][0] + fat
    y = half_depth * np.sqrt(max(0.0, 1 - abs(x / half_width) ** 2.4)) - 8 - deep_mm
    return x, float(y), z


def _wire(scene: Scene, points: tuple[Point, ...], radius: float, hu: float) -> None:
    line = tuple(scene.world(p) for p in points)
    scene.over.append(Stroke(Tube(line, (radius,) * len(line)), hu, "brighter"))


def _port(scene: Scene, rng: Rng) -> None:
    puck = _under_skin(scene, 68.0, 66.0, 12.0)
    scene.over.append(Stroke(Ellipsoid(scene.world(puck), (14, 7, 14)), 2600.0, "brighter"))
    neck: Point = (46.0, 48.0, 112.0)
    _wire(scene, (puck, neck, (28, 18, 96), (27, 14, 42), (24, 10, 8)), 1.5, 1900.0)
    scene.add("Medical material", side="right", size_mm=28.0, centre=puck)


def _pacemaker(scene: Scene, rng: Rng) -> None:
    case = _under_skin(scene, -78.0, 66.0, 13.0)
    scene.over.append(Stroke(Ellipsoid(scene.world(case), (26, 7, 22)), 3000.0, "brighter"))
    tip = scene.heart.at(0.72, -0.35, -0.2)
    lead = (case, (-52.0, 46.0, 106.0), (-10.0, 26.0, 96.0), (25.0, 18.0, 84.0), (25.0, 10.0, 4.0))
    _wire(scene, (*lead, scene.heart.at(-0.5, -0.4, -0.3), tip), 1.3, 2800.0)
    _wire(scene, (*lead, scene.heart.at(-0.7, -0.45, 0.1)), 1.3, 2800.0)
    scene.add("Medical material", side="left", size_mm=52.0, centre=case)


def _sternal_wires(scene: Scene, rng: Rng) -> None:
    for z in (66.0, 46.0, 26.0, 6.0, -16.0, -36.0):
        index = height_index(np.array([z], np.float32))
        front = float(CAGE_MIDDLE[index][0] + CAGE_HALF_DEPTH[index][0])
        half = 13.0
        ring: tuple[Point, ...] = (
            (-half, front + 6, z), (-half, front + 16, z + 3), (0, front + 19, z + 2),
            (half, front + 16, z), (half, front + 6, z), (0, front + 2, z - 2),
            (-half, front + 6, z),
        )  # fmt: skip
        _wire(scene, ring, 1.3, 3000.0)
    scene.add("Medical material", size_mm=26.0, centre=(0.0, front + 10, 15.0))


def _feeding_tube(scene: Scene, rng: Rng) -> None:
    line: tuple[Point, ...] = ((-3, -26, 160), (-4, -38, 60), (-4, -39, 0), (-10, -26, -75),
                               (-26, 0, -100), (-60, 20, -120))  # fmt: skip
    _wire(scene, line, 2.4, 1500.0)
    scene.add("Medical material", size_mm=280.0, centre=(-4.0, -38.0, 20.0))


def _on_heart(heart: Heart, course: tuple[Point, ...], out: float) -> list[Point]:
    points = np.asarray(course, float)
    fine = np.concatenate(
        [np.linspace(a, b, 4, endpoint=False) for a, b in pairwise(points)] + [points[-1:]]
    )
    fine *= out / np.linalg.norm(fine, axis=1, keepdims=True)
    return [heart.at(*p) for p in fine]


def _on_line(
    points: NDArray[np.float64], share: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    steps = np.diff(points, axis=0)
    ends = np.concatenate([[0.0], np.cumsum(np.linalg.norm(steps, axis=1))])
    place = share * ends[-1]
    n = min(int(np.searchsorted(ends, place, side="right")) - 1, len(steps) - 1)
    along = steps[n] / np.linalg.norm(steps[n])
    return points[n] + along * (place - ends[n]), along

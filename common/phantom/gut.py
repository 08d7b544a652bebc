"""Stomach, duodenum, colon and small bowel as layers: courses, walls, contents and gas.

The colon follows one course, wandering a little by seed. The small bowel runs back and forth in
rows through what space the other organs leave, bent by a smooth random warp. Reference mm, RAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from .abdomen import tube
from .build import Build
from .compounds import Common, Half, Joined
from .painting import Filling, Layer
from .patient import Patient
from .profile import TORSO, rounded_rectangle
from .solids import F32, Ellipsoid, Point, Shape, Texture, Tube

COLON: tuple[tuple[float, float, float, float], ...] = (
    (76, 22, -332, 21), (84, 14, -308, 24), (103, -8, -270, 23), (112, -16, -238, 21),
    (104, 4, -222, 20), (84, 40, -222, 19), (54, 64, -232, 19), (16, 74, -242, 18),
    (-28, 74, -240, 18), (-66, 60, -216, 18), (-96, 34, -184, 17), (-114, -4, -170, 17),
    (-119, -26, -204, 15), (-116, -28, -250, 14), (-92, 6, -298, 13.5), (-72, 26, -328, 13),
    (-38, 36, -344, 13), (-6, 20, -340, 13), (14, -6, -352, 13), (8, -42, -352, 14),
    (0, -66, -374, 17), (0, -67, -400, 18), (0, -55, -428, 13), (0, -60, -450, 9),
)  # fmt: skip
"""Course of the colon from the caecum to the anal canal: x, y, z, radius."""
DUODENUM: tuple[Point, ...] = (
    (25, 46, -177), (40, 30, -174), (46, 8, -186), (46, 1, -222), (36, 8, -237), (4, 15, -240),
    (-25, 13, -231), (-34, 17, -206),
)  # fmt: skip
_STOMACH: tuple[Point, ...] = (
    (-62, 25, -125), (-50, 48, -162), (-20, 60, -181), (12, 53, -181), (24, 47, -178),
)  # fmt: skip
_HAUSTRUM_MM, _STEP_MM = 30.0, 7.0
_PITCH_MM, _LOOP_MM = 27.0, 12.2
_WARPS_MM = ((46.0, 22.0), (25.0, 10.0))  # grain, reach
_BOWEL_BOX = ((-122.0, -22.0, -380.0), (118.0, 88.0, -200.0))
Course = NDArray[np.float64]


def stomach_layers(patient: Patient, build: Build) -> list[Layer]:
    """The stomach: fundus, body and antrum."""
    left, s = patient.dome_raise_mm[1], build.size["stomach"]
    fundus = Ellipsoid((-66, 18, -108 + left), (44, 50, 42), (0, 0, -12))
    lower = Tube(_STOMACH, tuple(r * s for r in (34, 25, 19, 13, 10)))
    shape = Joined((fundus, *lower.pieces()), blend_mm=6.0)
    content = 230.0 if build.oral_contrast else 34.0
    wall = 50.0 + 35 * patient.contrast
    return [Layer("stomach", shape, Filling(content, wall, 4.0), within="abdomen")]


def duodenum_layers(patient: Patient, build: Build) -> list[Layer]:
    """The duodenum in its loop round the head of the pancreas."""
    radii = (9.5, 11.5, 12, 11.5, 11, 10.5, 10.5, 10.5)
    content = Filling(22.0, 48.0 + 40 * patient.contrast, 2.5, mottle_hu=8, grain_mm=5)
    return [Layer("duodenum", tube(DUODENUM, radii, build.size["duodenum"]), content)]


def colon_course(build: Build) -> Course:
    """Points along the colon with their radius, `(N, 4)`, about `_STEP_MM` apart."""
    rng = np.random.default_rng([build.seed, 1])
    knots = np.asarray(COLON, float)
    wander = np.clip(rng.normal(0, 2.0, (len(knots), 3)), -4, 4)
    wander[6:10, 2] += float(rng.uniform(-10, 6))  # how far the transverse colon hangs down
    wander[15:19, 2] += float(rng.uniform(-4, 8))
    wander[19:] = 0
    knots[:, :3] += wander
    knots[:, 3] *= build.size["colon"]
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots[:, :3], axis=0), axis=1))])
    along = np.linspace(0, length[-1], int(length[-1] / _STEP_MM))
    course = CubicSpline(length, knots)(along)
    bulge = np.abs(np.sin(np.pi * along / _HAUSTRUM_MM)) ** 0.7
    haustra = np.interp(along, [0, length[13], length[19], length[-1]], [0.2, 0.2, 0.08, 0.02])
    course[:, 3] *= 1 - haustra * (1 - bulge)
    return np.asarray(course)


def colon_layers(patient: Patient, build: Build) -> list[Layer]:
    """The colon: wall and stool, then pockets of gas above it."""
    course = colon_course(build)
    rng = np.random.default_rng([build.seed, 2])
    stool = float(rng.uniform(160, 320)) if build.oral_contrast else float(rng.uniform(10, 45))
    filling = Filling(stool, 46.0 + 35 * patient.contrast, 2.5, mottle_hu=55, grain_mm=6)
    layers = [Layer("colon", _along(course), filling)]
    start = 0
    while start < len(course) - 8:
        stop = start + int(rng.integers(8, 20))
        if rng.random() < 0.6:
            stretch = course[start : min(stop, len(course) - 6)]
            if len(stretch) > 2:
                layers.append(_gas("colon", stretch, float(rng.uniform(-0.7, 0.5))))
        start = stop
    return layers


def _along(course: Course, thinner_mm: float = 0.0) -> Joined:
    radii = np.maximum(course[:, 3] - thinner_mm, 2.0)
    points = [(float(x), float(y), float(z)) for x, y, z in course[:, :3]]
    return Joined(
        tuple(Tube((a, b), (float(r), float(s)))
              for (a, r), (b, s) in pairwise(zip(points, radii, strict=True)))
    )  # fmt: skip


def _gas(name: str, course: Course, level: float) -> Layer:
    """Gas in a stretch of gut: in front of one flat level, as in a supine patient."""
    y = float(course[:, 1].mean() + level * course[:, 3].mean())
    shape = Common((_along(course, 3.0), Half((0.0, y, 0.0), (0.0, -1.0, 0.0))))
    return Layer(name, shape, Filling(-950.0))


def small_bowel_layers(patient: Patient, build: Build, others: Sequence[Shape]) -> list[Layer]:
    """Loops of small bowel in the space that `others` leave, with what they hold."""
    rng = np.random.default_rng([build.seed, 4])
    layers: list[Layer] = []
    wall = 46.0 + 45 * patient.contrast
    for course in _loops(build, others, rng):
        start = 0
        while start < len(course) - 2:
            stop = min(start + int(rng.integers(7, 16)), len(course))
            stretch = course[start:stop]
            kind = rng.random()
            if kind < 0.25:
                stretch = stretch * (1, 1, 1, 0.8)  # collapsed
            full = build.oral_contrast and rng.random() < 0.7
            content = 270.0 if full else float(rng.uniform(12, 34))
            filling = Filling(content, wall, 6.0 if kind < 0.25 else 2.2, mottle_hu=6, grain_mm=5)
            layers.append(Layer("small_bowel", _along(stretch), filling, within="abdomen"))
            if kind > 0.86 and len(stretch) > 4:
                layers.append(_gas("small_bowel", stretch[1:-1], float(rng.uniform(-0.3, 0.5))))
            start = stop - 1
    return layers


def _loops(build: Build, others: Sequence[Shape], rng: np.random.Generator) -> list[Course]:
    """Courses `(N, 4)` through the free space: rows, warped, where there is room for a loop."""
    (x0, y0, z0), (x1, y1, z1) = _BOWEL_BOX
    steps, tilt = np.arange(x0, x1, 9.0), float(rng.uniform(-14, 14))
    courses: list[Course] = []
    for layer, y in enumerate(np.arange(y0, y1, _PITCH_MM)):
        points: list[Point] = []
        for row, z in enumerate(np.arange(z1 - 8 + 9 * (layer % 2), z0, -_PITCH_MM)):
            line = steps if (row + layer) % 2 else steps[::-1]
            points += [(float(x), float(y), float(z)) for x in line]
            points.append((float(line[-1]), float(y), float(z - _PITCH_MM / 2)))
        courses += _fitting(_turned(np.asarray(points), tilt), build, others)
    return courses


def _fitting(rows: Course, build: Build, others: Sequence[Shape]) -> list[Course]:
    """The warped rows' stretches where there is room, with the radius that fits."""
    for grain_mm, reach_mm in _WARPS_MM:
        places = rows.T.astype(np.float32)
        warp = [Texture(build.seed + n, grain_mm).at(*places) for n in range(3)]
        rows = rows + reach_mm * np.stack(warp, axis=1)
    radius = _LOOP_MM * build.size["small_bowel"]
    x, y, z = rows.T.astype(np.float32)
    room = np.min([shape.distance(x, y, z) for shape in others] + [_to_wall(x, y, z)], axis=0)
    swing = 1 + 0.09 * Texture(build.seed + 5, 30.0).at(x, y, z)
    radii = np.minimum(radius * swing, room - 1.0)
    courses = np.column_stack([rows, radii])
    keep = np.concatenate([[False], radii > 0.6 * radius, [False]])
    edges = np.flatnonzero(np.diff(keep.astype(int)))
    runs = [courses[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [run for run in runs if len(run) > 2]


def _to_wall(x: F32, y: F32, z: F32) -> F32:
    """Distance to the inner side of the abdominal wall, positive within."""
    index = TORSO.index(z)
    forward = y - TORSO.cage_middle[index]
    return -rounded_rectangle(
        x, forward, TORSO.cage_half_width[index], TORSO.cage_half_depth[index]
    )


def _turned(rows: Course, degrees: float) -> Course:
    """Rows turned in the coronal plane about the middle of the bowel."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, z = rows[:, 0], rows[:, 2] + 290
    return np.column_stack([c * x - s * z, rows[:, 1], s * x + c * z - 290])

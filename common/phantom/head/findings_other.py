"""Infarcts, masses, hydrocephalus and fractures. What each kind is drawn from.

Each function adds one label to a scene. Shapes and places are reference mm, recorded sizes world
mm; sizes are chosen.
"""

from __future__ import annotations

import numpy as np

from ..painting import Filling
from ..solids import Ellipsoid, Tube
from .edits import NOBODY, Around, Bruise, Change, Crack, Lens, Vessel, Within
from .findings_blood import Rng, draw_side, flattened
from .inside import MIDDLE_ARTERY
from .places import DEEP, HINDBRAIN, LOBAR, TERRITORIES, Wedge, as_corner, on_side
from .scene import HeadScene
from .shift import Push
from .vault import Dent, inner_table, outward
from .ventricles import usual_ventricles

_FRESH_SHARES = (0.24, 0.24, 0.24, 0.13, 0.07, 0.08)


def add_acute_infarct(scene: HeadScene, rng: Rng) -> None:
    """Swollen dark tissue in the territory of an artery, its grey matter as dark as its white.

    From some hours (6 HU below white matter) to some days old (15 HU below).
    """
    side, sign, name, wedge = _territory(scene, rng, 21)
    drop = float(rng.uniform(6, 15))
    size = float(2 * wedge.spread * 48 * scene.head.mean_scale)
    number = scene.add("Acute infarct", side=side, place=name, size_mm=size)
    below = "cerebellar" in name
    to_hu = scene.head.white_hu - drop
    scene.changes.append(Change(number, wedge, to_hu, 1.0, 3.5, below=below))
    large = name.startswith("middle")
    across = float(rng.uniform(0.2, 0.6)) * (drop - 3) * (1.0 if large else 0.3)
    across = 0.0 if below else -sign * across
    scene.pushes.append(Push(wedge.base, 0.0, across, 0.9, 30.0))
    if large and rng.random() < 0.5:
        points = tuple(on_side(p, side) for p in MIDDLE_ARTERY.points)
        clot = Tube(points, tuple(r + 0.5 for r in MIDDLE_ARTERY.radii))
        scene.clots.append(Vessel(number, clot, float(rng.uniform(60, 75))))


def add_old_infarct(scene: HeadScene, rng: Rng) -> None:
    """A hole as dark as fluid with a rim of scar that draws the ventricle to it, or a lacune."""
    if rng.random() < 0.12:
        _add_lacune(scene, rng)
        return
    side, sign, name, wedge = _territory(scene, rng, 31, smaller=0.9)
    size = float(2 * wedge.spread * 48 * scene.head.mean_scale)
    number = scene.add("Old infarct", side=side, place=name, size_mm=size)
    below = "cerebellar" in name
    csf = scene.head.csf_hu
    rim = Wedge(wedge.tip, wedge.base, 1.25 * wedge.spread, wedge.seed, 1.2 * wedge.flat)
    scene.changes += [
        Change(NOBODY, rim, scene.head.white_hu - 5, 1.0, 5.0, below=below),
        Change(number, wedge, csf + float(rng.uniform(2, 7)), 1.0, 3.0, below=below),
    ]
    if not below:
        across = float(rng.uniform(0.3, 1.8))
        scene.pushes.append(Push(wedge.base, 0.0, sign * across, -0.6, 28.0))


def _add_lacune(scene: HeadScene, rng: Rng) -> None:
    side, _ = draw_side(rng)
    name = str(rng.choice(list(DEEP)))
    middle = np.asarray(on_side(DEEP[name], side)) + rng.normal(0, 2.5, 3)
    radii = as_corner(rng.uniform(4.5, 8.0, 3))
    hole = Ellipsoid(as_corner(middle), radii, rough_mm=0.8, grain_mm=5, seed=scene.head.seed)
    number = scene.add(
        "Old infarct", side=side, place=name, size_mm=2 * max(radii) * scene.head.mean_scale,
        centre=middle,
    )  # fmt: skip
    scene.changes.append(Change(number, hole, scene.head.csf_hu + 3, 1.0, 1.5))


def _territory(
    scene: HeadScene, rng: Rng, number: int, smaller: float = 1.0
) -> tuple[str, float, str, Wedge]:
    side, sign = draw_side(rng)
    name = str(rng.choice(list(TERRITORIES), p=_FRESH_SHARES))
    tip, base, spread, flat = TERRITORIES[name]
    share = smaller * float(rng.uniform(0.75, 1.05))
    seed = scene.head.seed * 101 + 500 + number
    wedge = Wedge(on_side(tip, side), on_side(base, side), spread * share, seed, flat * share)
    return side, sign, name, wedge


def add_mass(scene: HeadScene, rng: Rng) -> None:
    """A tumour: one of the dura, or one or two in the brain with oedema of the white matter."""
    if rng.random() < 0.3:
        _add_meningioma(scene, rng)
        return
    for _ in range(1 + int(rng.random() < 0.25)):
        _add_tumour(scene, rng)


def _add_tumour(scene: HeadScene, rng: Rng) -> None:
    side, sign = draw_side(rng)
    table = LOBAR | {"cerebellum": HINDBRAIN["cerebellum"]}
    name = str(rng.choice(list(table), p=[0.28, 0.22, 0.22, 0.14, 0.14]))
    below = name == "cerebellum"
    radius = float(rng.uniform(8, 15 if below else 24))
    radii = radius * rng.uniform(0.85, 1.1, 3)
    middle = np.asarray(on_side(table[name], side)) + rng.normal(0, 3, 3)
    where = as_corner(middle)
    body = Ellipsoid(
        where, as_corner(radii), rough_mm=0.15 * radius, grain_mm=0.6 * radius,
        seed=int(rng.integers(2**31)),
    )  # fmt: skip
    rim_hu = float(rng.uniform(42, 54))
    dead = radius > 11 and rng.random() < 0.7
    core_hu = float(rng.uniform(14, 26)) if dead else rim_hu
    filling = Filling(core_hu, rim_hu, 0.32 * radius, 3.0, mottle_hu=2.5, grain_mm=5)
    number = scene.add(
        "Mass", side=side, place=name, size_mm=float(2 * radii.max() * scene.head.mean_scale),
        centre=middle,
    )  # fmt: skip
    scene.within.append(Within(number, body, filling))
    oedema = float(rng.uniform(8, 20))
    around = Ellipsoid(
        where, as_corner(radii + oedema), rough_mm=0.45 * oedema, grain_mm=13.0,
        seed=int(rng.integers(2**31)),
    )  # fmt: skip
    grey = 0.5 if below else 0.08
    scene.changes.append(Change(NOBODY, around, float(rng.uniform(15, 20)), grey, 4.0, below=below))
    across = (
        0.0 if below else max(0.0, 0.22 * (radius + oedema) - 2.5) * float(rng.uniform(0.5, 1.2))
    )
    scene.pushes.append(
        Push(where, 0.75 * radius + 0.15 * oedema, -sign * across, 0.8, radius + oedema + 4)
    )


def _add_meningioma(scene: HeadScene, rng: Rng) -> None:
    side, sign = draw_side(rng)
    turn, lift = np.deg2rad([rng.uniform(-60, 65), rng.uniform(0, 60)])
    way = (sign * np.cos(turn) * np.cos(lift), np.sin(turn) * np.cos(lift), np.sin(lift))
    place = inner_table(as_corner(np.asarray(way)))
    radius = float(rng.uniform(12, 26))
    body = flattened(place, (radius * float(rng.uniform(0.8, 1.2)), radius, radius), scene, 41)
    name = "frontal" if place[1] > 20 else ("occipital" if place[1] < -75 else "parietal")
    number = scene.add(
        "Mass", side=side, place=f"{name} convexity", size_mm=2 * radius * scene.head.mean_scale
    )
    filling = Filling(float(rng.uniform(46, 60)), mottle_hu=2.0, grain_mm=5)
    scene.around.append(Around(number, Lens(body), filling))
    inner = as_corner(place - outward(place) * 0.5 * radius)
    if rng.random() < 0.6:
        oedema = Ellipsoid(
            inner, (radius + 11.0,) * 3, rough_mm=5.0, grain_mm=12.0, seed=scene.head.seed
        )
        scene.changes.append(Change(NOBODY, oedema, float(rng.uniform(16, 20)), 0.08, 4.0))
    scene.pushes.append(Push(inner, 0.55 * radius, -sign * max(0.0, 0.25 * radius - 2), 0.8, 36.0))


def add_hydrocephalus(scene: HeadScene, rng: Rng) -> None:
    """Wide rounded ventricles, temporal horns too, in a brain whose sulci are pressed shut."""
    swell = float(rng.uniform(4.0, 8.0))
    fourth = swell if rng.random() < 0.4 else 0.0
    scene.swell_mm = swell
    scene.fourth_mm = fourth
    place = "all ventricles" if fourth else "lateral and third ventricles"
    half = 9 + 4.6 + usual_ventricles(scene.head, swell).wider_mm[0]
    size = 2 * half * scene.head.scale[0]
    scene.add("Hydrocephalus", side=None, place=place, size_mm=size, centre=(0.0, 2.0, 14.0))
    scene.pushes.append(Push((0.0, -10.0, 20.0), 0.0, 0.0, 0.75, 130.0))


def add_fracture(scene: HeadScene, rng: Rng) -> None:
    """A line of 40 to 100 mm through the vault under a bruise; one in four is pushed inwards.

    It lies beside an epidural or subdural bleed of the same head where there is one.
    """
    sides = [f.side for f in scene.findings if f.label == "Epidural haemorrhage"]
    side, sign = draw_side(rng)
    if sides and sides[0] is not None:
        side, sign = sides[0], 1.0 if sides[0] == "right" else -1.0
    turn, lift = np.deg2rad([rng.uniform(-60, 60), rng.uniform(2, 50)])
    way = np.array([sign * np.cos(turn) * np.cos(lift), np.sin(turn) * np.cos(lift), np.sin(lift)])
    inner = inner_table(as_corner(way))
    normal = outward(inner)
    thick = scene.head.skull_mm
    middle = inner + 0.5 * thick * normal
    long, wide = float(rng.uniform(40, 100)), float(rng.uniform(1.8, 3.5))
    along = np.cross(normal, rng.standard_normal(3))
    along /= np.linalg.norm(along)
    bone = "frontal" if inner[1] > 15 else ("occipital" if inner[1] < -75 else "parietal")
    bone = "temporal" if bone == "parietal" and inner[2] < 22 else bone
    number = scene.add(
        "Fracture", side=side, place=f"{bone} bone", size_mm=long * scene.head.mean_scale,
        centre=middle,
    )  # fmt: skip
    seed = scene.head.seed * 101 + 551
    scene.cracks.append(Crack(number, as_corner(middle), as_corner(along), long, wide, seed))
    if rng.random() < 0.25:
        deep, radius = float(rng.uniform(5, 10)), float(rng.uniform(16, 26))
        scene.dents.append(Dent(as_corner(inner), radius, deep))
        across = np.cross(normal, along)
        crack = Crack(number, as_corner(middle), as_corner(across), 2 * radius, wide, seed + 1)
        scene.cracks.append(crack)
    add_bruise(scene, number, inner, float(rng.uniform(5, 11)))


def add_bruise(scene: HeadScene, number: int, inner: np.ndarray, deep_mm: float) -> None:
    """Blood under the scalp over a place on the inner table."""
    outer = inner + outward(inner) * (scene.head.skull_mm + 1.0)
    wide = 14 + 2.2 * deep_mm
    shape = flattened(inner, (deep_mm, wide, wide), scene, 61)
    body = Ellipsoid(as_corner(outer), shape.radii, shape.turn_deg, 1.0, 9.0, shape.seed)
    scene.bruises.append(Bruise(number, body))

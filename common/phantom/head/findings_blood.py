"""Bleeding: around the brain, in it, in its fluid. What each kind is drawn from.

Each function adds one label to a scene. Shapes and places are reference mm, recorded sizes world
mm. Blood has 55 to 75 HU when it is fresh; sizes are chosen: from what can just be seen on slices
5 mm thick to what neurosurgeons evacuate.
"""

from __future__ import annotations

import numpy as np

from ..painting import Filling
from ..solids import Ellipsoid, Point, rotation
from .edits import Around, Change, Crescent, InSpaces, InVentricles, Lens, Within
from .places import DEEP, HINDBRAIN, LOBAR, as_corner, on_side
from .scene import HeadScene
from .shift import Push
from .vault import VAULT_MIDDLE_MM, inner_table, outward

Rng = np.random.Generator
LEFT, RIGHT = ("left", -1.0), ("right", 1.0)


def add_epidural(scene: HeadScene, rng: Rng) -> None:
    """A lens of 12 to 30 mm between bone and dura, most of them beside the temporal lobe."""
    side, sign = draw_side(rng)
    name, turn, lift = (
        ("temporal", rng.uniform(-15, 25), rng.uniform(-12, 12)),
        ("frontal", rng.uniform(30, 60), rng.uniform(10, 35)),
        ("parietal", rng.uniform(-55, -20), rng.uniform(20, 45)),
    )[int(rng.choice(3, p=[0.6, 0.2, 0.2]))]
    place = inner_table(_direction(sign, turn, lift))
    deep, wide = float(rng.uniform(12, 30)), float(rng.uniform(24, 38))
    body = flattened(place, (deep, wide, wide * float(rng.uniform(0.8, 1.1))), scene, 1)
    swirl = float(rng.uniform(6, 12)) if rng.random() < 0.35 else 2.5
    filling = Filling(float(rng.uniform(58, 72)), mottle_hu=swirl, grain_mm=9)
    number = scene.add(
        "Epidural haemorrhage", side=side, place=f"{name} convexity", size_mm=deep * _scale(scene)
    )
    scene.around.append(Around(number, Lens(body), filling))
    shift = float(rng.uniform(0.2, 0.45)) * (deep - 4)
    scene.pushes.append(Push(as_corner(place), 0.0, -sign * shift, 0.85, 45.0))


def add_acute_subdural(scene: HeadScene, rng: Rng) -> None:
    """A bright crescent of 6 to 20 mm along one half of the vault."""
    side, sign = draw_side(rng)
    deep = float(np.clip(rng.gamma(5.0, 2.3), 6, 20))
    hu = float(rng.uniform(56, 74))
    number = scene.add(
        "Acute subdural haemorrhage", side=side, place="convexity", size_mm=deep * _scale(scene)
    )
    filling = Filling(hu, mottle_hu=float(rng.uniform(1.5, 6)), grain_mm=8)
    scene.around.append(Around(number, _crescent(scene, rng, sign, deep, 1), filling))
    _push_aside(scene, sign, deep, float(rng.uniform(0.45, 0.9)))


def add_chronic_subdural(scene: HeadScene, rng: Rng) -> None:
    """Old blood of one or both sides, 7 to 24 mm deep.

    It is dark (half of them), as dense as the brain (a quarter), or layered, with what is heavy
    behind (a quarter).
    """
    kind = str(rng.choice(["dark", "isodense", "layered"], p=[0.5, 0.25, 0.25]))
    both = rng.random() < 0.25
    first = draw_side(rng)
    fresh = [f.side for f in scene.findings if f.label == "Acute subdural haemorrhage"]
    if fresh:  # on the other side, so that neither hides the other
        both, first = False, LEFT if fresh[0] == "right" else RIGHT
    for number_of, (side, sign) in enumerate(
        (first, LEFT if first == RIGHT else RIGHT) if both else (first,)
    ):
        deep = float(rng.uniform(7, 16) if both else rng.uniform(8, 24))
        hu = {"dark": rng.uniform(12, 24), "isodense": rng.uniform(31, 38)}
        filling = Filling(float(hu.get(kind, rng.uniform(16, 26))), mottle_hu=1.5, grain_mm=10)
        number = scene.add(
            "Chronic subdural haemorrhage", side=side, place="convexity",
            size_mm=deep * _scale(scene),
        )  # fmt: skip
        shape = _crescent(scene, rng, sign, deep, 3 + number_of)
        level = float(rng.uniform(-45, -15)) if kind == "layered" else None
        settled = float(rng.uniform(46, 60))
        scene.around.append(Around(number, shape, filling, level, settled))
        _push_aside(scene, sign, deep, float(rng.uniform(0.35, 0.7)))


def add_subarachnoid(scene: HeadScene, rng: Rng) -> None:
    """Blood in the basal cisterns and fissures, or in the sulci of one region after a blow."""
    hu = float(rng.uniform(58, 72))
    if rng.random() < 0.65:
        side, sign = draw_side(rng)
        reach = float(rng.uniform(42, 70))
        middle = (float(sign * rng.uniform(0, 14)), 6.0, -18.0)
        sources: list[tuple[Point, float]] = [(middle, reach)]
        if rng.random() < 0.6:
            sources.append(((sign * 44.0, 8.0, -4.0), float(rng.uniform(28, 40))))
        if rng.random() < 0.4:
            sources.append(((0.0, 48.0, 0.0), float(rng.uniform(24, 36))))
        number = scene.add(
            "Subarachnoid haemorrhage", side=None, place="basal cisterns", size_mm=None
        )
    else:
        side, sign = draw_side(rng)
        place = inner_table(_direction(sign, rng.uniform(-50, 50), rng.uniform(5, 45)))
        sources = [(as_corner(place), float(rng.uniform(34, 50)))]
        number = scene.add("Subarachnoid haemorrhage", side=side, place="convexity", size_mm=None)
    scene.spaces.append(InSpaces(number, hu, tuple(sources)))


def add_intraparenchymal(scene: HeadScene, rng: Rng) -> None:
    """A clot of 1.5 to 70 ml with a dark rim: deep, in a lobe, or in the hindbrain."""
    side, sign = draw_side(rng)
    which = str(rng.choice(["deep", "lobar", "hindbrain"], p=[0.5, 0.37, 0.13]))
    table = {"deep": DEEP, "lobar": LOBAR, "hindbrain": HINDBRAIN}[which]
    weights = {"deep": [0.7, 0.3], "lobar": [0.25] * 4, "hindbrain": [0.75, 0.25]}[which]
    name = str(rng.choice(list(table), p=weights))
    largest = {"pons": 6.0, "cerebellum": 25.0, "thalamus": 22.0}.get(name, 70.0)
    volume = float(np.clip(rng.lognormal(2.5, 0.9), 1.5, largest))
    radius = (volume * 1000 / (4 / 3 * np.pi)) ** (1 / 3) / _scale(scene)
    shape = rng.uniform(0.82, 1.25, 2)
    radii = radius * np.array([1 / (shape[0] * shape[1]), shape[0], shape[1]])
    wander = 0.0 if name == "pons" else 3.0
    middle = np.asarray(on_side(table[name], side)) + rng.normal(0, wander, 3)
    middle[0] += sign * 0.25 * radius * (which == "deep")
    where = as_corner(middle)
    clot = Ellipsoid(
        where, as_corner(radii), (0.0, 0.0, sign * float(rng.uniform(-20, 20))),
        rough_mm=0.16 * radius, grain_mm=0.7 * radius, seed=_seed(scene, 11),
    )  # fmt: skip
    number = scene.add(
        "Intraparenchymal haemorrhage", side=side, place=name,
        size_mm=float(2 * radii.max() * _scale(scene)), centre=middle,
    )  # fmt: skip
    filling = Filling(float(rng.uniform(58, 74)), mottle_hu=3.0, grain_mm=6, soft_mm=1.0)
    scene.within.append(Within(number, clot, filling))
    rim = float(rng.uniform(2.5, 7))
    around = Ellipsoid(
        where, as_corner(radii + rim), clot.turn_deg,
        rough_mm=0.3 * rim, grain_mm=8.0, seed=_seed(scene, 12),
    )  # fmt: skip
    below = which == "hindbrain"
    change = Change(-1, around, float(rng.uniform(15, 20)), 0.9, 3.0, below=below)
    scene.changes.append(change)
    across = 0.0 if below else max(0.0, 0.35 * (radius + 0.5 * rim) - 2.4)
    scene.pushes.append(Push(where, 0.72 * radius, -sign * across, 0.7, 1.4 * radius + 12))


def add_intraventricular(scene: HeadScene, rng: Rng) -> None:
    """Blood that settles in the occipital horns, or a cast of one or both lateral ventricles."""
    hu = float(rng.uniform(54, 70))
    cast = rng.random() < 0.45
    if not cast:
        level = float(rng.uniform(-58, -46))
        edit = InVentricles(0, hu, level, (-99.0, 99.0), middle=False)
        side, name = None, "occipital horns"
    else:
        side, sign = draw_side(rng)
        both = rng.random() < 0.4
        sides = (-99.0, 99.0) if both else ((0.0, 99.0) if sign > 0 else (-99.0, 0.0))
        side = "bilateral" if both else side
        level = float(rng.uniform(-20, 60))
        edit = InVentricles(0, hu, level, sides, middle=bool(rng.random() < 0.7))
        name = "lateral ventricles" if both else "lateral ventricle"
    number = scene.add("Intraventricular haemorrhage", side=side, place=name, size_mm=None)
    scene.filled.append(InVentricles(number, hu, edit.level, edit.sides, edit.middle))
    scene.swell_mm = max(scene.swell_mm, 1.0 + 1.2 * cast)


def draw_side(rng: Rng) -> tuple[str, float]:
    """A side by chance, with the sign of its x."""
    return LEFT if rng.random() < 0.5 else RIGHT


def _direction(sign: float, turn_deg: float, lift_deg: float) -> Point:
    turn, lift = np.deg2rad([turn_deg, lift_deg])
    return (
        float(sign * np.cos(turn) * np.cos(lift)),
        float(np.sin(turn) * np.cos(lift)),
        float(np.sin(lift)),
    )


def flattened(
    place: np.ndarray, radii: tuple[float, float, float], scene: HeadScene, number: int
) -> Ellipsoid:
    """An ellipsoid whose first axis stands on the inner table at a place."""
    normal = outward(place)
    turn_z = np.rad2deg(np.arctan2(normal[1], normal[0]))
    turn_y = -np.rad2deg(np.arcsin(np.clip(normal[2], -1, 1)))
    turn: Point = (0.0, float(turn_y), float(turn_z))
    assert np.allclose(rotation(turn)[:, 0], normal, atol=1e-5)
    return Ellipsoid(as_corner(place), radii, turn, 0.8, 12.0, _seed(scene, number))


def _crescent(scene: HeadScene, rng: Rng, sign: float, deep: float, number: int) -> Crescent:
    reach = (float(rng.uniform(62, 88)), float(rng.uniform(44, 60)))
    turn, lift = float(rng.uniform(-15, 20)), float(rng.uniform(18, 34))
    return Crescent(sign, deep, turn, lift, reach, _seed(scene, number))


def _push_aside(scene: HeadScene, sign: float, deep: float, share: float) -> None:
    room = 2.5 + 4 * scene.head.atrophy  # a shrunken brain makes way before it moves
    shift = max(0.0, share * (deep - room))
    middle = as_corner(np.add(VAULT_MIDDLE_MM, (sign * 48.0, 10.0, 20.0)))
    scene.pushes.append(Push(middle, 0.0, -sign * shift, 0.8, 60.0))


def _scale(scene: HeadScene) -> float:
    return scene.head.mean_scale


def _seed(scene: HeadScene, number: int) -> int:
    return scene.head.seed * 101 + 500 + number

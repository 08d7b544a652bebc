"""Liver, gallbladder, spleen, pancreas, adrenal glands, kidneys and pelvic organs as layers.

All numbers are reference mm, RAS, see `anatomy`. T12 ends at z = -142, L1 to L5 lie below it at
34 mm each, the sacrum begins at z = -312, the femoral heads lie at z = -402.
"""

from __future__ import annotations

import numpy as np

from .build import Build, Cyst
from .compounds import Common, Cut, Grown, Half, Joined
from .painting import Filling, Layer
from .patient import Patient
from .solids import Ellipsoid, Point, Shape, Tube, rotation

HEPATIC_VEINS: tuple[tuple[Point, ...], ...] = (
    ((24, -8, -84), (52, -18, -98), (92, -22, -122)),
    ((24, -6, -84), (44, 16, -92), (66, 46, -112)),
    ((22, -4, -84), (8, 18, -92), (-16, 40, -104)),
)
PORTAL_BRANCHES: tuple[tuple[Point, ...], ...] = (
    ((37, 10, -146), (66, 6, -138), (98, -14, -146)),
    ((66, 6, -138), (88, 30, -128), (102, 44, -120)),
    ((66, 6, -138), (92, -12, -118), (110, -20, -100)),
    ((37, 10, -146), (18, 28, -128), (-10, 42, -116)),
)
_SPINE_AND_VESSELS = Tube(((-4, -46, -40), (-4, -46, -230)), (33, 33))


def tubes(lines: tuple[tuple[Point, ...], ...], radii: tuple[float, ...]) -> Joined:
    """Several courses of the same thickness."""
    return Joined(tuple(piece for line in lines for piece in Tube(line, radii).pieces()))


def tube(line: tuple[Point, ...], radii: tuple[float, ...], scale: float = 1.0) -> Joined:
    """One course; each stretch is evaluated in its own box."""
    return Joined(tuple(Tube(line, tuple(r * scale for r in radii)).pieces()))


def mirrored(line: tuple[Point, ...], sign: float) -> tuple[Point, ...]:
    """A course given on the right, on the side of `sign`: 1 right, -1 left."""
    return tuple((sign * x, y, z) for x, y, z in line)


def liver_layers(patient: Patient, build: Build) -> list[Layer]:
    """Liver over the visceral surface, its veins, spleen."""
    warm = 40.0 if patient.contrast else 0.0
    right, left = patient.dome_raise_mm
    s = build.size["liver"]
    lobes = Joined(
        (
            Ellipsoid((66, 8, -128 + right), (92, 92, 84 * s)),
            Ellipsoid((-5, 42, -112), (58 * s, 48, 34), (0, 12, 0)),
        ),
        blend_mm=8.0,
    )
    under = Half((115, 0, -208 * s), (-0.5, -0.15, -1.0))
    shape = Cut(Common((lobes, under)), _SPINE_AND_VESSELS)
    within = Grown(shape, -3.0)
    vein_hu = 128.0 if patient.contrast else 40.0
    portal_hu = 150.0 if patient.contrast else 40.0
    size, place = build.size["spleen"], build.moved("spleen", (-98, -42, -108 + left))
    spleen = Ellipsoid(place, (34 * size, 50 * size, 42 * size), (0, 0, 18))
    return [
        Layer("liver", shape, Filling(56 + warm, mottle_hu=4), within="abdomen"),
        Layer("liver", Common((tubes(HEPATIC_VEINS, (5, 4, 2.5)), within)), Filling(vein_hu),
              within="abdomen"),
        Layer("liver", Common((tubes(PORTAL_BRANCHES, (6, 4, 2.5)), within)), Filling(portal_hu),
              within="abdomen"),
        Layer("spleen", spleen, Filling(48 + 1.4 * warm, mottle_hu=3), within="abdomen"),
    ]  # fmt: skip


def kidney_layers(patient: Patient, build: Build) -> list[Layer]:
    """Both kidneys in their fat, cortex over medulla, the pelvis open to the middle, cysts."""
    return [layer for side in ("right", "left") for layer in _kidney(patient, build, side)]


def _kidney(patient: Patient, build: Build, side: str) -> list[Layer]:
    sign, name = (1.0, "kidney_right") if side == "right" else (-1.0, "kidney_left")
    body = kidney(build, side)
    x, y, z = body.centre
    sinus = Ellipsoid((x - sign * 17, y + 7, z), (17, 9, 24), (0, -8 * sign, -20 * sign))
    pelvis = Ellipsoid((x - sign * 17, y + 7, z - 4), (10, 5, 13), (0, -8 * sign, -20 * sign))
    medulla, cortex = (150.0, 185.0) if patient.contrast else (33.0, 33.0)
    filling = Filling(medulla, cortex, 8.0, 4.0, 14.0 if patient.contrast else 4.0, 7.0)
    layers = [
        Layer(name, Cut(body, sinus), filling, fat_mm=5.0, within="abdomen"),
        Layer("renal_pelvis", pelvis, Filling(8.0), within="abdomen"),
    ]
    cysts = [_cyst(body, cyst, sign) for cyst in build.cysts if cyst.side == side]
    if cysts:
        wanted = Filling(6.0, 25.0, 1.0)
        layers.append(Layer(f"kidney_cyst_{side}", Joined(tuple(cysts)), wanted, within="abdomen"))
    return layers


def kidney(build: Build, side: str) -> Ellipsoid:
    """Outline of a kidney; its lower pole lies farther aside."""
    sign, name = (1.0, "kidney_right") if side == "right" else (-1.0, "kidney_left")
    z = -196.0 if side == "right" else -186.0
    size = build.size[name]
    place = build.moved(name, (sign * 63, -52, z))
    return Ellipsoid(place, (26 * size, 23 * size, 51 * size), (8, -9 * sign, 0))


def _cyst(body: Ellipsoid, cyst: Cyst, sign: float) -> Ellipsoid:
    """A ball half out of the kidney."""
    ring = np.sqrt(1 - cyst.height**2)
    out = np.array([sign * np.cos(cyst.turn) * ring, 0.8 * np.sin(cyst.turn) * ring, cyst.height])
    x, y, z = (float(v) for v in body.centre + rotation(body.turn_deg) @ (out * body.radii * 0.96))
    return Ellipsoid((x, y, z), (cyst.radius_mm,) * 3)


def small_organ_layers(patient: Patient, build: Build) -> list[Layer]:
    """Pancreas, gallbladder and adrenal glands."""
    layers = [Layer("pancreas", _pancreas(build), Filling(42.0 + 52 * patient.contrast,
                                                          mottle_hu=9, grain_mm=5))]  # fmt: skip
    for sign, name in ((1.0, "adrenal_gland_right"), (-1.0, "adrenal_gland_left")):
        filling = Filling(32.0 + 42 * patient.contrast)
        layers.append(Layer(name, _adrenal(build, sign), filling, fat_mm=2.5, within="abdomen"))
    if build.gallbladder:
        wall = 45.0 + 40 * patient.contrast
        layers.append(Layer("gallbladder", _gallbladder(build), Filling(9.0, wall, 1.6)))
    return layers


def _pancreas(build: Build) -> Shape:
    s = build.size["pancreas"]
    line = tuple(
        build.moved("pancreas", point)
        for point in ((24, 14, -190), (6, 27, -182), (-20, 30, -172), (-54, 4, -160),
                      (-78, -22, -148))
    )  # fmt: skip
    head = Ellipsoid(build.moved("pancreas", (25, 12, -200)), (13 * s, 13 * s, 22 * s))
    body = Tube(line, tuple(r * s for r in (12, 9.5, 11, 10.5, 9)))
    return Joined((head, *body.pieces()), blend_mm=4.0)


def _gallbladder(build: Build) -> Shape:
    s = build.size["gallbladder"]
    line = tuple(
        build.moved("gallbladder", point)
        for point in ((52, 28, -160), (58, 42, -176), (62, 54, -194))
    )
    return tube(line, (4.5, 11, 14), s)


def _adrenal(build: Build, sign: float) -> Shape:
    s = build.size["adrenal_gland"]
    if sign > 0:
        crest: tuple[Point, ...] = ((30, -30, -131), (33, -38, -141))
        limbs = (((33, -38, -141), (27, -50, -150)), ((33, -38, -141), (44, -50, -150)))
    else:
        crest = ((-31, -22, -132), (-36, -30, -144))
        limbs = (((-36, -30, -144), (-30, -45, -156)), ((-36, -30, -144), (-50, -42, -152)))
    courses = [Tube(crest, (3.2 * s, 4.2 * s)), *(Tube(limb, (3.6 * s, 2.8 * s)) for limb in limbs)]
    return Joined(tuple(courses), blend_mm=2.0)


def pelvic_layers(patient: Patient, build: Build) -> list[Layer]:
    """Bladder, and under it the prostate or behind it the uterus."""
    fill = build.bladder_fill
    place = build.moved("urinary_bladder", (0, 16, -424 + 30 * fill))
    bladder = Ellipsoid(place, (44 * fill, 31 * fill**0.5, 30 * fill))
    wall = 42.0 + 20 * patient.contrast
    layers = [Layer("urinary_bladder", bladder, Filling(7.0, wall, 3.5))]
    soft = Filling(44.0 + 30 * patient.contrast, mottle_hu=6, grain_mm=6)
    if patient.sex == "M":
        s = min(build.size["prostate"], 1.25)
        prostate = Ellipsoid((0, 6, -433), (22 * s, 15 * s, 17 * s))
        vesicles = tubes((((-26, -16, -411), (0, -14, -419)), ((26, -16, -411), (0, -14, -419))),
                         (5, 4))  # fmt: skip
        return [
            *layers,
            Layer("seminal_vesicles", vesicles, soft),
            Layer("prostate", prostate, soft),
        ]
    uterus = Joined(
        (Ellipsoid((0, -8, -372), (26, 20, 19), (20, 0, 0)), Tube(((0, -14, -384), (0, -24, -424)),
                                                                  (13, 10))), blend_mm=6.0
    )  # fmt: skip
    return [Layer("uterus", uterus, soft), *layers]

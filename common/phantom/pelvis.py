"""Bones and muscles of loins, pelvis and hips, and what is added to the chest, as layers.

Reference mm, RAS, see `abdomen`. Courses are given for the right side.
"""

from __future__ import annotations

import numpy as np

from .abdomen import mirrored, tube
from .anatomy import make_heart
from .build import Build
from .compounds import Common, Cut, Half, Joined
from .fields import FAT_HU, MUSCLE_HU
from .painting import Filling, Layer
from .patient import Patient
from .solids import Ellipsoid, Point, Shape, Tube, rotation
from .spine import BONE

HEAD: Point = (90, 0, -402)
_WING: Point = (91, -22, -312)
_WING_RADII: Point = (6.5, 65, 56)
_PSOAS: tuple[Point, ...] = (
    (29, -50, -158), (34, -50, -190), (41, -46, -225), (48, -42, -262), (55, -34, -300),
    (62, -6, -340), (70, 28, -374), (81, 41, -402), (93, 30, -430), (106, 2, -454),
)  # fmt: skip
_PSOAS_RADII = (6.5, 10.5, 14.5, 17.5, 19.5, 19.5, 15.5, 12, 11, 8.5)
_MAXIMUS: tuple[Point, ...] = (
    (36, -108, -342), (78, -100, -386), (118, -62, -424), (128, -26, -458),
)  # fmt: skip
_OTHER_MUSCLES: dict[str, tuple[tuple[Point, ...], tuple[float, ...]]] = {
    "crus": (((13, -30, -96), (13, -30, -140), (11, -28, -178)), (4.5, 5, 3)),
    "piriformis": (((34, -84, -370), (84, -48, -392), (118, -24, -410)), (9, 9, 5)),
    "tensor": (((121, 30, -312), (128, 30, -380), (128, 22, -430)), (6, 13, 12)),
    "rectus": (((108, 36, -352), (112, 38, -400), (106, 38, -440)), (7, 11, 14)),
}
_HUMERUS: tuple[Point, ...] = ((134, -12, 112), (138, -16, 128), (140, -24, 200))
_MUSCLE = Filling(MUSCLE_HU + 4, mottle_hu=4, grain_mm=6)


def bone_layers(build: Build) -> list[Layer]:
    """Hips and femurs with the cartilage between them."""
    layers = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        head = mirrored((HEAD,), sign)[0]
        layers += [
            Layer("cartilage", Ellipsoid(head, (27, 27, 27)), Filling(60.0)),
            Layer(f"hip_{side}", _hip(sign), BONE),
            Layer(f"femur_{side}", _femur(sign), BONE),
        ]
    return layers


def _hip(sign: float) -> Shape:
    def course(*points: Point) -> tuple[Point, ...]:
        return mirrored(points, sign)

    x, y, z = mirrored((HEAD,), sign)[0]
    cup = Cut(
        Common((Ellipsoid((x - 4 * sign, y, z + 2), (35, 35, 35)),
                Half((x + 8 * sign, y, z), (0.75 * sign, 0.2, -0.62)))),
        Ellipsoid((x, y, z), (26, 26, 26)),
    )  # fmt: skip
    wing = _on_wing(sign, 0.0, _WING_RADII)
    bars = (
        Tube(course((86, -30, -345), (86, -16, -378)), (13, 17)),
        Tube(course((51, -82, -318), (54, -84, -346), (80, -38, -356)), (9, 9, 11)),
        Tube(course((60, 14, -398), (34, 38, -404), (10, 44, -418), (9, 40, -436)), (9, 7.5, 8, 7)),
        Tube(course((10, 38, -438), (28, 14, -454), (46, -18, -462)), (6.5, 6, 7)),
        Tube(course((76, -28, -408), (66, -34, -436), (54, -30, -458)), (11, 10, 13)),
    )
    return Cut(
        Joined((wing, cup, *(piece for bar in bars for piece in bar.pieces())), blend_mm=3.0),
        Ellipsoid((x, y, z), (25.5, 25.5, 25.5)),
    )


def _on_wing(sign: float, out_mm: float, radii: Point, shift: Point = (0, 0, 0)) -> Ellipsoid:
    """A sheet along the iliac wing, `out_mm` farther out than the wing itself."""
    turn: Point = (0, 20 * sign, -33 * sign)
    out = out_mm * sign * rotation(turn)[:, 0]
    x, y, z = (float(v) for v in np.array(mirrored((_WING,), sign)[0]) + out + shift)
    return Ellipsoid((x, y, z), radii, turn)


def _femur(sign: float) -> Shape:
    courses = (
        Tube(mirrored((HEAD, (112, -2, -414), (126, -6, -428)), sign), (16, 14, 18)),
        Tube(mirrored(((132, -14, -414), (128, -8, -436)), sign), (12, 18)),
        Tube(mirrored(((124, -6, -440), (114, -2, -500), (108, 0, -640)), sign), (18, 14.5, 14)),
    )
    head = Ellipsoid(mirrored((HEAD,), sign)[0], (23.5, 23.5, 23.5))
    return Joined((head, *(piece for c in courses for piece in c.pieces())), blend_mm=4.0)


def muscle_layers(build: Build) -> list[Layer]:
    """Iliopsoas and glutei of both sides, and muscles without a number of their own."""
    layers: list[Layer] = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        layers += _other_muscles(sign, build.size["muscles"])
        layers += _named_muscles(side, sign, build.size["muscles"])
    return layers


def _other_muscles(sign: float, s: float) -> list[Layer]:
    loins, wall = mirrored(((64, -84, -222), (60, -10, -412)), sign)
    courses = [
        Layer(name, tube(mirrored(line, sign), radii), _MUSCLE)
        for name, (line, radii) in _OTHER_MUSCLES.items()
    ]
    return [
        Layer("quadratus", Ellipsoid(loins, (22, 9 * s, 60)), _MUSCLE),
        Layer("obturator", Ellipsoid(wall, (9, 34, 30), (0, 0, 12 * sign)), _MUSCLE),
        *courses,
    ]


def _named_muscles(side: str, sign: float, s: float) -> list[Layer]:
    def course(line: tuple[Point, ...], *radii: float) -> tuple[Shape, ...]:
        return tube(mirrored(line, sign), radii, s).parts

    low = Ellipsoid(mirrored(((62, -98, -404),), sign)[0], (44, 21 * s, 44), (0, 0, 20 * sign))
    iliacus = _on_wing(sign, -11.0, (10 * s, 54, 46))
    medius = _on_wing(sign, 17.0, (13 * s, 57, 56), (0, 0, -8))
    minimus = _on_wing(sign, 9.0, (9 * s, 42, 38), (0, 8, -16))
    medius_end = course(((114, -30, -352), (130, -18, -402)), 20, 11)
    minimus_end = course(((110, -2, -356), (127, 2, -408)), 13, 7)
    shapes = {
        "iliopsoas": Joined((*course(_PSOAS, *_PSOAS_RADII), iliacus), blend_mm=4.0),
        "gluteus_maximus": Joined((*course(_MAXIMUS, 17, 26, 19, 9), low), blend_mm=10.0),
        "gluteus_medius": Joined((medius, *medius_end), blend_mm=8.0),
        "gluteus_minimus": Joined((minimus, *minimus_end), blend_mm=6.0),
    }
    between = {"gluteus_medius": 0.7, "gluteus_minimus": 0.7}
    return [
        Layer(f"{name}_{side}", shape, _MUSCLE, between.get(name, 0.0), within="skin")
        for name, shape in shapes.items()
    ]


def upper_body_layers(patient: Patient) -> list[Layer]:
    """Humeri of the raised arms, thyroid, and the appendage of the left atrium."""
    gland = Filling(110.0 if not patient.contrast else 170.0, mottle_hu=6, grain_mm=5)
    layers = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        line = mirrored(_HUMERUS, sign)
        layers += [
            Layer("arm", tube(line, (28, 38, 40)), Filling(FAT_HU)),
            Layer("arm_muscle", tube(line, (22, 30, 32)), _MUSCLE),
            Layer(f"humerus_{side}", tube(line, (18.5, 15, 12)), BONE),
        ]
    isthmus = Tube(((-12, 5, 131), (1.5, 5, 129), (15, 5, 131)), (4, 3.5, 4)).pieces()
    lobes: tuple[Shape, ...] = tuple(Ellipsoid((x, 0, 146), (6, 10, 21)) for x in (-14, 17))
    windpipe = Tube(((1, -8, 180), (2, -12, 110)), (10.4, 10.4))
    heart = make_heart(patient)
    appendage = Tube((heart.at(-0.3, 0.62, 0.62), heart.at(0.02, 0.5, 0.86)), (8.5, 6))
    blood = Filling(patient.blood_hu if patient.contrast else 45.0)
    layers.append(Layer("atrial_appendage_left", appendage, blood))
    return [
        *layers,
        Layer("thyroid_gland", Cut(Joined((*lobes, *isthmus), blend_mm=3), windpipe), gland),
    ]

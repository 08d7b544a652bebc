"""The chest's soft parts as named solids: heart, vessels, airways, upper abdomen.

All numbers are reference mm, RAS: x to the right, y to the front, z up, origin at mid lung;
the tracheal bifurcation lies at z = 45, the right dome of the diaphragm near z = -52.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..vocabulary.totalsegmentator import STRUCTURES
from .patient import CHEST_WIDTH_REFERENCE_MM, HEART_WIDTH_REFERENCE_MM, Patient
from .solids import F32, Bounds, Ellipsoid, Point, Shape, Tube, rotation

ORGAN_IDS: dict[str, int] = {name: number for number, name in enumerate(STRUCTURES) if number}
"""TotalSegmentator v2 ids by name. Vertebrae count down from L5 to C1, ribs up from 1."""

AORTA: tuple[Point, ...] = (
    (-2, 18, 4), (8, 27, 24), (14, 26, 46), (10, 17, 64), (-2, 0, 75), (-15, -20, 74),
    (-24, -36, 60), (-26, -44, 38), (-25, -47, 0), (-22, -48, -50), (-14, -38, -100),
    (-6, -24, -150), (-4, -14, -200),
)  # fmt: skip
AORTA_RADII = (14.5, 15.5, 15.5, 14.5, 13.5, 13.0, 12.5, 12.5, 12.0, 11.5, 11.0, 10.5, 10.0)
CARINA: Point = (2, -22, 45)
BRONCHUS_END: dict[str, Point] = {"right": (33, -19, 24), "left": (-43, -22, 19)}
HILUM: dict[str, Point] = {"right": (46, -12, 12), "left": (-50, -18, 14)}

_HEART_TURN = (0.0, 28.7, 141.0)
_HEART_RADII = (66.0, 48.0, 50.0)
_HEART_TOP_MARGIN = 50.0


@dataclass(frozen=True)
class Heart:
    """Tilted ellipsoid stretched sideways to the wanted width, flat where it rests below.

    Attributes:
        centre: Of the ellipsoid.
        stretch: Along x, y, z against the reference heart.
        floor: Height of the flat underside.
    """

    centre: Point
    stretch: Point
    floor: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance, to first order."""
        body = Ellipsoid((0.0, 0.0, 0.0), _HEART_RADII, _HEART_TURN)
        (cx, cy, cz), (sx, sy, sz) = self.centre, self.stretch
        ex, ey, ez = (
            (v - np.float32(c)) * np.float32(1 / s)
            for v, c, s in ((x, cx, sx), (y, cy, sy), (z, cz, sz))
        )
        distance = body.distance(ex, ey, ez) * np.float32((sx * sy * sz) ** (1 / 3))
        return np.asarray(np.maximum(distance, (np.float32(self.floor) - z) * np.float32(0.9)))

    def bounds(self) -> Bounds:
        """Box around the heart."""
        low, high = Ellipsoid((0.0, 0.0, 0.0), _HEART_RADII, _HEART_TURN).bounds()
        stretch, centre = np.asarray(self.stretch), np.asarray(self.centre)
        corners = (centre + stretch * low, centre + stretch * high)
        lowest, highest = (tuple(float(v) for v in corner) for corner in corners)
        return lowest, highest  # type: ignore[return-value]

    def at(self, along: float, across: float, up: float) -> Point:
        """Point given in the heart's own axes, each in -1..1 from surface to surface.

        `along` runs from base to apex, `across` to the patient's left and back, `up` to the top.
        """
        from_axes = Ellipsoid((0, 0, 0), _HEART_RADII, _HEART_TURN)
        turned = _axes(from_axes) @ np.array([along, across, up])
        x, y, z = np.asarray(self.centre) + np.asarray(self.stretch) * turned
        return float(x), float(y), max(float(z), self.floor)


def _axes(body: Ellipsoid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(rotation(body.turn_deg) * np.asarray(body.radii))


@dataclass(frozen=True)
class Part:
    """A solid organ or vessel.

    Attributes:
        name: Key of `ORGAN_IDS`, or another name for what has no id.
        shape: Where.
        hu: What it is filled with.
        room_mm: Fat that it keeps between itself and the lung; None if it does not touch it.
    """

    name: str
    shape: Shape
    hu: float
    room_mm: float | None = None


def make_heart(patient: Patient) -> Heart:
    """The heart at the wanted cardiothoracic ratio; it grows to the left more than to the right."""
    widen = patient.cardiothoracic_ratio * CHEST_WIDTH_REFERENCE_MM / HEART_WIDTH_REFERENCE_MM
    swell = 1 + 0.35 * (widen - 1)
    dx, dy, dz = patient.heart_shift_mm
    left_shift = -18 - 0.22 * (widen - 1) * HEART_WIDTH_REFERENCE_MM
    centre = (left_shift + dx, 24 + 12 * (widen - 1) + dy, -28 - 8 * (widen - 1) + dz)
    return Heart(centre, (widen, swell, swell), floor=-84 + dz)


def mediastinal_parts(patient: Patient) -> list[Part]:
    """Vessels, heart and gullet, in the order in which they are painted."""
    blood, venous = patient.blood_hu, 0.8 * patient.blood_hu + 8
    widen = 1 + 0.004 * (patient.age - 55)
    heart = make_heart(patient)
    parts = [
        Part("esophagus", Tube(((-3, -26, 160), (-4, -38, 60), (-4, -39, 0), (-10, -26, -75),
                                (-26, 0, -100)), (5, 5.5, 6, 6, 7)), 38, 2.0),
        Part("superior_vena_cava", Tube(((25, 20, 92), (27, 14, 42), (24, 10, 6)), (8, 9, 9)),
             venous * (1.3 if patient.contrast else 1), 2.5),
        Part("inferior_vena_cava", Tube(((20, -2, -62), (22, -8, -90), (20, -14, -210)),
                                        (12, 12, 11)), 0.5 * blood + 25),
        Part("brachiocephalic_vein_left", Tube(((25, 21, 90), (0, 26, 92), (-32, 20, 112),
                                                (-34, 14, 150)), (6, 6, 6, 6)), venous, 2.5),
        Part("brachiocephalic_vein_right", Tube(((25, 20, 92), (32, 14, 125), (34, 10, 150)),
                                                (7, 6, 6)), venous, 2.5),
        Part("brachiocephalic_trunk", Tube(((6, 12, 72), (15, 8, 98), (24, 2, 125), (26, 0, 150)),
                                           (6.5, 6, 5.5, 4.5)), blood, 2.5),
        Part("common_carotid_artery_left", Tube(((-5, -2, 78), (-14, 2, 105), (-20, 0, 150)),
                                                (4.5, 4, 3.8)), blood, 2.5),
        Part("subclavian_artery_left", Tube(((-16, -18, 76), (-27, -14, 104), (-40, -8, 130)),
                                            (5.5, 5, 4.5)), blood, 2.5),
        Part("azygos", Tube(((8, -41, -90), (8, -42, 30), (12, -34, 50), (22, -5, 50)),
                            (3.2, 3.5, 4, 4)), venous, 2.5),
        Part("pulmonary_artery", Tube(((-16, 44, 4), (-20, 32, 24), (-16, 16, 31)),
                                      (13, 13.5, 11)), blood, 2.0),
        Part("pulmonary_artery", Tube(((-16, 16, 31), (8, 2, 29), (28, -2, 25),
                                       (42, -10, 16), (46, -16, 0)), (11, 10, 9.5, 8.5, 6.5)),
             blood, 2.0),
        Part("pulmonary_artery", Tube(((-16, 16, 31), (-32, -4, 36), (-46, -20, 30),
                                       (-50, -26, 10), (-51, -29, -6)), (10.5, 10, 9.5, 7.5, 6)),
             blood, 2.0),
    ]  # fmt: skip
    la_x, la_y, la_z = heart.centre[0] + 10, heart.centre[1] - 34, heart.centre[2] + 26
    for x, y, z in ((44, -6, 6), (42, -20, -16), (-46, -8, 2), (-44, -26, -14)):
        tube = Tube(((la_x + 0.25 * x, la_y + 4, la_z), (float(x), float(y), float(z))), (7.5, 5.5))
        parts.append(Part("pulmonary_vein", tube, blood, 1.5))
    parts.append(Part("heart", heart, 48 if not patient.contrast else 105, 4.5))
    if patient.contrast:
        parts += _chambers(heart, blood)
    arteries = tuple(r * widen for r in AORTA_RADII)
    parts.append(Part("aorta", Tube(AORTA, arteries), blood, 2.5))
    return parts


def _chambers(heart: Heart, blood: float) -> list[Part]:
    stretch = float(np.mean(heart.stretch))
    left = Ellipsoid(
        heart.at(0.22, 0.18, -0.12), (36 * stretch, 22 * stretch, 21 * stretch), _HEART_TURN
    )
    right = Ellipsoid(
        heart.at(0.02, -0.55, -0.12), (40 * stretch, 15 * stretch, 26 * stretch), _HEART_TURN
    )
    atrium_left = Ellipsoid(heart.at(-0.5, 0.35, 0.42), (22 * stretch, 20 * stretch, 18 * stretch))
    atrium_right = Ellipsoid(
        heart.at(-0.68, -0.35, -0.15), (20 * stretch, 20 * stretch, 28 * stretch)
    )
    return [
        Part("heart", right, 0.9 * blood + 10),
        Part("heart", atrium_right, 0.85 * blood + 10),
        Part("heart", atrium_left, blood),
        Part("heart", left, blood),
    ]


def airways(patient: Patient) -> list[Tube]:
    """Trachea and both main bronchi as open tubes, inner radius."""
    r = 8.8 if patient.sex == "M" else 7.8
    right, left = BRONCHUS_END["right"], BRONCHUS_END["left"]
    return [
        Tube(((1, -8, 165), (2, -12, 110), (3, -18, 70), CARINA), (r, r, r, r)),
        Tube((CARINA, (18, -22, 33), right), (0.8 * r, 0.78 * r, 0.66 * r)),
        Tube((CARINA, (-20, -23, 31), left), (0.74 * r, 0.7 * r, 0.6 * r)),
    ]


def abdominal_parts(patient: Patient) -> list[Part]:
    """Organs under the diaphragm; they are cut off at the dome and at the cage."""
    warm = 40.0 if patient.contrast else 0.0
    right, left = patient.dome_raise_mm
    return [
        Part("liver", Ellipsoid((66, 8, -128 + right), (92, 92, 84)), 56 + warm),
        Part("liver", Ellipsoid((-5, 42, -112), (58, 48, 34), (0, 12, 0)), 56 + warm),
        Part("kidney_right", Ellipsoid((58, -52, -196), (27, 24, 52), (8, 0, 0)), 32 + 2.5 * warm),
        Part("kidney_left", Ellipsoid((-58, -54, -186), (27, 24, 52), (8, 0, 0)), 32 + 2.5 * warm),
        Part(
            "spleen", Ellipsoid((-98, -42, -108 + left), (34, 50, 42), (0, 0, 18)), 48 + 1.4 * warm
        ),
        Part("stomach", Ellipsoid((-66, 18, -108 + left), (44, 50, 42), (0, 0, -12)), 34),
    ]

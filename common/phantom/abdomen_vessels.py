"""Vessels of abdomen, pelvis and neck as layers. Reference mm, RAS."""

from __future__ import annotations

import numpy as np

from .abdomen import mirrored, tube
from .anatomy import AORTA, AORTA_RADII
from .build import Build
from .compounds import Joined
from .painting import Filling, Layer
from .patient import Patient
from .solids import Point, Tube

_AORTA_END: tuple[Point, ...] = ((-2, -9, -234), (0, -9, -264))
_CAVA: tuple[Point, ...] = (
    (20, -2, -62), (22, -8, -90), (20, -14, -210), (19, -15, -250), (15, -18, -286),
)  # fmt: skip
_ILIAC_ARTERY: tuple[Point, ...] = (
    (1, -9, -262), (23, -14, -296), (41, 2, -335), (51, 24, -370), (57, 40, -396), (63, 47, -416),
)  # fmt: skip
_FEMORAL_ARTERY: tuple[Point, ...] = ((63, 47, -416), (73, 46, -470), (80, 40, -620))
_ILIAC_VEIN: dict[str, tuple[Point, ...]] = {
    "right": ((15, -18, -284), (29, -26, -308), (37, -11, -338), (42, 12, -372), (48, 29, -398),
              (53, 38, -416)),
    "left": ((15, -18, -284), (-9, -26, -302), (-33, -15, -332), (-42, 12, -372),
             (-48, 29, -398), (-53, 38, -416)),
}  # fmt: skip
_INNER_ARTERY: tuple[Point, ...] = ((28, -12, -306), (40, -36, -345))
_INNER_VEIN: tuple[Point, ...] = ((36, -14, -334), (44, -46, -352))
_FEMORAL_VEIN: tuple[Point, ...] = ((53, 38, -416), (64, 36, -470), (72, 28, -620))
_PORTAL: tuple[Point, ...] = ((37, 10, -146), (22, 14, -166), (9, 15, -184))
_SPLENIC: tuple[Point, ...] = ((9, 15, -184), (-20, 15, -175), (-54, -12, -161), (-82, -34, -147))
_MESENTERIC: tuple[Point, ...] = ((9, 15, -184), (11, 20, -205), (12, 27, -222))


def vessel_layers(patient: Patient, build: Build) -> list[Layer]:
    """Portal system, branches to the kidneys and the gut, vena cava, aorta, iliac vessels."""
    blood = Filling(patient.blood_hu)
    venous = Filling(0.5 * patient.blood_hu + 25)
    portal = Filling(165.0 if patient.contrast else patient.blood_hu)
    s = build.size["vessels"]
    widen = s * (1 + 0.004 * (patient.age - 55))
    aorta = (*AORTA[9:], *_AORTA_END)
    radii = (*AORTA_RADII[9:], 9.6, 9.4)
    layers = [
        Layer("renal_veins", Joined((tube(((20, -12, -192), (48, -45, -197)), (5, 4), s),
                                     tube(((18, -10, -187), (-6, 2, -186), (-46, -44, -187)),
                                          (5, 4.5, 4), s))), venous),
        Layer("superior_mesenteric_artery",
              tube(((-5, -14, -172), (-4, 8, -205), (2, 22, -232), (10, 30, -262)),
                   (3.5, 3.5, 3, 2.5), s), blood),
        Layer("renal_arteries", Joined((tube(((-4, -16, -182), (46, -48, -190)), (3, 2.5), s),
                                        tube(((-4, -16, -184), (-46, -50, -182)), (3, 2.5), s))),
              blood),
        Layer("portal_vein_and_splenic_vein",
              Joined((*tube(_PORTAL, (7.5, 7.5, 7.5), s).parts,
                      *tube(_SPLENIC, (5.5, 4.8, 4.5, 4.0), s).parts,
                      *tube(_MESENTERIC, (6, 5.5, 5), s).parts)), portal),
        Layer("inferior_vena_cava", tube(_CAVA, (12, 12, 11, 10.5, 10)), venous),
    ]  # fmt: skip
    for side, sign in (("left", -1.0), ("right", 1.0)):
        outer = tube(_ILIAC_VEIN[side], (8, 7.5, 7, 6.5, 6.5, 6), s)
        inner = tube(mirrored(_INNER_VEIN, sign), (4.5, 4))
        layers.append(Layer(f"iliac_vena_{side}", Joined(outer.parts + inner.parts), venous))
        femoral = tube(mirrored(_FEMORAL_VEIN, sign), (6, 5.5, 5))
        layers.append(Layer("femoral_vein", femoral, venous))
    for side, sign in (("left", -1.0), ("right", 1.0)):
        outer = tube(mirrored(_ILIAC_ARTERY, sign), (6, 5.8, 5, 4.8, 4.6, 4.5), widen)
        inner = tube(mirrored(_INNER_ARTERY, sign), (4, 3))
        layers.append(Layer(f"iliac_artery_{side}", Joined(outer.parts + inner.parts), blood))
        femoral = tube(mirrored(_FEMORAL_ARTERY, sign), (4.4, 4.2, 4))
        layers.append(Layer("femoral_artery", femoral, blood))
    return [*layers, Layer("aorta", tube(aorta, radii, widen), blood)]


def mesentery_layers(patient: Patient, build: Build) -> list[Layer]:
    """Thin vessels that fan out to the small bowel."""
    rng = np.random.default_rng([build.seed, 3])
    pieces = []
    for n in range(11):
        angle = np.pi * (0.95 + 1.1 * n / 10)
        far = (12 + 78 * np.cos(angle), float(rng.uniform(15, 65)), -262 + 72 * np.sin(angle))
        middle = (12 + 36 * np.cos(angle), float(rng.uniform(22, 45)), -252 + 36 * np.sin(angle))
        pieces += Tube(((12, 28, -230), middle, far), (2.4, 1.8, 1.1)).pieces()
    hu = 165.0 if patient.contrast else patient.blood_hu
    return [Layer("mesentery", Joined(tuple(pieces)), Filling(hu))]


def neck_layers(patient: Patient) -> list[Layer]:
    """Arteries of the right side of the neck, which a chest scan leaves out."""
    blood = Filling(patient.blood_hu)
    return [
        Layer("common_carotid_artery_right", tube(((24, 2, 126), (26, 0, 150), (27, 0, 180)),
                                                  (4.6, 4.4, 4)), blood),
        Layer("subclavian_artery_right", tube(((26, 2, 124), (46, -4, 133), (74, -4, 130)),
                                              (5, 4.6, 4)), blood),
    ]  # fmt: skip

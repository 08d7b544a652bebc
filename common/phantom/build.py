"""What is drawn by chance about a patient's abdomen and pelvis: sizes, places, contents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .patient import Patient
from .solids import Point

_STREAM = 20


@dataclass(frozen=True)
class Cyst:
    """A kidney cyst.

    Attributes:
        side: `left` or `right`.
        radius_mm: Its radius.
        height: Where on the kidney's outer side it sits: -1 lower pole, 1 upper pole.
        turn: Around the kidney's long axis from its outer side, radians.
    """

    side: str
    radius_mm: float
    height: float
    turn: float


@dataclass(frozen=True)
class Build:
    """One patient's abdomen; lengths in reference mm.

    Attributes:
        size: Of organs against the reference, by name.
        shift: Of organs against the reference, by name.
        gallbladder: Whether there is one.
        bladder_fill: Size of the bladder against the reference.
        cysts: In the kidneys.
        oral_contrast: Whether contrast agent is in the gut.
        seed: Of textures and of the course of the gut.
    """

    size: dict[str, float]
    shift: dict[str, Point]
    gallbladder: bool
    bladder_fill: float
    cysts: tuple[Cyst, ...]
    oral_contrast: bool
    seed: int

    def moved(self, name: str, point: Point) -> Point:
        """A point of an organ, in this patient."""
        dx, dy, dz = self.shift[name]
        return point[0] + dx, point[1] + dy, point[2] + dz


_SPREAD = {
    "liver": 0.04, "spleen": 0.10, "kidney_right": 0.05, "kidney_left": 0.05, "pancreas": 0.10,
    "adrenal_gland": 0.12, "gallbladder": 0.16, "duodenum": 0.07, "colon": 0.09,
    "small_bowel": 0.05, "prostate": 0.10, "stomach": 0.06, "vessels": 0.08, "muscles": 0.07,
    "bones": 0.03,
}  # fmt: skip
_WANDER_MM = {
    "kidney_right": (2, 2, 5), "kidney_left": (2, 2, 5), "gallbladder": (4, 2, 4),
    "pancreas": (3, 2, 3), "spleen": (2, 2, 3), "urinary_bladder": (2, 2, 2), "colon": (0, 0, 5),
}  # fmt: skip


def draw_build(patient: Patient) -> Build:
    """Draw a patient's abdomen; the same for the same seed in every region."""
    rng = np.random.default_rng([patient.seed, _STREAM])
    size = {
        name: float(np.clip(rng.normal(1, spread), 1 - 2 * spread, 1 + 2 * spread))
        for name, spread in _SPREAD.items()
    }
    size["prostate"] *= 1 + 0.004 * max(patient.age - 45, 0)
    shift = {name: _clipped(rng, wander) for name, wander in _WANDER_MM.items()}
    gallbladder = bool(rng.random() < 0.88)
    bladder_fill = float(rng.uniform(0.62, 1.1))
    oral_contrast = bool(rng.random() < 0.3)
    cysts = tuple(
        Cyst(side, float(rng.uniform(6, 17)), float(rng.uniform(-0.7, 0.6)),
             float(rng.uniform(-0.9, 0.9)))
        for side in ("left", "right")
        for present in rng.random(2) < 0.08 + 0.004 * max(patient.age - 40, 0)
        if present
    )  # fmt: skip
    seed = int(rng.integers(2**31))
    return Build(size, shift, gallbladder, bladder_fill, cysts, oral_contrast, seed)


def _clipped(rng: np.random.Generator, wander: tuple[float, float, float]) -> Point:
    x, y, z = (float(np.clip(rng.normal(0, 0.5 * w), -w, w)) if w else 0.0 for w in wander)
    return x, y, z

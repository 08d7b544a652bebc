"""Everything drawn by chance about one head before a voxel is made.

Sex and age are those of the same seed's trunk, see `patient`. Sizes, densities and shares without
a source are chosen: within what textbooks of neuroradiology show, not measured on patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..patient import Posed, draw_patient

_STREAM, _VARIANT_STREAM = 30, 31


@dataclass(frozen=True)
class Variants:
    """What is unusual and yet normal; each is as frequent in ill heads as in healthy ones.

    Attributes:
        septum_mm: Width of a cavum septum pellucidum, 0 where there is none.
        cisterna_mm: How much a large cisterna magna is deeper than usual.
        asymmetry_mm: How much wider the left ventricle is than the right one; may be negative.
        pineal_mm: Radius of the pineal calcification, 0 where there is none.
        plexus_mm: Radius of the calcifications of the choroid plexus.
        falx_mm: Length of a calcified plate in the falx.
        pallidum_mm: Radius of the calcifications of both globi pallidi.
        swelling_mm: Thickness of a bruise of the scalp over an unharmed skull.
        swelling_turn_deg: Where it is, around the head from the front to the right.
        frontal_mm: Half width of the frontal sinus.
        mastoid: How far the mastoids are filled with air, in [0, 1].
    """

    septum_mm: float
    cisterna_mm: float
    asymmetry_mm: float
    pineal_mm: float
    plexus_mm: float
    falx_mm: float
    pallidum_mm: float
    swelling_mm: float
    swelling_turn_deg: float
    frontal_mm: float
    mastoid: float


@dataclass(frozen=True)
class Head(Posed):
    """One patient's head and how it was scanned.

    Attributes:
        seed: Who.
        sex: `F` or `M`.
        age: Years.
        scale: Size against the reference head along x, y, z.
        tilt_deg: How the head lies askew: about x (nodding), y, z.
        skull_mm: Thickness of the vault.
        scalp_mm: Thickness of skin and fat over it.
        atrophy: 0 a young brain that fills the skull, 1 one that has lost most.
        grey_hu: Grey matter.
        white_hu: White matter.
        csf_hu: Cerebrospinal fluid.
        bar_hu: How much darker the pons is between the petrous bones: beam hardening.
        noise_hu: Standard deviation of the noise.
        noise_grain_mm: Its correlation length in plane.
        rest_gap_mm: From the back of the head to the head rest, None where it is out of view.
        scan_mm: Lowest and highest scanned height in the reference frame.
        variants: What is unusual and yet normal.
        region: `head`.
        contrast: No head has contrast agent.
    """

    seed: int
    sex: str
    age: int
    scale: tuple[float, float, float]
    tilt_deg: tuple[float, float, float]
    skull_mm: float
    scalp_mm: float
    atrophy: float
    grey_hu: float
    white_hu: float
    csf_hu: float
    bar_hu: float
    noise_hu: float
    noise_grain_mm: float
    rest_gap_mm: float | None
    scan_mm: tuple[float, float]
    variants: Variants
    region: str = "head"
    contrast: bool = False


def draw_head(seed: int) -> Head:
    """Draw a patient's head: the same for the same seed, whatever the findings.

    Grey matter has 37 to 41 HU, white matter 8.5 to 11 HU less, noise is 3 to 6 HU. The brain
    shrinks from the age of 40 on.
    """
    trunk = draw_patient(seed, ())
    rng = np.random.default_rng([seed, _STREAM])
    size = rng.normal(0.965 if trunk.sex == "M" else 0.93, 0.02)
    scale = [float(np.clip(size * rng.normal(1, s), 0.86, 1.05)) for s in (0.025, 0.025, 0.02)]
    nod = float(np.clip(rng.normal(0, 8), -20, 20))
    turn = [float(np.clip(rng.normal(0, 3.0), -8, 8)) for _ in range(2)]
    ageing = (trunk.age - 40) / 50 + rng.normal(0, 0.15)
    grey = float(rng.uniform(37, 41))
    return Head(
        seed=seed,
        sex=trunk.sex,
        age=trunk.age,
        scale=(scale[0], scale[1], scale[2]),
        tilt_deg=(nod, turn[0], turn[1]),
        skull_mm=float(np.clip(rng.normal(6.3, 0.9), 4.5, 9.0)),
        scalp_mm=float(np.clip(rng.normal(5.5, 1.2), 3.5, 9.0)),
        atrophy=float(np.clip(ageing, 0.02, 1.0)),
        grey_hu=grey,
        white_hu=grey - float(rng.uniform(8.5, 11.0)),
        csf_hu=float(rng.uniform(2, 9)),
        bar_hu=float(rng.uniform(1, 8)),
        noise_hu=float(rng.uniform(3, 6)),
        noise_grain_mm=float(rng.uniform(0.5, 1.0)),
        rest_gap_mm=float(rng.uniform(1, 10)) if rng.random() < 0.8 else None,
        scan_mm=(float(rng.uniform(-92, -66)), float(rng.uniform(92, 104))),
        variants=_draw_variants(seed, trunk.age),
    )


def _draw_variants(seed: int, age: int) -> Variants:
    rng = np.random.default_rng([seed, _VARIANT_STREAM])
    old = max(age - 30, 0) / 60

    def sometimes(share: float, low: float, high: float) -> float:
        present, size = rng.random() < share, float(rng.uniform(low, high))
        return size if present else 0.0

    return Variants(
        septum_mm=sometimes(0.07, 3, 8),
        cisterna_mm=sometimes(0.06, 9, 18),
        asymmetry_mm=float(np.clip(rng.normal(0, 0.7), -2.2, 2.2)),
        pineal_mm=sometimes(0.25 + 0.6 * old, 1.3, 3.2),
        plexus_mm=sometimes(0.15 + 0.7 * old, 1.3, 3.5),
        falx_mm=sometimes(0.03 + 0.2 * old, 6, 22),
        pallidum_mm=sometimes(0.01 + 0.1 * old, 1.5, 3.5),
        swelling_mm=sometimes(0.04, 4, 9),
        swelling_turn_deg=float(rng.uniform(0, 360)),
        frontal_mm=sometimes(0.92, 6, 22),
        mastoid=float(rng.uniform(0.5, 1.0)),
    )

"""Everything drawn by chance about one patient before a voxel is made.

Two frames, both RAS (x to the right, y to the front, z up), origin at mid lung:
`reference` is one adult's anatomy in mm, the same numbers for everyone; `world` is the patient
after size and position on the table. `world_from_reference` leads from one to the other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .lattice import Affine
from .profile import CHEST, TORSO, Profile
from .solids import rotation

SEED_RANGES: dict[str, range] = {
    "train": range(0, 1_000_000),
    "validation": range(1_000_000, 1_100_000),
    "test": range(1_100_000, 1_200_000),
    "example": range(1_200_000, 1_300_000),
}
"""Seeds by use. A seed is a patient, so ranges that do not meet are patients that do not meet."""

TRUNK_REGIONS = ("chest", "abdomen", "torso")
"""What is scanned: lungs; mid heart to upper thighs; base of the neck to upper thighs."""
REGIONS = (*TRUNK_REGIONS, "head")
"""All of what is scanned of one patient; for the head see `common.phantom.head`."""

CHEST_WIDTH_REFERENCE_MM = 290.0
HEART_WIDTH_REFERENCE_MM = 114.5


class Posed:
    """Leads from the reference frame to the world's, by a `scale` and a `tilt_deg`."""

    scale: tuple[float, float, float]
    tilt_deg: tuple[float, float, float]

    @property
    def world_from_reference(self) -> Affine:
        """`(4, 4)`: reference mm to world mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(self.tilt_deg) @ np.diag(self.scale)
        return matrix

    @property
    def mean_scale(self) -> float:
        """World mm per reference mm, on average."""
        return float(np.prod(self.scale) ** (1 / 3))


@dataclass(frozen=True)
class Patient(Posed):
    """One patient's body and how it was scanned.

    Attributes:
        seed: Who.
        sex: `F` or `M`.
        age: Years.
        scale: Size against the reference adult along x, y, z.
        tilt_deg: How the patient lies askew: about x, y, z.
        fat_mm: Fat under the skin.
        breast_mm: Breast radius, 0 for none.
        contrast: Whether contrast agent is in the blood.
        blood_hu: Blood at this scan.
        lung_hu: Aerated lung, away from vessels.
        gravity_hu: How much denser the lung's back is than its front.
        cardiothoracic_ratio: Heart width over inner chest width.
        heart_shift_mm: Heart's position against the reference, mm.
        collapse_side: Which lung loses volume at its base: `left`, `right`, `bilateral`; only
            used with atelectasis.
        dome_raise_mm: Diaphragm's height against the reference: right, left.
        noise_hu: Standard deviation of the noise.
        noise_grain_mm: Its correlation length in plane.
        table_gap_mm: From the back to the table, None where the table is out of view.
        scan_mm: Lowest and highest scanned height in the reference frame.
        region: One of `TRUNK_REGIONS`.
        scan: Which scan of the patient, see `rescanned`.
    """

    seed: int
    sex: str
    age: int
    scale: tuple[float, float, float]
    tilt_deg: tuple[float, float, float]
    fat_mm: float
    breast_mm: float
    contrast: bool
    blood_hu: float
    lung_hu: float
    gravity_hu: float
    cardiothoracic_ratio: float
    heart_shift_mm: tuple[float, float, float]
    collapse_side: str
    dome_raise_mm: tuple[float, float]
    noise_hu: float
    noise_grain_mm: float
    table_gap_mm: float | None
    scan_mm: tuple[float, float]
    region: str = "chest"
    scan: int = 0

    @property
    def profile(self) -> Profile:
        """How the trunk changes with height."""
        return CHEST if self.region == "chest" else TORSO


def checked_seed(seed: int) -> int:
    """The seed of a patient.

    Raises:
        InputError: If it is no whole number from 0 on.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        msg = f"seed must be a whole number from 0 on, got {seed!r}; see SEED_RANGES"
        raise InputError(msg)
    return int(seed)


def draw_patient(seed: int, labels: Collection[str], region: str = "chest") -> Patient:
    """Draw a patient's body. What is not touched by `labels` is the same for the same seed.

    The region changes nothing but `scan_mm`.
    """
    rng = np.random.default_rng([seed, 1])
    male = bool(rng.random() < 0.55)
    size = rng.normal(1.0 if male else 0.93, 0.035)
    scale = tuple(float(np.clip(size * rng.normal(1, s), 0.84, 1.12)) for s in (0.03, 0.03, 0.04))
    tilt = tuple(float(np.clip(rng.normal(0, s), -2 * s, 2 * s)) for s in (2.0, 1.5, 2.0))
    fat = float(np.clip(rng.gamma(3.0, 4.5), 4, 38))
    contrast = bool(rng.random() < 0.4)
    noise = float(rng.uniform(7, 20))
    breast = 0.0 if male else float(rng.uniform(38, 62))
    ratio_normal, ratio_large = rng.uniform(0.38, 0.455), rng.uniform(0.55, 0.63)
    shift = tuple(float(v) for v in rng.normal(0, (3, 3, 4)))
    raises = rng.normal(0, 5, 2)
    volume_loss = float(rng.uniform(10, 20)) * ("Atelectasis" in labels)
    collapse = str(rng.choice(["right", "left", "bilateral"], p=[0.3, 0.3, 0.4]))
    raised = (volume_loss * (collapse != "left"), volume_loss * (collapse != "right"))
    drawn = Patient(
        seed=seed,
        sex="M" if male else "F",
        age=int(np.clip(rng.normal(55, 16), 18, 92)),
        scale=scale,  # type: ignore[arg-type]
        tilt_deg=tilt,  # type: ignore[arg-type]
        fat_mm=fat,
        breast_mm=breast,
        contrast=contrast,
        blood_hu=float(rng.uniform(150, 300) if contrast else rng.uniform(36, 46)),
        lung_hu=float(rng.uniform(-870, -810)),
        gravity_hu=float(rng.uniform(10, 50)),
        cardiothoracic_ratio=float(ratio_large if "Cardiomegaly" in labels else ratio_normal),
        heart_shift_mm=shift,  # type: ignore[arg-type]
        collapse_side=collapse,
        dome_raise_mm=(float(raises[0]) + raised[0], float(raises[1]) + raised[1]),
        noise_hu=noise,
        noise_grain_mm=float(rng.uniform(0.5, 1.1)),
        table_gap_mm=float(rng.uniform(4, 15)) if rng.random() < 0.6 else None,
        scan_mm=(float(rng.uniform(-178, -150)), float(rng.uniform(132, 150))),
    )
    return (
        drawn
        if region == "chest"
        else replace(drawn, region=region, scan_mm=_scan_mm(drawn, region))
    )


def rescanned(patient: Patient, scan: int) -> Patient:
    """The same body scanned again: it lies a little otherwise, and the noise is another.

    Args:
        patient: From `draw_patient`.
        scan: Which scan; 0 is the one that was drawn, and leaves the patient as it is.
    """
    if not scan:
        return patient
    rng = np.random.default_rng([patient.seed, 12, scan])
    tilt = np.asarray(patient.tilt_deg) + rng.normal(0, 1.0, 3)
    return replace(
        patient,
        scan=scan,
        tilt_deg=(float(tilt[0]), float(tilt[1]), float(tilt[2])),
        noise_hu=float(rng.uniform(7, 20)),
        noise_grain_mm=float(rng.uniform(0.5, 1.1)),
    )


def _scan_mm(patient: Patient, region: str) -> tuple[float, float]:
    rng = np.random.default_rng([patient.seed, 6])
    bottom, dome_or_heart = float(rng.uniform(-496, -462)), float(rng.uniform(-50, -20))
    return bottom, patient.scan_mm[1] if region == "torso" else dome_or_heart

"""The synthetic patient: anatomy, findings and their truth, drawn from a seed."""

from ..tables.ct_rate import CT_RATE_LABELS
from .chest import ChestPhantom, make_chest
from .patient import SEED_RANGES, Patient
from .prevalence import PREVALENCE
from .scene import Finding

__all__ = [
    "CT_RATE_LABELS",
    "PREVALENCE",
    "SEED_RANGES",
    "ChestPhantom",
    "Finding",
    "Patient",
    "make_chest",
]

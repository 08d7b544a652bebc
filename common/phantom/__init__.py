"""The synthetic patient: anatomy, findings and their truth, drawn from a seed."""

from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..vocabulary.head_findings import HEAD_FINDINGS, HEAD_LABELS
from .chest import make_chest
from .head import HeadPhantom, make_head
from .make import make_phantom
from .patient import REGIONS, SEED_RANGES, Patient
from .phantom import Phantom
from .prevalence import PREVALENCE
from .scene import Finding
from .torso import make_torso

__all__ = [
    "CT_RATE_LABELS",
    "HEAD_FINDINGS",
    "HEAD_LABELS",
    "PREVALENCE",
    "REGIONS",
    "SEED_RANGES",
    "Finding",
    "HeadPhantom",
    "Patient",
    "Phantom",
    "make_chest",
    "make_head",
    "make_phantom",
    "make_torso",
]

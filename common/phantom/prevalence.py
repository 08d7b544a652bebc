"""Which findings a synthetic patient has: how often each, and which come together.

A Gaussian copula: five hidden traits (age of the arteries, heart failure, infection, airway
disease, scarring) are drawn per patient; each label mixes them by its loadings with noise of its
own and is present where the mix falls below the quantile of its prevalence. So every label keeps
its prevalence exactly, and labels that share a trait come together more often than by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ..errors import InputError
from ..tables.ct_rate import CT_RATE_LABELS

TRAITS = ("arteries", "heart", "infection", "airways", "scars")


class LabelModel(NamedTuple):
    """One label's share of patients, and how much it depends on each hidden trait.

    Attributes:
        prevalence: In (0, 1).
        loadings: Per name in `TRAITS`; squares sum to less than 1.
    """

    prevalence: float
    loadings: dict[str, float]


PREVALENCE: dict[str, LabelModel] = {
    "Medical material": LabelModel(0.12, {"heart": 0.4, "arteries": 0.3}),
    "Arterial wall calcification": LabelModel(0.28, {"arteries": 0.85}),
    "Cardiomegaly": LabelModel(0.11, {"heart": 0.75, "arteries": 0.35}),
    "Pericardial effusion": LabelModel(0.07, {"heart": 0.65}),
    "Coronary artery wall calcification": LabelModel(0.25, {"arteries": 0.85}),
    "Hiatal hernia": LabelModel(0.14, {"arteries": 0.35}),
    "Lymphadenopathy": LabelModel(0.26, {"infection": 0.3, "heart": 0.2}),
    "Emphysema": LabelModel(0.19, {"airways": 0.45, "arteries": 0.3}),
    "Atelectasis": LabelModel(0.26, {"heart": 0.45, "infection": 0.2}),
    "Lung nodule": LabelModel(0.45, {"scars": 0.15}),
    "Lung opacity": LabelModel(0.37, {"infection": 0.6}),
    "Pulmonary fibrotic sequela": LabelModel(0.27, {"scars": 0.5, "arteries": 0.15}),
    "Pleural effusion": LabelModel(0.12, {"heart": 0.75, "infection": 0.25}),
    "Mosaic attenuation pattern": LabelModel(0.08, {"airways": 0.4, "heart": 0.2}),
    "Peribronchial thickening": LabelModel(0.10, {"airways": 0.6, "infection": 0.2}),
    "Consolidation": LabelModel(0.18, {"infection": 0.75, "heart": 0.15}),
    "Bronchiectasis": LabelModel(0.10, {"airways": 0.5, "scars": 0.4}),
    "Interlobular septal thickening": LabelModel(0.08, {"heart": 0.4, "scars": 0.3}),
}
"""Prevalence about as published for CT-RATE; loadings from clinical common sense."""


def draw_labels(
    rng: np.random.Generator, prevalence: float | Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """Draw the findings of one patient.

    Args:
        rng: Source of chance.
        prevalence: One share for all labels, or a share per label name where the table's is not
            wanted; within [0, 1]. Dependence stays.

    Returns:
        Names of the labels present, in official order.

    Raises:
        InputError: If a share is out of range or a name unknown.
    """
    shares = {label: PREVALENCE[label].prevalence for label in CT_RATE_LABELS}
    if isinstance(prevalence, Mapping):
        shares |= {known_label(label): float(share) for label, share in prevalence.items()}
    elif prevalence is not None:
        shares = dict.fromkeys(CT_RATE_LABELS, float(prevalence))
    for label, share in shares.items():
        if not 0 <= share <= 1:
            msg = f"prevalence of {label!r} must be within 0 and 1, got {share}; give a share"
            raise InputError(msg)
    traits = dict(zip(TRAITS, rng.standard_normal(len(TRAITS)), strict=True))
    own = rng.standard_normal(len(CT_RATE_LABELS))
    present = []
    for label, noise in zip(CT_RATE_LABELS, own, strict=True):
        loadings = PREVALENCE[label].loadings
        rest = 1.0 - sum(weight**2 for weight in loadings.values())
        mix = sum(weight * traits[name] for name, weight in loadings.items())
        rank = NormalDist().cdf(mix + rest**0.5 * noise)
        if rank < shares[label]:
            present.append(label)
    return tuple(present)


def known_label(label: str) -> str:
    """The official name, whatever the case it was written in.

    Raises:
        InputError: If there is no such label.
    """
    by_lower = {name.lower(): name for name in CT_RATE_LABELS}
    if label.strip().lower() not in by_lower:
        msg = (
            f"findings must be CT-RATE label names, got {label!r}; "
            f"choose from: {', '.join(CT_RATE_LABELS)}"
        )
        raise InputError(msg)
    return by_lower[label.strip().lower()]


def known_labels(labels: Iterable[str]) -> tuple[str, ...]:
    """Official names of the labels, in official order, each once.

    Raises:
        InputError: If there is no such label.
    """
    wanted = {known_label(label) for label in labels}
    return tuple(label for label in CT_RATE_LABELS if label in wanted)

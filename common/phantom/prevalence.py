"""Which findings a synthetic patient has: how often each, and which come together.

A Gaussian copula: hidden traits (for a chest the age of the arteries, heart failure, infection,
airway disease, scarring) are drawn per patient; each label mixes them by its loadings with noise
of its own and is present where the mix falls below the quantile of its prevalence. So every label
keeps its prevalence exactly, and labels that share a trait come together more often than by chance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from ..errors import InputError

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


class LabelSet(NamedTuple):
    """The labels of one part of the body.

    Attributes:
        name: What one of them is called, such as `CT-RATE label`.
        models: By label, in official order.
        traits: Names of the hidden traits.
    """

    name: str
    models: Mapping[str, LabelModel]
    traits: tuple[str, ...]


CHEST_LABELS = LabelSet("CT-RATE label", PREVALENCE, TRAITS)


def draw_labels(
    rng: np.random.Generator,
    prevalence: float | Mapping[str, float] | None = None,
    label_set: LabelSet = CHEST_LABELS,
) -> tuple[str, ...]:
    """Draw the findings of one patient.

    Args:
        rng: Source of chance.
        prevalence: One share for all labels, or a share per label name where the table's is not
            wanted; within [0, 1]. Dependence stays.
        label_set: Whose labels.

    Returns:
        Names of the labels present, in official order.

    Raises:
        InputError: If a share is out of range or a name unknown.
    """
    models, names = label_set.models, label_set.traits
    shares = {label: model.prevalence for label, model in models.items()}
    if isinstance(prevalence, Mapping):
        given = {known_label(name, label_set): float(part) for name, part in prevalence.items()}
        shares |= given
    elif prevalence is not None:
        shares = dict.fromkeys(models, float(prevalence))
    for label, share in shares.items():
        if not 0 <= share <= 1:
            msg = f"prevalence of {label!r} must be within 0 and 1, got {share}; give a share"
            raise InputError(msg)
    traits = dict(zip(names, rng.standard_normal(len(names)), strict=True))
    own = rng.standard_normal(len(models))
    present = []
    for (label, model), noise in zip(models.items(), own, strict=True):
        loadings = model.loadings
        rest = 1.0 - sum(weight**2 for weight in loadings.values())
        mix = sum(weight * traits[name] for name, weight in loadings.items())
        rank = NormalDist().cdf(mix + rest**0.5 * noise)
        if rank < shares[label]:
            present.append(label)
    return tuple(present)


def known_label(label: str, label_set: LabelSet = CHEST_LABELS) -> str:
    """The official name, whatever the case it was written in.

    Raises:
        InputError: If there is no such label.
    """
    by_lower = {name.lower(): name for name in label_set.models}
    if label.strip().lower() not in by_lower:
        msg = (
            f"findings must be {label_set.name} names, got {label!r}; "
            f"choose from: {', '.join(label_set.models)}"
        )
        raise InputError(msg)
    return by_lower[label.strip().lower()]


def known_labels(labels: Iterable[str], label_set: LabelSet = CHEST_LABELS) -> tuple[str, ...]:
    """Official names of the labels, in official order, each once.

    Raises:
        InputError: If there is no such label.
    """
    wanted = {known_label(label, label_set) for label in labels}
    return tuple(label for label in label_set.models if label in wanted)

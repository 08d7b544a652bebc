"""Which slices a figure shows: where the positive findings come from, each picture once.

Shapes: L labels, T slice triplets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..vocabulary.head_findings import HEAD_LABELS

HU_WINDOWS: dict[str, tuple[float, float]] = {
    "lung": (-1350.0, 150.0),
    "mediastinal": (-160.0, 240.0),
    "wide": (-450.0, 1050.0),
    "brain": (0.0, 80.0),
}
"""Windows that readers of chest CT use, and that of the brain, lower and upper HU."""

_LUNG = {
    "Emphysema",
    "Atelectasis",
    "Lung nodule",
    "Lung opacity",
    "Pulmonary fibrotic sequela",
    "Mosaic attenuation pattern",
    "Peribronchial thickening",
    "Consolidation",
    "Bronchiectasis",
    "Interlobular septal thickening",
}
_WIDE = {"Medical material"}
_WORTH_SHOWING = 0.2
"""Share of a finding's largest relevance below which a further place is not worth a picture."""


@dataclass(frozen=True)
class SliceChoice:
    """One picture of the figure.

    Attributes:
        labels: Indices of the labels it is shown for, the first decided the slice.
        triplet: Slice triplet, 0 the lowest.
        window: Key of `HU_WINDOWS`.
    """

    triplet: int
    window: str
    labels: list[int] = field(default_factory=list)


def window_of(label: str) -> str:
    """The window in which a finding is looked for, a key of `HU_WINDOWS`."""
    if label in HEAD_LABELS:
        return "brain"
    if label in _LUNG:
        return "lung"
    return "wide" if label in _WIDE else "mediastinal"


def choose_slices(
    *,
    labels: Sequence[str],
    probabilities: ArrayLike,
    thresholds: ArrayLike,
    relevance: ArrayLike,
    inside: ArrayLike,
    num_slices: int = 4,
    min_apart: int = 4,
) -> list[SliceChoice]:
    """Choose the pictures.

    Positive findings come first, the most probable leading; without any, the findings nearest to
    their thresholds. Each is shown at its most relevant triplet. Findings with the same window
    within ``min_apart`` triplets share a picture. A lone picture is joined by the same slice in
    the other window; pictures left over go to the findings' next most relevant places, then to
    the negative findings nearest to their thresholds, then to other windows.

    Args:
        labels: `L` names.
        probabilities: `(L,)`, 0 to 1.
        thresholds: `(L,)`, 0 to 1.
        relevance: `(L, T)`, any scale.
        inside: `(T,)`, whether a triplet lies inside the scan; padding is never shown.
        num_slices: Most pictures.
        min_apart: Triplets between two pictures with the same window.

    Returns:
        At most ``num_slices`` choices; none where no triplet lies inside the scan.
    """
    scores, limits = np.asarray(probabilities, float), np.asarray(thresholds, float)
    within = np.asarray(inside, bool)
    push = np.where(within, np.asarray(relevance, float), -np.inf)
    if not within.any():
        return []
    by_margin = [int(label) for label in np.argsort(limits - scores, kind="stable")]
    by_score = [int(label) for label in np.argsort(-scores, kind="stable")]
    leading = [label for label in by_score if scores[label] >= limits[label]] or by_margin[:1]
    chosen: list[SliceChoice] = []
    for label in leading:
        _add_best_place(chosen, label, labels, push, num_slices, min_apart)
    if len(chosen) == 1:
        _add_other_windows(chosen, num_slices)
    _add_next_places(chosen, leading, labels, push, num_slices, min_apart)
    for label in by_margin:
        triplet, window = int(push[label].argmax()), window_of(labels[label])
        apart = _near(chosen, triplet, window, min_apart) is None
        if apart and label not in leading and push[label, triplet] > 0:
            _add_best_place(chosen, label, labels, push, num_slices, min_apart)
    _add_other_windows(chosen, num_slices)
    return chosen


def pictures_by_label(choices: Sequence[SliceChoice]) -> dict[int, list[int]]:
    """For each shown label, by index, the pictures that show it, counted from 0."""
    shown: dict[int, list[int]] = {}
    for number, choice in enumerate(choices):
        for label in choice.labels:
            shown.setdefault(label, []).append(number)
    return shown


def evenly_spaced(
    inside: ArrayLike, labels: Sequence[str] = (), num_slices: int = 4
) -> list[SliceChoice]:
    """Pictures spread over the scan, for a result without relevance.

    Args:
        inside: `(T,)`, whether a triplet lies inside the scan.
        labels: Where they are those of a head, every picture shows the brain; otherwise the
            windows of the chest take turns.
        num_slices: Most pictures.
    """
    is_head = {window_of(label) for label in labels} == {"brain"}
    windows = ("brain",) if is_head else ("lung", "mediastinal")
    places = np.flatnonzero(np.asarray(inside, bool))
    if not len(places):
        return []
    steps = (np.arange(num_slices) + 0.5) / num_slices * len(places)
    triplets = dict.fromkeys(int(places[int(step)]) for step in steps[::-1])
    return [
        SliceChoice(triplet, windows[turn % len(windows)]) for turn, triplet in enumerate(triplets)
    ]


def _add_best_place(
    chosen: list[SliceChoice],
    label: int,
    labels: Sequence[str],
    push: NDArray[np.float64],
    num_slices: int,
    min_apart: int,
) -> None:
    """Show a finding at its most relevant triplet: in a picture of its own or in one nearby."""
    window, triplet = window_of(labels[label]), int(push[label].argmax())
    near = _near(chosen, triplet, window, min_apart)
    if near is not None:
        near.labels.append(label)
    elif len(chosen) < num_slices:
        chosen.append(SliceChoice(triplet, window, [label]))


def _add_next_places(
    chosen: list[SliceChoice],
    ranked: list[int],
    labels: Sequence[str],
    push: NDArray[np.float64],
    num_slices: int,
    min_apart: int,
) -> None:
    """Add next most relevant places, one finding after the other, until the page is full."""
    orders = {label: list(np.argsort(-push[label], kind="stable")) for label in ranked}
    while len(chosen) < num_slices and any(orders.values()):
        for label in ranked:
            window = window_of(labels[label])
            while orders[label] and len(chosen) < num_slices:
                triplet = int(orders[label].pop(0))
                if not push[label, triplet] > _WORTH_SHOWING * max(push[label].max(), 0):
                    orders[label].clear()
                elif _near(chosen, triplet, window, min_apart) is None:
                    chosen.append(SliceChoice(triplet, window, [label]))
                    break


def _add_other_windows(chosen: list[SliceChoice], num_slices: int) -> None:
    """Add slices that are shown already in the window in which they are not, until full."""
    taken = {(choice.triplet, choice.window) for choice in chosen}
    for choice in list(chosen):
        window = "mediastinal" if choice.window == "lung" else "lung"
        if len(chosen) < num_slices and (choice.triplet, window) not in taken:
            chosen.append(SliceChoice(choice.triplet, window, list(choice.labels)))


def _near(
    chosen: Sequence[SliceChoice], triplet: int, window: str, min_apart: int
) -> SliceChoice | None:
    for choice in chosen:
        if choice.window == window and abs(choice.triplet - triplet) < min_apart:
            return choice
    return None

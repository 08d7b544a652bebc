"""`figure.png` of a classifier: the slices that mattered, where they lie, and all probabilities.

Left on black, as on a reading station: the scan from the front with the shown slices, the
relevance along the body, and up to four axial slices in the window of their finding. Right on
white: every finding with its probability and threshold, the positive ones first.

Shapes: L labels, T slice triplets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..results.schema import BundleRecord, CaseRecord
from ..volumes.geometry import body_axes
from ..volumes.volume import Volume
from ..weights.card import WeightsRecord
from .axial_slice import AxialSlice, Scout, axial_slice_at, scout, slice_position
from .body_plane import body_plane
from .page import (
    NIGHT,
    NIGHT_MUTED,
    NIGHT_POSITIVE,
    NIGHT_TEXT,
    Page,
)
from .probability_bars import draw_probability_bars
from .relevance_panel import NIGHT_AGAINST, draw_relevance_strips, draw_scout, name_pictures
from .slice_choice import SliceChoice, choose_slices, evenly_spaced, pictures_by_label
from .slice_panels import draw_slice_panels
from .title_block import draw_title_block
from .upright import is_upright, upright

WIDTH, HEIGHT = 1600, 1000
_SIDE, _VIEWER, _GAP = 316, 1190, 16
_LONGEST_TITLE = 46


def write_classification_figure(
    path: str | Path,
    *,
    volume: Volume,
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
    outputs: Mapping[str, Any],
    triplet_centres_world_mm: ArrayLike,
) -> Path:
    """Draw a classifier's result on one scan and write it as PNG, 1600 x 1000 pixels.

    Args:
        path: Where to write.
        volume: The scan as stored; its own slices and HU are shown.
        case: From `describe_case`.
        bundle: Name and version.
        weights: Name, hash and whether they are synthetic, which is then said in a band.
        outputs: From `classification_outputs`; without `relevance`, evenly spaced slices.
        triplet_centres_world_mm: `(T, 3)`, see `classification.triplet_centres_world_mm`.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    labels = list(outputs["findings"])
    findings = list(outputs["findings"].values())
    probabilities = np.array([finding["probability"] for finding in findings])
    thresholds = np.array([finding["threshold"] for finding in findings])
    positive = [bool(finding["positive"]) for finding in findings]
    relevance = _relevance(outputs, labels)
    centres = np.asarray(triplet_centres_world_mm, dtype=np.float64)
    patient = upright(volume)
    numbered = not patient.is_turned
    if numbered and relevance is None and not is_upright(volume.affine):
        centres = _slice_centres_world_mm(volume)  # few triplets' centres lie in a thin slab
    inside = _are_inside(volume, centres)  # as stored: the corners of a box around it are empty
    volume = patient.volume
    positions = np.array([slice_position(volume, centre) for centre in centres])
    seen = scout(volume) if numbered else scout(volume, (200, 128), 48)
    if relevance is None:
        choices = evenly_spaced(inside, labels)
    else:
        choices = choose_slices(
            labels=labels,
            probabilities=probabilities,
            thresholds=thresholds,
            relevance=relevance,
            inside=inside,
        )
    pictures = [axial_slice_at(volume, centres[choice.triplet]) for choice in choices]

    page = Page(WIDTH, HEIGHT)
    top = draw_title_block(
        page,
        case=case,
        bundle=bundle,
        weights=weights,
        count=f"{sum(positive)} of {len(labels)}",
        meaning="findings at or above threshold",
    )
    page.rectangle(0, top, _VIEWER, HEIGHT - top, NIGHT)
    _draw_side(page, top, seen, choices, pictures, relevance, positions, numbered=numbered)
    draw_slice_panels(
        page,
        (_SIDE + _GAP, top + _GAP, _VIEWER - _SIDE - 2 * _GAP, HEIGHT - top - 2 * _GAP),
        pictures=pictures,
        windows=[choice.window for choice in choices],
        titles=_titles(choices, labels, positive),
        numbered=numbered,
        gap=_GAP,
    )
    shown_in = pictures_by_label(choices)
    draw_probability_bars(
        page,
        (_VIEWER + 28, top, WIDTH - _VIEWER - 56, HEIGHT - top),
        labels=labels,
        probabilities=probabilities,
        thresholds=thresholds,
        shown_in={label: name_pictures(pictures) for label, pictures in shown_in.items()},
    )
    return page.save(path)


def _are_inside(volume: Volume, centres_world_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether an axial slice of the scan as stored lies at each centre."""
    num_slices = volume.voxels.shape[body_axes(volume.affine)[0][2]]
    positions = np.array([slice_position(volume, centre) for centre in centres_world_mm])
    return np.asarray((positions > -0.5) & (positions < num_slices - 0.5))


def _slice_centres_world_mm(volume: Volume) -> NDArray[np.float64]:
    """`(slices, 3)` centres of the scan's own axial slices, the lowest first."""
    shape = volume.voxels.shape
    count = shape[body_axes(volume.affine)[0][2]]
    planes = [body_plane(volume.affine, shape, "axial", index) for index in range(count)]
    return np.array(sorted((plane.centre_world_mm for plane in planes), key=lambda xyz: xyz[2]))


def _relevance(outputs: Mapping[str, Any], labels: Sequence[str]) -> NDArray[np.float64] | None:
    if "relevance" not in outputs:
        return None
    return np.array([outputs["relevance"][label]["per_triplet"] for label in labels], float)


def _titles(
    choices: Sequence[SliceChoice], labels: Sequence[str], positive: Sequence[bool]
) -> list[str]:
    """What each picture is shown for; a finding's second picture and a negative one say so."""
    titles = []
    for number, choice in enumerate(choices):
        if not choice.labels:
            titles.append("Overview")
            continue
        lead, names = choice.labels[0], [labels[label] for label in choice.labels]
        before = [other for other in choices[:number] if lead in other.labels]
        title = ", ".join(names)
        if len(title) > _LONGEST_TITLE:
            title = f"{names[0]} and {len(names) - 1} more" if names[1:] else names[0]
        if any(other.triplet == choice.triplet for other in before):
            title += ", same slice"
        elif before:
            title += ", next place"
        elif not positive[lead]:
            title += ", below threshold"
        titles.append(title)
    return titles


def _draw_side(
    page: Page,
    top: float,
    seen: Scout,
    choices: Sequence[SliceChoice],
    pictures: Sequence[AxialSlice],
    relevance: NDArray[np.float64] | None,
    positions: NDArray[np.float64],
    *,
    numbered: bool,
) -> None:
    """The scan from the front, lines where slices are shown, and relevance below it."""
    left, wide = 24.0, _SIDE - 24.0
    shown = [picture.index_voxel for picture in pictures]
    page.text(left, top + 26, "From the front", size=14, colour=NIGHT_TEXT, weight="bold")
    used = draw_scout(page, (left, top + 48, wide, 0.4 * (HEIGHT - top)), seen, shown)
    lower = top + 48 + used + 36
    small: dict[str, Any] = {"size": 12, "colour": NIGHT_MUTED}
    if relevance is None or not choices:
        text = "Slices are evenly spaced: relevance\nwas not computed."
        page.text(left, lower, text, va="top", linespacing=1.5, **small)
        return
    page.text(left, lower, "Relevance along the body", size=14, colour=NIGHT_TEXT, weight="bold")
    foot = 92.0
    leading = list(dict.fromkeys(choice.labels[0] for choice in choices))
    shown_in = pictures_by_label(choices)
    draw_relevance_strips(
        page,
        (left, lower + 44, wide, HEIGHT - lower - 44 - foot),
        rows=[relevance[label] for label in leading],
        numbers=[shown_in[label] for label in leading],
        shown_voxel=shown,
        positions_voxel=positions,
        seen=seen,
        numbered=numbered,
    )
    by = "slice number" if numbered else "z in mm"
    text = f"The finding's logit for three slices alone,\nagainst the mean of all, by {by}"
    page.text(left, HEIGHT - foot + 14, text, va="top", linespacing=1.45, **small)
    meanings = ((0, NIGHT_POSITIVE, "speaks for it"), (118, NIGHT_AGAINST, "against it"))
    for x, colour, meaning in meanings:
        page.rectangle(left + x, HEIGHT - 29, 10, 10, colour)
        page.text(left + x + 17, HEIGHT - 24, meaning, **small)

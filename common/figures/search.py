"""`figure.png` of a search: the point that was looked for, and where its counterpart was found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..results.schema import BundleRecord, CaseRecord
from ..volumes.volume import Volume
from ..weights.card import WeightsRecord
from .heat_planes import CROSS, Heat, draw_heat_planes, draw_heat_scale
from .page import NIGHT, NIGHT_LINE, NIGHT_MUTED, NIGHT_TEXT, Page, fold
from .title_block import draw_title_block

WIDTH, HEIGHT = 1600, 1000
_EDGE, _HEADING = 24, 40


def write_search_figure(
    path: str | Path,
    *,
    query_volume: Volume,
    query_world_mm: NDArray[np.float64],
    query_name: str,
    volume: Volume,
    heat: Heat,
    found_world_mm: NDArray[np.float64],
    cosine: float,
    way: str,
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> Path:
    """Draw a search and write it as PNG, 1600 x 1000 pixels.

    Args:
        path: Where to write.
        query_volume: The scan with the point, as stored.
        query_world_mm: The point `(3,)`, RAS+.
        query_name: The scan's name and what gave the point.
        volume: The scan that was searched, as stored.
        heat: Cosines on its grid.
        found_world_mm: The place found `(3,)`, RAS+.
        cosine: Of that place.
        way: `windows` or `dense`.
        case: Of the scan that was searched, from `describe_case`.
        bundle: Name and version.
        weights: Name, hash and whether they are synthetic, which is then said in a band.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    page = Page(WIDTH, HEIGHT)
    place = ", ".join(f"{value:.0f}" for value in found_world_mm)
    top = draw_title_block(
        page, case=case, bundle=bundle, weights=weights, count=f"[{place}] mm",
        meaning=f"found, world RAS+   ·   cosine {cosine:.3f}   ·   {way}",
    )  # fmt: skip
    page.rectangle(0, top, WIDTH, HEIGHT - top, NIGHT)
    page.rectangle(WIDTH / 2, top, 1, HEIGHT - top, NIGHT_LINE)
    half = WIDTH / 2 - 2 * _EDGE
    body = (top + _HEADING, half, HEIGHT - top - _HEADING - 14)
    for left, text in (
        (_EDGE, f"Looked for: {query_name}"),
        (WIDTH / 2 + _EDGE, f"Found in: {case['case_id']}"),
    ):
        page.text(left, top + 22, fold(text, 70, 1), size=16, colour=NIGHT_TEXT, weight="bold")
    beside = draw_heat_planes(
        page, (_EDGE, *body), volume=query_volume, point_world_mm=query_world_mm
    )
    _write_point(page, beside, "the point", query_world_mm)
    left, low, _, high = draw_heat_planes(
        page, (WIDTH / 2 + _EDGE, *body), volume=volume, point_world_mm=found_world_mm, heat=heat
    )
    _write_point(page, (left, low, 0, high), "the place found", found_world_mm)
    draw_heat_scale(page, (left + 140, low, 80, min(high, 180.0)), heat, name="cosine")
    return page.save(path)


def _write_point(
    page: Page, place: tuple[float, float, float, float], name: str, point: NDArray[np.float64]
) -> None:
    left, top, _, _ = place
    page.text(left, top + 8, name, size=14, colour=CROSS, weight="bold")
    for row, (letter, value) in enumerate(zip("xyz", point, strict=True), start=1):
        page.text(left, top + 8 + 22 * row, f"{letter}  {value:.1f} mm", size=14, colour=NIGHT_TEXT)
    page.text(left, top + 100, "world, RAS+", size=12, colour=NIGHT_MUTED)

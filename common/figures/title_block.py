"""The head of a figure: which scan, what read it, the one number to take away, and a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..results.schema import BundleRecord, CaseRecord
from ..weights.card import WeightsRecord
from .page import MUTED, WARNING_INK, WARNING_LIGHT, Page, synthetic_band

_HEIGHT, _BAND, _EDGE, _GAP = 84, 32, 24, 40
_LINE, _MOST_WARNINGS = 19, 3


def draw_title_block(
    page: Page,
    *,
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
    count: str,
    meaning: str,
) -> int:
    """Draw the head across the page, the scan's warnings, a band where weights are synthetic.

    Args:
        page: To draw on.
        case: From `describe_case`.
        bundle: Name and version.
        weights: Name, hash and whether they are synthetic.
        count: The number at the right, large.
        meaning: What it counts, small below it.

    Returns:
        Where the figure goes on, in pixels from the top.
    """
    right = page.width - _EDGE
    room = right - _EDGE - _GAP - page.width_of(count, 25, weight="bold")
    if page.width_of(case["case_id"], 25, weight="bold") <= room:
        page.text(_EDGE, 32, case["case_id"], size=25, weight="bold")
    else:
        name = page.fit(case["case_id"], 16, room, lines=2, weight="bold")
        page.text(_EDGE, 30, name, size=16, weight="bold", linespacing=1.15)
    grid = case["input"]
    size = " x ".join(str(number) for number in grid["shape_voxels"])
    spacing = " x ".join(f"{step:.3g}" for step in grid["spacing_mm"])
    which = f"{bundle['name']} {bundle['version']}   ·   weights "
    ends = f" ({weights['sha256'][:8]})   ·   {size} voxels of {spacing} mm, {grid['axcodes']}"
    room = right - _EDGE - _GAP - page.width_of(meaning, 14)
    name = page.fit(weights["name"], 14, max(room - page.width_of(which + ends, 14), 60))
    page.text(_EDGE, 65, page.fit(which + name + ends, 14, room), size=14, colour=MUTED)
    page.text(right, 32, count, size=25, weight="bold", ha="right")
    page.text(right, 65, meaning, size=14, colour=MUTED, ha="right")
    top = _HEIGHT + _draw_warnings(page, case["warnings"])
    if not weights["synthetic"]:
        return top
    synthetic_band(page, top, _BAND)
    return top + _BAND


def _draw_warnings(page: Page, warnings: Sequence[str]) -> int:
    """A line per warning below the head, the last one counts those without room; their height."""
    if not warnings:
        return 0
    shown = list(warnings)
    if len(shown) > _MOST_WARNINGS:
        left_out = len(shown) - (_MOST_WARNINGS - 1)
        shown = [*shown[: _MOST_WARNINGS - 1], f"{left_out} more warnings in result.json"]
    style: dict[str, Any] = {"size": 12.5, "colour": WARNING_INK}
    wide, lines = page.width - 2 * _EDGE - 22, 1 if len(shown) > 1 else 2
    texts = [page.fit(text, 12.5, wide, lines=lines) for text in shown]
    high = 10 + _LINE * sum(text.count("\n") + 1 for text in texts)
    page.rectangle(0, _HEIGHT, page.width, high, WARNING_LIGHT)
    y = _HEIGHT + 5.0
    for text in texts:
        page.text(_EDGE, y + _LINE / 2, "!", weight="bold", **style)
        tall = _LINE * (text.count("\n") + 1)
        page.text(_EDGE + 16, y + tall / 2, text, linespacing=1.3, **style)
        y += tall
    return high

"""The head of a figure: which scan, what read it, the one number to take away, and a warning."""

from __future__ import annotations

from ..results.schema import BundleRecord, CaseRecord, WeightsRecord
from .page import MUTED, Page, fold, synthetic_band

_HEIGHT, _BAND = 84, 32


def draw_title_block(
    page: Page,
    *,
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
    count: str,
    meaning: str,
) -> int:
    """Draw the head across the page, and below it a band where weights are synthetic.

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
    name = case["case_id"]
    if len(name) <= 56:
        page.text(24, 32, name, size=25, weight="bold")
    else:
        page.text(24, 28, fold(name, 84, 2), size=17, weight="bold", linespacing=1.15)
    grid = case["input"]
    size = " x ".join(str(number) for number in grid["shape_voxels"])
    spacing = " x ".join(f"{step:.3g}" for step in grid["spacing_mm"])
    line = (
        f"{bundle['name']} {bundle['version']}   ·   weights {weights['name']} "
        f"({weights['sha256'][:8]})   ·   {size} voxels of {spacing} mm, {grid['axcodes']}"
    )
    page.text(24, 65, line, size=14, colour=MUTED)
    page.text(page.width - 28, 32, count, size=25, weight="bold", ha="right")
    page.text(page.width - 28, 65, meaning, size=14, colour=MUTED, ha="right")
    if not weights["synthetic"]:
        return _HEIGHT
    synthetic_band(page, _HEIGHT, _BAND)
    return _HEIGHT + _BAND

"""The figure's right side: every structure found, its colour and its volume, by body system.

Pairs share a row, right before left as on the pictures; vertebrae and ribs are rows of chips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..vocabulary.snomed import split_side
from ..vocabulary.structure_colours import structure_colour
from .page import FAINT, INK, MUTED, Page, font

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "Organs": (
        "brain", "thyroid_gland", "esophagus", "liver", "gallbladder", "spleen", "pancreas",
        "stomach", "duodenum", "small_bowel", "colon", "adrenal_gland", "kidney", "kidney_cyst",
        "urinary_bladder", "prostate",
    ),
    "Airways and lungs": ("trachea", "lung_upper_lobe", "lung_middle_lobe", "lung_lower_lobe"),
    "Heart and vessels": (
        "heart", "atrial_appendage", "aorta", "brachiocephalic_trunk", "common_carotid_artery",
        "subclavian_artery", "iliac_artery", "pulmonary_vein", "superior_vena_cava",
        "brachiocephalic_vein", "inferior_vena_cava", "iliac_vena",
        "portal_vein_and_splenic_vein",
    ),
    "Spine": ("vertebrae_C", "vertebrae_T", "vertebrae_L", "vertebrae_S", "sacrum", "spinal_cord"),
    "Bones": (
        "rib_right", "rib_left", "sternum", "costal_cartilages", "clavicula", "scapula", "humerus",
        "hip", "femur", "skull",
    ),
    "Muscles": (
        "autochthon", "iliopsoas", "gluteus_maximus", "gluteus_medius", "gluteus_minimus",
    ),
}  # fmt: skip
"""Rows of the legend by body system, in the order shown; names without side, number or level."""
OTHERS = "Others"
_ROW_RANGE, _HEAD_ROWS, _FOOT = (13.0, 21.0), 1.45, 52.0
_CHIP_WIDE, _CHIPS_LEFT = 20.5, 98.0


@dataclass
class LegendRow:
    """One row: a structure, a pair or a series of vertebrae or ribs.

    Attributes:
        title: What it is called, without side.
        members: Slot to name; slots are `right`, `left` and `middle`, or a series' numbers.
        is_series: Whether its members are numbered.
    """

    title: str
    members: dict[str, str] = field(default_factory=dict)
    is_series: bool = False


def legend_rows(names: Sequence[str]) -> dict[str, list[LegendRow]]:
    """Structures in rows by body system; systems without any are left out.

    Args:
        names: Structures found, as TotalSegmentator spells them.
    """
    found: dict[str, LegendRow] = {}
    for name in names:
        key, slot, is_series = _row_of(name)
        row = found.setdefault(key, LegendRow(key.replace("_", " "), is_series=is_series))
        row.members[slot] = name
    systems = {
        system: [found.pop(key) for key in keys if key in found] for system, keys in SYSTEMS.items()
    }
    systems[OTHERS] = list(found.values())
    return {system: rows for system, rows in systems.items() if rows}


def draw_structure_legend(
    page: Page,
    place: tuple[float, float, float, float],
    *,
    structures: Mapping[str, Mapping[str, Any]],
    shown: set[str],
    window_name: str,
) -> int:
    """Draw the legend into a rectangle.

    Args:
        page: To draw on.
        place: Left, top, width, height in pixels.
        structures: Name to `volume_ml` and `touches_border`, see `segmentation_outputs`.
        shown: Names of those that the pictures show; the others' colours are outlined only.
        window_name: What the pictures' grey values are.

    Returns:
        How many structures found no room, and were counted in the last line: of those that no
        picture shows, the smallest first.
    """
    left, top, wide, high = place
    axes = page.axes(left, top, wide, high, xlim=(0, wide), ylim=(high, 0))
    systems, left_out = _fitting(structures, shown, high - _FOOT)
    if not structures:
        text = "No structure was found in this scan."
        axes.text(0, 24, text, color=INK, va="center", weight="bold", **font(14))
    units = sum(len(rows) + _HEAD_ROWS for rows in systems.values())
    row_high = min(_ROW_RANGE[1], (high - _FOOT) / max(units, 1))
    y = 4.0
    for number, (system, rows) in enumerate(systems.items()):
        _draw_heading(axes, (y, row_high, wide), system, with_unit=number == 0)
        y += _HEAD_ROWS * row_high
        for row in rows:
            if row.is_series:
                _draw_series(axes, (y, row_high), row, shown)
            else:
                _draw_row(axes, (y, row_high, wide), row, structures, shown)
            y += row_high
    rest = f"{left_out} more in volumes.csv" if left_out else window_name
    _draw_foot(axes, (wide, high), rest, with_marks=bool(structures))
    return left_out


def _row_of(name: str) -> tuple[str, str, bool]:
    """Row, slot in it, and whether the row is a series: `("kidney", "left", False)`."""
    stem, side = split_side(name)
    if name.startswith("vertebrae_") and name[11:].isdigit():
        return name[:11], name[11:], True
    if stem == "rib" and side is not None:
        return f"rib_{side}", name.rsplit("_", 1)[1], True
    return stem, side or "middle", False


def _fitting(
    structures: Mapping[str, Mapping[str, Any]], shown: set[str], high: float
) -> tuple[dict[str, list[LegendRow]], int]:
    """The rows that fit, and how many structures they leave out."""
    kept = sorted(structures, key=lambda name: (name in shown, structures[name]["volume_ml"]))
    systems = legend_rows(list(structures))
    while kept and sum(len(rows) + _HEAD_ROWS for rows in systems.values()) * _ROW_RANGE[0] > high:
        kept = kept[1:]
        systems = legend_rows([name for name in structures if name in set(kept)])
    return systems, len(structures) - len(kept)


def _draw_heading(
    axes: Axes, place: tuple[float, float, float], system: str, *, with_unit: bool
) -> None:
    y, row, wide = place
    size = min(row * 0.8, 12.5)
    middle = y + row * 0.72
    axes.text(0, middle, system, color=MUTED, va="center", weight="bold", **font(size))
    if with_unit:
        unit = "mL, right · left"
        axes.text(wide, middle, unit, color=MUTED, va="center", ha="right", **font(size))
    axes.plot([0, wide], [y + _HEAD_ROWS * row - 2] * 2, color=FAINT, lw=0.8)


def _draw_row(
    axes: Axes,
    place: tuple[float, float, float],
    row: LegendRow,
    structures: Mapping[str, Mapping[str, Any]],
    shown: set[str],
) -> None:
    y, high, wide = place
    size, side = min(high * 0.82, 13.0), min(high - 4.0, 12.0)
    middle = y + high / 2
    slots = [slot for slot in ("right", "middle", "left") if slot in row.members]
    for slot in slots:
        x = 0.0 if slot != "left" else side + 4
        name = row.members[slot]
        _draw_chip(axes, (x, middle - side / 2, side, side), name, filled=name in shown)
    title = row.title if len(slots) > 1 or slots == ["middle"] else f"{row.title} {slots[0]}"
    axes.text(2 * side + 13, middle, title, color=INK, va="center", **font(size))
    volumes = " · ".join(volume_text(structures[row.members[slot]]) for slot in slots)
    axes.text(wide, middle, volumes, color=INK, va="center", ha="right", **font(size))


def _draw_series(axes: Axes, place: tuple[float, float], row: LegendRow, shown: set[str]) -> None:
    y, high = place
    middle, thick = y + high / 2, min(high - 2.0, 16.0)
    title = row.title.replace("vertebrae", "vertebrae ").replace("  ", " ")
    axes.text(0, middle, title, color=INK, va="center", **font(min(high * 0.82, 13.0)))
    for number, name in row.members.items():
        x = _CHIPS_LEFT + (int(number) - 1) * (_CHIP_WIDE + 1)
        filled = name in shown
        _draw_chip(axes, (x, middle - thick / 2, _CHIP_WIDE, thick), name, filled=filled)
        red, green, blue = structure_colour(name)
        is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 130
        ink = INK if is_light or not filled else "white"
        x += _CHIP_WIDE / 2
        style: dict[str, Any] = {"va": "center_baseline", "ha": "center", **font(thick * 0.68)}
        axes.text(x, middle, number, color=ink, **style)


def _draw_chip(
    axes: Axes, place: tuple[float, float, float, float], name: str, *, filled: bool
) -> None:
    from matplotlib.patches import Rectangle

    colour = tuple(part / 255 for part in structure_colour(name))
    x, y, wide, high = place
    face = colour if filled else "none"
    inner = (x + 0.75, y + 0.75), wide - 1.5, high - 1.5
    axes.add_patch(Rectangle(*inner, facecolor=face, edgecolor=colour, lw=1.1))


def _draw_foot(axes: Axes, size: tuple[float, float], rest: str, *, with_marks: bool) -> None:
    from matplotlib.patches import Rectangle

    wide, high = size
    style: dict[str, Any] = {"color": MUTED, "va": "center", **font(11.5)}
    axes.plot([0, wide], [high - 45] * 2, color=FAINT, lw=0.8)
    if with_marks:
        hollow = Rectangle((1, high - 36), 10, 10, facecolor="none", edgecolor=MUTED, lw=1.1)
        axes.add_patch(hollow)
        axes.text(18, high - 31, "not in these pictures", **style)
        axes.text(wide, high - 31, "≥  reaches the edge of the scan", ha="right", **style)
    axes.text(0, high - 13, rest, **style)
    axes.text(wide, high - 13, "Research only, not clinical", ha="right", **style)


def volume_text(structure: Mapping[str, Any]) -> str:
    """A volume in mL to two or three digits; `≥` where the structure may go on outside."""
    volume = float(structure["volume_ml"])
    text = f"{volume:,.0f}" if volume >= 10 else f"{volume:.1f}"
    if 0 < volume < 0.05:
        text = "<0.1"
    return f"≥ {text}" if structure["touches_border"] else text

"""`figure.png` of a segmentation: the scan with the structures over it, and what they measure.

Left on black, as on a reading station: a coronal and a sagittal plane through the middle of what
was segmented, and the axial slices that together show most structures; all as large as their
places allow. Right on white: every structure by body system with its colour and volume.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..results.label_volume import MOST_LABELS
from ..results.schema import BundleRecord, CaseRecord
from ..vocabulary.structure_colours import structure_colour
from ..volumes.geometry import body_axes
from ..volumes.label_profiles import LabelProfiles, profile_labels
from ..volumes.volume import Volume
from ..weights.card import WeightsRecord
from .body_plane import PlaneName, body_plane
from .label_overlay import PlanePicture, cut_picture, paint, pixels_per_mm
from .page import NIGHT, NIGHT_MUTED, NIGHT_POSITIVE, NIGHT_TEXT, Page, font
from .plane_choice import choose_slices_for_structures, middle_slice
from .slice_choice import HU_WINDOWS
from .slice_panels import body_box_mm, draw_marks
from .structure_legend import draw_structure_legend
from .title_block import draw_title_block
from .upright import ACROSS, slice_number, upright

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, HEIGHT = 1600, 1000
_VIEWER, _EDGE, _GAP, _CAPTION = 1200, 20, 14, 44
_WINDOW = "mediastinal"
_TALL, _FLAT = 1.3, 0.45
_THINNED, _THINNEST_STRIP = 3, 110
_BOX_MARGIN_MM = 8.0
_AXES_NAMES: dict[PlaneName, tuple[int, str]] = {
    "sagittal": (0, "x"),
    "coronal": (1, "y"),
    "axial": (2, "z"),
}
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Panel:
    """A picture, its place on the page in whole pixels, and what of it is shown."""

    picture: PlanePicture
    place: tuple[int, int, int, int]
    box_mm: Box


def write_segmentation_figure(
    path: str | Path,
    *,
    volume: Volume,
    labels: NDArray[Any],
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
    outputs: Mapping[str, Any],
) -> Path:
    """Draw a segmentation of one scan and write it as PNG, 1600 x 1000 pixels.

    Args:
        path: Where to write.
        volume: The scan as stored, any orientation; its own planes and HU are shown.
        labels: `(I, J, K)` integers from 0 (background) to 255, on the scan's grid.
        case: From `describe_case`.
        bundle: Name and version.
        weights: Name, hash and whether they are synthetic, which is then said in a band.
        outputs: From `segmentation_outputs` for these labels.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written, or a structure has no colour.
        ValueError: If the labels are not on the scan's grid or the outputs are not theirs.
    """
    names = {int(found["number"]): name for name, found in outputs["structures"].items()}
    if labels.shape != volume.voxels.shape:
        msg = f"labels must have the scan's shape {volume.voxels.shape}, got {labels.shape}"
        raise ValueError(msg)
    profiles = profile_labels(labels, MOST_LABELS)
    if profiles.present != sorted(names):
        msg = f"outputs must be of these labels {profiles.present}, got {sorted(names)}"
        raise ValueError(msg)

    page = Page(WIDTH, HEIGHT)
    top = draw_title_block(
        page,
        case=case,
        bundle=bundle,
        weights=weights,
        count=f"{len(names)} structure{'' if len(names) == 1 else 's'}",
        meaning=f"{outputs['segmented_ml']:,.0f} mL segmented",
    )
    page.rectangle(0, top, _VIEWER, HEIGHT - top, NIGHT)
    seen = upright(volume)
    shown = seen.like(labels, order=0)
    if seen.is_turned:
        profiles = _thinned_profiles(shown)
    panels = _panels(seen.volume, shown, profiles, top)
    for number, panel in enumerate(panels):
        _draw_panel(page, panel, number - 1, _colours(names), numbered=not seen.is_turned)
    _draw_axial_lines(page, panels)
    low, high = HU_WINDOWS[_WINDOW]
    draw_structure_legend(
        page,
        (_VIEWER + 24, top + 4, WIDTH - _VIEWER - 48, HEIGHT - top - 4),
        structures=outputs["structures"],
        shown={names[number] for panel in panels for number in panel.picture.shown},
        window_name=f"soft tissue, {low:.0f} to {high:.0f} HU",
    )
    return page.save(path)


def _thinned_profiles(labels: NDArray[Any]) -> LabelProfiles:
    """About how many voxels of each label lie in each slice: enough to choose slices by."""
    found = profile_labels(labels[(slice(None, None, _THINNED),) * 3], MOST_LABELS)
    i, j, k = (
        np.repeat(counts, _THINNED, axis=0)[:size]
        for counts, size in zip(found.along, labels.shape, strict=True)
    )
    return LabelProfiles((i, j, k))


def _panels(
    volume: Volume, labels: NDArray[Any], profiles: LabelProfiles, top: int
) -> list[_Panel]:
    """Coronal, sagittal, then the axial slices from head to foot, each with its place."""
    axes, grows = body_axes(volume.affine)

    def from_patient(body_axis: int) -> NDArray[np.int64]:
        """Counts from the right, front or head on, so that no choice depends on the storage."""
        counts = profiles.along[axes[body_axis]]
        return counts[::-1] if grows[body_axis] else counts

    def cut(name: PlaneName, from_end: int) -> PlanePicture:
        body_axis, _ = _AXES_NAMES[name]
        last = labels.shape[axes[body_axis]] - 1
        index = last - from_end if grows[body_axis] else from_end
        return cut_picture(volume, labels, body_plane(volume.affine, labels.shape, name, index))

    front = cut("coronal", middle_slice(from_patient(1)))
    side = cut("sagittal", middle_slice(from_patient(0)))
    boxes = _upright_boxes(front, side)
    is_tall = (boxes[0][3] - boxes[0][2]) > _TALL * (boxes[0][1] - boxes[0][0])
    chosen = choose_slices_for_structures(from_patient(2), 3 if is_tall else 4)
    axial = [cut("axial", index) for index in chosen]
    box = _with_labels(body_box_mm(axial), axial)
    is_flat = (boxes[0][3] - boxes[0][2]) < _FLAT * (boxes[0][1] - boxes[0][0])
    if is_tall:
        places = _tall_places(top, boxes, box)
    else:
        places = _flat_places(top, boxes) if is_flat else _grid_places(top)
    pictures, shown = [front, side, *axial], [*boxes, *[box] * len(axial)]
    return [_Panel(*each) for each in zip(pictures, places, shown, strict=False)]


def _upright_boxes(front: PlanePicture, side: PlanePicture) -> tuple[Box, Box]:
    """What is shown of the coronal and sagittal plane: the same height of the body in both."""
    found = [_with_labels(body_box_mm([picture]), [picture]) for picture in (front, side)]
    top, bottom = min(box[2] for box in found), max(box[3] for box in found)
    (left, right, _, _), (first, last, _, _) = found
    return (left, right, top, bottom), (first, last, top, bottom)


def _with_labels(box: Box, pictures: Sequence[PlanePicture]) -> Box:
    """A box that holds all structures as well."""
    left, right, top, bottom = box
    for picture in pictures:
        rows = np.flatnonzero(picture.labels.any(axis=1))
        columns = np.flatnonzero(picture.labels.any(axis=0))
        if not len(rows):
            continue
        high, wide = picture.pixel_mm
        left = min(left, columns[0] * wide - _BOX_MARGIN_MM)
        right = max(right, (columns[-1] + 1) * wide + _BOX_MARGIN_MM)
        top = min(top, rows[0] * high - _BOX_MARGIN_MM)
        bottom = max(bottom, (rows[-1] + 1) * high + _BOX_MARGIN_MM)
    return float(left), float(right), float(top), float(bottom)


def _grid_places(top: int) -> list[tuple[int, int, int, int]]:
    """Three columns of two: coronal over sagittal, then the axial slices row by row."""
    wide = (_VIEWER - 2 * _EDGE - 2 * _GAP) // 3
    high = (HEIGHT - top - 2 * _GAP - _GAP) // 2 - _CAPTION
    cells = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (2, 1)]
    return [
        (
            _EDGE + column * (wide + _GAP),
            top + _GAP + _CAPTION + row * (high + _CAPTION + _GAP),
            wide,
            high,
        )
        for column, row in cells
    ]


def _flat_places(top: int, boxes: tuple[Box, Box]) -> list[tuple[int, int, int, int]]:
    """Coronal and sagittal as strips side by side at one scale, four axial slices below."""
    room = _VIEWER - 2 * _EDGE - _GAP
    widths = [box[1] - box[0] for box in boxes]
    front = int(np.clip(room * widths[0] / sum(widths), 300, room - 300))
    strip = int(max((boxes[0][3] - boxes[0][2]) * room / sum(widths), _THINNEST_STRIP))
    each = (room // 2, (HEIGHT - top - strip - 3 * _CAPTION - 4 * _GAP) // 2)
    upper = top + _GAP + _CAPTION
    lower = upper + strip + _GAP + _CAPTION
    return [
        (_EDGE, upper, front, strip),
        (_EDGE + front + _GAP, upper, room - front, strip),
        *[
            (_EDGE + column * (each[0] + _GAP), lower + row * (each[1] + _CAPTION + _GAP), *each)
            for row in range(2)
            for column in range(2)
        ],
    ]


def _tall_places(top: int, boxes: tuple[Box, Box], axial: Box) -> list[tuple[int, int, int, int]]:
    """Coronal and sagittal at full height side by side, then a column of axial slices."""
    high = HEIGHT - top - 2 * _GAP - _CAPTION
    each = (HEIGHT - top - 4 * _GAP) // 3 - _CAPTION
    room = _VIEWER - 2 * _EDGE - 2 * _GAP
    shape = (axial[1] - axial[0]) / (axial[3] - axial[2])
    wide = int(np.clip(each * shape, 300, 400))
    widths = [box[1] - box[0] for box in boxes]
    front = int(np.clip((room - wide) * widths[0] / sum(widths), 280, room - wide - 220))
    first, second = _EDGE + front + _GAP, _EDGE + room - wide + 2 * _GAP
    upper = top + _GAP + _CAPTION
    return [
        (_EDGE, upper, front, high),
        (first, upper, second - _GAP - first, high),
        *[(second, upper + turn * (each + _CAPTION + _GAP), wide, each) for turn in range(3)],
    ]


def _colours(names: Mapping[int, str]) -> NDArray[np.float32]:
    colours = np.zeros((MOST_LABELS, 3), dtype=np.float32)
    for number, name in names.items():
        colours[number] = np.divide(structure_colour(name), 255)
    return colours


def _draw_panel(
    page: Page, panel: _Panel, number: int, colours: NDArray[np.float32], *, numbered: bool
) -> None:
    left, top, wide, high = panel.place
    picture, plane = panel.picture, panel.picture.plane
    image = paint(
        picture,
        box_mm=panel.box_mm,
        size=(high, wide),
        hu_window=HU_WINDOWS[_WINDOW],
        colours=colours,
    )
    axes = page.axes(left, top, wide, high)
    axes.imshow(image, extent=(0, wide, high, 0), interpolation="nearest", aspect="auto")
    scale = pixels_per_mm(panel.box_mm, (high, wide))
    long = 50.0 * scale < 24
    bar_mm, bar = (100.0, "10 cm") if long else (50.0, "5 cm")
    draw_marks(axes, plane.letters, bar_mm * scale / wide, bar)
    count = len(picture.shown)
    title = f"{plane.name.capitalize()}, {count} structure{'' if count == 1 else 's'}"
    axis, letter = _AXES_NAMES[plane.name]
    which = f"slice {slice_number(plane)}" if numbered else ACROSS
    detail = f"{letter} {plane.centre_world_mm[axis]:.1f} mm   ·   {which}"
    indent = 0
    if number > 0:
        indent = 20
        page.text(
            left, top - _CAPTION + 10, str(number), size=15, colour=NIGHT_POSITIVE, weight="bold"
        )
    page.text(left + indent, top - _CAPTION + 10, title, size=14, colour=NIGHT_TEXT, weight="bold")
    page.text(left + indent, top - _CAPTION + 31, detail, size=12, colour=NIGHT_MUTED)


def _draw_axial_lines(page: Page, panels: Sequence[_Panel]) -> None:
    """Where the axial slices lie, on the coronal and the sagittal picture."""
    for panel in panels[:2]:
        left, top, wide, high = panel.place
        axes = page.axes(left, top, wide, high, xlim=(0, wide), ylim=(high, 0))
        scale = pixels_per_mm(panel.box_mm, (high, wide))
        middle_mm = (panel.box_mm[2] + panel.box_mm[3]) / 2
        for number, other in enumerate(panels[2:], start=1):
            plane = other.picture.plane
            row = panel.picture.plane.row_of(plane.index_voxel, plane.num_slices)
            row_mm = (row + 0.5) * panel.picture.pixel_mm[0]
            _draw_line(axes, high / 2 + (row_mm - middle_mm) * scale, wide, number)


def _draw_line(axes: Axes, y: float, wide: float, number: int) -> None:
    """A line with its number, which stays on the picture and clear of its neighbours' numbers."""
    from matplotlib.patheffects import withStroke

    axes.plot([0, wide], [y, y], color=NIGHT_POSITIVE, lw=0.8, alpha=0.75)
    around = [withStroke(linewidth=2.5, foreground="black")]
    style: dict[str, Any] = {"weight": "bold", "path_effects": around, **font(13)}
    style["va"] = "bottom" if y > 16 else "top"
    axes.text(28 + 18 * (number - 1), y - 1, str(number), color=NIGHT_POSITIVE, **style)

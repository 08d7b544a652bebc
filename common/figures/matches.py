"""`matches.png`: each query and its nearest scans side by side.

A match of the query's own label is framed in blue with a tick, one of another in orange with a
cross, so that no reader depends on colour. A scan that cannot be read leaves an empty tile that
says which and why.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from .axial_slice import window
from .page import (
    NIGHT,
    NIGHT_LINE,
    NIGHT_MUTED,
    NIGHT_POSITIVE,
    NIGHT_STRIP,
    NIGHT_TEXT,
    Page,
    fold,
    synthetic_band,
)
from .scan_picture import ScanPicture, picture_of_path

HU_WINDOW = (-1050.0, 550.0)
"""Wide enough for lungs, soft tissue and bone at once."""
RIGHT, WRONG = "#56b4e9", NIGHT_POSITIVE
_MARGIN, _HEADER, _BAND = 24, 74, 32
_TILE, _PICTURE, _CAPTION, _GAP, _AFTER_QUERY = 212, 212, 66, 14, 34
_FEWEST_TILES = 3


@dataclass(frozen=True)
class Tile:
    """One scan of the figure.

    Attributes:
        name: Of the case.
        path: Where it lies.
        detail: Below the name, such as its distance.
        label: What it is, where known.
        right: Whether that is what the query is; None where one of both is unknown.
    """

    name: str
    path: str
    detail: str = ""
    label: str = ""
    right: bool | None = None


def write_match_figure(
    path: str | Path,
    rows: Sequence[tuple[Tile, Sequence[Tile]]],
    *,
    title: str,
    subtitle: str = "",
    synthetic: bool = False,
    read: Callable[[str], ScanPicture] = picture_of_path,
) -> Path:
    """Draw a row per query: the query, then its matches, nearest first.

    Args:
        path: Where to write the PNG.
        rows: Queries with their matches.
        title: Heads the page.
        subtitle: Below it.
        synthetic: Whether the weights were trained on phantoms only, said in a band.
        read: From a tile's path to its picture; each path is read once.

    Returns:
        ``path``.

    Raises:
        ValueError: If there is no query.
        InputError: If the file cannot be written.
    """
    if not rows:
        msg = "rows must hold at least one query, got none"
        raise ValueError(msg)
    most = max(_FEWEST_TILES, *(len(matches) for _, matches in rows))
    width = 2 * _MARGIN + (most + 1) * _TILE + (most - 1) * _GAP + _AFTER_QUERY
    top = _HEADER + (_BAND + 20 if synthetic else 0)
    step = _PICTURE + _CAPTION + _GAP
    page = Page(width, top + len(rows) * step + _MARGIN // 2, NIGHT)
    page.text(_MARGIN, 28, title, size=20, colour=NIGHT_TEXT, weight="bold")
    page.text(_MARGIN, 54, fold(subtitle, width // 8, 1), size=13, colour=NIGHT_MUTED)
    if synthetic:
        synthetic_band(page, _HEADER, _BAND)
    pictures = _Pictures(read)
    for number, (query, matches) in enumerate(rows):
        y = top + number * step
        page.rectangle(_MARGIN - 10, y - 6, _TILE + 20, step - 6, NIGHT_STRIP)
        _draw(page, _MARGIN, y, query, pictures.of(query), heading="query")
        left = _MARGIN + _TILE + _AFTER_QUERY
        for rank, match in enumerate(matches, 1):
            _draw(page, left, y, match, pictures.of(match), heading=str(rank))
            left += _TILE + _GAP
    return page.save(path)


class _Pictures:
    """Reads each path once; a reason in place of a picture that cannot be had."""

    def __init__(self, read: Callable[[str], ScanPicture]) -> None:
        self.read = read
        self.known: dict[str, ScanPicture | str] = {}

    def of(self, tile: Tile) -> ScanPicture | str:
        if tile.path not in self.known:
            try:
                self.known[tile.path] = self.read(tile.path)
            except (InputError, OSError) as error:
                self.known[tile.path] = str(error)
        return self.known[tile.path]


def _draw(
    page: Page, left: float, top: float, tile: Tile, picture: ScanPicture | str, *, heading: str
) -> None:
    colour = {None: NIGHT_LINE, True: RIGHT, False: WRONG}[tile.right]
    edge = 1 if tile.right is None else 3
    page.rectangle(left - edge, top - edge, _TILE + 2 * edge, _PICTURE + 2 * edge, colour)
    page.rectangle(left, top, _TILE, _PICTURE, "black")
    if isinstance(picture, str):
        page.text(
            left + _TILE / 2, top + _PICTURE / 2, fold("cannot be shown: " + picture, 30, 6),
            size=11.5, colour=NIGHT_MUTED, ha="center",
        )  # fmt: skip
    else:
        _show(page, left, top, picture)
    page.text(
        left + 8, top + 13, heading, size=13, colour=NIGHT_TEXT, weight="bold",
        bbox={"facecolor": "black", "alpha": 0.6, "lw": 0, "pad": 1.5},
    )  # fmt: skip
    below = top + _PICTURE
    page.text(left, below + 15, fold(tile.name, 27, 1), size=13, colour=NIGHT_TEXT)
    page.text(left, below + 34, tile.detail, size=12, colour=NIGHT_MUTED)
    mark = {None: "", True: "✓ ", False: "✗ "}[tile.right]
    shown = NIGHT_MUTED if tile.right is None else colour
    page.text(left, below + 52, mark + fold(tile.label, 27, 1), size=12.5, colour=shown)


def _show(page: Page, left: float, top: float, picture: ScanPicture) -> None:
    axes = page.axes(left, top, _TILE, _PICTURE, facecolor="black")
    rows, columns = picture.hounsfield.shape
    high, wide = np.multiply((rows, columns), picture.pixel_mm)
    side = max(float(high), float(wide))
    axes.imshow(
        window(picture.hounsfield, HU_WINDOW), cmap="gray", vmin=0, vmax=1,
        extent=(0, wide, high, 0), interpolation="hanning",
    )  # fmt: skip
    axes.set_xlim((wide - side) / 2, (wide + side) / 2)
    axes.set_ylim((high + side) / 2, (high - side) / 2)

"""`attention.npz` and `attention.png`: who looks at whom along the body, written on request.

Shapes: T slice triplets, the lowest first.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..atomic import replacing
from .page import INK, MUTED, Page, fold, font, synthetic_band

_PANEL, _GAP, _TOP, _MARGIN, _BAND, _PER_ROW = 400, 96, 96, 72, 32, 3


def write_attention(
    folder: str | Path,
    maps: Mapping[str, ArrayLike],
    *,
    case_id: str,
    synthetic: bool,
) -> list[str]:
    """Write the maps as arrays and as a picture.

    Args:
        folder: The case's folder.
        maps: Name of a reading (`block0_whole_scan`) to `(T, T)`, mean over heads: row t tells
            how much triplet t takes from each other triplet; a row sums to 1.
        case_id: Heads the picture.
        synthetic: Whether the weights were trained on phantoms only, said in a band.

    Returns:
        Names of the files written, for the result's `files`.

    Raises:
        ValueError: If there is no map or one is not square.
        InputError: If the folder cannot be written.
    """
    arrays = {name: np.asarray(values, dtype=np.float32) for name, values in maps.items()}
    for name, array in arrays.items():
        if array.ndim != 2 or array.shape[0] != array.shape[1]:
            msg = f"attention map {name} must have shape (T, T), got {array.shape}"
            raise ValueError(msg)
    if not arrays:
        msg = "attention maps must be at least one, got none"
        raise ValueError(msg)
    folder = Path(folder)
    with replacing(folder / "attention.npz") as partial, partial.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    _draw(arrays, case_id=case_id, synthetic=synthetic).save(folder / "attention.png")
    return ["attention.npz", "attention.png"]


def _draw(arrays: Mapping[str, NDArray[np.float32]], *, case_id: str, synthetic: bool) -> Page:
    num_rows = -(-len(arrays) // _PER_ROW)
    num_columns = min(len(arrays), _PER_ROW)
    top = _TOP + (_BAND if synthetic else 0)
    width = max(2 * _MARGIN + num_columns * (_PANEL + _GAP) - _GAP + 40, 1100)
    page = Page(width, top + num_rows * (_PANEL + _GAP) + 16)
    page.text(24, 32, fold(case_id, 60, 1), size=22, weight="bold")
    text = (
        "Attention, mean over heads: each row is a slice triplet, its colours show which "
        "triplets it reads"
    )
    page.text(24, 66, text, size=14, colour=MUTED)
    if synthetic:
        synthetic_band(page, _TOP - 4, _BAND)
    for number, (name, array) in enumerate(arrays.items()):
        left = _MARGIN + (number % _PER_ROW) * (_PANEL + _GAP)
        _draw_map(page, left, top + 34 + (number // _PER_ROW) * (_PANEL + _GAP), name, array)
    return page


def _draw_map(page: Page, left: float, top: float, name: str, array: NDArray[np.float32]) -> None:
    page.text(left, top - 14, name.replace("_", " "), size=14, weight="bold")
    axes = page.axes(left, top, _PANEL, _PANEL)
    brightest = float(np.quantile(array, 0.995)) or float(array.max())
    picture = axes.imshow(
        array, cmap="magma", origin="lower", vmin=0, vmax=brightest or 1, interpolation="nearest"
    )
    ticks = np.unique(np.linspace(0, len(array) - 1, min(len(array), 5)).round().astype(int))
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    for text in (*axes.set_xticklabels(ticks), *axes.set_yticklabels(ticks)):
        text.set(color=MUTED, **font(12))
    axes.tick_params(length=3, color=MUTED)
    axes.set_xlabel("read from triplet (0 at the feet)", color=INK, **font(12))
    axes.set_ylabel("triplet", color=INK, **font(12))
    bar_axes = page.axes(left + _PANEL + 10, top, 10, _PANEL)
    bar = page.figure.colorbar(picture, cax=bar_axes)
    bar.outline.set_visible(False)
    bar.set_ticks([0, brightest])
    for text in bar.ax.set_yticklabels(["0", f"{brightest:.2g}"]):
        text.set(color=MUTED, **font(11))

"""`figure.png` of an embedding: what was embedded, and which parts are unlike the whole.

Shapes: D H W the network's grid, I J K the scan as stored, N windows, F numbers per embedding.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..results.schema import BundleRecord, CaseRecord
from ..volumes.geometry import Grid
from ..volumes.heat_map import heat_map
from ..volumes.inverse import SourceGrid, points_to_world_mm, read_grid
from ..volumes.place_map import Centres, CosineMap, PlaceVectors
from ..volumes.volume import Volume
from ..weights.card import WeightsRecord
from .heat_planes import Heat, draw_heat_planes, draw_heat_scale
from .page import NIGHT, NIGHT_MUTED, NIGHT_TEXT, Page
from .title_block import draw_title_block

_WIDTH, _HEIGHT, _EDGE = 1000, 1000, 24
_BESIDE, _SHORTEST = 210, 60  # pixels: from the words to the scale, and its least height
_ALIKE = 1e-3
"""Windows that are no further than this from the scan's embedding have no colour."""


def write_embedding_figure(
    path: str | Path,
    *,
    volume: Volume,
    pred: Mapping[str, Any],
    affine: NDArray[np.float64],
    source_grid: SourceGrid,
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> Path:
    """Draw three planes through the middle of what was embedded, 1000 x 1000 pixels.

    Args:
        path: Where to write the PNG.
        volume: The scan as stored, any orientation.
        pred: Of `EmbeddingInferer`.
        affine: `(4, 4)` of the network's grid, voxel (d, h, w, 1) to world mm.
        source_grid: Of the scan as stored.
        case: From `describe_case`.
        bundle: Name and version.
        weights: Name, hash and whether they are synthetic, which is then said in a band.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    page = Page(_WIDTH, _HEIGHT)
    num = len(pred["centres_voxel"])
    top = draw_title_block(
        page, case=case, bundle=bundle, weights=weights, count=f"{num} window{'s' * (num > 1)}",
        meaning=f"{pred['embedding'].shape[1]} numbers",
    )  # fmt: skip
    page.rectangle(0, top, _WIDTH, _HEIGHT - top, NIGHT)
    heat = _unlike(pred, affine, read_grid(source_grid))
    middle = pred["centres_voxel"].cpu().numpy().mean(axis=0)
    left, low, _, high = draw_heat_planes(
        page,
        (_EDGE, top + 10, _WIDTH - 2 * _EDGE, _HEIGHT - top - 24),
        volume=volume,
        point_world_mm=points_to_world_mm(middle, affine),
        heat=heat,
        cross=False,
    )
    lines = [f"{pred['pooling']} of {num} windows" if num > 1 else "all of it at once"]
    if pred["num_empty"]:
        lines.append(f"{int(pred['num_empty'])} without body left out")
    if heat is not None:
        lines += ["colour: how unlike the", "whole a window's vector is"]
        tall = max(min(high, 180.0), _SHORTEST)
        draw_heat_scale(page, (left + _BESIDE, low, 80, tall), heat, name="1 - cosine")
    page.text(left, low + 8, "What was embedded", size=14, colour=NIGHT_TEXT, weight="bold")
    for row, line in enumerate(lines):
        page.text(left, low + 30 + 18 * row, line, size=13, colour=NIGHT_MUTED)
    return page.save(path)


def _unlike(pred: Mapping[str, Any], affine: NDArray[np.float64], target: Grid) -> Heat | None:
    """Each window's distance from the embedding, at its centre and fading to its edge."""
    vectors = PlaceVectors.of_windows(
        pred["windows"][0].float().cpu(), pred["centres_voxel"].cpu().numpy()
    )
    alike = vectors.compare(pred["embedding"][0].float().cpu())
    unlike = np.where(np.isfinite(alike.cosine), 1 - alike.cosine, 0.0)
    highest = float(unlike.max())
    if highest <= _ALIKE:
        return None
    framed = tuple(
        np.concatenate([[each[0] - side / 2], each, [each[-1] + side / 2]])
        for each, side in zip(alike.centres_voxel, pred["window_size"], strict=True)
    )
    found = CosineMap(np.pad(unlike, 1).astype(np.float32), cast(Centres, framed))
    return Heat(heat_map(found, affine, target), 0.0, highest)

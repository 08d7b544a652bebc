"""What a semantic search leaves: the place found in a case, and how alike every other one is.

Shapes: D H W the network's grid after the crop, I J K the input's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..figures.heat_planes import Heat
from ..figures.search import write_search_figure
from ..results.nifti_file import tilt_warning
from ..results.run_record import RunRecord
from ..results.scalar_volume import write_scalar_volume
from ..results.schema import CaseRecord
from ..search.markups import write_markup
from ..search.point_query import PointQuery
from ..volumes.heat_map import heat_map
from ..volumes.inverse import points_to_input_voxel, points_to_world_mm, read_grid
from ..volumes.place_map import CosineMap
from .base import CaseOutput, Left

HEAT_NAME = "heatmap.nii.gz"
MARKUP_NAME = "found.mrk.json"
_SHOWN_FROM = 0.75  # the figure colours the quarter of places that is most alike
SEARCH_DEFINITIONS: Mapping[str, str] = {
    "query": "The point looked for: its scan, and where, world mm, RAS+.",
    "way": "windows: the place is a window's centre. dense: it is a place of the encoder's last "
    "map, moved to the top of the parabola through its neighbours' cosines.",
    "found_world_mm": "The place most alike, x, y, z in mm, RAS+.",
    "found_voxel": "The same, in voxels of the scan as stored; 0 is the first voxel's centre.",
    "cosine": "Of the query's vector and the best place's, -1 to 1.",
    "cosine_median": "Of all places that were compared: what an arbitrary place has.",
    "num_places": "Places that were compared.",
    "heatmap": f"{HEAT_NAME}: cosine per voxel of the scan, linear between places; the lowest one "
    "of the scan where nothing was compared.",
}


class SaveSearchd(CaseOutput):
    """Write what belongs to one searched case; see `CaseOutput`.

    `pred` is the answer of `PointSearchInferer`; `source_grid` is read too.

    Args:
        record: From `start_record`.
        query: What was looked for.
        way: Its name, for the reader.
        figures: Whether to write `figure.png`.
    """

    definitions = SEARCH_DEFINITIONS

    def __init__(
        self, *, record: RunRecord, query: PointQuery, way: str, figures: bool = True
    ) -> None:
        super().__init__(record=record, figures=figures)
        self.query = query
        self.way = way

    def write(self, folder: Path, data: dict[str, Any], case: CaseRecord) -> Left:
        """`heatmap.nii.gz` on the scan's grid, `found.mrk.json`, `figure.png`."""
        pred, volume = data["pred"], data["volume"]
        found: CosineMap = pred["map"]
        affine = np.asarray(data["image"].affine.cpu(), dtype=np.float64)
        place_mm = points_to_world_mm(pred["point_voxel"], affine)
        heat = heat_map(found, affine, read_grid(data["source_grid"]))
        case["warnings"] += tilt_warning(volume)
        middle = float(np.nanmedian(found.cosine))
        files = [
            write_scalar_volume(folder / HEAT_NAME, heat, volume.affine, qform=volume.qform).name,
            write_markup(folder / MARKUP_NAME, {f"{self.query.given_as} (found)": place_mm}).name,
        ]
        if self.figures:
            figure = write_search_figure(
                folder / "figure.png",
                query_volume=self.query.volume,
                query_world_mm=self.query.point_world_mm,
                query_name=f"{self.query.case['case_id']}, {self.query.given_as}",
                volume=volume,
                heat=Heat(
                    heat, float(np.nanquantile(found.cosine, _SHOWN_FROM)), float(heat.max())
                ),
                found_world_mm=place_mm,
                cosine=pred["cosine"],
                way=self.way,
                case=case,
                bundle=self.record.bundle,
                weights=self.record.card.provenance(),
            )
            files.append(figure.name)
        voxel = points_to_input_voxel(pred["point_voxel"], affine, data["source_grid"])
        outputs = {
            "query": self.query.facts,
            "way": self.way,
            "found_world_mm": np.round(place_mm, 3),
            "found_voxel": np.round(voxel, 3),
            "cosine": round(pred["cosine"], 6),
            "cosine_median": round(middle, 6),
            "num_places": found.num_places,
        }
        return Left(outputs, files)

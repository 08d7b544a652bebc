"""What an encoder's saliency leaves: what the embedding rests on, on the input's own grid.

Shapes: D H W the network's grid after the crop, I J K the input's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..figures.heat_planes import Heat, draw_heat_planes, draw_heat_scale
from ..figures.page import NIGHT, Page
from ..figures.title_block import draw_title_block
from ..results.nifti_file import tilt_warning
from ..results.scalar_volume import write_scalar_volume
from ..results.schema import BundleRecord, CaseRecord
from ..volumes.heat_map import heat_map
from ..volumes.inverse import points_to_input_voxel, points_to_world_mm, read_grid
from ..volumes.place_map import CosineMap
from ..volumes.volume import Volume
from ..weights.card import WeightsRecord
from .base import CaseOutput, Left

SALIENCY_NAME = "saliency.nii.gz"
SALIENCY_DEFINITIONS: Mapping[str, str] = {
    "saliency": f"{SALIENCY_NAME}: 1 - cosine of the scan's embedding with and without the place, "
    "0 to 2, smoothed; 0 outside of what the network saw.",
    "highest": "Largest saliency.",
    "highest_world_mm": "Where it is, x, y, z in mm, RAS+.",
    "highest_voxel": "The same, in voxels of the scan as stored; 0 is the first voxel's centre.",
    "mean": "Mean saliency over what the network saw.",
    "num_masks": "Places that were hidden in turn.",
    "num_empty_masks": "Those of them over nothing but air, which were not run.",
}
_WIDTH, _HEIGHT, _EDGE = 1000, 1000, 24
_SHOWN_FROM = 0.5


class SaveSaliencyd(CaseOutput):
    """Write what belongs to one case whose places were hidden in turn; see `CaseOutput`.

    `pred` is the answer of `OcclusionInferer`; `source_grid` is read too.
    """

    definitions = SALIENCY_DEFINITIONS

    def write(self, folder: Path, data: dict[str, Any], case: CaseRecord) -> Left:
        """`saliency.nii.gz` on the scan's grid, `figure.png`."""
        saliency: NDArray[np.float32] = data["pred"]["saliency"]
        volume = data["volume"]
        affine = np.asarray(data["image"].affine.cpu(), dtype=np.float64)
        # A frame of zeros, so that nothing outside of what was seen has a saliency.
        padded = CosineMap(
            np.pad(saliency, 1),
            tuple(np.arange(-1.0, n + 1) for n in saliency.shape),  # type: ignore[arg-type]
        )
        heat = heat_map(padded, affine, read_grid(data["source_grid"]))
        top = np.array(np.unravel_index(int(saliency.argmax()), saliency.shape), dtype=np.float64)
        place_mm = points_to_world_mm(top, affine)
        case["warnings"] += tilt_warning(volume)
        files = [
            write_scalar_volume(
                folder / SALIENCY_NAME, heat, volume.affine, qform=volume.qform
            ).name
        ]
        if self.figures:
            write_saliency_figure(
                folder / "figure.png",
                volume=volume,
                heat=heat,
                place_world_mm=place_mm,
                case=case,
                bundle=self.record.bundle,
                weights=self.record.card.provenance(),
            )
            files.append("figure.png")
        voxel = points_to_input_voxel(top, affine, data["source_grid"])
        outputs = {
            "highest": float(saliency.max()),
            "highest_world_mm": np.round(place_mm, 3),
            "highest_voxel": np.round(voxel, 3),
            "mean": float(saliency.mean()),
            "num_masks": data["pred"]["num_masks"],
            "num_empty_masks": data["pred"]["num_empty"],
        }
        return Left(outputs, files)


def write_saliency_figure(
    path: str | Path,
    *,
    volume: Volume,
    heat: NDArray[np.float32],
    place_world_mm: NDArray[np.float64],
    case: CaseRecord,
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> Path:
    """Draw three planes through the most salient place and write them as PNG, 1000 x 1000 pixels.

    Args:
        path: Where to write.
        volume: The scan as stored, any orientation.
        heat: Saliency on its grid.
        place_world_mm: `(3,)`, RAS+; where it is highest.
        case: From `describe_case`.
        bundle: Name and version.
        weights: Name, hash and whether they are synthetic, which is then said in a band.

    Raises:
        InputError: If the file cannot be written.
    """
    page = Page(_WIDTH, _HEIGHT)
    highest = float(heat.max())
    top = draw_title_block(
        page, case=case, bundle=bundle, weights=weights, count=f"{highest:.2g}",
        meaning="highest saliency",
    )  # fmt: skip
    page.rectangle(0, top, _WIDTH, _HEIGHT - top, NIGHT)
    shown = Heat(heat, _SHOWN_FROM * highest, highest)
    left, low, _, high = draw_heat_planes(
        page,
        (_EDGE, top + 10, _WIDTH - 2 * _EDGE, _HEIGHT - top - 24),
        volume=volume,
        point_world_mm=place_world_mm,
        heat=shown,
        cross=False,
    )
    tall = min(high, 180.0)
    draw_heat_scale(page, (left, low + high - tall, 80, tall), shown, name="1 - cosine")
    return page.save(path)

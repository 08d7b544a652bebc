"""Volume, density and place of each segmented structure: `volumes.csv` and the outputs.

Measured on the input's own grid and its own HU, in one pass, slice by slice: nothing larger than
a slice is copied, and sums are float64.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ..atomic import write_text
from ..volumes.geometry import voxel_ml
from ..volumes.label_profiles import memory_order, profile_labels
from ..volumes.volume import Volume

VOLUMES_NAME = "volumes.csv"
COLUMNS = ("structure", "number", "volume_ml", "mean_hu", "sd_hu", "touches_border")

SEGMENTATION_DEFINITIONS: Mapping[str, str] = {
    "num_structures": "Structures found: labels with at least one voxel.",
    "num_at_border": (
        "Structures with a voxel in the outermost layer of the scan's grid, on any of its six "
        "faces: they may go on outside, so their volume is a lower bound."
    ),
    "segmented_ml": "Volume of all structures together, in mL.",
    "structures": (
        "Per structure found: number in segmentation.nii.gz; num_voxels on the input's grid; "
        "volume_ml, num_voxels times the volume of a voxel, in mL; mean_hu and sd_hu, mean and "
        "population standard deviation of the input's HU within it; touches_border, see "
        "num_at_border; centre_world_mm, mean of its voxels' centres in mm, RAS+."
    ),
}


class Structure(TypedDict):
    """What is measured of one structure; definitions in `SEGMENTATION_DEFINITIONS`."""

    number: int
    num_voxels: int
    volume_ml: float
    mean_hu: float
    sd_hu: float
    touches_border: bool
    centre_world_mm: list[float]


def measure_structures(
    labels: NDArray[Any], volume: Volume, names: Sequence[str]
) -> dict[str, Structure]:
    """Measure every structure that is there.

    Args:
        labels: `(I, J, K)` integers from 0 (background), on the grid of ``volume``.
        volume: The scan as stored; HU is `voxels * slope + intercept`.
        names: Name of each number, `names[0]` that of the background.

    Returns:
        Name to measures, by number; volumes in mL, density in HU, centre in world mm, RAS+.

    Raises:
        ValueError: If the shapes differ or a label has no name.
    """
    if labels.shape != volume.voxels.shape:
        msg = f"labels must have the scan's shape {volume.voxels.shape}, got {labels.shape}"
        raise ValueError(msg)
    volume.wait_until_filled(max(volume.voxels.shape))
    order = memory_order(volume.voxels)
    stack = volume.voxels.transpose(order)
    sums, squares = np.zeros(len(names)), np.zeros(len(names))

    def add_hounsfield(index: int, found: NDArray[np.intp]) -> None:
        inside = found > 0
        number = found[inside]
        hounsfield = stack[index][inside] * float(volume.slope) + float(volume.intercept)
        sums[:] += np.bincount(number, weights=hounsfield, minlength=len(names))
        squares[:] += np.bincount(number, weights=hounsfield**2, minlength=len(names))

    profiles = profile_labels(labels, len(names), add_hounsfield, order)
    counts, at_border = profiles.num_voxels, profiles.touches_border
    ml = voxel_ml(volume.affine)
    table: dict[str, Structure] = {}
    for number in profiles.present:
        mean = sums[number] / counts[number]
        spread = max(squares[number] / counts[number] - mean**2, 0.0)
        centre = (volume.affine @ np.append(profiles.centre_voxel(number), 1.0))[:3]
        table[names[number]] = {
            "number": number,
            "num_voxels": int(counts[number]),
            "volume_ml": float(counts[number] * ml),
            "mean_hu": float(mean),
            "sd_hu": float(np.sqrt(spread)),
            "touches_border": bool(at_border[number]),
            "centre_world_mm": [float(value) for value in centre],
        }
    return table


def segmentation_outputs(table: Mapping[str, Structure]) -> dict[str, Any]:
    """A segmentation's outputs as `result.json` holds them, with `SEGMENTATION_DEFINITIONS`.

    Args:
        table: From `measure_structures`.

    Returns:
        `num_structures`, `num_at_border` and `segmented_ml`, which become columns of
        `summary.csv`, and `structures`: six digits of a volume, 0.01 HU and 0.001 mm are kept.
    """
    return {
        "num_structures": len(table),
        "num_at_border": sum(structure["touches_border"] for structure in table.values()),
        "segmented_ml": round(sum(structure["volume_ml"] for structure in table.values()), 3),
        "structures": {name: _rounded(structure) for name, structure in table.items()},
    }


def write_volumes(path: str | Path, table: Mapping[str, Structure]) -> Path:
    """Write one row per structure, by number, as CSV; whole or not at all.

    Columns: structure; number; volume_ml (mL); mean_hu and sd_hu (HU); touches_border (0 or 1).

    Args:
        path: Usually `volumes.csv` in the case's folder.
        table: From `measure_structures`.

    Returns:
        ``path``.

    Raises:
        InputError: If the file cannot be written.
    """
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    rows.writeheader()
    for name, structure in sorted(table.items(), key=lambda item: item[1]["number"]):
        at_border = int(structure["touches_border"])
        rows.writerow({"structure": name, **_rounded(structure), "touches_border": at_border})
    write_text(path, text.getvalue())
    return Path(path)


def _rounded(structure: Structure) -> Structure:
    return {
        **structure,
        "volume_ml": float(f"{structure['volume_ml']:.6g}"),
        "mean_hu": round(structure["mean_hu"], 2),
        "sd_hu": round(structure["sd_hu"], 2),
        "centre_world_mm": [round(value, 3) for value in structure["centre_world_mm"]],
    }

"""One picture that tells a scan at a glance: the plane through the middle of its body.

Shapes: I J K the scan as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..cases.find import find_cases
from ..cases.read import read_volume
from ..errors import InputError
from ..volumes.geometry import body_axes
from ..volumes.volume import Volume
from .axial_slice import to_hounsfield
from .body_plane import PlaneName, body_plane
from .upright import upright

_BODY_HU = -300.0
_THINNED = 64  # voxels along an axis that are looked at to find the body
_LONG = 0.55
"""From this length on, as a share of its width, a scan is shown from the front."""


@dataclass(frozen=True)
class ScanPicture:
    """One plane of a scan.

    Attributes:
        hounsfield: `(rows, columns)` float32 HU in display orientation.
        pixel_mm: Height and width of a pixel.
        name: Which plane.
        letters: Patient directions at the left, right, upper and lower edge.
    """

    hounsfield: NDArray[np.float32]
    pixel_mm: tuple[float, float]
    name: PlaneName
    letters: tuple[str, str, str, str]


def picture_of_path(path: str) -> ScanPicture:
    """The picture of a scan that a table of embeddings names.

    Args:
        path: A file, the folder of one DICOM series, or a phantom (`phantom:<seed>?...`).

    Raises:
        InputError: If nothing, or not exactly one scan, can be read there.
    """
    return picture_of_volume(read_volume(_case(path)))


def picture_of_volume(volume: Volume) -> ScanPicture:
    """From the front where a scan is long, from below where it is a few slices.

    Args:
        volume: The scan as stored, any orientation.
    """
    volume = upright(volume).volume
    volume.wait_until_filled(max(volume.voxels.shape))
    shape, spacing = volume.voxels.shape, volume.spacing_mm
    (across, _, along), _ = body_axes(volume.affine)
    is_long = shape[along] * spacing[along] >= _LONG * shape[across] * spacing[across]
    name: PlaneName = "coronal" if is_long else "axial"
    first = body_plane(volume.affine, shape, name, 0)
    plane = body_plane(volume.affine, shape, name, _middle_of_body(volume, first.axis))
    return ScanPicture(
        hounsfield=to_hounsfield(volume, np.ascontiguousarray(plane.cut(volume.voxels))),
        pixel_mm=(plane.row_step_mm[1], plane.column_step_mm),
        name=name,
        letters=plane.letters,
    )


def _middle_of_body(volume: Volume, axis: int) -> int:
    """The plane across `axis` with half of the body on either side; the scan's if there is none."""
    steps = [max(size // _THINNED, 1) for size in volume.voxels.shape]
    thinned = to_hounsfield(volume, volume.voxels[tuple(slice(None, None, s) for s in steps)])
    counts = (thinned > _BODY_HU).sum(axis=tuple(k for k in range(3) if k != axis))
    if not counts.any():
        return int(volume.voxels.shape[axis]) // 2
    half = np.cumsum(counts) * 2 >= counts.sum()
    return int(half.argmax()) * int(steps[axis])


def _case(path: str) -> Case:
    if path.startswith("phantom:"):
        return Case(case_id="", image=path, format="phantom")
    if not path:
        msg = "path must name a scan, got none; embed it with this bundle"
        raise InputError(msg)
    found = find_cases(path)
    if len(found) != 1:
        msg = f"path must name one scan, got {len(found)} in {path}; name one of them"
        raise InputError(msg)
    return found[0]

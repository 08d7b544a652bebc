"""The eleven organs of OrganMNIST3D, each cut out of a synthetic patient in a box of its own.

What tells them apart is anatomy, which every encoder of CT should know, so they are what encoders
are compared by where no data set is at hand (OrganMNIST3D: Yang et al., MedMNIST v2, 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..tables.totalsegmentator import STRUCTURES
from ..transforms.geometry import Grid
from ..volume import Volume
from .phantom import Phantom

MARGIN_MM = 10.0
"""Around an organ, on every side, as far as the scan goes."""

ORGAN_BOXES: Mapping[str, tuple[str, ...]] = {
    "liver": ("liver",),
    "kidney-right": ("kidney_right",),
    "kidney-left": ("kidney_left",),
    "femur-right": ("femur_right",),
    "femur-left": ("femur_left",),
    "bladder": ("urinary_bladder",),
    "heart": ("heart",),
    "lung-right": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
    "lung-left": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "spleen": ("spleen",),
    "pancreas": ("pancreas",),
}
"""Names of OrganMNIST3D, in its order, and the structures of TotalSegmentator that they are."""


def cut_organ_box(phantom: Phantom, organ: str) -> Volume:
    """The part of a scan that holds one organ, `MARGIN_MM` around it.

    Args:
        phantom: A torso, or any scan that shows the organ.
        organ: One of `ORGAN_BOXES`.

    Raises:
        InputError: If there is no such organ, or the scan does not show it.
    """
    if organ not in ORGAN_BOXES:
        msg = f"organ must be one of {', '.join(ORGAN_BOXES)}, got {organ}; use one of them"
        raise InputError(msg)
    numbers = [STRUCTURES.index(name) for name in ORGAN_BOXES[organ]]
    places = np.argwhere(np.isin(phantom.organs, numbers))
    if not len(places):
        msg = f"organ must be in the scan, got {organ} and a phantom without; scan the torso"
        raise InputError(msg)
    volume = phantom.volume
    margin = np.ceil(MARGIN_MM / np.array(volume.spacing_mm)).astype(int)
    first = np.maximum(places.min(axis=0) - margin, 0)
    last = np.minimum(places.max(axis=0) + 1 + margin, volume.voxels.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    grid = Grid(volume.voxels.shape, volume.affine).part((i, j, k))
    return replace(volume, voxels=volume.voxels[i, j, k], affine=grid.affine)

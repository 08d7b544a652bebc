"""The eleven organs of OrganMNIST3D, each cut out of a synthetic patient in a box of one size.

What tells them apart is anatomy, which every encoder of CT should know, so they are what encoders
are compared by where no data set is at hand (OrganMNIST3D: Yang et al., MedMNIST v2, 2023). Boxes
that fit an organ, as OrganMNIST3D's do, would tell it by their size alone: random weights reach a
balanced accuracy of 0.96 on those.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..vocabulary.totalsegmentator import STRUCTURES
from ..volumes.geometry import Grid
from ..volumes.volume import Volume
from .phantom import Phantom

BOX_MM = (128.0, 128.0, 96.0)
"""Left to right, back to front, feet to head; what CT-FM was pre-trained on crops of."""
SHIFT_MM = 15.0
"""By how much a box is at most off its organ's centre, along each axis."""
_STREAM = 29  # a stream of chance that no phantom draws from

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
    """A box of `BOX_MM` round one organ, as far as the scan goes.

    Args:
        phantom: A torso, or any scan that shows the organ.
        organ: One of `ORGAN_BOXES`.

    Returns:
        The part of the scan. The box's centre is up to `SHIFT_MM` away from the organ's, the same
        way whenever the same patient is cut.

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
    rng = np.random.default_rng([phantom.patient.seed, _STREAM, list(ORGAN_BOXES).index(organ)])
    world_axis = np.abs(volume.affine[:3, :3]).argmax(axis=0)  # of each axis of the array
    spacing = np.array(volume.spacing_mm)
    size = np.round(np.array(BOX_MM)[world_axis] / spacing)
    centre = places.mean(axis=0) + rng.uniform(-SHIFT_MM, SHIFT_MM, 3) / spacing
    start = np.round(centre - size / 2)
    first = np.maximum(start, 0)
    last = np.minimum(start + size, volume.voxels.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    grid = Grid(volume.voxels.shape, volume.affine).part((i, j, k))
    return replace(volume, voxels=volume.voxels[i, j, k], affine=grid.affine)

"""Which part of a scan has something in it: for MONAI's `CropForegroundd`, and as stored.

Shapes: D H W the scan on the network's axes, I J K as stored.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

from ..errors import InputError
from ..volumes.volume import Volume

_COARSE = 4  # voxels; a body is found on every fourth


class Foreground:
    """Voxels above a value, or the box of the largest thing above it: the body, not its table.

    Args:
        above_hu: In HU.
        hu_window: Of the preprocessing that the image has gone through.
        output_range: What that made of the window.
        largest_only: Find the largest connected piece (on every fourth voxel), and take its box,
            grown by `margin_voxels`. Otherwise every voxel above the value.
        margin_voxels: Around the largest piece.

    Attributes:
        above: The value in the network's input range.
    """

    def __init__(
        self,
        *,
        above_hu: float,
        hu_window: Sequence[float] = (0.0, 1.0),
        output_range: Sequence[float] = (0.0, 1.0),
        largest_only: bool,
        margin_voxels: int = 8,
    ) -> None:
        (low, high), (first, last) = hu_window, output_range
        self.above = first + (above_hu - low) * (last - first) / (high - low)
        self.largest_only = largest_only
        self.margin_voxels = margin_voxels

    def __call__(self, image: Tensor) -> Tensor:
        """Say where the foreground is.

        Args:
            image: `(1, D, H, W)`.

        Returns:
            `(1, D, H, W)` bool; everywhere where there is no foreground at all.
        """
        found = image.as_subclass(Tensor) > self.above
        if self.largest_only and found.any():
            found = self._box(found)
        return found if found.any() else torch.ones_like(found)

    def _box(self, found: Tensor) -> Tensor:
        coarse = found[0, ::_COARSE, ::_COARSE, ::_COARSE].numpy(force=True)
        pieces, number = scipy.ndimage.label(coarse)
        if number == 0:
            return found
        largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        (box,) = scipy.ndimage.find_objects((pieces == largest).astype(np.uint8))
        grow = _COARSE + self.margin_voxels
        inside = torch.zeros_like(found)
        place = [
            slice(max(side.start * _COARSE - grow, 0), (side.stop - 1) * _COARSE + grow + 1)
            for side in box
        ]
        inside[0, place[0], place[1], place[2]] = True
        return inside


def foreground_box(volume: Volume, above_hu: float) -> tuple[slice, slice, slice]:
    """The smallest box of a stored scan that holds every voxel above a value.

    Args:
        volume: `(I, J, K)`; waited for until it is read.
        above_hu: In HU.

    Returns:
        First and last-plus-one voxel along I, J, K.

    Raises:
        InputError: If no voxel is above it.
    """
    volume.wait_until_filled(max(volume.voxels.shape))
    limit = (above_hu - volume.intercept) / volume.slope
    found = volume.voxels > limit if volume.slope > 0 else volume.voxels < limit
    sides = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(found.any(axis=others))
        if not len(places):
            msg = (
                f"image must have a voxel above {above_hu:g} HU, got none; "
                "check that the scan shows a patient and its rescale"
            )
            raise InputError(msg)
        sides.append(slice(int(places[0]), int(places[-1]) + 1))
    return sides[0], sides[1], sides[2]

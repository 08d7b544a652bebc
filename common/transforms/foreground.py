"""Which part of a scan has something in it, for MONAI's `CropForegroundd`.

Shapes: D H W the scan.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.ndimage
import torch
from torch import Tensor

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

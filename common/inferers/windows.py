"""Where a sliding window lies in a scan: MONAI's places, in the order of the array's axes.

Shapes: D H W the scan, d h w a window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F  # noqa: N812 - torch's own name
from monai.data.utils import dense_patch_slices
from torch import Tensor

from ..errors import InputError

Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Windowing:
    """How a scan is cut.

    Args:
        size: Window d h w, in voxels.
        overlap: Share of a window that the next one repeats, along each axis.
        empty_below: A window in which no voxel is above this is left out; None keeps all.
    """

    size: tuple[int, int, int]
    overlap: tuple[float, float, float]
    empty_below: float | None = None

    @classmethod
    def checked(
        cls, size: Sequence[int], overlap: float | Sequence[float], empty_below: float | None
    ) -> Windowing:
        """The same from a user's numbers; one overlap may stand for three.

        Raises:
            InputError: If a number is out of its range.
        """
        sides = [int(n) for n in size]
        if len(sides) != 3 or min(sides) < 1:
            msg = f"roi_size must be three numbers of voxels, got {size}; take the card's"
            raise InputError(msg)
        shares = [overlap] * 3 if isinstance(overlap, int | float) else list(overlap)
        if len(shares) != 3 or not all(0 <= share < 1 for share in shares):
            msg = f"overlap must be from 0 up to but below 1, got {overlap}; take the card's"
            raise InputError(msg)
        d, h, w = sides
        along, across, up = (float(share) for share in shares)
        return cls((d, h, w), (along, across, up), empty_below)

    def pad(self, image: Tensor) -> tuple[Tensor, list[int]]:
        """A scan `(1, 1, D, H, W)` with zeros around it up to a window's size.

        Returns:
            The scan, and how many voxels came before its own along each axis.
        """
        missing = [max(n - m, 0) for n, m in zip(self.size, image.shape[2:], strict=True)]
        before = [n // 2 for n in missing]
        sides = [n for m, b in zip(missing[::-1], before[::-1], strict=True) for n in (b, m - b)]
        return (F.pad(image, sides) if any(sides) else image), before

    def places(self, image: Tensor) -> list[Window]:
        """MONAI's windows over a scan that `pad` made no smaller than one."""
        shape = tuple(image.shape[2:])
        step = [
            side if side == n else max(int(side * (1 - share)), 1)
            for side, n, share in zip(self.size, shape, self.overlap, strict=True)
        ]
        return cast(list[Window], dense_patch_slices(shape, self.size, step))

    def full(self, image: Tensor, windows: Sequence[Window]) -> list[Window]:
        """Those of the windows that have something in them."""
        if self.empty_below is None:
            return list(windows)
        return [each for each in windows if image[:, :, *each].amax() > self.empty_below]


def checked_scan(image: Tensor) -> Tensor:
    """A plain tensor of one scan `(1, 1, D, H, W)`.

    Raises:
        ValueError: If it is anything else.
    """
    if image.dim() != 5 or image.shape[:2] != (1, 1):
        msg = f"image must be one scan (1, 1, D, H, W), got {list(image.shape)}; pass one"
        raise ValueError(msg)
    return image.as_subclass(Tensor)

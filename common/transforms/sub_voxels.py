"""Labels finer than a network's voxels, as channels, so that crops and turns treat both alike.

Shapes: D H W are the axes of the network's grid, r how many times finer the labels are.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from einops import rearrange
from monai.transforms import MapTransform
from torch import Tensor

from ..errors import InputError, at_least_one


class SubVoxelsToChannelsd(MapTransform):
    """Labels `(1, (D - 1) r + 1, (H - 1) r + 1, (W - 1) r + 1)` to `(r^3, D, H, W)`.

    Channel `(a r + b) r + c` holds the labels a, b and c steps of 1/r voxel after each voxel of the
    network's grid; channel 0 holds those of the grid itself. After the last voxel of an axis the
    last label is repeated.

    Args:
        keys: Where the labels are, as `LabelsToNetworkGridd(refine=r)` leaves them.
        refine: r, 1 or more.
        centre: Where a copy of channel 0 goes, `(1, D, H, W)`, for transforms that take one
            channel of labels.
        allow_missing_keys: Skip a key that is not there.

    Raises:
        InputError: If `refine` is below 1 or an axis has not a length as above.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "label",
        *,
        refine: int = 1,
        centre: str = "centre",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        at_least_one(refine=refine)
        self.refine = refine
        self.centre = centre

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Sort."""
        result = dict(data)
        for key in self.key_iterator(result):
            labels = torch.as_tensor(result[key])
            result[key] = sub_voxels_to_channels(labels, self.refine)
            result[self.centre] = result[key][:1].clone()
        return result


def sub_voxels_to_channels(labels: Tensor, refine: int) -> Tensor:
    """What `SubVoxelsToChannelsd` does, for one tensor.

    Raises:
        InputError: If the shape is not as there.
    """
    if labels.ndim != 4 or len(labels) != 1 or any((n - 1) % refine for n in labels.shape[1:]):
        msg = (
            f"labels refined by {refine} must have shape (1, n, n, n), each n one more than a "
            f"multiple of {refine}, got {tuple(labels.shape)}; "
            f"bring them there with LabelsToNetworkGridd(refine={refine})"
        )
        raise InputError(msg)
    for axis in (1, 2, 3):
        last = labels.narrow(axis, labels.shape[axis] - 1, 1)
        labels = torch.cat([labels, *[last] * (refine - 1)], dim=axis)
    return rearrange(labels, "1 (d i) (h j) (w k) -> (i j k) d h w", i=refine, j=refine, k=refine)

"""Several HU windows of one scan side by side, as head CT is read: brain, blood, stroke, bone.

Shapes: D H W the scan, N windows.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor

from ..errors import InputError

Arrangement = Literal["depth", "channels"]


class WindowStackd(MapTransform):
    """Scale a scan once per window, and put the copies one behind the other.

    Published for CT-FM's head CT triage (arXiv:2501.09001): blood [0, 80], subdural [-125, 175],
    stroke [28, 36] and bone [-900, 2100] HU along depth, for a network of one input channel.

    Args:
        keys: Where the scan in HU is.
        hu_windows: Name to lowest and highest HU, in the order of the copies; what lies beyond is
            cut.
        output_range: What each window becomes.
        arrangement: `depth`, copies along the first spatial axis, or `channels`.
        allow_missing_keys: Skip a key that is not there.

    Attributes:
        num_channels: Channels of the result: 1 for `depth`, N for `channels`.

    Raises:
        InputError: If there is no window, one is no range, or the arrangement is unknown.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "image",
        *,
        hu_windows: Mapping[str, Sequence[float]],
        output_range: Sequence[float] = (0.0, 1.0),
        arrangement: Arrangement = "depth",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if arrangement not in get_args(Arrangement):
            choices = " or ".join(get_args(Arrangement))
            msg = f"arrangement must be {choices}, got {arrangement!r}; depth is the published one"
            raise InputError(msg)
        if not hu_windows:
            msg = "hu_windows must name at least one window, got none; give name: [low, high]"
            raise InputError(msg)
        for name, window in {**hu_windows, "output_range": output_range}.items():
            if len(window) != 2 or not window[0] < window[1]:
                msg = f"{name} must be two increasing numbers, got {window}; give [low, high]"
                raise InputError(msg)
        self.hu_windows = {name: (float(a), float(b)) for name, (a, b) in hu_windows.items()}
        self.output_range = float(output_range[0]), float(output_range[1])
        self.arrangement = arrangement

    @property
    def num_channels(self) -> int:
        """Channels of the result."""
        return len(self.hu_windows) if self.arrangement == "channels" else 1

    def stack(self, image: Tensor) -> Tensor:
        """Window one scan.

        Args:
            image: HU, `(1, D, H, W)`; a `MetaTensor` keeps its affine, which then holds for every
                channel, or for the first D of the N * D slices.

        Returns:
            `(N, D, H, W)` or `(1, N * D, H, W)`, in `output_range`.

        Raises:
            InputError: If the scan has another number of axes or channels.
        """
        if image.dim() != 4 or image.shape[0] != 1:
            msg = (
                f"image must be (1, D, H, W), got {tuple(image.shape)}; "
                "put WindowStackd behind PreprocessCTd"
            )
            raise InputError(msg)
        first, last = self.output_range
        copies = [
            ((image - low) / (high - low)).clamp(0, 1) * (last - first) + first
            for low, high in self.hu_windows.values()
        ]
        stacked = torch.cat(copies, dim=0 if self.arrangement == "channels" else 1)
        if not isinstance(image, MetaTensor):
            return stacked
        with_affine: Tensor = MetaTensor(stacked.as_subclass(Tensor), affine=image.affine)
        return with_affine

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each scan by its windows."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.stack(result[key])
        return result

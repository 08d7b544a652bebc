"""Whether what a network sees of a scan is most of it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from monai.data import MetaTensor
from monai.transforms import CenterSpatialCrop, MapTransform

from ..errors import InputError

WARN_ABOVE = 0.1
"""Share outside from which on a result says so."""


class CheckFieldOfViewd(MapTransform):
    """Note or refuse a scan of which a central crop would leave out much.

    A head fits into what a network for heads sees; of an abdomen most lies outside, and the
    network would still give a number.

    Args:
        keys: Where the scan in HU is, a `MetaTensor` `(1, D, H, W)`, at least as large as the crop.
        size: D, H, W of the central crop that follows.
        above_hu: Voxels above it count.
        max_outside: Largest share of them outside, 0 to 1; with 1 nothing is refused.
        any_body_part: Refuse nothing, as `CheckBodyPartd`; what would be refused is a warning.
        volume_key: Where the scan as stored is; a share above `WARN_ABOVE` becomes one of its
            warnings, which the result repeats.
        allow_missing_keys: Skip a key that is not there.

    Raises:
        InputError: If `max_outside` is no share.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "image",
        *,
        size: Sequence[int],
        above_hu: float,
        max_outside: float,
        any_body_part: bool = False,
        volume_key: str = "volume",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 0 <= max_outside <= 1:
            msg = f"max_outside must be from 0 to 1, got {max_outside}; 1 refuses nothing"
            raise InputError(msg)
        self.crop = CenterSpatialCrop(size)
        self.size = tuple(size)
        self.above_hu = above_hu
        self.max_outside = max_outside
        self.any_body_part = any_body_part
        self.volume_key = volume_key

    def share_outside(self, image: MetaTensor) -> float:
        """Share of the voxels above the value that the crop leaves out; 0 where there is none."""
        counted = image.as_tensor() > self.above_hu
        number = int(counted.sum())
        return (number - int(self.crop(counted).sum())) / max(number, 1)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Note the share with the volume where it is large.

        Raises:
            InputError: If the share is above `max_outside`.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            share = self.share_outside(image)
            sides = " x ".join(
                f"{n * mm:.0f}" for n, mm in zip(self.size, image.pixdim.tolist(), strict=True)
            )
            found = f"{share:.0%} of what is above {self.above_hu:g} HU lies outside"
            if share > self.max_outside and not self.any_body_part:
                msg = (
                    f"image must fit into the {sides} mm that the network sees, got a scan of "
                    f"which {found}; check that it shows what the network is for, or raise "
                    f"max_outside from {self.max_outside:g}"
                )
                raise InputError(msg)
            if share > WARN_ABOVE and self.volume_key in result:
                volume = result[self.volume_key]
                warnings = [
                    *volume.facts.get("warnings", ()),
                    f"The network sees {sides} mm of the scan: {found}.",
                ]
                result[self.volume_key] = replace(
                    volume, facts={**volume.facts, "warnings": warnings}
                )
        return result

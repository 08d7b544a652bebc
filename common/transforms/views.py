"""Views for self-supervised pre-training: crops of a scan, each seen twice, differently.

CT-FM's views (arXiv 2501.09001), as a config composes them after preprocessing:

    {
        "_target_": "common.transforms.views.CropViewsd",
        "keys": "image",
        "crops": {"_target_": "common.transforms.views.RandCrops", "num_crops": 15},
        "view": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "common.transforms.views.RandResizedCrop", "scale": [0.33, 1.0]},
                {"_target_": "RandFlip", "prob": 0.5, "spatial_axis": 0},
                {
                    "_target_": "common.transforms.views.RandHistogramShift",
                    "prob": 0.5, "num_control_points": 5
                },
                {"_target_": "RandGaussianSmooth", "prob": 0.5}
            ]
        }
    }

All of them draw from MONAI's random state, so a seeded run is repeatable.

Shapes: S P L the axes of a scan and, s p l, of a crop; C crops.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from monai.transforms import (
    MapTransform,
    Randomizable,
    RandomizableTransform,
    SpatialPad,
    Transform,
)
from monai.transforms import RandHistogramShift as MonaiRandHistogramShift
from monai.utils.misc import MAX_SEED
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError


class RandCrops(Randomizable, Transform):
    """Crops of one size at random places of a scan, if wanted with a limit to their overlap.

    Every place is as likely as any other. Overlap is the intersection over the union of two
    crops. Crops are drawn one after the other; one that overlaps an earlier one by more than the
    limit is drawn anew. Without a limit (published) two crops may be the same, which the loss
    then takes for different places.

    Args:
        size: `(s, p, l)` voxels of a crop. A scan that is smaller is padded on both sides.
        num_crops: C. CT-FM's released settings have 15, those of its training run 20.
        max_overlap: In [0, 1]; 1 sets no limit. 15 crops in a chest of 110 x 260 x 360 voxels can
            keep to 0.2, in one of 220 x 260 x 360 to 0.1.
        tries: Draws per crop.
        when_crowded: What happens where no draw keeps to the limit, as in a scan hardly larger
            than a crop: `least_overlap` takes the draw of least overlap, `error` refuses the scan.
        pad_hu: What padding is, in HU.
        hu_window: Of the preprocessing that the scan has gone through.
        output_range: What that made of the window.

    Attributes:
        overlap: Largest overlap of two crops drawn last.

    Raises:
        InputError: If a setting is out of its range.
    """

    def __init__(
        self,
        *,
        size: Sequence[int] = (32, 128, 128),
        num_crops: int = 15,
        max_overlap: float = 1.0,
        tries: int = 100,
        when_crowded: Literal["least_overlap", "error"] = "least_overlap",
        pad_hu: float = -1024.0,
        hu_window: Sequence[float] = (-1024.0, 2048.0),
        output_range: Sequence[float] = (0.0, 1.0),
    ) -> None:
        if num_crops < 1 or tries < 1:
            msg = f"num_crops and tries must be 1 or more, got {num_crops} and {tries}; raise them"
            raise InputError(msg)
        if not 0 <= max_overlap <= 1:
            msg = f"max_overlap must be from 0 to 1, got {max_overlap}; 1 sets no limit"
            raise InputError(msg)
        if when_crowded not in ("least_overlap", "error"):
            msg = (
                "when_crowded must be one of ['least_overlap', 'error'], "
                f"got {when_crowded!r}; choose one"
            )
            raise InputError(msg)
        self.size = _three_sides(size)
        self.num_crops = num_crops
        self.max_overlap = max_overlap
        self.tries = tries
        self.when_crowded = when_crowded
        padding = np.interp(pad_hu, hu_window, output_range)
        self.pad = SpatialPad(self.size, value=float(padding))
        self.overlap = 0.0
        self._first = np.zeros((num_crops, 3), dtype=int)

    def randomize(self, data: Sequence[int]) -> None:
        """Draw the first voxel of each crop, `(C, 3)`, in a scan of `data` voxels.

        Raises:
            InputError: If the limit cannot be kept to and `when_crowded` is `error`.
        """
        room = np.asarray(data) - self.size + 1
        self.overlap = 0.0
        for crop in range(self.num_crops):
            drawn = self.R.randint(room, size=(self.tries, 3))
            overlaps = largest_overlap(drawn, self._first[:crop], self.size)
            allowed = np.flatnonzero(overlaps <= self.max_overlap)
            if not len(allowed) and self.when_crowded == "error":
                msg = (
                    f"max_overlap must leave room for {self.num_crops} crops of {self.size} in a "
                    f"scan of {tuple(data)} voxels, got {self.max_overlap}; raise it, lower "
                    "num_crops, or take the draw of least overlap"
                )
                raise InputError(msg)
            chosen = allowed[0] if len(allowed) else overlaps.argmin()
            self._first[crop] = drawn[chosen]
            self.overlap = max(self.overlap, float(overlaps[chosen]))

    def __call__(self, image: Tensor) -> Tensor:
        """Crop.

        Args:
            image: `(1, S, P, L)`.

        Returns:
            `(C, 1, s, p, l)`, float32.

        Raises:
            InputError: If the scan has another number of axes, or see `randomize`.
        """
        if image.dim() != 4 or len(image) != 1:
            msg = f"image must be one scan (1, S, P, L), got {tuple(image.shape)}; preprocess it"
            raise InputError(msg)
        padded = self.pad(image).as_subclass(Tensor).float()
        self.randomize(padded.shape[1:])
        s, p, l = self.size  # noqa: E741 - the letter of the axis
        return torch.stack(
            [padded[:, i : i + s, j : j + p, k : k + l] for i, j, k in self._first.tolist()]
        )


def largest_overlap(
    drawn: NDArray[np.int_], earlier: NDArray[np.int_], size: Sequence[int]
) -> NDArray[np.float64]:
    """How much boxes of one size overlap others: intersection over union, in [0, 1].

    Args:
        drawn: First voxel of each box, `(n, 3)`.
        earlier: First voxel of the others, `(m, 3)`.
        size: Voxels of a box along each axis.

    Returns:
        The largest of each box, `(n,)`; 0 where there are no others.
    """
    sides = np.asarray(size)
    apart = np.abs(drawn[:, None] - earlier[None])
    shared = np.clip(sides - apart, 0, None).prod(axis=-1, dtype=np.float64)
    result: NDArray[np.float64] = (shared / (2 * sides.prod(dtype=np.float64) - shared)).max(
        axis=1, initial=0.0
    )
    return result


class RandResizedCrop(RandomizableTransform):
    """A part of a crop at a random place, brought back to the crop's size by linear interpolation.

    All sides have the same share of the crop's, drawn from `scale`, so structures keep their
    proportions and are enlarged up to 1 / 0.33 times. `scale` is of the sides, as published, where
    2D recipes give that of the area.

    Args:
        scale: Smallest and largest share of a side, in (0, 1].
        prob: Of doing it at all.

    Raises:
        InputError: If `scale` is out of its range.
    """

    def __init__(self, *, scale: Sequence[float] = (0.33, 1.0), prob: float = 1.0) -> None:
        super().__init__(prob)
        if len(scale) != 2 or not 0 < scale[0] <= scale[1] <= 1:
            msg = f"scale must be two shares of a side, 0 < low <= high <= 1, got {scale}; mend it"
            raise InputError(msg)
        self.scale = (float(scale[0]), float(scale[1]))
        self._part = (slice(None),) * 3

    def randomize(self, data: Sequence[int]) -> None:
        """Draw the part of a crop of `data` voxels."""
        super().randomize(None)
        if not self._do_transform:
            return
        share = self.R.uniform(*self.scale)
        sides = np.ceil(share * np.asarray(data)).astype(int)
        first = self.R.randint(np.asarray(data) - sides + 1)
        i, j, k = (slice(a, a + n) for a, n in zip(first.tolist(), sides.tolist(), strict=True))
        self._part = (i, j, k)

    def __call__(self, image: Tensor) -> Tensor:
        """Give a view of a crop `(1, s, p, l)` in the same shape."""
        self.randomize(image.shape[1:])
        if not self._do_transform:
            return image
        part = image[(slice(None), *self._part)]
        return F.interpolate(
            part[None], size=image.shape[1:], mode="trilinear", align_corners=False
        )[0]


class RandHistogramShift(MonaiRandHistogramShift):
    """MONAI's transform, twice as fast, that leaves a crop of nothing but air alone.

    MONAI draws as published: inner control points from left to right, each between the one before
    as it has been shifted and the one after as it has not. But it warns of each crop of a single
    value, and divides by zero where values differ by no more than rounding.

    Args:
        prob: Of a shift.
        num_control_points: At least 3.
    """

    def __init__(self, *, prob: float = 0.5, num_control_points: int = 5) -> None:
        super().__init__(num_control_points=num_control_points, prob=prob)

    def __call__(self, img: Tensor, randomize: bool = True) -> Tensor:
        """Shift the values of a crop of any shape."""
        if randomize:
            self.randomize()
        if not self._do_transform or img.min() == img.max():
            return img
        shifted: Tensor = super().__call__(img, randomize=False)
        return shifted

    def interp(self, x: Tensor, xp: Tensor, fp: Tensor) -> Tensor:
        """Values `x` on the line through control points."""
        y = np.interp(x.numpy(force=True), xp.numpy(force=True), fp.numpy(force=True))
        return torch.from_numpy(y).to(x)


class CropViewsd(Randomizable, MapTransform):
    """Crops of a scan, and of each two views that are drawn independently.

    Args:
        keys: Where the scan is, usually `image`.
        crops: From a scan to its crops.
        view: From a crop `(1, s, p, l)` to one of its views, of the same shape: a transform, or
            several in a MONAI `Compose`.
        overlap_key: Where to leave the largest overlap of two crops, a number in [0, 1]; None
            does not.
        allow_missing_keys: Skip a key that is not there.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "image",
        *,
        crops: RandCrops,
        view: Callable[[Tensor], Tensor],
        overlap_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.crops = crops
        self.view = view
        self.overlap_key = overlap_key

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> CropViewsd:
        """Seed this and, from it, the crops and the views."""
        super().set_random_state(seed, state)
        for part in (self.crops, self.view):
            if isinstance(part, Randomizable):
                part.set_random_state(self.R.randint(MAX_SEED, dtype="uint32"))
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each scan `(1, S, P, L)` by its views `(C, 2, 1, s, p, l)`, float32."""
        result = dict(data)
        for key in self.key_iterator(result):
            pairs = [
                torch.stack([self.view(crop).as_subclass(Tensor) for _ in range(2)])
                for crop in self.crops(result[key])
            ]
            result[key] = torch.stack(pairs)
            if self.overlap_key is not None:
                result[self.overlap_key] = self.crops.overlap
        return result


def _three_sides(size: Sequence[int]) -> tuple[int, int, int]:
    """The size of a crop."""
    if len(size) != 3 or min(size) < 1:
        msg = f"size must be three numbers of voxels, got {list(size)}; CT-FM has 32, 128, 128"
        raise InputError(msg)
    s, p, l = size  # noqa: E741 - the letter of the axis
    return int(s), int(p), int(l)

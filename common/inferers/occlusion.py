"""What of a scan its embedding rests on: hide a place, embed again, see how far it turns.

Published for CT-FM (Pai et al., arXiv 2501.09001): at 3 mm, masks of 10 voxels, overlap 0.25, and
1 - cosine of the scan's embedding and that of the scan with a mask, by MONAI's
`OcclusionSensitivity`. That keeps every number of every embedding for every voxel (5 GB for
512 numbers and 2.6 million voxels) and takes the cosine at the end; here each mask gives one
number, and masks over nothing but air are not run. The mask is MONAI's own, which fades out to its
edges; overlapping ones are blended as it blends them, and the map is smoothed at the end.

Shapes: D H W the network's grid, F numbers per embedding.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from monai.data.utils import compute_importance_map
from monai.transforms import GaussianSmooth, ScaleIntensity
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import InputError, at_least_one
from ..parallel import is_first_process
from .acceleration import AcceleratedInferer, Encoder
from .windows import Window, Windowing, checked_scan


class OcclusionInferer(AcceleratedInferer):
    """Saliency of a scan's embedding by occlusion.

    Args:
        mask_size: Side of what is hidden, in voxels; one number or three.
        overlap: Share of a mask that the next one repeats, 0 up to 1.
        empty_below: A mask over voxels none of which is above this is not run, and has no
            saliency. In the network's input range.
        masks_at_once: Copies of the scan per batch, each with one mask; 12 as published.
        blur_voxels: Standard deviation of the smoothing at the end; 0 for none.
        blur_size: Its kernel's side, odd.
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of the network. Rounding makes a floor under the map:
            fp32 where small turns matter.
        backend: `eager`, `compile` or `openvino`.
        progress: Show a bar over the masks.

    Raises:
        InputError: If an argument is out of its range or the device cannot compute so.
    """

    not_settings = ("masks_at_once", "progress")

    def __init__(
        self,
        *,
        mask_size: int | Sequence[int] = 10,
        overlap: float = 0.25,
        empty_below: float = 0.0,
        masks_at_once: int = 1,
        blur_voxels: float = 4.0,
        blur_size: int = 7,
        device: torch.device | str = "cpu",
        precision: str = "auto",
        backend: str = "eager",
        progress: bool = True,
    ) -> None:
        super().__init__(device=device, precision=precision, backend=backend)
        at_least_one(masks_at_once=masks_at_once)
        sides = [mask_size] * 3 if isinstance(mask_size, int) else list(mask_size)
        if len(sides) != 3 or min(sides) < 1:
            msg = f"mask_size must be one or three numbers of voxels, got {mask_size}; use 10"
            raise InputError(msg)
        if blur_voxels < 0 or blur_size < 1 or blur_size % 2 == 0:
            msg = (
                f"blur must be 0 or more voxels with an odd kernel, got {blur_voxels} and "
                f"{blur_size}; 4 and 7 are published"
            )
            raise InputError(msg)
        self.windowing = Windowing.checked(sides, overlap, empty_below)
        self.masks_at_once = masks_at_once
        self.blur_voxels = blur_voxels
        self.blur_size = blur_size
        self.progress = progress

    @torch.inference_mode()
    def __call__(
        self, inputs: Tensor, network: nn.Module, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any]:
        """Embed one scan, whole, with each part of it hidden in turn.

        Args:
            inputs: `(1, 1, D, H, W)` on the network's device; 0 is what hides, and the card's
                lower end (air).
            network: In evaluation mode; gives a map `(n, F, ...)`, as `CTFMEncoder` does.

        Returns:
            `saliency` `(D, H, W)` float32, 1 - cosine of the embeddings with and without, 0 to 2;
            `num_masks`, and `num_empty` of them that hid nothing; `inference_s`, seconds.

        Raises:
            InputError: If there is nothing but air.
        """
        start = time.perf_counter()
        image = checked_scan(inputs)
        d, h, w = (min(n, m) for n, m in zip(self.windowing.size, image.shape[2:], strict=True))
        size = (d, h, w)
        cut = replace(self.windowing, size=size)
        windows = cut.places(image)
        full = cut.full(image, windows)
        if not full:
            msg = "image must hold something to hide, got nothing above air; check that it is a CT"
            raise InputError(msg)
        keeps = fading_mask(size).to(image.device)
        counts = compute_importance_map(size, mode="gaussian", device=image.device)
        turns = self._turns(image, full, keeps, self.accelerated(network, image.device))
        weight, total = torch.zeros_like(image), torch.zeros_like(image)
        for window in windows:
            weight[:, :, *window] += counts
        for window, turn in zip(full, turns, strict=True):
            total[:, :, *window] += counts * turn
        saliency = total / weight
        return {
            "saliency": smooth(saliency, self.blur_voxels, self.blur_size)[0, 0].cpu().numpy(),
            "num_masks": len(windows),
            "num_empty": len(windows) - len(full),
            "inference_s": time.perf_counter() - start,
        }

    def _turns(
        self, image: Tensor, windows: Sequence[Window], keeps: Tensor, encoder: Encoder
    ) -> list[float]:
        """1 - cosine for each mask."""
        spatial = tuple(range(2, image.dim()))
        base = encoder(image).double().mean(dim=spatial)  # 1 - cosine of float32 ends at 1e-7
        found: list[float] = []
        with tqdm(
            total=len(windows), unit="mask", leave=False, delay=2,
            disable=not (self.progress and is_first_process()),
        ) as bar:  # fmt: skip
            for first in range(0, len(windows), self.masks_at_once):
                batch = windows[first : first + self.masks_at_once]
                hidden = image.repeat(len(batch), 1, 1, 1, 1)
                for number, window in enumerate(batch):
                    hidden[number, :, *window] *= keeps
                vectors = encoder(hidden).double().mean(dim=spatial)
                cosines = F.cosine_similarity(vectors, base)
                found += (1 - cosines).clamp_min(0).tolist()
                bar.update(len(batch))
        return found


def fading_mask(size: Sequence[int]) -> Tensor:
    """What a mask keeps of each voxel, as MONAI's does: nothing at its middle, all at its edges.

    One minus a Gaussian whose standard deviation is a quarter of each side, stretched to [0, 1].

    Args:
        size: d h w.

    Returns:
        `(1, d, h, w)` float32.
    """
    middle = torch.zeros(1, *size)
    middle[(0, *(side // 2 for side in size))] = 1
    hidden = GaussianSmooth(sigma=[side / 4 for side in size])(middle)
    kept: Tensor = ScaleIntensity()(-hidden)
    return kept


def smooth(volume: Tensor, sigma_voxels: float, size: int) -> Tensor:
    """A volume `(1, 1, D, H, W)` after a Gaussian of a given width, cut off to a kernel's side.

    At the border what lies outside does not count.
    """
    if sigma_voxels == 0:
        return volume
    at = torch.arange(size, dtype=volume.dtype, device=volume.device) - size // 2
    kernel = torch.exp(-(at**2) / (2 * sigma_voxels**2))
    inside = torch.ones_like(volume)
    for axis in range(3):
        shape = [1] * 5
        shape[2 + axis] = size
        padding = [0, 0, 0]
        padding[axis] = size // 2
        volume = F.conv3d(volume, kernel.reshape(shape), padding=padding)
        inside = F.conv3d(inside, kernel.reshape(shape), padding=padding)
    return volume / inside

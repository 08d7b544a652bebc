"""Sliding-window segmentation in memory that grows neither with a scan's length nor its classes.

MONAI's `sliding_window_inference` blends the logits of every class over the whole scan: 118 classes
of 300 x 240 x 240 voxels are 8 GB. Where a network's last layer is linear in every voxel, blending
its inputs gives the same: here the few features before it are blended, and the layer is applied
once per voxel. Windows come slab by slab along the first axis; as soon as no later window reaches
a row it becomes labels, and its features are forgotten. Windows, weights and padding are MONAI's,
so the labels are those of its argmax, but for ties within rounding.

Shapes: D H W the scan, d h w a window, F features before the last layer, K classes.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from monai.data.utils import compute_importance_map
from monai.networks.nets import SegResNetDS
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import at_least_one
from ..parallel import is_first_process
from .acceleration import AcceleratedInferer, Encoder
from .windows import Window, Windowing, checked_scan

_SCORES_AT_ONCE = 32 * 2**20  # numbers in the scores of all classes held at a time, 128 MiB
_SAME = 1e-4  # relative to the largest logit: how alike a split network must be


class StreamingInferer(AcceleratedInferer):
    """Label a scan window by window.

    Args:
        roi_size: Window d h w, in voxels; a scan that is smaller is padded with zeros around it.
        overlap: Share of a window that the next one repeats, 0 up to 1, one number or three.
        sigma_scale: Of the Gaussian that weighs a window's middle against its edges, in windows.
        empty_below: A window in which no voxel is above this is not run: all background. In the
            network's input range. None runs every window.
        refine: How many times finer than the network's grid the labels are. What is blended is
            interpolated between voxels before the last layer: as the layer is linear, that is
            linear interpolation of every class's score. A coarse grid's labels lose their steps.
        windows_at_once: Windows per batch.
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of the network up to its last layer. Blending and
            the last layer are fp32.
        backend: `eager`, `compile` or `openvino`.
        progress: Show a bar over the windows.

    Raises:
        InputError: If a number is out of its range or the device cannot compute so.
    """

    not_settings = ("windows_at_once", "progress")

    def __init__(
        self,
        *,
        roi_size: Sequence[int],
        overlap: float | Sequence[float] = 0.5,
        sigma_scale: float = 0.125,
        empty_below: float | None = None,
        refine: int = 1,
        windows_at_once: int = 1,
        device: torch.device | str = "cpu",
        precision: str = "auto",
        backend: str = "eager",
        progress: bool = True,
    ) -> None:
        super().__init__(device=device, precision=precision, backend=backend)
        at_least_one(refine=refine, windows_at_once=windows_at_once)
        self.windowing = Windowing.checked(roi_size, overlap, empty_below)
        self.sigma_scale = sigma_scale
        self.refine = refine
        self.windows_at_once = windows_at_once
        self.progress = progress
        self._head: nn.Conv3d | None = None

    def __call__(
        self, inputs: Tensor, network: nn.Module, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any]:
        """Label one scan.

        Args:
            inputs: `(1, 1, D, H, W)` on the network's device, in the card's range.
            network: In evaluation mode; ends in a 1 x 1 x 1 convolution to K classes.

        Returns:
            `labels` `(1, D, H, W)`, uint8, class of each voxel, on the CPU, and `refine`: with
            more than 1 an axis of n voxels has become one of `(n - 1) * refine + 1`;
            `num_windows` and `num_empty`, how many of them were not run; `inference_s`, seconds.
        """
        start = time.perf_counter()
        size = [(n - 1) * self.refine + 1 for n in inputs.shape[2:]]
        labels = torch.zeros((1, *size), dtype=torch.uint8)
        run = _Run(checked_scan(inputs), self)
        body = self.accelerated(network, inputs.device)
        assert self._head is not None
        for first, slab in run.labels(body, self._head):
            labels[0, first : first + slab.shape[0]] = slab.cpu()
        return {
            "labels": labels,
            "refine": self.refine,
            "num_windows": len(run.windows),
            "num_empty": run.num_empty,
            "inference_s": time.perf_counter() - start,
        }

    def part(self, network: nn.Module) -> nn.Module:
        """All but the last layer, which is kept."""
        body, self._head = split_head(network)
        return body


class _Run:
    """One scan on its way through the windows."""

    def __init__(self, image: Tensor, how: StreamingInferer) -> None:
        self.how = how
        self.size = tuple(image.shape[2:])
        self.image, before = how.windowing.pad(image)
        self.inner = tuple(slice(b, b + n) for b, n in zip(before, self.size, strict=True))
        self.windows = how.windowing.places(self.image)
        self.importance = compute_importance_map(
            how.windowing.size, mode="gaussian", sigma_scale=how.sigma_scale, device=image.device
        )
        self.num_empty = 0

    @torch.inference_mode()
    def labels(self, body: Encoder, head: nn.Conv3d) -> Iterator[tuple[int, Tensor]]:
        """Rows of labels as they become final: the first row, and `(rows, H, W)` uint8.

        Refined, they lie between the scan's own: every `refine`-th row and voxel is one of its.
        """
        factor, last = self.how.refine, None
        for first, features, seen in self._blended(body, self._rows_at_once(head)):
            if factor == 1:
                yield first, _classes(features, seen, head)
                continue
            if last is not None:
                features, seen = (
                    torch.cat(pair) for pair in zip(last, (features, seen), strict=True)
                )
            fine = _classes(_between(features, factor), _between(seen, factor), head)
            yield (first * factor, fine) if last is None else ((first - 1) * factor + 1, fine[1:])
            last = features[-1:], seen[-1:]

    def _rows_at_once(self, head: nn.Conv3d) -> int:
        """So many that the scores of all classes stay small."""
        numbers = head.out_channels * self.size[1] * self.size[2] * self.how.refine**3
        return max(_SCORES_AT_ONCE // numbers, 1)

    def _blended(self, body: Encoder, rows_at_once: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The first row, features `(rows, F, H, W)`, and 1 where a window lay `(rows, 1, H, W)`."""
        depth, height, width = self.image.shape[2:]
        d = self.how.windowing.size[0]
        weight = torch.zeros((d, height, width), device=self.image.device)
        features: Tensor | None = None
        top = 0  # row of the padded scan that the buffers begin with
        with tqdm(
            total=len(self.windows), unit="window", leave=False, delay=2,
            disable=not (self.how.progress and is_first_process()),
        ) as bar:  # fmt: skip
            for row, group in groupby(self.windows, key=lambda window: window[0].start):
                if row > top:
                    yield from self._final(features, weight, row - top, top, rows_at_once)
                    _move_up(weight, row - top)
                    if features is not None:
                        _move_up(features, row - top)
                    top = row
                for windows in self._batches(list(group), bar.update):
                    found = body(torch.cat([self.image[:, :, *window] for window in windows]))
                    if features is None:
                        features = found.new_zeros((d, found.shape[1], height, width))
                    for window, each in zip(windows, found, strict=True):
                        _, rows, columns = window
                        features[:, :, rows, columns].addcmul_(
                            each.transpose(0, 1), self.importance[:, None]
                        )
                        weight[:, rows, columns] += self.importance
                    del found
                    bar.update(len(windows))
            yield from self._final(features, weight, depth - top, top, rows_at_once)

    def _batches(self, windows: list[Window], skip: Callable[[int], Any]) -> Iterator[list[Window]]:
        """Windows with something in them, so many at once."""
        full = self.how.windowing.full(self.image, windows)
        self.num_empty += len(windows) - len(full)
        skip(len(windows) - len(full))
        for start in range(0, len(full), self.how.windows_at_once):
            yield full[start : start + self.how.windows_at_once]

    def _final(
        self, features: Tensor | None, weight: Tensor, num_rows: int, top: int, rows_at_once: int
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The first rows of the buffers, which no later window reaches, without the padding."""
        along, *plane = self.inner
        rows = range(max(along.start - top, 0), min(along.stop - top, num_rows))
        for start in rows[::rows_at_once]:
            part = slice(start, min(start + rows_at_once, rows.stop))
            seen = weight[part, *plane].unsqueeze(1)
            if features is None:  # so far every window was empty
                blended = seen
            else:
                blended = features[part, :, *plane] / seen.clamp_min(1e-12)
            yield top + start - along.start, blended, (seen > 0).float()


def _classes(features: Tensor, seen: Tensor, head: nn.Conv3d) -> Tensor:
    """The class of highest score `(rows, H, W)`, uint8; 0 where no window lay."""
    if features.shape[1] != head.in_channels:
        return torch.zeros_like(seen[:, 0], dtype=torch.uint8)
    scores = head(features.unsqueeze(2)).squeeze(2)  # a row is an image of depth 1
    labels: Tensor = scores.max(dim=1).indices.to(torch.uint8)
    labels[seen[:, 0] < 0.5] = 0
    return labels


def _between(rows: Tensor, factor: int) -> Tensor:
    """Values `(rows, C, H, W)` at `factor` steps from each to the next, linear along all axes."""
    image = rows.transpose(0, 1)[None]
    size = [(n - 1) * factor + 1 for n in image.shape[2:]]
    fine: Tensor = F.interpolate(image, size, mode="trilinear", align_corners=True)[0]
    return fine.transpose(0, 1)


def _move_up(buffer: Tensor, num_rows: int) -> None:
    """Forget the first rows; the others take their place, and zeros come in behind."""
    for row in range(buffer.shape[0] - num_rows):
        buffer[row] = buffer[row + num_rows]
    buffer[-num_rows:] = 0


def split_head(network: nn.Module) -> tuple[nn.Module, nn.Conv3d]:
    """A network without its last layer, and that layer, sharing the network's weights.

    Args:
        network: In evaluation mode; its last 1 x 1 x 1 convolution gives its output.

    Returns:
        The network up to its last layer, `(N, 1, d, h, w)` to `(N, F, d, h, w)`, and the layer,
        `(N, F, d, h, w)` to `(N, K, d, h, w)`.

    Raises:
        ValueError: If no such layer gives the output; tried on a small block of noise.
    """
    layers = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv3d) and set(module.kernel_size) == {1}
    ]
    if not layers:
        msg = f"network must end in a 1 x 1 x 1 convolution, got {type(network).__name__} without"
        raise ValueError(msg)
    shared = {id(t): t for t in (*network.parameters(), *network.buffers())}
    body = copy.deepcopy(network, memo=shared)
    head = body.get_submodule(layers[-1])
    assert isinstance(head, nn.Conv3d)
    body.set_submodule(layers[-1], nn.Identity())
    if isinstance(body, SegResNetDS):
        body.dsdepth = 1  # the heads of deep supervision are for training
    weight = next(head.parameters())
    noise = torch.rand((1, 1, 32, 32, 32), generator=torch.Generator().manual_seed(0))
    noise = noise.to(weight.device, weight.dtype)
    with torch.inference_mode():
        wanted, found = network(noise), head(body(noise))
    if wanted.shape != found.shape or (wanted - found).abs().max() > _SAME * wanted.abs().max():
        msg = (
            f"network's last layer must be linear in every voxel, got {type(network).__name__} "
            f"in which something follows {layers[-1]}; use MONAI's SlidingWindowInferer"
        )
        raise ValueError(msg)
    return body, head

"""One vector per scan: the encoder's last map, averaged over its voxels.

Either the whole scan goes through the encoder at once, or windows do, and their vectors are
pooled. Windows lie where MONAI's sliding window has them, in the order of the array's axes.

Shapes: D H W the scan, d h w a window, N windows that were run, F numbers per embedding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ..errors import InputError, at_least_one
from ..parallel import is_first_process
from .acceleration import AcceleratedInferer, Encoder
from .windows import Window, Windowing, checked_scan

POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda vectors: vectors.mean(dim=0),
    "max": lambda vectors: vectors.amax(dim=0),
    "min": lambda vectors: vectors.amin(dim=0),
}
"""How windows `(N, F)` become one vector `(F,)`, number by number."""


class EmbeddingInferer(AcceleratedInferer):
    """Embed a scan.

    Published for CT-FM (arXiv:2501.09001): the whole scan, or windows without overlap whose
    vectors the reader pools; min pooling at overlap 0.625 for 3D-MIR. Default is the mean.

    Args:
        roi_size: Window d h w, in voxels; a scan that is smaller is padded with zeros around it.
            None takes the whole scan at once, whatever its size.
        overlap: Share of a window that the next one repeats, 0 up to 1, one number or three.
        pooling: `mean`, `max` or `min` over windows, number by number.
        empty_below: A window in which no voxel is above this is not run and does not count. In
            the network's input range. None runs every window.
        windows_at_once: Windows per batch.
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of the network. Averages are fp32.
        backend: `eager`, `compile` or `openvino`; the last two prepare for every size anew, so
            they are for windows.
        progress: Show a bar over the windows.

    Raises:
        InputError: If an argument is out of its range or the device cannot compute so.
    """

    not_settings = ("windows_at_once", "progress")

    def __init__(
        self,
        *,
        roi_size: Sequence[int] | None = None,
        overlap: float | Sequence[float] = 0.0,
        pooling: str = "mean",
        empty_below: float | None = None,
        windows_at_once: int = 1,
        device: torch.device | str = "cpu",
        precision: str = "auto",
        backend: str = "eager",
        progress: bool = True,
    ) -> None:
        super().__init__(device=device, precision=precision, backend=backend)
        if pooling not in POOLINGS:
            msg = f"pooling must be one of {', '.join(POOLINGS)}, got {pooling!r}; use mean"
            raise InputError(msg)
        at_least_one(windows_at_once=windows_at_once)
        self.whole = roi_size is None
        self.windowing = Windowing.checked(
            (1, 1, 1) if roi_size is None else roi_size, overlap, empty_below
        )
        self.pooling = pooling
        self.windows_at_once = windows_at_once
        self.progress = progress

    @torch.inference_mode()
    def __call__(
        self, inputs: Tensor, network: nn.Module, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any]:
        """Embed one scan.

        Args:
            inputs: `(1, 1, D, H, W)` on the network's device, in the card's range.
            network: In evaluation mode; gives a map `(n, F, ...)`, as `CTFMEncoder` does.

        Returns:
            `embedding` `(1, F)`, float32, any sign and length; `pooling`; `num_windows` and
            `num_empty`, how many of them were not run; `windows` `(1, N, F)`; `centres_voxel`
            `(N, 3)`, float64, a window's centre in voxels of the scan, 0 is the first voxel's
            centre, outside the scan only where that is smaller than a window; `window_size` d h w;
            `inference_s`, seconds.

        Raises:
            InputError: If every window is empty.
        """
        start = time.perf_counter()
        image = checked_scan(inputs)
        cut = self.windowing
        if self.whole:
            cut = replace(cut, size=cast(tuple[int, int, int], tuple(image.shape[2:])))
        padded, before = cut.pad(image)
        windows = cut.places(padded)
        full = cut.full(padded, windows)
        if not full:
            msg = (
                f"image must have a voxel above {cut.empty_below} (empty_below), got at most "
                f"{float(image.max()):g}; lower the foreground level or check that this is a CT"
            )
            raise InputError(msg)
        vectors = self._encode(padded, full, self.accelerated(network, image.device))
        middle = [[(side.start + side.stop - 1) / 2 for side in window] for window in full]
        centres = torch.tensor(middle, dtype=torch.float64)
        return {
            "embedding": POOLINGS[self.pooling](vectors)[None],
            "pooling": self.pooling,
            "num_windows": len(windows),
            "num_empty": len(windows) - len(full),
            "windows": vectors[None],
            "centres_voxel": centres - torch.tensor(before, dtype=torch.float64),
            "window_size": cut.size,
            "inference_s": time.perf_counter() - start,
        }

    def _encode(self, image: Tensor, windows: list[Window], encoder: Encoder) -> Tensor:
        """Vectors `(N, F)` of windows, in their order."""
        found = []
        with tqdm(
            total=len(windows), unit="window", leave=False, delay=2,
            disable=not (self.progress and is_first_process()),
        ) as bar:  # fmt: skip
            for batch in self._batches(windows):
                maps = encoder(torch.cat([image[:, :, *window] for window in batch]))
                found.append(maps.float().mean(dim=tuple(range(2, maps.dim()))))
                bar.update(len(batch))
        return torch.cat(found)[: len(windows)]

    def _batches(self, windows: list[Window]) -> Iterator[list[Window]]:
        """So many windows at once; a compiled network's last batch is filled up to its size."""
        for start in range(0, len(windows), self.windows_at_once):
            batch = windows[start : start + self.windows_at_once]
            if self.backend != "eager":
                batch += batch[-1:] * (min(self.windows_at_once, len(windows)) - len(batch))
            yield batch

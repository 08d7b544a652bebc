"""A classifier on a whole scan at once: logits, fast."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from .acceleration import AcceleratedInferer


class WholeScanInferer(AcceleratedInferer):
    """Classify a scan that fits the network in one piece.

    Args:
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of the network.
        backend: `eager`, `compile` or `openvino`.

    Raises:
        InputError: If the device cannot compute so.
    """

    def __init__(
        self,
        *,
        device: torch.device | str = "cpu",
        precision: str = "auto",
        backend: str = "eager",
    ) -> None:
        super().__init__(device=device, precision=precision, backend=backend)

    @torch.inference_mode()
    def __call__(
        self, inputs: Tensor, network: nn.Module, *_args: Any, **_kwargs: Any
    ) -> dict[str, Any]:
        """Read scans.

        Args:
            inputs: `(B, C, D, H, W)` on the network's device, in the card's range.
            network: In evaluation mode; gives logits `(B, L)`.

        Returns:
            `logits` `(B, L)`, float32; `inference_s`, seconds.
        """
        start = time.perf_counter()
        image = inputs.as_subclass(Tensor)
        logits = self.accelerated(network, image.device)(image)
        return {"logits": logits, "inference_s": time.perf_counter() - start}

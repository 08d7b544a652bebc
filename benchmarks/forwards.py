"""The ways to run a 3D network on one window: plain, with the cheap fix, and ours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from common.inferers.acceleration import accelerate

Forward = Callable[[Tensor], Tensor]


def autocast(network: nn.Module) -> Forward:
    """The cheap fix: two lines around the plain way."""
    network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]

    def forward(window: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return network(window).float()  # type: ignore[no-any-return]

    return forward


def ours(precision: str, backend: str) -> Callable[[nn.Module], Forward]:
    """The network as the bundle runs it."""
    return lambda network: accelerate(
        network, precision=precision, backend=backend, device=torch.device("cpu")
    )


FORWARDS: dict[str, Callable[[nn.Module], Forward]] = {
    "plain_fp32": lambda network: network,
    "plain_autocast": autocast,
    "fp32_eager": ours("fp32", "eager"),
    "fp32_openvino": ours("fp32", "openvino"),
    "bf16_eager": ours("bf16", "eager"),
    "bf16_compile": ours("bf16", "compile"),
    "bf16_openvino": ours("bf16", "openvino"),
}
FORWARD_NAMES = {
    "plain_fp32": "plain, fp32",
    "plain_autocast": "plain, autocast bf16 + channels-last",
    "fp32_eager": "ours, fp32, eager",
    "fp32_openvino": "ours, fp32, OpenVINO",
    "bf16_eager": "ours, bf16, eager",
    "bf16_compile": "ours, bf16, torch.compile",
    "bf16_openvino": "ours, bf16, OpenVINO",
}
ROAD_NAMES = {
    "monai_fp32": "MONAI's parts, fp32",
    "monai_autocast": "MONAI's parts, autocast bf16 + channels-last",
    "ours_fp32": FORWARD_NAMES["fp32_eager"],
    "ours_bf16": FORWARD_NAMES["bf16_eager"],
    "ours_openvino": FORWARD_NAMES["bf16_openvino"],
}
"""From a file to a result: how a network is run together with what feeds it."""
SLOW_TO_START = ("compile", "openvino")
"""How the names end of those that `--quick` leaves out."""

"""The same convolutional encoder, made ready to run fast on the hardware at hand.

Exact steps (to rounding): batch norm folded into the convolutions, channels-last memory. Lossy
step: bf16 arithmetic, where the hardware has it. What is left after that is the compiler's.
"""

from __future__ import annotations

import copy
import functools
import importlib.util
import logging
from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer
from monai.networks.nets.segresnet_ds import SegResBlock
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import InputError

logger = logging.getLogger("common.inferers")

PRECISIONS = ("auto", "fp32", "bf16")
BACKENDS = ("eager", "compile", "openvino")

Encoder = Callable[[Tensor], Tensor]


def choose_precision(precision: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` is bf16 where the device computes with it faster.

    bf16 where it does not is a choice of its own, and its price is logged.

    Raises:
        InputError: If `precision` is unknown or the device cannot do it.
    """
    if precision not in PRECISIONS:
        msg = f"precision must be one of {', '.join(PRECISIONS)}, got {precision}; use auto"
        raise InputError(msg)
    if precision == "bf16" and not has_fast_bf16(device):
        _say_slow(device.type)
    if precision != "auto":
        return precision
    return "bf16" if has_fast_bf16(device) else "fp32"


@functools.cache
def _say_slow(device: str) -> None:
    """Once per process: many inferers are made for a run."""
    logger.warning(
        "precision bf16 has no units of its own on this %s and is emulated: a window of a large "
        "network can take minutes; --precision auto computes in fp32 here",
        device,
    )


def choose_backend(backend: str, device: torch.device) -> str:
    """The backend itself, if it can be used here.

    Raises:
        InputError: If `backend` is unknown, not installed or not for this device.
    """
    if backend not in BACKENDS:
        msg = f"backend must be one of {', '.join(BACKENDS)}, got {backend}; use eager"
        raise InputError(msg)
    if backend == "openvino" and (
        device.type != "cpu" or importlib.util.find_spec("openvino") is None
    ):
        msg = (
            f"backend openvino must have a CPU and the package openvino, got {device}; "
            "install it with `pip install -e '.[openvino]'` or use --backend eager"
        )
        raise InputError(msg)
    return backend


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bf16 convolutions run on units of their own: Ampere and later, AVX-512 BF16, AMX.

    A CPU counts as oneDNN sees it, which `ONEDNN_MAX_CPU_ISA` may hold to less than it has.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    has_units = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return bool(has_units and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def accelerate(
    encoder: nn.Module, *, precision: str, backend: str, device: torch.device
) -> Encoder:
    """Make a copy of a convolutional network that gives the same maps faster.

    Args:
        encoder: Pictures `(N, C, H, W)` or volumes `(N, C, D, H, W)`, float32, to maps; left
            untouched.
        precision: `fp32` or `bf16`.
        backend: `eager` starts at once; `compile` (torch.compile) and `openvino` (CPU, an
            extra) spend time on every new size of the batch and are faster after it: seconds to a
            minute, and about a second.
        device: Where it will run.

    Returns:
        A function of float32 images that returns float32 maps.

    Raises:
        InputError: If `backend` is unknown, not installed or not for this device.
    """
    backend = choose_backend(backend, device)
    folded = fold_norms(copy.deepcopy(encoder).eval().float())
    is_3d = any(isinstance(module, nn.Conv3d) for module in folded.modules())
    if backend == "openvino":
        return _openvino(folded, precision, is_3d=is_3d)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    layout = torch.channels_last_3d if is_3d else torch.channels_last
    folded = folded.to(device, dtype).to(memory_format=layout)  # type: ignore[call-overload]
    run: Encoder = folded
    if backend == "compile":
        options: dict[str, Any] | None = {"freezing": True} if device.type == "cpu" else None
        run = torch.compile(folded, dynamic=False, options=options)

    def encode(images: Tensor) -> Tensor:
        return run(images.to(dtype=dtype, memory_format=layout)).float()

    return encode


def weights_state(network: nn.Module) -> tuple[nn.Module, list[int]]:
    """Equal as long as it is the same network and nothing was written into its weights.

    Training changes them in place, and an accelerated copy must then be made anew.
    """
    tensors = network.state_dict().values()
    return network, [0 if each.is_inference() else each._version for each in tensors]


class AcceleratedInferer(Inferer):
    """What inferers share that run a part of a network accelerated.

    Args:
        device: Where the network runs; decides what `auto` precision is.
        precision: `auto`, `fp32` or `bf16`; of that part.
        backend: `eager`, `compile` or `openvino`.

    Raises:
        InputError: If the device cannot compute so.
    """

    def __init__(self, *, device: torch.device | str, precision: str, backend: str) -> None:
        super().__init__()
        self.precision = choose_precision(precision, torch.device(device))
        self.backend = choose_backend(backend, torch.device(device))
        self._ready_for: tuple[nn.Module, list[int]] | None = None
        self._encoder: Encoder | None = None

    def part(self, network: nn.Module) -> nn.Module:
        """The part of a network that is to be fast; all of it where nothing else is said."""
        return network

    def accelerated(self, network: nn.Module, device: torch.device) -> Encoder:
        """That part, accelerated; anew only where it is another network or other weights."""
        state = weights_state(network)
        if self._encoder is None or self._ready_for != state:
            self._encoder = accelerate(
                self.part(network), precision=self.precision, backend=self.backend, device=device
            )
            self._ready_for = state
        return self._encoder


def fold_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm that follows a convolution into it, in place; exact to rounding.

    In a residual block of SegResNet that is the second norm: the first comes before any
    convolution.
    """
    blocks = [module for module in network.modules() if isinstance(module, SegResBlock)]
    if not blocks:
        return fuse(network, inplace=True)
    for block in blocks:
        if isinstance(block.norm2, nn.BatchNorm3d):
            block.conv1 = fuse_conv_bn_eval(block.conv1, block.norm2)
            block.norm2 = nn.Identity()
    return network


def _openvino(folded: nn.Module, precision: str, *, is_3d: bool) -> Encoder:
    import openvino

    hints = {
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }

    # Conversion traces the network, at the cost of running it: a small image is enough.
    first = next(module for module in folded.modules() if isinstance(module, nn.Conv2d | nn.Conv3d))
    example = torch.zeros(1, first.in_channels, *([64] * (3 if is_3d else 2)))
    model = openvino.convert_model(folded, example_input=example)

    @functools.cache
    def compiled(shape: tuple[int, ...]) -> Any:
        sized = model.clone()
        sized.reshape(list(shape))
        return openvino.compile_model(sized, "CPU", hints)

    def encode(pictures: Tensor) -> Tensor:
        run = compiled(tuple(pictures.shape))
        return torch.from_numpy(run(pictures.contiguous().numpy())[0])

    return encode

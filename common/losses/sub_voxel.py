"""Deep supervision by labels finer than the network's voxels.

Where labels are read from interpolated logits (`StreamingInferer(refine=r)`), a network trained at
the centres of its voxels never learnt what lies between them. Here it does: each step compares at
one of the r^3 places of a voxel, drawn anew, so the cost is that of the plain loss.
"""

from __future__ import annotations

from typing import Any

import torch
from monai.losses import DeepSupervisionLoss
from torch import Tensor, nn

from ..errors import InputError, at_least_one


class SubVoxelSupervisionLoss(DeepSupervisionLoss):
    """MONAI's `DeepSupervisionLoss`, whose finest level is compared at a place between voxels.

    With `refine=1` it is MONAI's. The place comes from torch's generator.

    Args:
        loss: Of logits `(B, K, ...)` and labels `(B, 1, ...)`.
        refine: r, how many times finer than the finest logits the labels are.
        weight_mode: Weights of the levels, as MONAI's.

    Raises:
        InputError: If `refine` is below 1.
    """

    def __init__(self, loss: nn.Module, *, refine: int = 1, weight_mode: str = "exp") -> None:
        super().__init__(loss, weight_mode=weight_mode)
        at_least_one(refine=refine)
        self.refine = refine

    def forward(self, input: Tensor | list[Tensor], target: Tensor) -> Tensor:  # noqa: A002
        """All levels, weighted; one tensor is one level.

        Args:
            input: Logits `(B, K, D, H, W)`, or a list of such, the finest first.
            target: As of `get_loss`.

        Returns:
            A single number.
        """
        levels = [input] if isinstance(input, Tensor) else input
        loss: Tensor = super().forward(levels, target)
        return loss

    def get_loss(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002 - MONAI's name
        """One level.

        Args:
            input: Logits `(B, K, D, H, W)`.
            target: Labels `(B, r^3, D', H', W')`, channels as `SubVoxelsToChannelsd` leaves them;
                for coarser logits those of the voxels themselves are thinned out, as MONAI does.

        Returns:
            A single number.

        Raises:
            InputError: If there are not r^3 channels.
        """
        if target.shape[1] != self.refine**3:
            msg = (
                f"labels refined by {self.refine} must have {self.refine**3} channels, "
                f"got {target.shape[1]}; put SubVoxelsToChannelsd(refine={self.refine}) before"
            )
            raise InputError(msg)
        if input.shape[2:] != target.shape[2:]:
            level: Tensor = super().get_loss(input, target[:, :1])
            return level
        place = torch.randint(self.refine, (3,)).tolist()
        found: Tensor = self.loss(*between_voxels(input, target, place, self.refine))
        return found


def between_voxels(
    logits: Tensor, labels: Tensor, place: list[int], refine: int
) -> tuple[Tensor, Tensor]:
    """Logits and labels at one place of every voxel.

    Args:
        logits: `(B, K, D, H, W)`.
        labels: `(B, r^3, D, H, W)`.
        place: Steps of 1/r voxel along D, H, W, each from 0 to r - 1.
        refine: r.

    Returns:
        Logits between neighbours, linearly, and the labels there, `(B, 1, ...)`; an axis with a
        step has lost its last voxel.
    """
    a, b, c = place
    channel = (a * refine + b) * refine + c
    labels = labels[:, channel : channel + 1]
    for axis, step in zip((2, 3, 4), place, strict=True):
        if step:
            logits = _Between.apply(logits, axis, step / refine)
            labels = labels.narrow(axis, 0, labels.shape[axis] - 1)
    return logits, labels


class _Between(torch.autograd.Function):
    """`(1 - w) x[i] + w x[i + 1]` along an axis; torch's own gradient takes four times as long."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, axis: int, weight: float) -> Tensor:
        """Between neighbours, in the memory layout of `values`."""
        ctx.axis, ctx.weight = axis, weight
        size = values.shape[axis] - 1
        return torch.lerp(values.narrow(axis, 0, size), values.narrow(axis, 1, size), weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Each value's share of both sides."""
        (grad,), axis, weight = grads, ctx.axis, ctx.weight
        size = grad.shape[axis]
        shape = [n + (i == axis) for i, n in enumerate(grad.shape)]
        order = sorted(range(grad.ndim), key=grad.stride, reverse=True)
        result = torch.empty_permuted(shape, order, dtype=grad.dtype, device=grad.device)
        torch.mul(grad, 1 - weight, out=result.narrow(axis, 0, size))
        result.select(axis, size).zero_()
        result.narrow(axis, 1, size).add_(grad, alpha=weight)
        return result, None, None

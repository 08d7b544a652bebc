"""Which crops are compared: those of one scan, or all of the batch, whatever process holds them.

This is the whole difference between the intra-sample losses of CT-FM (arXiv 2501.09001) and their
cross-sample counterparts, so a loss is written once, for groups of crops.

Shapes: B scans of this process, C crops of a scan, 2 views of a crop, D numbers that embed a view,
G groups, M crops of a group.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.distributed as dist
from torch import Tensor

from ..errors import InputError

Within = Literal["scan", "batch"]


def checked_within(within: str) -> Within:
    """The argument itself.

    Raises:
        InputError: If there is no such way to compare.
    """
    if within not in get_args(Within):
        msg = f"within must be one of {list(get_args(Within))}, got {within!r}; choose one"
        raise InputError(msg)
    return within  # type: ignore[return-value]


def checked_embeddings(embeddings: Tensor) -> Tensor:
    """Embeddings of crop views in float32.

    Args:
        embeddings: `(B, C, 2, D)`.

    Raises:
        InputError: If they are anything else.
    """
    if not isinstance(embeddings, Tensor):
        msg = (
            f"embeddings must be one tensor (B, C, 2, D), got {type(embeddings).__name__}; "
            "leave the prediction head out, only SimSiam has one"
        )
        raise InputError(msg)
    if embeddings.dim() != 4 or embeddings.shape[2] != 2:
        msg = (
            f"embeddings must have shape (B, C, 2, D), got {tuple(embeddings.shape)}; "
            "give scans, crops, their two views and the numbers of each, in this order"
        )
        raise InputError(msg)
    return embeddings.float()


def crop_groups(embeddings: Tensor, within: Within) -> Tensor:
    """Lay crops into the groups that a loss compares.

    Args:
        embeddings: `(B, C, 2, D)`.
        within: `scan` makes a group of each scan, `batch` one of all scans of all processes.

    Returns:
        `(G, M, 2, D)`, float32: `(B, C, 2, D)` or `(1, B * C * processes, 2, D)`. Its gradient
        reaches the process that the crop is from.

    Raises:
        InputError: If a group would have a single crop, which can be compared with nothing, the
            shape is another, or processes have different numbers of crops.
    """
    embeddings = checked_embeddings(embeddings)
    if within == "batch":
        embeddings = from_all_processes(embeddings.flatten(0, 1))[None]
    if embeddings.shape[1] < 2:
        msg = (
            f"embeddings must have 2 crops or more of each {within}, got {embeddings.shape[1]}; "
            "raise num_crops, or the batch size where the batch is compared"
        )
        raise InputError(msg)
    return embeddings


def from_all_processes(samples: Tensor) -> Tensor:
    """Concatenate every process's samples, in the order of ranks; alone, the samples themselves.

    Where each process computes the same loss of all samples and gradients are averaged over
    processes, as distributed training does, the result equals that of one process with all of them.

    Args:
        samples: `(n, ...)`, of the same shape in each process.

    Returns:
        `(n * processes, ...)`.

    Raises:
        InputError: If the processes' numbers of samples differ.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return samples
    own = torch.tensor([len(samples)], device=samples.device)
    counts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, own)
    numbers = [int(count) for count in counts]
    if len(set(numbers)) > 1:
        msg = (
            f"processes must have the same number of crops, got {numbers}; "
            "replace a scan that cannot be read by another instead of leaving it out"
        )
        raise InputError(msg)
    gathered: Tensor = _Gather.apply(samples)
    return gathered


class _Gather(torch.autograd.Function):
    """`(n, ...)` of each process to `(n * processes, ...)` in all of them, with a gradient."""

    @staticmethod
    def forward(ctx: Any, samples: Tensor) -> Tensor:
        """Everyone's samples."""
        ctx.number = len(samples)
        parts = [torch.empty_like(samples) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, samples.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The sum over all processes' losses, of this process's samples."""
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total.narrow(0, dist.get_rank() * ctx.number, ctx.number)

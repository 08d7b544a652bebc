"""Dice and cross-entropy for many classes, without a channel per class of truth.

MONAI's `DiceCELoss` makes the truth one-hot and keeps some ten tensors as large as the logits. For
118 classes of two crops of 96 x 160 x 160 each of them is 2.3 GB. This one gives the same value and
the same gradient from labels, with two.

Shapes: B batch, K classes, N voxels of one crop.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class LabelDiceCELoss(nn.Module):
    """`DiceCELoss(softmax=True, to_onehot_y=True, squared_pred=True)`, background included.

    Per crop and class `1 - (2 sum(p t) + smooth_nr) / (sum(p^2) + sum(t) + smooth_dr)`, averaged,
    plus the mean cross-entropy.

    Args:
        smooth_nr: Added to the numerator.
        smooth_dr: Added to the denominator, so that a class that is nowhere divides by something.
    """

    def __init__(self, *, smooth_nr: float = 0.0, smooth_dr: float = 1e-5) -> None:
        super().__init__()
        self.smooth_nr = smooth_nr
        self.smooth_dr = smooth_dr

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compare.

        Args:
            logits: `(B, K, ...)`.
            labels: `(B, 1, ...)`, whole numbers from 0 to K - 1 of any dtype.

        Returns:
            A single number, float32.

        Raises:
            ValueError: If the shapes do not fit.
        """
        if labels.shape != (logits.shape[0], 1, *logits.shape[2:]):
            msg = (
                f"labels must have shape {[logits.shape[0], 1, *logits.shape[2:]]}, "
                f"got {list(labels.shape)}; give one channel of numbers"
            )
            raise ValueError(msg)
        # (B, N, K) where the classes of a voxel lie side by side in memory, else (B, K, N)
        scores, axis = logits.float(), 1
        if scores.movedim(1, -1).is_contiguous():
            scores, axis = scores.movedim(1, -1).flatten(1, -2), 2
        else:
            scores = scores.contiguous().flatten(2)
        truth = labels.long().flatten(1)
        loss: Tensor = _LabelDiceCE.apply(scores, truth, axis, self.smooth_nr, self.smooth_dr)
        return loss


class _LabelDiceCE(torch.autograd.Function):
    """Logits, float32, and labels `(B, N)`, int64, to the loss, with its own gradient.

    `axis` is that of the classes: logits are `(B, K, N)` with 1, `(B, N, K)` with 2.
    """

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, truth: Tensor, axis: int, smooth_nr: float, smooth_dr: float
    ) -> Tensor:
        """The loss."""
        share = scores.log_softmax(dim=axis)
        entropy = -share.gather(axis, truth.unsqueeze(axis)).mean()
        share.exp_()
        at_truth = share.gather(axis, truth.unsqueeze(axis)).squeeze(axis)
        per_class = share.new_zeros((len(share), share.shape[axis]))
        overlap = per_class.scatter_add(1, truth, at_truth)
        size = per_class.scatter_add(1, truth, torch.ones_like(at_truth))
        square = share.square().sum(dim=3 - axis)
        above = 2 * overlap + smooth_nr
        below = square + size + smooth_dr
        ctx.save_for_backward(share, truth, at_truth, above, below)
        ctx.axis = axis
        loss: Tensor = entropy + (1 - above / below).mean()
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None, None]:
        """The gradient of the logits."""
        share, truth, at_truth, above, below = ctx.saved_tensors
        axis, each = ctx.axis, 1 / truth.numel()
        of_overlap = -2 / below / below.numel()  # dL / d overlap, (B, K)
        of_square = 2 * above / below.square() / below.numel()  # twice dL / d sum(p^2)
        pull = at_truth * of_overlap.gather(1, truth)  # p dL/dp of the true class, (B, N)
        result = share.square()
        sum_over_classes = "bkn,bk->bn" if axis == 1 else "bnk,bk->bn"
        mean = torch.einsum(sum_over_classes, result, of_square) + pull  # sum of p dL/dp
        result.mul_(of_square.unsqueeze(3 - axis))
        result.addcmul_(share, (each - mean).unsqueeze(axis))
        result.scatter_add_(axis, truth.unsqueeze(axis), (pull - each).unsqueeze(axis))
        return result.mul_(grads[0]), None, None, None, None

"""Cross-entropy in which the few places that hold something weigh as much as the many that do not.

Shapes: B batch, L labels.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor


def balanced_cross_entropy(logits: Tensor, truth: Tensor, *, most_weight: float) -> Tensor:
    """Per label, over all places of the batch.

    Args:
        logits: `(B, L, ...)`.
        truth: The same shape, 0 or 1.
        most_weight: Of a place that holds the label, against 1 of any other.

    Returns:
        `(L,)`.
    """
    places = [axis for axis in range(truth.dim()) if axis != 1]
    positive = truth.sum(dim=places, keepdim=True).clamp(min=1)
    negative = (1 - truth).sum(dim=places, keepdim=True)
    weight = 1 + truth * ((negative / positive).clamp(1, most_weight) - 1)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, weight, reduction="none")
    return entropy.sum(dim=places) / weight.sum(dim=places)

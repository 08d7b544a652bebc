"""Binary cross-entropy of a scan and, where known, of each of its slice triplets.

Shapes: B batch, T slice triplets, L labels.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn


class ScanAndTripletLoss(nn.Module):
    """`bce(scan) + triplet_weight * bce(triplets)`, each a mean over all its labels.

    Args:
        triplet_weight: Of the triplets' part.
    """

    def __init__(self, *, triplet_weight: float = 1.0) -> None:
        super().__init__()
        self.triplet_weight = triplet_weight

    def forward(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Compare.

        Args:
            logits: `(B, 1 + T, L)` from `TripletSupervised`: the scan, then its triplets.
            truth: Likewise, from `TripletTruthd`, 0 or 1.

        Returns:
            A single number.

        Raises:
            ValueError: If the shapes differ.
        """
        if logits.shape != truth.shape:
            msg = (
                f"truth must have the shape of logits {list(logits.shape)}, "
                f"got {list(truth.shape)}; put TripletTruthd into the training preprocessing"
            )
            raise ValueError(msg)
        scan = F.binary_cross_entropy_with_logits(logits[:, 0], truth[:, 0])
        triplets = F.binary_cross_entropy_with_logits(logits[:, 1:], truth[:, 1:])
        return scan + self.triplet_weight * triplets

"""Training help for slice encoders: each triplet's features must tell what the triplet shows.

A label of a whole scan reaches an encoder only through a mean over all its triplets, and a small
finding is one triplet of many. Where truth is known slice by slice, a linear read-out of the
features gets there directly. It is used in training only and is no part of the saved network.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .ct_scroll import ScrollClassifier


class TripletSupervised(nn.Module):
    """A scroll classifier with a read-out per triplet, for training.

    Args:
        network: Is trained; used alone in evaluation mode.
    """

    def __init__(self, network: ScrollClassifier) -> None:
        super().__init__()
        self.network = network
        self.read_out = nn.Linear(network.encoder.out_channels, network.num_classes)
        self.read_out.to(next(network.parameters()).device)

    def forward(self, volume: Tensor) -> Tensor:
        """Classify the scan, and in training each of its triplets.

        Args:
            volume: `(B, 1, D, H, W)`.

        Returns:
            Logits `(B, 1 + T, L)` in training, the scan's first; `(B, L)` otherwise.
        """
        if not self.training:
            return self.network(volume)  # type: ignore[no-any-return]
        features = self.network.encode(volume)
        scan = self.network.classify(features)
        return torch.cat([scan[:, None], self.read_out(features)], dim=1)

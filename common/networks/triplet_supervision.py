"""Training help for slice encoders: each triplet's features must tell what the triplet shows.

A label of a whole scan reaches an encoder only through a mean over all its triplets, and a small
finding is one triplet of many. Where truth is known slice by slice, a linear read-out of the
features gets there directly. It is used in training only and is no part of the saved network.

Shapes: B batch, D H W the volume, T = D / 3 triplets, L labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .ct_scroll import ScrollClassifier


class TripletReader(nn.Module):
    """A scroll classifier's encoder with a linear read-out, to be trained on single triplets.

    Args:
        network: Its encoder is trained; the rest is left as it is.
        sharpness: Of the smooth maximum that makes a scan's logits of its triplets'.
    """

    def __init__(self, network: ScrollClassifier, *, sharpness: float = 2.0) -> None:
        super().__init__()
        self.network = network
        self.sharpness = sharpness
        self.read_out = nn.Linear(network.encoder.out_channels, network.num_classes)
        self.read_out.to(next(network.parameters()).device)

    def forward(self, image: Tensor) -> Tensor:
        """Classify pictures, or a scan by what its triplets show.

        Args:
            image: Triplets `(B, 3, H, W)`, or a scan `(B, 1, D, H, W)`.

        Returns:
            Logits `(B, L)`; of a scan `logsumexp(sharpness * triplets) / sharpness`.
        """
        if image.dim() == 4:
            return self.read_out(self.network.encoder(image).mean(dim=(2, 3)))  # type: ignore[no-any-return]
        triplets: Tensor = self.read_out(self.network.encode(image))
        return torch.logsumexp(self.sharpness * triplets.float(), dim=1) / self.sharpness


class TripletSupervised(nn.Module):
    """A scroll classifier that is trained on scans and, beside them, on their triplets.

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

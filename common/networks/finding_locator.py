"""Training help for slice encoders: say which findings a slice triplet shows, and where.

A scan's label reaches an encoder through a mean over all places of all triplets, and a small
finding is one place of thousands. Where truth is known in space, linear read-outs of the feature
maps learn from it directly. They are used in training only and are no part of the saved network.

Shapes: B batch, D H W the volume, T = D / 3 triplets, L labels, h w cells of a picture.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from .ct_scroll import ScrollClassifier

PRIOR_LOGIT = -3.0
"""A place starts with 5 % of a finding, as Lin et al., arXiv 1708.02002, start their detector."""


class FindingLocator(nn.Module):
    """A scroll classifier's encoder with read-outs of its last two stages and of their mean.

    Args:
        network: Its encoder is trained; the rest is left as it is.
        sharpness: Of the smooth maximum that makes a scan's logits of its places'.
    """

    def __init__(self, network: ScrollClassifier, *, sharpness: float = 2.0) -> None:
        super().__init__()
        self.network = network
        self.sharpness = sharpness
        channels, labels = network.encoder.out_channels, network.num_classes
        self.fine = nn.Conv2d(channels // 2, labels, 1)
        self.coarse = nn.Conv2d(channels, labels, 1)
        self.whole = nn.Linear(channels, labels)
        for read_out in (self.fine, self.coarse, self.whole):
            nn.init.constant_(read_out.get_parameter("bias"), PRIOR_LOGIT)
        self.to(next(network.parameters()).device)
        network.requires_grad_(False)
        network.encoder.requires_grad_(True)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Locate findings in pictures, or classify a scan by the places of its triplets.

        Args:
            image: Triplets `(B, 3, H, W)`, or a scan `(B, 1, D, H, W)`.

        Returns:
            Of triplets the logits at a stride of 16 pixels `(B, L, h, w)`, of 32 pixels
            `(B, L, h / 2, w / 2)`, rounded up, and of the whole picture `(B, L)`. Of a scan
            `(B, L)`: `logsumexp(sharpness * z) / sharpness` over all z at the coarser stride.
        """
        if image.dim() == 4:
            return self._read(image)
        triplets = rearrange(image, "b 1 (t three) h w -> (b t) three h w", three=3)
        parts = triplets.split(max(self.network.chunk, 1))
        coarse = torch.cat([self._read(part)[1].float() for part in parts])
        places = rearrange(coarse, "(b t) l h w -> b t l (h w)", b=len(image))
        return torch.logsumexp(self.sharpness * places, dim=(1, 3)) / self.sharpness

    def _read(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        *stages, last = self.network.encoder
        before = pictures
        for stage in stages:
            before = stage(before)
        after = last(before)
        return self.fine(before), self.coarse(after), self.whole(after.mean(dim=(2, 3)))

"""Focal loss of where findings are, with what is rare weighing as much as what is frequent.

Shapes: B batch, L labels, h w cells of a picture.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name
from monai.losses import FocalLoss
from torch import Tensor, nn


class LocatedFindingsLoss(nn.Module):
    """Sum over the read-outs of `FindingLocator` of their focal loss per positive place.

    Lin et al., arXiv 1708.02002: places that are right already weigh little, and the sum over all
    places is divided by the number of those with the finding. A lung nodule, which is in one cell
    of thousands, so counts as much as an effusion.

    Args:
        gamma: How fast the weight of a place falls with its being right; 0 is cross-entropy.
    """

    def __init__(self, *, gamma: float = 2.0) -> None:
        super().__init__()
        self.focal = FocalLoss(gamma=gamma, reduction="none")

    def forward(self, logits: tuple[Tensor, Tensor, Tensor], truth: Tensor) -> Tensor:
        """Compare.

        Args:
            logits: At 16 pixels, at 32 pixels and of the whole picture, see `FindingLocator`.
            truth: At 16 pixels, `(B, L, h, w)`, 0 or 1.

        Returns:
            A single number.

        Raises:
            ValueError: If the shapes differ.
        """
        fine, coarse, whole = logits
        if fine.shape != truth.shape:
            msg = (
                f"truth must have the shape of the finer logits {list(fine.shape)}, "
                f"got {list(truth.shape)}; give TripletTruthd stride_px=16"
            )
            raise ValueError(msg)
        # a coarse cell takes its own fine cell and those round it, half of which it covers
        around = F.max_pool2d(truth, 3, stride=2, padding=1)
        anywhere = truth.amax(dim=(2, 3))
        return (
            self._per_positive(fine, truth)
            + self._per_positive(coarse, around)
            + self._per_positive(whole, anywhere)
        )

    def _per_positive(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Mean over labels, `(B, L, ...)`, of the loss per place that has the finding."""
        places = [axis for axis in range(truth.dim()) if axis != 1]
        loss: Tensor = self.focal(logits.float(), truth)
        return (loss.sum(dim=places) / truth.sum(dim=places).clamp(min=1)).mean()

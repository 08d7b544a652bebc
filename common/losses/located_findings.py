"""Loss of where findings are, whether they fill a lung or one place of thousands.

Shapes: B batch, L labels, h w cells of a picture.
"""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812 - torch's own name
from monai.losses import FocalLoss
from torch import Tensor, nn

from .balanced import balanced_cross_entropy


class LocatedFindingsLoss(nn.Module):
    """Balanced cross-entropy of each read-out of `FindingLocator`, with some focal loss.

    In balanced cross-entropy the places with a finding weigh as much in sum as those without: each
    label counts alike, and what is spread out is learned first. The focal loss (Lin et al., arXiv
    1708.02002), per place with the finding, is large where a few places look like a rare finding
    and are not: a vessel for a nodule. Alone it leaves what is spread out behind.

    Args:
        most_weight: Of a place with the finding in the balanced loss, against 1 of any other.
        focal_weight: Of the focal loss, against 1 of the balanced.
        gamma: How fast a place's weight in the focal loss falls with its being right.
        whole_weight: Of the whole picture's read-out, against 1 of either other. It alone sees
            what a network behind the encoder sees, the mean.
    """

    def __init__(
        self,
        *,
        most_weight: float = 100.0,
        focal_weight: float = 0.1,
        gamma: float = 2.0,
        whole_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.most_weight = most_weight
        self.focal_weight = focal_weight
        self.whole_weight = whole_weight
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
            self._of_read_out(fine, truth)
            + self._of_read_out(coarse, around)
            + self.whole_weight * self._of_read_out(whole, anywhere)
        )

    def _of_read_out(self, logits: Tensor, truth: Tensor) -> Tensor:
        """Mean over labels `(B, L, ...)`."""
        logits = logits.float()
        places = [axis for axis in range(truth.dim()) if axis != 1]
        positive = truth.sum(dim=places, keepdim=True).clamp(min=1)
        balanced = balanced_cross_entropy(logits, truth, most_weight=self.most_weight)
        focal: Tensor = (self.focal(logits, truth) / positive).sum(dim=places)
        return (balanced + self.focal_weight * focal).mean()

"""Loss of a triage network that also says where lesions are, see `LesionLocator`.

Shapes: B batch, D H W the input, L labels, d h w places of a map.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

from .balanced import balanced_cross_entropy

Truth = Mapping[str, Tensor]
"""`label` `(B, L)`, 0 or 1, and `lesions` `(B, 1, D, H, W)`, ml in each voxel."""


class LocatedLesionsLoss(nn.Module):
    """Cross-entropy of the scans, and balanced cross-entropy of places at two strides.

    Balanced: the places with a lesion weigh as much in sum as those without, up to a limit.

    Args:
        place_weight: Of either read-out of places, against 1 of the scans.
        least_ml: A place has a lesion from this volume within it on.
        most_weight: Of a place with a lesion, against 1 of any other.
    """

    def __init__(
        self, *, place_weight: float = 1.0, least_ml: float = 0.1, most_weight: float = 100.0
    ) -> None:
        super().__init__()
        self.place_weight = place_weight
        self.least_ml = least_ml
        self.most_weight = most_weight

    def forward(self, answers: tuple[Tensor, Tensor, Tensor], truth: Truth) -> Tensor:
        """Compare.

        Args:
            answers: Of `LesionLocator`.
            truth: Of `labels_and_lesions`.

        Returns:
            A single number.
        """
        *places, scans = answers
        loss = F.binary_cross_entropy_with_logits(scans.float(), truth["label"])
        for logits in places:
            loss = loss + self.place_weight * self._of_places(logits.float(), truth["lesions"])
        return loss

    def _of_places(self, logits: Tensor, lesions: Tensor) -> Tensor:
        depth, height, width = logits.shape[2:]
        voxels = lesions[0].numel() / logits[0].numel()  # per place
        ml = F.adaptive_avg_pool3d(lesions, (depth, height, width)) * voxels
        ill = (ml >= self.least_ml).to(logits.dtype)
        return balanced_cross_entropy(logits, ill, most_weight=self.most_weight).mean()


def labels_and_lesions(
    batch: Mapping[str, Any],
    device: torch.device | str | None = None,
    non_blocking: bool = False,
    **_kwargs: Any,
) -> tuple[Tensor, Truth]:
    """A batch as MONAI's trainer wants it: the images, and both kinds of truth."""
    image, label, lesions = (
        batch[key].as_subclass(Tensor).to(device=device, non_blocking=non_blocking)
        for key in ("image", "label", "lesions")
    )
    return image, {"label": label, "lesions": lesions}

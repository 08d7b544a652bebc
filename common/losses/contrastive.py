"""NT-Xent within a scan, as CT-FM was pre-trained (arXiv 2501.09001), and over the batch.

Other crops of the same scan are what a crop's view is told from, so that the network learns
anatomy rather than what sets a scanner or a patient apart. Over the batch it is SimCLR (Chen et
al. 2020, arXiv 2002.05709, equation 1). MONAI's `ContrastiveLoss` gives the latter's value for one
process; it holds `(2M)^2 D` numbers where a matrix product holds `(2M)^2`.

Shapes: B scans, C crops of a scan, 2 views of a crop, D numbers that embed a view, G groups,
M crops of a group, see `crop_groups`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

from ..errors import InputError
from .crop_groups import Within, checked_within, crop_groups

_EPSILON = 1e-8  # added to a variance before its root, as published


class NTXentLoss(nn.Module):
    """Cross-entropy of finding a view's other view among all views of the group.

    For an anchor `a`, its crop's other view `p` and all views `k` of the group but the anchor,
    with embeddings of length 1: `-log(exp(a.p / temperature) / sum_k exp(a.k / temperature))`,
    averaged over anchors and groups. Guessing gives `ln(2M - 1)`.

    Args:
        temperature: Above 0.
        within: `scan` (published) or `batch` (SimCLR), whose crops an anchor is compared with.
        symmetric: Whether both views of a crop are anchors, as in SimCLR. If not, the first is
            (published).
        anchors: `all` crops (published), or only the `first` of each group.
        variance_weight: w in [0, 1]; the loss becomes `(1 - w) * NT-Xent + w * spread`, where
            spread is the mean over views and D of `relu(1 - sd)` with the sd of the normalised
            embeddings over all crops of all groups. 0 leaves it out (published).

    Raises:
        InputError: If a setting is out of its range.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        within: Within = "scan",
        symmetric: bool = False,
        anchors: Literal["all", "first"] = "all",
        variance_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            msg = f"temperature must be above 0, got {temperature}; CT-FM has 0.1"
            raise InputError(msg)
        if anchors not in ("all", "first"):
            msg = f"anchors must be one of ['all', 'first'], got {anchors!r}; choose one"
            raise InputError(msg)
        if not 0 <= variance_weight <= 1:
            msg = f"variance_weight must be from 0 to 1, got {variance_weight}; 0 leaves it out"
            raise InputError(msg)
        self.temperature = temperature
        self.within = checked_within(within)
        self.symmetric = symmetric
        self.anchors = anchors
        self.variance_weight = variance_weight

    def forward(self, embeddings: Tensor, _target: Any = None) -> Tensor:
        """Compare.

        Args:
            embeddings: `(B, C, 2, D)` of any length; they stay as they are.
            _target: Not used; MONAI's trainers give a loss two arguments.

        Returns:
            A single number, float32.

        Raises:
            InputError: If the shape is another or a group has a single crop.
        """
        groups = F.normalize(crop_groups(embeddings, self.within), dim=-1)
        with torch.autocast(groups.device.type, enabled=False):  # halves are too coarse
            loss = self._cross_entropy(groups)
            if self.variance_weight > 0:
                spread = _missing_spread(groups.flatten(0, 1))
                loss = (1 - self.variance_weight) * loss + self.variance_weight * spread
        return loss

    def _cross_entropy(self, groups: Tensor) -> Tensor:
        """Of `(G, M, 2, D)`; view v of crop m is number 2m + v of its group."""
        views = groups.flatten(1, 2)
        number = torch.arange(views.shape[1], device=views.device)
        anchors = number if self.symmetric else number[::2]
        if self.anchors == "first":
            anchors = anchors[anchors < 2]
        logits = torch.einsum("gad,gkd->gak", views[:, anchors], views) / self.temperature
        logits = logits.masked_fill(anchors[:, None] == number, -torch.inf)
        other_view = (anchors ^ 1).expand(len(views), -1)
        return F.cross_entropy(logits.flatten(0, 1), other_view.flatten())


def _missing_spread(samples: Tensor) -> Tensor:
    """How much the standard deviation of each of D numbers falls short of 1, `(n, 2, D)`."""
    return F.relu(1 - (samples.var(dim=0) + _EPSILON).sqrt()).mean()

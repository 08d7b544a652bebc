"""Self-supervised losses without negatives, the ablation arms of CT-FM (arXiv 2501.09001).

Shapes: B scans, C crops of a scan, 2 views of a crop, D numbers that embed a view, G groups,
M crops of a group, see `crop_groups`.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

from ..errors import InputError
from .crop_groups import Within, checked_embeddings, checked_within, crop_groups

_EPSILON = 1e-4  # added to a variance before its root, as published


class VICRegLoss(nn.Module):
    """Variance, invariance and covariance (Bardes et al. 2022, arXiv 2105.04906, algorithm 1).

    Of the two views Z, Z' of a group's M crops:

    * invariance: mean of `(z - z')^2` over crops and over the D numbers. Equation 5 sums over
      these; the published weights belong to the mean, which algorithm 1 takes;
    * variance: `v(Z) + v(Z')`, where v is the mean over D of `relu(1 - sqrt(var + 1e-4))`
      (equation 1). The authors' program takes half of it: give 12.5 for that;
    * covariance: `c(Z) + c(Z')`, where c is the sum of squared covariances of different numbers
      divided by D (equations 3 and 4).

    Variances and covariances have `M - 1` below. The loss is the mean over groups.

    Args:
        within: `batch` (published), or `scan`: the statistics are of the crops of each scan.
        invariance_weight: Lambda of the paper, >= 0.
        variance_weight: Mu, >= 0.
        covariance_weight: Nu, >= 0.

    Raises:
        InputError: If a setting is out of its range.
    """

    def __init__(
        self,
        *,
        within: Within = "batch",
        invariance_weight: float = 25.0,
        variance_weight: float = 25.0,
        covariance_weight: float = 1.0,
    ) -> None:
        super().__init__()
        weights = [invariance_weight, variance_weight, covariance_weight]
        if min(weights) < 0:
            msg = f"weights must be 0 or more, got {weights}; the paper has 25, 25 and 1"
            raise InputError(msg)
        self.within = checked_within(within)
        self.invariance_weight = invariance_weight
        self.variance_weight = variance_weight
        self.covariance_weight = covariance_weight

    def forward(self, embeddings: Tensor, _target: Any = None) -> Tensor:
        """Compare.

        Args:
            embeddings: `(B, C, 2, D)`, not normalised.
            _target: Not used; MONAI's trainers give a loss two arguments.

        Returns:
            A single number, float32.

        Raises:
            InputError: If the shape is another or a group has a single crop.
        """
        groups = crop_groups(embeddings, self.within)
        with torch.autocast(groups.device.type, enabled=False):  # halves are too coarse
            invariance = F.mse_loss(groups[:, :, 0], groups[:, :, 1])
            centred = groups - groups.mean(dim=1, keepdim=True)
            covariance = torch.einsum("gmvd,gmve->gvde", centred, centred) / (groups.shape[1] - 1)
            variance = covariance.diagonal(dim1=2, dim2=3)
            spread = F.relu(1 - (variance + _EPSILON).sqrt()).mean(dim=2)
            apart = (covariance - torch.diag_embed(variance)).square().sum(dim=(2, 3))
            of_views = (
                self.variance_weight * spread + self.covariance_weight * apart / groups.shape[3]
            )
            return self.invariance_weight * invariance + of_views.sum(dim=1).mean()


class SimSiamLoss(nn.Module):
    """Negative cosine of a view's prediction and the other view (Chen & He 2021, equation 2).

    `D(p1, z2) / 2 + D(p2, z1) / 2` with `D(p, z) = -cos(p, z)` and no gradient through z (arXiv
    2011.10566), averaged over crops: -1 where predictions are right. Crops are compared with
    nothing but themselves, so there are no groups; it is intra-sample with several crops of few
    scans and cross-sample with one crop of each of many.
    """

    def forward(self, answers: tuple[Tensor, Tensor], _target: Any = None) -> Tensor:
        """Compare.

        Args:
            answers: Embeddings z and what the prediction head makes of them, p, each
                `(B, C, 2, D)`.
            _target: Not used; MONAI's trainers give a loss two arguments.

        Returns:
            A single number in [-1, 1], float32.

        Raises:
            InputError: If there are no predictions, or a shape is another.
        """
        if isinstance(answers, Tensor):
            msg = (
                f"answers must be embeddings and predictions, got one tensor "
                f"{tuple(answers.shape)}; give the network a prediction head"
            )
            raise InputError(msg)
        embeddings, predictions = (checked_embeddings(part) for part in answers)
        others = embeddings.detach().flip(2)
        return -F.cosine_similarity(predictions, others, dim=-1).mean()

"""Mean Dice between label volumes over a validation epoch, for choosing the best checkpoint.

MONAI's `DiceMetric` takes one channel per class: 118 classes of one scan are several GB. This one
counts labels. In a config, `output_transform` gives both as `(1, D, H, W)` numbers.

Shapes: B batch, D H W a volume, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor


class LabelDice(CumulativeIterationMetric):
    """Mean over labels of the mean over cases of `2 |A and B| / (|A| + |B|)`.

    A label counts in the cases whose truth has it, as published; one that no case has is left out.

    Args:
        labels: L names, by number; the first is the background and is not scored.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        super().__init__()
        self.labels = list(labels)
        self.per_label: dict[str, float] = {}
        self.num_cases = 0

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Dice `(B, L - 1)` of label volumes `(B, ..., D, H, W)`; NaN where the truth has none."""
        if y_pred.shape != y.shape:
            msg = f"pred must have the truth's shape {list(y.shape)}, got {list(y_pred.shape)}"
            raise ValueError(msg)
        return torch.stack([self._dice(a, b) for a, b in zip(y_pred, y, strict=True)])

    def _dice(self, found: Tensor, truth: Tensor) -> Tensor:
        found, truth = (part.as_subclass(Tensor).flatten().long() for part in (found, truth))
        count = [
            torch.bincount(part, minlength=len(self.labels))
            for part in (found[found == truth], found, truth)
        ]
        if max(len(part) for part in count) > len(self.labels):
            msg = f"labels must be below {len(self.labels)}, got {max(found.max(), truth.max())}"
            raise ValueError(msg)
        both, in_found, in_truth = (part[1:].double() for part in count)
        dice = 2 * both / (in_found + in_truth)
        return torch.where(in_truth > 0, dice, torch.nan)

    def aggregate(self) -> float:
        """The mean in [0, 1]; 0 if no case has any label. `per_label` then has each label's."""
        dice = torch.as_tensor(self.get_buffer())  # of all processes
        self.num_cases = len(dice)
        per_label = dice.nanmean(dim=0)
        self.per_label = dict(zip(self.labels[1:], per_label.tolist(), strict=True))
        mean = float(per_label.nanmean())
        return mean if mean == mean else 0.0

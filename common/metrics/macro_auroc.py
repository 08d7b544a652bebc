"""Macro AUROC over a validation epoch, for choosing the best checkpoint.

`monai.metrics.ROCAUCMetric` returns NaN as soon as one label has a single class or an unknown truth
in the validation cases, and NaN is never a best value, so no checkpoint would be kept. This one
averages over the labels that have an AUROC. In a config:

    "macro_auroc": {"_target_": "common.metrics.macro_auroc.MacroAUROC", "labels": "@labels"}

In a distributed run MONAI gathers all processes' cases before the score is computed.

Shapes: B batch, L labels.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

logger = logging.getLogger("common.metrics")


class MacroAUROC(CumulativeIterationMetric):
    """Mean over labels of the area under the ROC curve.

    Takes scores (logits or probabilities, only their order counts) and truth (0, 1 or NaN for
    unknown), each `(B, L)` or a list of `(L,)`. A case of unknown truth is left out for that label;
    a label with one class is left out of the mean, and named once in the log.

    Args:
        labels: Names for the log; numbers if not given.
    """

    def __init__(self, labels: Sequence[str] = ()) -> None:
        super().__init__()
        self.labels = list(labels)
        self._left_out: list[str] = []

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return y_pred, y

    def aggregate(self) -> float:
        """The mean in [0, 1]; 0 if no label has both classes, so that a checkpoint is kept.

        Raises:
            ValueError: If a score is NaN or infinite, or shapes differ.
        """
        from sklearn.metrics import roc_auc_score

        # The whole epoch and all processes.
        scores, truth = (torch.as_tensor(part).double().cpu().numpy() for part in self.get_buffer())
        if scores.shape != truth.shape or scores.ndim != 2:
            msg = (
                f"pred and label must both be (batch, labels), got {scores.shape} and "
                f"{truth.shape}; check the output_transform"
            )
            raise ValueError(msg)
        if not np.isfinite(scores).all():
            msg = (
                f"pred must be finite, got {(~np.isfinite(scores)).sum()} NaN or infinite values; "
                "training has diverged, lower the learning rate"
            )
            raise ValueError(msg)
        values, left_out = [], []
        for index in range(truth.shape[1]):
            known = ~np.isnan(truth[:, index])
            if len(np.unique(truth[known, index])) == 2:
                values.append(roc_auc_score(truth[known, index], scores[known, index]))
            else:
                left_out.append(self.labels[index] if self.labels else str(index))
        if left_out != self._left_out:
            self._left_out = left_out
            logger.warning(
                "macro AUROC is over %d of %d labels; with a single class in the validation "
                "cases: %s",
                len(values),
                truth.shape[1],
                ", ".join(left_out) or "none",
            )
        return float(np.mean(values)) if values else 0.0

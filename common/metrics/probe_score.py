"""What a linear probe of frozen embeddings reaches, for watching pre-training.

Shapes: B batch, F numbers per embedding, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import CumulativeIterationMetric
from torch import Tensor

from .macro_auroc import MacroAUROC
from .probe_models import linear_probabilities

_STRENGTHS = (1e-3, 1e-2, 1e-1)
_FEWEST = 5  # cases of either kind, one for each fold


class ProbeScore(CumulativeIterationMetric):
    """Mean over labels of the AUROC of a linear probe, cross-validated, of a validation's cases.

    Takes embeddings `(B, F)` and truth (0, 1 or NaN for unknown) `(B, L)`. Each case counts as a
    patient of its own, so give one case per patient. A label with fewer than five cases of either
    kind is left out, and named once in the log. In a distributed run MONAI gathers all processes'
    cases first.

    Args:
        labels: Names for the log; numbers if not given.
        seed: Of the folds.
    """

    def __init__(self, labels: Sequence[str] = (), *, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed
        self._macro = MacroAUROC(labels)

    def _compute_tensor(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return y_pred, y

    def aggregate(self) -> float:
        """The mean in [0, 1]; 0 if no label can be probed."""
        embeddings, truth = (torch.as_tensor(part).float() for part in self.get_buffer())
        scores = torch.zeros_like(truth)
        probed = torch.full_like(truth, torch.nan)
        for place in range(truth.shape[1]):
            rows = torch.nonzero(~truth[:, place].isnan()).flatten()
            classes = truth[rows, place].long()
            if min(int(classes.sum()), int((1 - classes).sum())) < _FEWEST:
                continue
            found = linear_probabilities(
                embeddings[rows].numpy(), classes.numpy(), np.arange(len(rows)).tolist(),
                strengths=_STRENGTHS, seed=self.seed,
            )  # fmt: skip
            scores[rows, place] = torch.from_numpy(found[:, 1]).float()
            probed[rows, place] = truth[rows, place]
        self._macro.reset()
        self._macro(scores, probed)
        return self._macro.aggregate()

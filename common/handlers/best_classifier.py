"""Keep the weights that classified best in validation, with the thresholds found there."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import evenly_divisible_all_gather
from torch import Tensor

from ..metrics.classification import score_classification
from ..metrics.thresholds import f1_thresholds
from ..weights.decision import decide
from .best_weights import BestWeights, rounded


class BestClassifier(BestWeights):
    """`BestWeights` that also gives each label a threshold and a score.

    Per label the threshold of highest validation F1 goes into the card, and each label's AUROC
    into the card and into `engine.state.metrics`, for the handlers that print and plot.
    """

    def attach(self, engine: Engine) -> None:
        """Collect on every iteration, score at the end of the epoch."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        super().attach(engine)

    def start(self, engine: Engine) -> None:
        """Before a validation."""
        super().start(engine)
        self._probabilities: list[Tensor] = []
        self._truth: list[Tensor] = []

    def facts(self, engine: Engine) -> dict[str, Any]:
        """Thresholds and scores per label, over all processes' cases."""
        probabilities = evenly_divisible_all_gather(torch.stack(self._probabilities)).cpu().numpy()
        truth = evenly_divisible_all_gather(torch.stack(self._truth)).cpu().numpy()
        labels = self.card.labels
        thresholds = f1_thresholds(truth=truth, probabilities=probabilities, labels=labels)
        scores = score_classification(
            truth=truth,
            probabilities=probabilities,
            labels=labels,
            decisions=decide(probabilities, [choice.threshold for choice in thresholds]),
        )
        per_label = {label.label: label.values["auroc"] for label in scores.labels}
        engine.state.metrics.update({f"auroc/{label}": value for label, value in per_label.items()})
        macro = super().facts(engine)["score"]
        return {
            "thresholds": {choice.label: round(choice.threshold, 6) for choice in thresholds},
            "score": {
                "num_cases": len(truth),
                **macro,
                "auroc": {label: rounded(value) for label, value in per_label.items()},
            },
        }

    def _collect(self, engine: Engine) -> None:
        for case in engine.state.output:
            self._probabilities.append(case["pred"].as_subclass(Tensor).float())
            self._truth.append(torch.as_tensor(case["label"]).float())

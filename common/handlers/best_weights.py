"""Keep the weights that scored best in validation, with their card."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.utils import evenly_divisible_all_gather
from torch import Tensor, nn

from ..card import Card
from ..metrics.classification import score_classification
from ..metrics.thresholds import decide, f1_thresholds
from ..parallel import is_first_process, share_buffers
from ..weights import save_weights

logger = logging.getLogger("common.training")


class BestWeights:
    """The best validation's weights on disk, with thresholds and scores in their card.

    Attach it to the validation evaluator; its key metric says which epoch is best. Per label the
    threshold of highest validation F1 goes into the card, and each label's AUROC into
    `engine.state.metrics`, for the handlers that print and plot. In a distributed run all processes
    validate with the first one's buffers, as those are saved.

    Args:
        network: Whose weights are kept; a DistributedDataParallel wrapper is looked through.
        card: The card that gave architecture and preprocessing; its other facts are replaced.
        path: Of the card to write; tensors go beside it.
        training: What the card says about data and recipe.
        synthetic: Whether the training data are phantoms.
        name: What the weights are called.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        card: Card,
        path: str | Path,
        training: Mapping[str, Any],
        synthetic: bool,
        name: str,
    ) -> None:
        self.network = network
        self.card = card
        self.path = Path(path)
        self.training = training
        self.synthetic = synthetic
        self.name = name
        self.best = -math.inf
        self._probabilities: list[Tensor] = []
        self._truth: list[Tensor] = []

    def attach(self, engine: Engine) -> None:
        """Collect on every iteration, score at the end of the epoch."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._score)

    def state_dict(self) -> dict[str, float]:
        """What a resumed run must know."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take up the best score of the run that is resumed."""
        self.best = float(state["best"])

    def _start(self, _engine: Engine) -> None:
        share_buffers(self.network)
        self._probabilities, self._truth = [], []

    def _collect(self, engine: Engine) -> None:
        for case in engine.state.output:
            self._probabilities.append(case["pred"].as_subclass(Tensor).float())
            self._truth.append(torch.as_tensor(case["label"]).float())

    def _score(self, engine: Engine) -> None:
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
        macro = float(engine.state.metrics[engine.state.key_metric_name])
        per_label = {label.label: label.values["auroc"] for label in scores.labels}
        engine.state.metrics.update({f"auroc/{label}": value for label, value in per_label.items()})
        if not macro > self.best:  # nor where no label has both classes
            return
        self.best = macro
        if is_first_process():
            self._save(
                {label.label: label.threshold for label in thresholds}, macro, per_label, len(truth)
            )

    def _save(
        self,
        thresholds: Mapping[str, float],
        macro: float,
        per_label: Mapping[str, float],
        num_cases: int,
    ) -> None:
        content = {
            "name": self.name,
            "bundle": self.card.content["bundle"],
            "network": self.card.content["network"],
            "preprocessing": self.card.content["preprocessing"],
            "labels": self.card.labels,
            "thresholds": {label: round(value, 6) for label, value in thresholds.items()},
            "training": dict(self.training),
            "score": {
                "data": "validation split of the training data",
                "num_cases": num_cases,
                "macro_auroc": _rounded(macro),
                "auroc": {label: _rounded(value) for label, value in per_label.items()},
            },
            "source": "trained by train.json",
            "licence": "Apache-2.0" if self.synthetic else "as the training data allow",
            "synthetic": self.synthetic,
            "clinical_use": False,
        }
        network = getattr(self.network, "module", self.network)
        card = save_weights(network, content, self.path)
        logger.info("macro AUROC %.4f is the best so far: %s", macro, card.path)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)

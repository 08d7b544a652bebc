"""Keep the weights that segmented best in validation, with the Dice of each label."""

from __future__ import annotations

import math
from typing import Any

from ignite.engine import Engine

from ..metrics.label_dice import LabelDice
from .best_weights import BestWeights, rounded


class BestSegmenter(BestWeights):
    """`BestWeights` whose card also tells each label's Dice.

    Args:
        dice: The key metric itself.
        others: Of `BestWeights`.
    """

    def __init__(self, *, dice: LabelDice, **others: Any) -> None:
        super().__init__(**others)
        self.dice = dice

    def facts(self, engine: Engine) -> dict[str, Any]:
        """How many cases, mean Dice and that of each label that a validation case has."""
        per_label = {label: v for label, v in self.dice.per_label.items() if not math.isnan(v)}
        score = {"num_cases": self.dice.num_cases, **super().facts(engine)["score"]}
        return {"score": {**score, "dice": {k: rounded(value) for k, value in per_label.items()}}}

"""Keep the weights that scored best in validation, with their card."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from ..case import Case
from ..parallel import is_first_process, share_buffers
from ..phantom.marks import all_phantoms
from ..weights.card import Card, kept_by_training
from ..weights.initialisation import STARTED_FROM
from ..weights.loading import files_of, save_weights

logger = logging.getLogger("common.training")

CARD = "model.json"


class BestWeights:
    """The best validation's weights on disk, with its score in their card.

    Attach it to the validation evaluator; its key metric says which epoch is best. In a
    distributed run all processes validate with the first one's buffers, as those are saved. What a
    task's card tells beyond that, `facts` of a subclass gives.

    Args:
        network: Whose weights are kept; a DistributedDataParallel wrapper is looked through.
        card: The card that gave architecture and preprocessing; its other facts are replaced.
        output_dir: Of the run; the card goes there as `model.json`, tensors beside it.
        name: What the weights are called.
        cases: What is trained on; phantoms throughout make synthetic weights, wherever they lie.
        dataset_dir: Where it lies.
        recipe: What else the card says about the training.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        card: Card,
        output_dir: str | Path,
        name: str,
        cases: Sequence[Case],
        dataset_dir: str | Path,
        recipe: Mapping[str, Any],
    ) -> None:
        self.network = network
        self.card = card
        self.output_dir = Path(output_dir)
        self.path = self.output_dir / CARD
        self.name = name
        self.cases = cases
        self.dataset_dir = dataset_dir
        self.recipe = recipe
        self.best = -math.inf

    @cached_property
    def synthetic(self) -> bool:
        """Whether all training cases are phantoms; asks the files where there are any."""
        return all_phantoms(self.cases)

    def attach(self, engine: Engine) -> None:
        """Score at the end of the epoch."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.keep_if_best)

    def state_dict(self) -> dict[str, float]:
        """What a resumed run must know."""
        return {"best": self.best}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Take up the best score of the run that is resumed."""
        self.best = float(state["best"])

    def start(self, _engine: Engine) -> None:
        """Before a validation."""
        share_buffers(self.network)

    def facts(self, engine: Engine) -> dict[str, Any]:
        """What the card tells about this validation; `score` at least. Run by all processes."""
        name = str(engine.state.key_metric_name)
        return {"score": {name: rounded(engine.state.metrics[name])}}

    def keep_if_best(self, engine: Engine) -> None:
        """After a validation: write weights and card if its key metric is the highest so far."""
        name = str(engine.state.key_metric_name)
        reached = float(engine.state.metrics[name])
        facts = self.facts(engine)
        if not reached > self.best:  # nor where it is no number
            return
        self.best = reached
        if is_first_process():
            network = getattr(self.network, "module", self.network)
            content, files = self._content(facts), files_of(self.card)
            card = save_weights(network, content, self.path, files=files)
            logger.info("%s %.4f is the best so far: %s", name, reached, card.path)

    def _content(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        started_from = getattr(getattr(self.network, "module", self.network), STARTED_FROM, None)
        training = {
            "data": "synthetic phantoms" if self.synthetic else str(self.dataset_dir),
            "num_cases": len(self.cases),
            **self.recipe,
            **({"initial_weights": started_from} if started_from else {}),
        }
        return {
            "name": self.name,
            **kept_by_training(self.card),
            **{key: value for key, value in facts.items() if key != "score"},
            "training": training,
            "score": {"data": "validation split of the training data", **facts["score"]},
            "source": "trained by train.json",
            "licence": "Apache-2.0" if self.synthetic else "as the training data allow",
            "synthetic": self.synthetic,
            "clinical_use": False,
        }


def rounded(value: float) -> float | None:
    """Four digits, as cards give scores; None for no number."""
    return None if math.isnan(value) else round(float(value), 4)

"""How a run learns: the validation's score and the loss by training step, from step 0 on.

The first point is the network as training found it, random or fine-tuned from other weights: what
the others must be compared with. It is scored, never kept as the best.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from ignite.engine import Engine, Events
from monai.engines import Evaluator

from ..atomic import write_text
from ..figures.curve import write_curve_figure
from ..parallel import is_first_process
from .best_weights import BestWeights


class Point(NamedTuple):
    """One validation.

    Attributes:
        step: Optimiser steps before it.
        epoch: Epochs before it.
        score: The validation's key metric.
        loss: Mean of the training losses since the point before; None at step 0.
    """

    step: int
    epoch: int
    score: float
    loss: float | None


class LearningCurve:
    """Score the network before training; after each validation write `curve.csv` and `curve.png`.

    Attach it before `EpochSeed`, as `CaseTrainer` does with its `train_handlers`, so that the first
    validation leaves the run's randomness as it was. A resumed run takes up `curve.csv`.

    Args:
        validator: What a `ValidationHandler` runs.
        best: The validator's keeper of weights, in whose folder the files go; it does not see the
            network before training.
    """

    def __init__(self, *, validator: Evaluator, best: BestWeights) -> None:
        self.validator = validator
        self.best = best
        self.points: list[Point] = []
        self._file = best.output_dir / "curve.csv"
        self._losses: list[float] = []
        self._trainer: Engine | None = None
        self._started = False

    def attach(self, engine: Engine) -> None:
        """Listen to the trainer, and to the validator."""
        self._trainer = engine
        engine.add_event_handler(Events.EPOCH_STARTED(event_filter=self._is_first), self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.remember_loss)
        self.validator.add_event_handler(Events.COMPLETED, self.record)

    def start(self, trainer: Engine) -> None:
        """Before the first step of this process: score the network, or take up a run's points."""
        if trainer.state.iteration:
            self.points = [
                point for point in read_curve(self._file) if point.step <= trainer.state.iteration
            ]
            return
        self.validator.remove_event_handler(self.best.keep_if_best, Events.EPOCH_COMPLETED)
        self.validator.run()
        self.validator.add_event_handler(Events.EPOCH_COMPLETED, self.best.keep_if_best)

    def _is_first(self, _trainer: Engine, _event: int) -> bool:
        first, self._started = not self._started, True
        return first

    def remember_loss(self, trainer: Engine) -> None:
        """After a training step."""
        self._losses.append(torch.as_tensor(trainer.state.output[0]["loss"]).item())

    def record(self, validator: Engine) -> None:
        """After a validation.

        Raises:
            InputError: If a file cannot be written.
        """
        assert self._trainer is not None
        now, losses = self._trainer.state, self._losses
        name = str(validator.state.key_metric_name)
        point = Point(
            step=now.iteration,
            epoch=now.epoch if now.iteration else 0,
            score=float(validator.state.metrics[name]),
            loss=sum(losses) / len(losses) if losses else None,
        )
        self.points.append(point)
        self._losses = []
        if is_first_process():
            write_text(self._file, curve_csv(self.points, name))
            write_curve_figure(
                self.best.output_dir / "curve.png",
                steps=[each.step for each in self.points],
                scores=[each.score for each in self.points],
                losses=[each.loss for each in self.points],
                score_name=name.replace("_", " ").replace("auroc", "AUROC"),
                title=f"{self.best.name}: pre-training",
                synthetic=self.best.synthetic,
            )


def curve_csv(points: Sequence[Point], score_name: str) -> str:
    """A row per point; no loss where nothing was trained."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["step", "epoch", score_name, "loss"])
    for point in points:
        loss = "" if point.loss is None else f"{point.loss:.5f}"
        table.writerow([point.step, point.epoch, f"{point.score:.5f}", loss])
    return text.getvalue()


def read_curve(path: Path) -> list[Point]:
    """The points that `curve_csv` wrote; none where there is no file."""
    if not path.is_file():
        return []
    _, *rows = csv.reader(path.read_text().splitlines())
    return [
        Point(int(step), int(epoch), float(score), float(loss) if loss else None)
        for step, epoch, score, loss in rows
    ]

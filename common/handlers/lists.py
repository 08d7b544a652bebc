"""The handlers that every training has, in their order."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.engines import SupervisedEvaluator
from monai.handlers import (
    LrScheduleHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    ValidationHandler,
    from_engine,
)
from torch.optim.lr_scheduler import LRScheduler

from .best_weights import BestWeights
from .epoch_seed import EpochSeed
from .run_checkpoint import RunCheckpoint


def training_handlers(
    *,
    output_dir: str | Path,
    seed: int,
    lr_scheduler: LRScheduler,
    validator: SupervisedEvaluator,
    val_interval: int,
    resumable: Mapping[str, Any],
) -> list[Any]:
    """Seeds per epoch, learning rate per batch, validation, loss in log and TensorBoard, resuming.

    Args:
        output_dir: Takes TensorBoard's files and `checkpoint.pt`.
        seed: Of the whole run.
        lr_scheduler: Stepped after every batch.
        validator: Run after every `val_interval` epochs.
        val_interval: In epochs.
        resumable: Name to object: what a resumed run goes on with.
    """
    loss = from_engine(["loss"], first=True)
    return [
        EpochSeed(seed=seed),
        LrScheduleHandler(lr_scheduler, print_lr=False, epoch_level=False),
        ValidationHandler(validator=validator, interval=val_interval),
        StatsHandler(tag_name="loss", output_transform=loss),
        TensorBoardStatsHandler(log_dir=str(output_dir), tag_name="loss", output_transform=loss),
        RunCheckpoint(path=Path(output_dir) / "checkpoint.pt", objects=resumable),
    ]


def validation_handlers(*, output_dir: str | Path, best: BestWeights) -> list[Any]:
    """Keeping the best weights, scores in log and TensorBoard."""
    return [
        best,
        StatsHandler(iteration_log=False),
        TensorBoardStatsHandler(log_dir=str(output_dir), iteration_log=False),
    ]

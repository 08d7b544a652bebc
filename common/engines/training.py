"""What every training shares: loaders, handlers, checkpoint, several processes.

A bundle's `train.json` names cases, augmentation, loss, optimizer and metric; the engines here are
MONAI's with the rest already in them. One process or many is decided by the world size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from monai.data import DataLoader, DistributedSampler
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import (
    IgniteMetricHandler,
    LrScheduleHandler,
    StatsHandler,
    ValidationHandler,
    from_engine,
)
from monai.metrics import CumulativeIterationMetric
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Dataset

from ..handlers.best_weights import BestWeights
from ..handlers.epoch_seed import EpochSeed
from ..handlers.run_checkpoint import RunCheckpoint
from ..handlers.tensorboard_stats import TensorBoardStats
from ..handlers.time_left import TimeLeft
from ..parallel import StretchSampler, is_first_process

CHECKPOINT = "checkpoint.pt"
PRED_AND_LABEL = from_engine(["pred", "label"])


class Handler(Protocol):
    """Whatever listens to an engine's events."""

    def attach(self, engine: Engine) -> None:
        """Listen."""


def training_loader(
    dataset: Dataset[Any],
    *,
    batch_size: int,
    cases_per_epoch: int = 0,
    num_workers: int = 0,
    drop_last: bool = False,
    seed: int = 0,
) -> DataLoader:
    """Batches of shuffled cases, shared out among the processes.

    Args:
        dataset: What is trained on.
        batch_size: Cases per process and step.
        cases_per_epoch: Over all processes, see `StretchSampler`; 0 takes all.
        num_workers: Processes that prepare cases; 0 does it in this one.
        drop_last: Whether an epoch leaves out a last batch of fewer cases.
        seed: Of the shuffle.

    Raises:
        InputError: If there is no case or `cases_per_epoch` is negative.
    """
    sampler = StretchSampler(dataset, stretch=cases_per_epoch, seed=seed)  # type: ignore[arg-type]
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        drop_last=drop_last,
    )


class CaseValidator(SupervisedEvaluator):
    """Score the network on validation cases, and keep the best weights.

    Several processes share the cases out and score them together.

    Args:
        dataset: Validation cases.
        network: What is scored.
        key_val_metric: One metric by its name.
        best: Keeps the weights, and says where the run's files go; first of the handlers, so that
            what it finds is printed too.
        metric_input: From the engine's output to prediction and truth, as the metric takes them.
        batch_size: Cases at once.
        num_workers: Processes that prepare cases.
        val_handlers: Beyond best weights and what prints and plots.
        options: Of MONAI's `SupervisedEvaluator`.
    """

    def __init__(
        self,
        *,
        dataset: Dataset[Any],
        network: nn.Module,
        key_val_metric: Mapping[str, CumulativeIterationMetric],
        best: BestWeights,
        metric_input: Callable[[Any], Any] = PRED_AND_LABEL,
        batch_size: int = 1,
        num_workers: int = 0,
        val_handlers: Sequence[Handler] = (),
        **options: Any,
    ) -> None:
        self.best = best
        metric = {
            name: IgniteMetricHandler(metric_fn=each, output_transform=metric_input)
            for name, each in key_val_metric.items()
        }
        super().__init__(
            val_data_loader=DataLoader(
                dataset,
                batch_size=batch_size,
                sampler=_own_share(dataset),
                num_workers=num_workers,
            ),
            network=network,
            key_val_metric=metric,
            val_handlers=[best, *val_handlers, *_said(best.output_dir, iteration_log=False)],
            **options,
        )


class CaseTrainer(SupervisedTrainer):
    """Train a network, validate it, keep its best weights and the state of the run.

    In several processes the network is wrapped for them, on GPUs with batch norm over all of them.
    A run that was ended goes on from its folder, see `RunCheckpoint` and `EpochSeed`.

    Args:
        network: What is trained.
        optimizer: Of its parameters.
        lr_scheduler: Stepped with every batch.
        validator: Run after every `val_interval` epochs; its folder is the run's.
        seed: Of the run.
        val_interval: In epochs.
        ema: Where averaged weights are wanted: what averages them.
        train_handlers: Beyond these; they come first, so the checkpoint holds what they did.
        options: Of MONAI's `SupervisedTrainer`.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        optimizer: Optimizer,
        lr_scheduler: LRScheduler,
        validator: CaseValidator,
        seed: int = 0,
        val_interval: int = 1,
        ema: EMAHandler | None = None,
        train_handlers: Sequence[Handler] = (),
        **options: Any,
    ) -> None:
        self.validator = validator
        run = {
            "network": network,
            "optimizer": optimizer,
            "lr_scheduler": lr_scheduler,
            "best": validator.best,
            **({"ema": ema.ema_model} if ema else {}),
        }
        output_dir = validator.best.output_dir
        loss = from_engine(["loss"], first=True)
        handlers = [
            *train_handlers,
            EpochSeed(seed=seed),
            LrScheduleHandler(lr_scheduler, print_lr=False, epoch_level=False),
            ValidationHandler(val_interval, validator),
            *_said(output_dir, tag_name="loss", output_transform=loss),
            TimeLeft(),
            *([ema] if ema else []),
            RunCheckpoint(path=output_dir / CHECKPOINT, objects=run),
        ]
        super().__init__(
            network=_shared(network),
            optimizer=optimizer,
            train_handlers=handlers,
            decollate=False,
            **options,
        )

    def _iteration(self, engine: SupervisedTrainer, batchdata: Any) -> list[dict[str, Any]]:
        """One step; its output is a list, as MONAI's handlers expect it, of the whole batch."""
        return [super()._iteration(engine, batchdata)]


def _shared(network: nn.Module) -> nn.Module:
    """The network itself, or what keeps it equal in all processes."""
    if idist.get_world_size() == 1:
        return network
    wrapped: nn.Module = idist.auto_model(network, sync_bn=torch.cuda.is_available())
    return wrapped


def _own_share(dataset: Dataset[Any]) -> DistributedSampler | None:
    """Which cases this process scores: each by one process, some by one case more than others."""
    if idist.get_world_size() == 1:
        return None
    return DistributedSampler(
        dataset,
        even_divisible=False,
        shuffle=False,
        num_replicas=idist.get_world_size(),
        rank=idist.get_rank(),
    )


def _said(output_dir: Path, **options: Any) -> list[Handler]:
    """What prints numbers and what plots them, in the first process."""
    if not is_first_process():
        return []
    return [StatsHandler(**options), TensorBoardStats(log_dir=output_dir, **options)]

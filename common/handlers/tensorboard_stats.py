"""MONAI's TensorBoard handler, whose file is made with the first number, not with the config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from monai.handlers import TensorBoardStatsHandler


class TensorBoardStats(TensorBoardStatsHandler):
    """Write losses and metrics for TensorBoard.

    Args:
        log_dir: Where the event file goes; made with the first number.
        kwargs: Of MONAI's `TensorBoardStatsHandler`.
    """

    def __init__(self, *, log_dir: str | Path, **kwargs: Any) -> None:
        super().__init__(summary_writer=_Writer(log_dir), **kwargs)

    def attach(self, engine: Engine) -> None:
        """Attach; what was written reaches the disk with each epoch."""
        super().attach(engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: self._writer.flush())


class _Writer:
    """A `SummaryWriter` from its first use on."""

    def __init__(self, log_dir: str | Path) -> None:
        self._log_dir = str(log_dir)
        self._writer: Any = None

    def __getattr__(self, name: str) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(log_dir=self._log_dir)
        return getattr(self._writer, name)

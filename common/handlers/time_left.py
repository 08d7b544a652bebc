"""How long a training run will take: once after its first steps, then after each epoch.

Attach it after a `ValidationHandler`, as `CaseTrainer` does, so that validation is in it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from ignite.engine import Engine, Events

from ..parallel import is_first_process

logger = logging.getLogger("common.training")


class TimeLeft:
    """Log seconds per step and when the run will end, in the first process.

    The first word comes after `steps` steps of this process, or at the end of its first epoch if
    that is shorter; the very first step, in which everything warms up, is not counted unless it is
    the only one. It knows nothing of validation yet. After an epoch everything since the one before
    counts: steps, validation, files. What a resumed run has behind it is not counted again.

    Args:
        steps: After how many steps the first word comes, 1 or more.
        clock: Seconds from any point on.
    """

    def __init__(self, *, steps: int = 5, clock: Callable[[], float] = time.monotonic) -> None:
        self.steps = steps
        self.clock = clock
        self._told = False
        self._steps: list[float] = []  # seconds at the end of each of the first
        self._start = self._epoch_start = 0.0

    def attach(self, engine: Engine) -> None:
        """Listen."""
        engine.add_event_handler(Events.EPOCH_STARTED, self.start_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.after_step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.after_epoch)

    def start_epoch(self, _engine: Engine) -> None:
        """The first epoch of this process begins; the others when the one before ends."""
        if not self._start:
            self._start = self._epoch_start = self.clock()

    def after_step(self, engine: Engine) -> None:
        """Say it once."""
        length = engine.state.epoch_length
        if self._told or length is None:  # a stream's length is known once it has ended
            return
        self._steps.append(self.clock())
        if len(self._steps) < self.steps and engine.state.iteration % length:
            return
        self._told = True
        warm = len(self._steps) - 1
        per_step = (self._steps[-1] - (self._steps[0] if warm else self._start)) / (warm or 1)
        left = engine.state.max_epochs * length - engine.state.iteration
        if left:
            self._say(f"{per_step:.3g} s per step, {left} steps left", per_step * left, " at least")

    def after_epoch(self, engine: Engine) -> None:
        """Say it with all that an epoch has."""
        now = self.clock()
        took, self._epoch_start = now - self._epoch_start, now
        left = engine.state.max_epochs - engine.state.epoch
        if left:
            per_step = took / engine.state.epoch_length
            words = f"epoch {engine.state.epoch} took {duration(took)} ({per_step:.3g} s per step"
            of = f"{left} of {engine.state.max_epochs} epochs left"
            self._say(f"{words}, validation included), {of}", took * left)

    def _say(self, words: str, seconds: float, hedge: str = "") -> None:
        if is_first_process():
            end = datetime.now().astimezone() + timedelta(seconds=seconds)
            logger.info("%s: ends in%s %s, %s", words, hedge, duration(seconds), f"{end:%F %H:%M}")


def duration(seconds: float) -> str:
    """Seconds as people say them: `40 s`, `5 min`, `2 h 05 min`, `3 d 4 h`."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"

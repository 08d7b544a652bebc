"""Scans for training without labels, where one that cannot be read is replaced, not fatal.

Among a hundred thousand scans some are damaged, and a run of days must not end at one of them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from ..case import Case
from ..errors import InputError
from ..parallel import is_first_process
from .cached_cases import CachedCases, UnwritableCacheError
from .case_evaluator import reason_of

logger = logging.getLogger("common.training")


class ScanDataset(CachedCases):
    """Cached cases of which the next one stands in for one that fails.

    Args:
        data: Cases.
        transform: From a case to network input; what comes before the first random step is kept.
        cache_dir: Where it is kept.
        left_out: A file of JSON lines, `path` and `reason`, to which every scan that fails is
            added, once by each process that meets it.
    """

    def __init__(
        self,
        data: Sequence[Case],
        transform: Callable[[Any], Any],
        *,
        cache_dir: str | Path,
        left_out: str | Path,
    ) -> None:
        super().__init__(data, transform, cache_dir=cache_dir)
        self.left_out = Path(left_out)
        self._known: set[int] = set()

    def _transform(self, index: int) -> Any:
        """The scan at `index`, or the first after it that can be had.

        Raises:
            InputError: If none can, or what was read cannot be kept.
        """
        reason = "there is none"
        for place in (*range(index, len(self)), *range(index)):
            try:
                return super()._transform(place)
            except UnwritableCacheError:
                raise
            except Exception as error:  # whatever is wrong with it
                reason = reason_of(error.__cause__ or error)
                self._leave_out(place, reason)
        msg = f"data must hold a scan that can be read, got none of {len(self)}; the last: {reason}"
        raise InputError(msg)

    def _leave_out(self, place: int, reason: str) -> None:
        if place in self._known:
            return
        self._known.add(place)
        self.left_out.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"path": self.data[place]["image"], "reason": reason})
        with self.left_out.open("a", encoding="utf-8") as file:  # one write: lines stay whole
            file.write(f"{line}\n")


class TellLeftOut:
    """Say after each epoch how many scans could not be read, when there are more than before.

    Args:
        left_out: The file that `ScanDataset` writes.
    """

    def __init__(self, *, left_out: str | Path) -> None:
        self.left_out = Path(left_out)
        self._told = 0

    def attach(self, engine: Engine) -> None:
        """Look at the end of each epoch."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, _engine: Engine) -> None:
        """Log, in one process."""
        paths = read_left_out(self.left_out)
        if len(paths) > self._told and is_first_process():
            self._told = len(paths)
            logger.warning(
                "%d scans cannot be read and are left out, see %s", len(paths), self.left_out
            )


def read_left_out(path: str | Path) -> dict[str, str]:
    """Reason by path of every scan that was left out, each once; empty if there is no file."""
    path = Path(path)
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    return {entry["path"]: entry["reason"] for entry in map(json.loads, lines)}

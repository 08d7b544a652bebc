"""Cases read ahead by threads, each given out once, in order; who is busy elsewhere comes last."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from torch import Tensor

from ..case import Case
from ..errors import InputError

RETRY_S = 0.5
Read = Callable[[Case], dict[str, Any] | None]
Work = tuple[Case, "Future[dict[str, Any] | None]"]


class CaseLoader:
    """One case per batch; a scan never travels between processes.

    torch's loader with threads in place of processes ends its thread when the process that started
    this one ends, and the list then begins again: cases run twice, others never.

    Args:
        cases: What to read.
        read: From a case to what the network gets; None says that the case is not to be had now.
            It is asked for again, after all others, until it is. Whatever it raises ends the loop.
        num_workers: Threads that read ahead; 0 reads each case when it is needed.

    Raises:
        InputError: If `num_workers` is no number of threads.
    """

    def __init__(self, cases: Sequence[Case], read: Read, *, num_workers: int = 1) -> None:
        if isinstance(num_workers, bool) or not isinstance(num_workers, int) or num_workers < 0:
            msg = f"num_workers must be 0 or more, got {num_workers}; 1 is enough for most"
            raise InputError(msg)
        self.cases = list(cases)
        self.read = read
        self.num_workers = num_workers

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every case once: `with_batch_axis` of what `read` made of it."""
        busy: deque[Case] = deque()
        for case, prepared in self._read_ahead():
            if prepared is None:
                busy.append(case)
            else:
                yield with_batch_axis(prepared)
        while busy:
            for _ in range(len(busy)):
                case = busy.popleft()
                prepared = self.read(case)
                if prepared is None:
                    busy.append(case)
                else:
                    yield with_batch_axis(prepared)
            if busy:
                time.sleep(RETRY_S)

    def _read_ahead(self) -> Iterator[tuple[Case, dict[str, Any] | None]]:
        """Each case with what was read of it, in order."""
        if self.num_workers == 0:
            yield from ((case, self.read(case)) for case in self.cases)
            return
        todo: SimpleQueue[Work | None] = SimpleQueue()
        threads = [
            threading.Thread(target=self._work, args=(todo,), daemon=True, name="read ahead")
            for _ in range(self.num_workers)
        ]
        for thread in threads:
            thread.start()
        ahead: deque[Work] = deque()
        try:
            for case in self.cases:
                work: Work = (case, Future())
                todo.put(work)
                ahead.append(work)
                if len(ahead) > self.num_workers:
                    yield _done(ahead.popleft())
            while ahead:
                yield _done(ahead.popleft())
        finally:
            for _, future in ahead:
                future.cancel()
            for _ in threads:
                todo.put(None)

    def _work(self, todo: SimpleQueue[Work | None]) -> None:
        while (work := todo.get()) is not None:
            case, future = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self.read(case))
            except BaseException as error:  # it is raised again where the case is asked for
                future.set_exception(error)


def _done(work: Work) -> tuple[Case, dict[str, Any] | None]:
    case, future = work
    return case, future.result()


def with_batch_axis(case: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of one: tensors get a batch axis, everything else stays as it is."""
    return {key: value[None] if isinstance(value, Tensor) else value for key, value in case.items()}

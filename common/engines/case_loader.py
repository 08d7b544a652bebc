"""Cases read ahead by threads, each given out once, in order; who is busy elsewhere comes last."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

from torch import Tensor

from ..case import Case
from ..errors import InputError

RETRY_S = 0.5
Read = Callable[[Case], dict[str, Any] | None]


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
        self._running: Generator[dict[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every case once: `with_batch_axis` of what `read` made of it."""
        self.close()
        self._running = self._prepared()
        return self._running

    def close(self) -> None:
        """End the loop; nothing is read any more once this returns."""
        if self._running is not None:
            self._running.close()

    def _prepared(self) -> Generator[dict[str, Any]]:
        busy: deque[Case] = deque()
        with closing(self._read_ahead()) as ahead:
            for case, prepared in ahead:
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

    def _read_ahead(self) -> Generator[tuple[Case, dict[str, Any] | None]]:
        """Each case with what was read of it, in order."""
        if self.num_workers == 0:
            yield from ((case, self.read(case)) for case in self.cases)
            return
        threads = ThreadPoolExecutor(self.num_workers, thread_name_prefix="read ahead")
        ahead: deque[tuple[Case, Future[dict[str, Any] | None]]] = deque()
        try:
            for case in self.cases:
                ahead.append((case, threads.submit(self.read, case)))
                if len(ahead) > self.num_workers:
                    done, future = ahead.popleft()
                    yield done, future.result()
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result()
        finally:
            threads.shutdown(cancel_futures=True)


def with_batch_axis(case: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of one: tensors get a batch axis, everything else stays as it is."""
    return {key: value[None] if isinstance(value, Tensor) else value for key, value in case.items()}

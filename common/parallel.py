"""One process or many: who am I, and who waits for whom. Everything rests on ignite's idist."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from datetime import timedelta
from typing import Any, TypeVar

import ignite.distributed as idist
import torch
from torch import nn
from torch.utils.data.distributed import DistributedSampler

from .errors import InputError

LONGEST_WAIT = timedelta(days=2)  # a process that is done waits for the slowest
POLL_S, WATCH_S = 0.05, 60.0

Item = TypeVar("Item")


def pick_device(name: str = "auto") -> torch.device:
    """The device of this process.

    Args:
        name: `auto` takes the GPU with this process's local rank where there is one, else the
            CPU. Anything else is torch's own name for a device.

    Raises:
        InputError: If there is no such device here.
    """
    if name != "auto":
        return existing_device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def existing_device(device: torch.device | str) -> torch.device:
    """The device itself, if it can be used here.

    Raises:
        InputError: If torch knows no such device or this machine has none.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        msg = (
            f"device must be one that torch can use here, got {device}; "
            "give cpu, cuda or cuda:<number>, or leave it out to choose automatically"
        )
        raise InputError(msg) from error
    if found.type == "meta":
        msg = "device must hold numbers, got meta; give cpu, cuda or cuda:<number>"
        raise InputError(msg)
    return found


def join_processes() -> None:
    """Join the processes that torchrun started: NCCL with GPUs, gloo without. Alone: nothing.

    They part by themselves when the program ends.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        if backend == "nccl":
            torch.cuda.set_device(pick_device())
        torch.distributed.init_process_group(backend, timeout=LONGEST_WAIT)
        atexit.register(leave_processes)


def leave_processes() -> None:
    """Leave the process group, if there is one."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def is_first_process() -> bool:
    """Whether this process is the one that prints, merges and saves."""
    return bool(idist.get_rank() == 0)


def wait_for_others(watch: Callable[[], None] | None = None) -> None:
    """Return once every process is here.

    Args:
        watch: Looked at by the first process now and then while it waits; may raise.
    """
    if watch is None or not torch.distributed.is_initialized():
        idist.barrier()
        return
    work = torch.distributed.barrier(async_op=True)
    looked = time.monotonic()
    while not work.is_completed():
        time.sleep(POLL_S)
        if is_first_process() and time.monotonic() - looked > WATCH_S:
            watch()
            looked = time.monotonic()
    work.wait()


def gather(value: Item) -> list[Item]:
    """What every process has, in all of them, by the number of the process."""
    if not torch.distributed.is_initialized():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def share_buffers(network: nn.Module) -> None:
    """Give every process the first one's buffers, such as the means that batch norm has run up."""
    if torch.distributed.is_initialized():
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, src=0)


def own_share(items: Sequence[Item]) -> list[Item]:
    """This process's part of a list: every n-th item of n processes."""
    return list(items[idist.get_rank() :: idist.get_world_size()])


class StretchSampler(DistributedSampler[int]):
    """Each epoch takes the next stretch of a shuffled list, shared out among the processes.

    A large data set then has epochs of a chosen length, and epoch e is the same after a restart.

    Args:
        dataset: What is sampled; only its length is used.
        stretch: Items per epoch over all processes; 0 takes the whole list.
        shuffle: Whether the list is shuffled; if not, neighbours stay together.
        seed: Of the shuffle.

    Raises:
        InputError: If there is nothing to sample or `stretch` is negative.
    """

    def __init__(
        self, dataset: Sized, *, stretch: int = 0, shuffle: bool = True, seed: int = 0
    ) -> None:
        if stretch < 0:
            msg = f"stretch must be 0 or more, got {stretch}; 0 takes the whole list"
            raise InputError(msg)
        if len(dataset) == 0:
            msg = "dataset must hold at least one item, got none; give cases to sample from"
            raise InputError(msg)
        super().__init__(
            dataset,  # type: ignore[arg-type]
            num_replicas=idist.get_world_size(),
            rank=idist.get_rank(),
            shuffle=shuffle,
            seed=seed,
        )
        self.list_length = len(dataset)
        self.stretch = min(stretch, self.list_length) or self.list_length
        self.num_samples = -(-self.stretch // self.num_replicas)

    def __iter__(self) -> Iterator[int]:
        """Indices of this process in the epoch last given to `set_epoch`."""
        first = self.epoch * self.num_samples * self.num_replicas
        for place in range(
            first + self.rank, first + self.num_samples * self.num_replicas, self.num_replicas
        ):
            round_number, position = divmod(place, self.list_length)
            yield self._order(round_number)[position] if self.shuffle else position

    def _order(self, round_number: int) -> list[int]:
        if getattr(self, "_round_number", None) != round_number:
            generator = torch.Generator().manual_seed(self.seed + round_number)
            self._order_of_round: list[int] = torch.randperm(
                self.list_length, generator=generator
            ).tolist()
            self._round_number = round_number
        return self._order_of_round

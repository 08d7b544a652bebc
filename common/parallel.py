"""One process or many: who am I, and who waits for whom. Everything rests on ignite's idist."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Callable, Iterator, Sequence, Sized
from datetime import timedelta
from itertools import count
from typing import Any, TypeVar, cast

import ignite.distributed as idist
import torch
from torch import nn
from torch.distributed import init_process_group
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous
from torch.utils.data.distributed import DistributedSampler

from .errors import InputError

LONGEST_WAIT = timedelta(days=2)  # a process that is done waits for the slowest
LOOK_EVERY, LOOKS_TO_TELL = timedelta(minutes=1), 10  # and says meanwhile whom it waits for

Item = TypeVar("Item")

log = logging.getLogger(__name__)
_waits = count()
_store: Store | None = None  # where the processes leave word that they are here


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
        return torch.device("cuda", _stated("LOCAL_RANK", 0) if _num_processes() > 1 else 0)
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


def join_processes(minutes: float = 10.0) -> None:
    """Join the processes that torchrun started: NCCL with GPUs, gloo without. Alone: nothing.

    They part by themselves when the program ends.

    Args:
        minutes: How long to wait for all of them to come.

    Raises:
        InputError: If they do not, or if the environment speaks of several processes and does not
            say how they meet, as a `WORLD_SIZE` that was left behind by something else does.
    """
    global _store
    if _num_processes() == 1 or torch.distributed.is_initialized():
        return
    patience = timedelta(minutes=minutes)
    store, rank, size = _meeting_point(patience)
    late = _late(store, "join", rank, size, patience)
    if late:
        found = f"got {size - len(late)} of {size} after {minutes:g} minutes"
        raise _not_together(found)
    # ignite takes the local rank from Slurm, which need not say it, nor the same as torchrun
    slurm = os.environ.get("SLURM_LOCALID", "0")
    os.environ["SLURM_LOCALID"] = os.environ.get("LOCAL_RANK", slurm)
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    if backend == "nccl":
        torch.cuda.set_device(pick_device())
    store.set_timeout(LONGEST_WAIT)
    init_process_group(backend, store=store, rank=rank, world_size=size, timeout=LONGEST_WAIT)
    _store = store
    atexit.register(leave_processes)


def _num_processes() -> int:
    number = _stated("WORLD_SIZE", 1)
    if number < 1:
        msg = f"WORLD_SIZE must be the number of processes, got {number}; unset it to run alone"
        raise InputError(msg)
    return number


def _stated(name: str, otherwise: int) -> int:
    """A number of the environment."""
    value = os.environ.get(name) or str(otherwise)
    try:
        return int(value)
    except ValueError as error:
        msg = f"{name} must be a number, got {value}; start with torchrun, or unset it"
        raise InputError(msg) from error


def _meeting_point(patience: timedelta) -> tuple[Store, int, int]:
    """The store that all processes share, this process's rank and their number."""
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        found = f"got WORLD_SIZE={_num_processes()} without {', '.join(missing)}"
        raise _not_together(found)
    rank, size = _stated("RANK", 0), _num_processes()
    if not 0 <= rank < size:
        found = f"got RANK={rank} of WORLD_SIZE={size}"
        raise _not_together(found)
    try:
        store, rank, size = next(rendezvous("env://", timeout=patience))
    except (RuntimeError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        found = f"got no meeting at {place} ({first_line})"
        raise _not_together(found) from error
    return store, rank, size


def _not_together(found: str) -> InputError:
    how = (
        "start all of them with torchrun (`--start::join_minutes` gives them longer), "
        "or unset WORLD_SIZE to run alone"
    )
    return InputError(f"processes must come together, {found}; {how}")


def _late(store: Store, place: str, rank: int, size: int, patience: timedelta) -> list[int]:
    """Leave word in `store` that this process is at `place`; who is not after `patience`."""
    store.set(f"{place}/{rank}", "")
    try:
        store.wait([f"{place}/{other}" for other in range(size)], patience)
    except RuntimeError:  # torch's DistStoreError
        return _not_there(store, place, size)
    return []


def _not_there(store: Store, place: str, size: int) -> list[int]:
    try:
        return [other for other in range(size) if not store.check([f"{place}/{other}"])]
    except RuntimeError as error:  # the first process holds the store
        found = "got no answer of process 0, which has ended"
        raise _not_together(found) from error


def leave_processes() -> None:
    """Leave the process group, if there is one."""
    global _store
    _store = None
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def is_first_process() -> bool:
    """Whether this process is the one that prints, merges and saves."""
    return bool(idist.get_rank() == 0)


def wait_for_others(watch: Callable[[], None] | None = None) -> None:
    """Return once every process is here. Every ten minutes the log names those that are not.

    Args:
        watch: Called by the first process every minute that it waits; may raise.
    """
    if _store is not None:
        place, rank, size = f"wait {next(_waits)}", idist.get_rank(), idist.get_world_size()
        for look in count(1):
            late = _late(_store, place, rank, size, LOOK_EVERY)
            if not late:
                break
            if watch is not None and rank == 0:
                watch()
            if look % LOOKS_TO_TELL == 0:
                log.warning("process %d waits for %s", rank, ", ".join(map(str, late)))
    idist.barrier()


def gather(value: Item) -> list[Item]:
    """What every process has, in all of them, by the number of the process."""
    if not torch.distributed.is_initialized():
        return [value]
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, value)
    return found


def from_first(value: Item) -> Item:
    """What the first process has, in all of them."""
    if not torch.distributed.is_initialized():
        return value
    found: list[Any] = [value]
    torch.distributed.broadcast_object_list(found, src=0)
    return cast(Item, found[0])


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

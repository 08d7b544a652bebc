"""How much memory one case may take; what would take more is refused by its numbers.

A damaged or malicious header can claim terabytes, and a few kilobytes can unfold to gigabytes. The
sizes are multiplied as Python integers, which never wrap, before anything is allocated.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from .errors import InputError

GB = 10**9
AUTO = "auto"
AUTO_SHARE = 3  # a scan in work, one read ahead and one being read
AUTO_MOST_GB = 16.0  # four times 1024 x 1024 x 2000 voxels of int16


def array_bytes(shape: Iterable[int], dtype: DTypeLike) -> int:
    """Bytes of an array, exact however large.

    Args:
        shape: Entries along each axis.
        dtype: Of one entry.
    """
    return math.prod(int(length) for length in shape) * np.dtype(dtype).itemsize


def memory_bound_gb(max_gb: float | str) -> float:
    """The bound as a number.

    Args:
        max_gb: In units of 10**9 bytes, or `auto`: a third of the memory that this machine or
            container has, shared among the processes that torchrun started here, at most 16.

    Raises:
        InputError: If it is neither.
    """
    if max_gb == AUTO:
        processes = max(int(os.environ.get("LOCAL_WORLD_SIZE") or 1), 1)  # torchrun's, here
        return min(_machine_bytes() / GB / AUTO_SHARE / processes, AUTO_MOST_GB)
    if not isinstance(max_gb, int | float) or isinstance(max_gb, bool) or not max_gb > 0:
        msg = f"max_gb must be a number above 0 or 'auto', got {max_gb}; 'auto' fits most machines"
        raise InputError(msg)
    return float(max_gb)


def check_memory(name: object, num_bytes: int, what: str, *, max_gb: float | str) -> None:
    """Refuse what would take more than a case may.

    Args:
        name: Of the scan, for the error.
        num_bytes: What it would take.
        what: What that memory holds, for the error.
        max_gb: The bound, see `memory_bound_gb`.

    Raises:
        InputError: If it would take more.
    """
    bound_gb = memory_bound_gb(max_gb)
    if num_bytes > bound_gb * GB:
        msg = (
            f"{name} must take at most {bound_gb:.3g} GB of memory, got {num_bytes / GB:.3g} GB "
            f"for {what}; if that is right, give a higher --max_gb"
        )
        raise InputError(msg)


@functools.cache
def _machine_bytes() -> float:
    """Memory of this machine, or of the container that limits it; infinite where unknown."""
    limits = [math.inf]
    if hasattr(os, "sysconf"):
        limits.append(float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))
    for file in _limit_files():
        try:
            limits.append(float(file.read_text()))
        except (OSError, ValueError):  # no such file, or "max": no limit
            continue
    return min(limit for limit in limits if limit > 0)


def _limit_files() -> list[Path]:
    """Where Linux states the limits of this process's control group and of those above it."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    files = []
    for line in lines:
        _, controllers, group = line.split(":", maxsplit=2)
        if controllers not in ("", "memory"):
            continue
        root, name = Path("/sys/fs/cgroup", controllers), "memory.max"
        if controllers:  # version 1 of control groups
            name = "memory.limit_in_bytes"
        folder = root / group.strip("/")
        files += [
            place / name for place in (folder, *folder.parents) if root in (place, *place.parents)
        ]
    return files

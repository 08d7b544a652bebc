"""Read voxels into their array in the background, so that work can start early.

They are read or inflated straight into their final place: no second copy of the volume ever
exists. Nothing is mapped: a file that shrinks while it is read is an error of its case, where a
mapped one would end the process. A consumer computes on the slabs that are ready while the rest
arrives.
"""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..memory import array_bytes
from .gunzip import damaged

CHUNK_BYTES = 2 << 20
HIGHEST_RATIO = 1100  # deflate reaches 1032; no scan with noise in it comes near
SMALL_BYTES = 1 << 30  # empty label volumes reach any ratio in bzip2


def check_complete(
    path: Path, shape: tuple[int, int, int], dtype: np.dtype[Any], num_found: int
) -> list[str]:
    """Refuse a header that does not fit the bytes that follow it uncompressed.

    Args:
        path: The file.
        shape: Of the volume, by its header.
        dtype: Of its voxels.
        num_found: Bytes that follow.

    Returns:
        What a result should repeat: a sentence where a few bytes more follow.

    Raises:
        InputError: If there are fewer than voxels, or so many more that the shape may be wrong:
            one plane or more.
    """
    num_bytes, more = array_bytes(shape, dtype), num_found - array_bytes(shape, dtype)
    if more < 0 or more >= num_bytes // max(shape):
        msg = (
            f"{path} must hold {num_bytes} bytes of voxels, got {max(num_found, 0)}; "
            "copy or download it again"
        )
        raise InputError(msg)
    return [f"{more} bytes after the voxels are ignored."] if more else []


def check_plausible(path: Path, num_bytes: int, *, small_bytes: int = 0) -> None:
    """Refuse a header that claims more voxels than a compressed file can hold.

    Args:
        path: The file.
        num_bytes: What it should inflate to.
        small_bytes: Up to here any file is believed.

    Raises:
        InputError: If no scan in a file of this size inflates to `num_bytes`.
    """
    size = path.stat().st_size
    if num_bytes > max(size * HIGHEST_RATIO, small_bytes):
        msg = f"{path} must hold {num_bytes} bytes of voxels, got a file of {size}; copy it again"
        raise InputError(msg)


class BackgroundFill:
    """Fills an array from a stream in its own thread.

    Args:
        stream: Gives the array's bytes in memory order; is closed afterwards.
        voxels: `(I, J, K)`, contiguous in C or Fortran order; written in place.
        path: Named in errors.
        to_the_end: The stream must end with the last voxel, and its checksum, which stands at
            the end, is verified.
    """

    def __init__(
        self,
        stream: io.BufferedIOBase,
        voxels: NDArray[Any],
        path: Path,
        *,
        to_the_end: bool = True,
    ) -> None:
        self._stream = stream
        self._path = path
        self._to_the_end = to_the_end
        in_memory_order = voxels if voxels.flags.c_contiguous else voxels.T
        self._target = in_memory_order.reshape(-1).view(np.uint8).data
        self._num_steps = in_memory_order.shape[0]
        self._bytes_per_step = voxels.nbytes // self._num_steps
        self._filled_bytes = 0
        self._finished = False
        self._error: InputError | None = None
        self._progress = threading.Condition()
        threading.Thread(target=self._run, name=f"read {path.name!r}", daemon=True).start()

    def wait_until_filled(self, stop: int) -> None:
        """Return once the first `stop` entries along the slowest axis in memory are final.

        Waiting for the last entry also waits for the checksum.

        Raises:
            InputError: If the stream is truncated, too long, or its checksum is wrong.
        """
        needed = min(stop, self._num_steps) * self._bytes_per_step
        needs_end = stop >= self._num_steps

        def ready() -> bool:
            if self._error is not None or self._finished:
                return True
            return not needs_end and self._filled_bytes >= needed

        with self._progress:
            self._progress.wait_for(ready)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            with self._stream:
                self._fill()
                if self._to_the_end:
                    self._check_end()
        except InputError as error:
            self._report(error=error)
        except Exception as error:  # whatever it is, no one may wait for ever
            self._report(error=damaged(self._path, error))
        else:
            self._report(finished=True)

    def _fill(self) -> None:
        while self._filled_bytes < len(self._target):
            stop = self._filled_bytes + CHUNK_BYTES
            count = self._stream.readinto(self._target[self._filled_bytes : stop])
            if not count:
                msg = f"{self._filled_bytes} of {len(self._target)} bytes of voxels"
                raise EOFError(msg)
            self._report(count=count)

    def _check_end(self) -> None:
        """One byte further lies the checksum, or what should not be there."""
        if self._stream.read(1):
            msg = (
                f"{self._path} must hold {len(self._target)} bytes of voxels, as its header says, "
                "got more; save the volume again"
            )
            raise InputError(msg)

    def _report(
        self, *, count: int = 0, finished: bool = False, error: InputError | None = None
    ) -> None:
        with self._progress:
            self._filled_bytes += count
            self._finished = finished
            self._error = error
            self._progress.notify_all()

"""Decompress a gzip stream into an array in the background, so that work can start early.

The voxels are inflated by ISA-L straight into their final place: no second copy of the volume
ever exists. ISA-L drops the interpreter lock while it works, so a consumer computes on the slabs
that are ready while the rest arrives.
"""

from __future__ import annotations

import threading
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from isal import igzip, isal_zlib
from numpy.typing import NDArray

from ..errors import InputError

CHUNK_BYTES = 2 << 20
HIGHEST_RATIO = 1100  # deflate reaches 1032
DAMAGE_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    zlib.error,
    zipfile.BadZipFile,
    isal_zlib.error,  # type: ignore[assignment]  # its stub declares an instance
)


def open_gzip(source: Path | IO[bytes]) -> IO[bytes]:
    """Open a gzip file, or a stream that continues as gzip, for reading its content."""
    stream: IO[bytes] = igzip.open(source, "rb")
    return stream


def damaged(path: Path, error: Exception) -> InputError:
    """Say in one line that a compressed file is not whole."""
    got = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".").lower()
    return InputError(f"{path} must be complete, got damaged data ({got}); copy it again")


def check_plausible(path: Path, num_bytes: int) -> None:
    """Refuse a header that claims more voxels than the file can hold, before they are allocated.

    Raises:
        InputError: If no compressed file of this size inflates to `num_bytes`.
    """
    size = path.stat().st_size
    if num_bytes > size * HIGHEST_RATIO:
        msg = f"{path} must hold {num_bytes} bytes of voxels, got a file of {size}; copy it again"
        raise InputError(msg)


class BackgroundFill:
    """Fills an array from a stream in its own thread.

    Args:
        stream: Gives the array's bytes in memory order; is read to its end, so that the gzip
            checksum is verified, and closed.
        voxels: `(I, J, K)`, contiguous in C or Fortran order; written in place.
        path: Named in errors.
    """

    def __init__(self, stream: IO[bytes], voxels: NDArray[Any], path: Path) -> None:
        self._stream = stream
        self._path = path
        in_memory_order = voxels if voxels.flags.c_contiguous else voxels.T
        self._target = in_memory_order.reshape(-1).view(np.uint8).data
        self._num_steps = in_memory_order.shape[0]
        self._bytes_per_step = voxels.nbytes // self._num_steps
        self._filled_bytes = 0
        self._finished = False
        self._error: InputError | None = None
        self._progress = threading.Condition()
        threading.Thread(target=self._run, name=f"gunzip {path.name}", daemon=True).start()

    def wait_until_filled(self, stop: int) -> None:
        """Return once the first `stop` entries along the slowest axis in memory are final.

        Waiting for the last entry also waits for the checksum.

        Raises:
            InputError: If the stream is truncated or its checksum is wrong.
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
                while self._stream.read(CHUNK_BYTES):
                    pass  # only at its end does a gzip stream verify the checksum
        except Exception as error:  # whatever it is, no one may wait for ever
            self._report(error=damaged(self._path, error))
        else:
            self._report(finished=True)

    def _fill(self) -> None:
        while self._filled_bytes < len(self._target):
            stop = self._filled_bytes + CHUNK_BYTES
            count = self._stream.readinto(self._target[self._filled_bytes : stop])  # type: ignore[attr-defined]
            if not count:
                msg = f"{self._filled_bytes} of {len(self._target)} bytes of voxels"
                raise EOFError(msg)
            self._report(count=count)

    def _report(
        self, *, count: int = 0, finished: bool = False, error: InputError | None = None
    ) -> None:
        with self._progress:
            self._filled_bytes += count
            self._finished = finished
            self._error = error
            self._progress.notify_all()

"""Open what is a file: a pipe or a device can keep a reader waiting for ever, or never ends."""

from __future__ import annotations

import io
import stat
from pathlib import Path

from ..errors import InputError


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading.

    Raises:
        InputError: If it is a pipe, a socket or a device, or a link to one.
        OSError: If it cannot be opened.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        msg = f"{path} must be a file, got a pipe or a device; copy its content into a file"
        raise InputError(msg)
    return path.open("rb")

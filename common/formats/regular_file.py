"""Open what is a file: a pipe or a device can keep a reader waiting for ever, or never ends."""

from __future__ import annotations

import io
from pathlib import Path

from ..errors import InputError
from ..files import why_not_regular
from ..naming import shown


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file for reading.

    Raises:
        InputError: If it is a pipe, a socket or a device, or a link to one.
        OSError: If it cannot be opened.
    """
    other = why_not_regular(path)
    if other not in ("", "a folder"):
        msg = f"{shown(path)} must be a file, got {other}; copy its content into a file"
        raise InputError(msg)
    return path.open("rb")

"""One member of a zip archive as a stream that ISA-L inflates.

A deflated member is a gzip stream without its head and tail. Put them back, and the same fast
reader serves both; the tail carries the checksum that the archive's directory holds.
"""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import cast

from .gunzip import open_gzip
from .regular_file import open_regular

GZIP_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
LOCAL_HEADER_BYTES = 30
LOCAL_LENGTHS_OFFSET = 26


def open_member(path: Path, name: str) -> io.BufferedIOBase:
    """Open a member for reading from its start to its end.

    Args:
        path: The archive.
        name: Of the member.

    Raises:
        zipfile.BadZipFile: If this is no zip archive.
        KeyError: If there is no such member.
        NotImplementedError: If it is compressed in a way that can unfold without bound.
    """
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo(name)
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            msg = f"compression method {member.compress_type}, where numpy stores or deflates"
            raise NotImplementedError(msg)
        if member.compress_type == zipfile.ZIP_STORED or member.flag_bits & 1:
            return cast(io.BufferedIOBase, archive.open(member))  # stays open on its own
    file = open_regular(path)
    try:
        file.seek(member.header_offset + LOCAL_LENGTHS_OFFSET)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        file.seek(member.header_offset + LOCAL_HEADER_BYTES + name_bytes + extra_bytes)
    except BaseException:
        file.close()
        raise
    tail = struct.pack("<II", member.CRC, member.file_size % (1 << 32))
    return open_gzip(io.BufferedReader(_Gzipped(file, member.compress_size, tail)))


class _Gzipped(io.RawIOBase):
    """A gzip head, the next `num_bytes` of a file, and a gzip tail; closes the file."""

    def __init__(self, file: io.BufferedReader, num_bytes: int, tail: bytes) -> None:
        self._file = file
        self._left = num_bytes
        self._head = GZIP_HEAD
        self._tail = tail

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill as much of `buffer` as the current part holds."""
        if self._head:
            part, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        elif self._left:
            part = self._file.read(min(self._left, len(buffer)))
            self._left = self._left - len(part) if part else 0
        else:
            part, self._tail = self._tail[: len(buffer)], self._tail[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()

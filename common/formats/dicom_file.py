"""A DICOM file as one stream that pydicom reads, however it was stored.

Deflated files are inflated, and files without preamble, file meta information or transfer syntax
(old archives, raw dumps) get one, both in memory and within a bound; every other file is opened
as it is. Nothing is mapped into memory: a file that shrinks while it is read is a failed case.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import IO, BinaryIO

from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import STANDARD_VR

from ..errors import InputError

MARK = b"DICM"
BLANK = bytes(128)
LONGEST_META_BYTES = 4096
MAX_HEADER_BYTES = 64 << 20  # an enhanced CT takes a few kilobytes a frame
SYNTAX_ROOT = b"1.2.840.10008.1.2"
META_GROUP, FIRST_GROUP = 0x0002, 0x0008
LAST_FIRST_ELEMENT = 0x0100  # of what can stand first in its group
LONGEST_FIRST_VALUE_BYTES = 256


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does: with the DICM mark, or without a preamble at once."""
    with path.open("rb") as file:
        start = file.read(len(BLANK + MARK))
    return start.startswith(MARK, len(BLANK)) or _starts_bare(start)


def open_dicom(path: str | Path, *, num_pixel_bytes: int = 0) -> BinaryIO:
    """Open a DICOM file for pydicom.

    Args:
        path: The file.
        num_pixel_bytes: How much its pixels take, decoded, as its header promises; 0 to read the
            header alone. No more than this and a header of 64 MiB is ever held in memory.

    Returns:
        The file itself, or its content in memory with a preamble and not deflated.

    Raises:
        InputError: If it is no DICOM file, or its deflated content is damaged.
    """
    path = Path(path)
    limit = MAX_HEADER_BYTES + num_pixel_bytes
    with path.open("rb") as file:
        start = file.read(LONGEST_META_BYTES)
        has_mark = start.startswith(MARK, len(BLANK))
        is_deflated = DeflatedExplicitVRLittleEndian.encode() in start
        if not has_mark or is_deflated or SYNTAX_ROOT not in start:
            if not has_mark and not _starts_bare(start):
                msg = f"{path} must be a DICOM file, got one without the DICM mark; leave it out"
                raise InputError(msg)
            file.seek(len(BLANK + MARK) if has_mark else len(MARK) * start.startswith(MARK))
            return _completed(file, path, limit)
        if not num_pixel_bytes and path.stat().st_size > MAX_HEADER_BYTES:
            return io.BytesIO(start + file.read(limit - len(start)))
    return path.open("rb")


def _completed(file: IO[bytes], path: Path, limit: int) -> BinaryIO:
    """The content from here on with a preamble, a transfer syntax, and not deflated."""
    meta = read_dataset(file, False, True, stop_when=_is_past_meta)  # type: ignore[arg-type]
    syntax = str(meta.get("TransferSyntaxUID") or "")
    if syntax == DeflatedExplicitVRLittleEndian:
        syntax = str(ExplicitVRLittleEndian)
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), limit)
        except zlib.error as error:
            msg = f"{path} must be an intact DICOM file, got {error}; copy it again"
            raise InputError(msg) from error
    else:
        content = file.read(limit)
    value = (syntax or _guessed_syntax(content)).encode()
    value += b"\0" * (len(value) % 2)
    stated = struct.pack("<HH2sH", META_GROUP, 0x0010, b"UI", len(value)) + value
    return io.BytesIO(BLANK + MARK + stated + content)


def _is_past_meta(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return tag.group != META_GROUP


def _starts_bare(start: bytes) -> bool:
    """Whether a file without preamble begins with file meta information or an identifying tag."""
    start = start.removeprefix(MARK)
    if len(start) < 8:
        return False
    group, element, length = struct.unpack("<HHI", start[:8])
    if _is_explicit(start):
        return group in (META_GROUP, FIRST_GROUP, FIRST_GROUP << 8) and min(start[2:4]) == 0
    is_short = length <= LONGEST_FIRST_VALUE_BYTES and length % 2 == 0
    return bool(group == FIRST_GROUP and element < LAST_FIRST_ELEMENT and is_short)


def _is_explicit(start: bytes) -> bool:
    return start[4:6].decode("latin-1") in STANDARD_VR


def _guessed_syntax(content: bytes) -> str:
    """How a dataset is encoded, by its first tag."""
    if not _is_explicit(content):
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if content[0] else ExplicitVRBigEndian)

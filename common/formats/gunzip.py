"""Read gzip content: all its members as one stream, each verified by its checksum.

ISA-L inflates, about three times as fast as zlib, and drops the interpreter lock while it works.
What follows the last member is no part of the content and is ignored, as gunzip does.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

from isal import igzip_lib

from ..errors import InputError
from .regular_file import open_regular

MAGIC = b"\x1f\x8b"
INPUT_BYTES = 128 << 10
PIECE_BYTES = 256 << 10  # stays in the processor's cache until it is copied to its place
DAMAGE_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    OSError,
    zlib.error,
    zipfile.BadZipFile,
    igzip_lib.error,  # type: ignore[assignment]  # its stub declares an instance
)


def open_gzip(source: Path | io.BufferedIOBase) -> io.BufferedReader:
    """Open a gzip file, or a stream that continues as gzip, for reading its content."""
    return io.BufferedReader(_Members(open_regular(source) if isinstance(source, Path) else source))


def is_gzip(stream: io.BufferedIOBase) -> bool:
    """Whether a stream came from `open_gzip`."""
    return isinstance(stream, io.BufferedReader) and isinstance(stream.raw, _Members)


def damaged(path: Path, error: Exception) -> InputError:
    """Say in one line that a compressed file is not whole."""
    got = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".").lower()
    return InputError(f"{path} must be complete, got damaged data ({got}); copy it again")


class _Members(io.RawIOBase):
    """The content of one or more gzip members; can be read and skipped, forward only.

    Args:
        file: Stands before the first member; is closed with this.
    """

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._member: igzip_lib.IgzipDecompressor | None = None
        self._input = b""  # read from the file and not yet inflated
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Inflate into `buffer`, as much as one call gives; 0 at the end of the last member.

        Raises:
            igzip_lib.IsalError: If the content or its checksum is wrong.
            EOFError: If a member is cut off.
        """
        target = memoryview(buffer).cast("B")
        piece = b""
        while len(target) > len(piece) == 0 and (self._is_inside() or self._begin_member()):
            assert self._member is not None
            if self._member.needs_input and not self._input:
                self._input = self._file.read(INPUT_BYTES)
                if not self._input:
                    msg = "the file ends before its gzip stream does"
                    raise EOFError(msg)
            given, self._input = self._input, b""
            piece = self._member.decompress(given, min(len(target), PIECE_BYTES))
            if self._member.eof:
                self._input = self._member.unused_data
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _is_inside(self) -> bool:
        return self._member is not None and not self._member.eof

    def _begin_member(self) -> bool:
        """Go on to the next member; tells whether there is one."""
        if len(self._input) < len(MAGIC):
            self._input += self._file.read(INPUT_BYTES)
        if self._member is not None and not self._input.startswith(MAGIC):
            return False
        self._member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Skip forward; stops at the end of the content.

        Raises:
            io.UnsupportedOperation: If that lies behind.
        """
        if whence == io.SEEK_CUR:
            offset += self._position
        if whence == io.SEEK_END or offset < self._position:
            msg = "gzip content can only be skipped forward"
            raise io.UnsupportedOperation(msg)
        skipped = memoryview(bytearray(PIECE_BYTES))
        while self._position < offset and self.readinto(skipped[: offset - self._position]):
            pass
        return self._position

    def close(self) -> None:
        """Close the file as well."""
        self._file.close()
        super().close()

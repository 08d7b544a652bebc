"""Files that are either whole or absent: written beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError, OutputError

PARTIAL = ".partial-"
_DAY_S = 86400.0
_MENDABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path to write to; rename it to ``path`` once the block ends without an error.

    The given path lies in the same folder and ends in the same name, so writers that look at the
    suffix (`.nii.gz`) behave. Missing folders are made. On any error, an interrupt included, the
    partial file is removed and what stood at ``path`` before stays as it was.

    Args:
        path: The file to make or to replace.

    Yields:
        The path to write to. The block must create a file there.

    Raises:
        OutputError: If the place cannot be written (no permission, disk full, not a folder, ...).
    """
    path = Path(path)
    partial = partial_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except OSError as error:
        _remove(partial)
        if _is_about(error, path, partial):
            raise unwritable(path, error) from error
        raise
    except BaseException:
        _remove(partial)
        raise


def create_text(path: str | Path, text: str) -> bool:
    """Make a file with its content in one step, for one process alone; False if it is there.

    On file systems that know no links the content comes a moment after the file.

    Raises:
        OSError: If the place cannot be written.
    """
    path = Path(path)
    draft = partial_name(path)
    try:
        draft.write_text(text, encoding="utf-8")
        try:
            os.link(draft, path)
        except FileExistsError:
            return draft.stat().st_nlink == 2  # made after all: NFS lost the answer, not the link
        except OSError:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        return False
    finally:
        _remove(draft)
    return True


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all. Raises as `replacing` does."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all. Raises as `replacing` does.

    Bytes of a file name that is not UTF-8 become backslash escapes, which JSON reads back as such.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_json(path: str | Path, value: object) -> None:
    """Write ``value`` as JSON that people can read, whole or not at all.

    Args:
        path: The file to make or to replace.
        value: Mappings, sequences, strings, numbers, None; numpy arrays and scalars and paths
            are written as what they hold.

    Raises:
        InputError: If a number is NaN or infinite (JSON has neither), naming where it stands, or
            if the place cannot be written.
        TypeError: If a value has no form in JSON.
    """
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    """``value`` as indented JSON with a final newline; a list of plain values stays on one line."""
    return _render(plain(value), "") + "\n"


def plain(value: object, where: str = "value") -> Any:
    """``value`` as JSON knows it: dict, list, str, int, float, bool and None only.

    Args:
        value: What to turn into plain values.
        where: Name of ``value`` in error messages.

    Raises:
        InputError: If a number is NaN or infinite.
        TypeError: If a value has no form in JSON.
    """
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return _finite(value, where)
    if isinstance(value, Mapping):
        return {str(key): plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    msg = f"{where} must be a value that JSON can hold, got {type(value).__name__}"
    raise TypeError(msg)


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        msg = (
            f"{where} must be a finite number, got {value}; "
            "the input or the weights are broken, so nothing is written"
        )
        raise InputError(msg)
    return value


def remove(path: str | Path) -> None:
    """Remove a file if it is there.

    Raises:
        OutputError: If it may not be removed.
    """
    path = Path(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error


def move(source: str | Path, target: str | Path) -> None:
    """Give a whole file its place; what stood there goes.

    Raises:
        OutputError: If the place cannot be written.
    """
    try:
        Path(source).replace(target)
        _sync(Path(target).parent)
    except OSError as error:
        raise unwritable(Path(target), error) from error


def partial_name(path: str | Path) -> Path:
    """A name beside ``path`` for what is not whole yet; it tells which process writes it."""
    path = Path(path)
    owner = f"{_host()}-{os.getpid()}"
    return path.with_name(f"{PARTIAL}{owner}-{secrets.token_hex(4)}-{path.name}")


def remove_partials(folder: str | Path, *, everybodys: bool = False) -> None:
    """Remove what killed processes left half-written in ``folder``.

    Args:
        folder: Only what lies directly in it is looked at.
        everybodys: Whether nobody else may be writing there; if not, only what dead processes of
            this machine left goes, and what is older than a day.
    """
    for leftover in Path(folder).glob(f"{PARTIAL}*"):
        if everybodys or _is_left_over(leftover):
            _remove(leftover)


def _is_left_over(partial: Path) -> bool:
    host, _, rest = partial.name.removeprefix(PARTIAL).partition("-")
    process = rest.partition("-")[0]
    if host == _host() and process.isdecimal():
        return not _lives(int(process))
    with suppress(OSError):
        return time.time() - partial.stat().st_mtime > _DAY_S
    return False


def _host() -> str:
    """This machine in eight digits; names of machines may hold anything."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _render(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, dict) and value:
        lines = [
            f"{json.dumps(key, ensure_ascii=False)}: {_render(item, inner)}"
            for key, item in value.items()
        ]
        return "{\n" + ",\n".join(inner + line for line in lines) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        lines = [_render(item, inner) for item in value]
        return "[\n" + ",\n".join(inner + line for line in lines) + f"\n{indent}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error that says why a place cannot be written, and what to do."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return OutputError(
        f"output must be a place that can be written, got {path} ({reason}); "
        "choose another with `--output_dir`"
    )


def _is_about(error: OSError, path: Path, partial: Path) -> bool:
    """True where the error came from writing here, not from something read inside the block."""
    if error.errno not in _MENDABLE:
        return False
    if error.filename is None:
        return True
    about = Path(os.fsdecode(error.filename))
    return about in (path, partial) or about in path.parents


def _sync(path: Path) -> None:
    """Flush a file, or a folder's list of names, to the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():  # Windows opens no folders, and a folder may be write-only
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

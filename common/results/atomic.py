"""Files that are either whole or absent: written beside their place, synced, then renamed."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

PARTIAL = ".partial-"
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
        InputError: If the place cannot be written (no permission, disk full, not a folder, ...).
    """
    path = Path(path)
    partial = path.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    except OSError as error:
        _remove(partial)
        if _is_about(error, path, partial):
            raise _unwritable(path, error) from error
        raise
    except BaseException:
        _remove(partial)
        raise


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all. Raises as `replacing` does."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all. Raises as `replacing` does."""
    write_bytes(path, text.encode("utf-8"))


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
    if isinstance(value, float):
        if not math.isfinite(value):
            msg = (
                f"{where} must be a finite number, got {value}; "
                "the input or the weights are broken, so nothing is written"
            )
            raise InputError(msg)
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [plain(inner, f"{where}[{index}]") for index, inner in enumerate(value)]
    msg = f"{where} must be a value that JSON can hold, got {type(value).__name__}"
    raise TypeError(msg)


def remove(path: str | Path) -> None:
    """Remove a file if it is there.

    Raises:
        InputError: If it may not be removed.
    """
    path = Path(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def remove_partials(folder: str | Path) -> None:
    """Remove what a killed run left half-written in ``folder``; nobody else may write there."""
    for leftover in Path(folder).glob(f"{PARTIAL}*"):
        _remove(leftover)


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


def _unwritable(path: Path, error: OSError) -> InputError:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(
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
        path.unlink(missing_ok=True)

"""What tells cached results apart: settings, the scan's files, the code that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence, Set
from enum import Enum
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
from torch import Tensor, nn

PACKAGE = Path(__file__).resolve().parents[1]
NO_PATHS = {
    "case_id", "format", "patient_id", "report", "kind", "classes", "version", "numbers",
}  # fmt: skip


def cache_folder(root: str | Path, **made_by: Any) -> Path:
    """A folder whose name changes with whatever decides what lies in it.

    Args:
        root: Where such folders are.
        made_by: Settings, JSON values.
    """
    return Path(root) / digest(made_by)[:16]


def digest(value: Any) -> str:
    """sha256 of a JSON value, 64 hexadecimal digits; the order of keys does not count."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def file_stamps(value: Any) -> list[tuple[str, int, int]]:
    """Name, size and time of change (ns) of every file that a case names, wherever it does.

    Args:
        value: A case, or a part of one. Every text in it that is the path of a file counts, and
            every file directly in a folder, but for what is a name by its key (`NO_PATHS`); the
            folder of a DICOM series counts by `files` alone.

    Returns:
        In order of the names. What is not there has no stamp.
    """
    files = {file for path in _paths(value) for file in _files(path)}
    stamps = ((str(file), file.stat()) for file in sorted(files))
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stamps]


@cache
def code_stamp() -> str:
    """Changes with any line of this package: what another version made is made anew."""
    found = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        found.update(path.relative_to(PACKAGE).as_posix().encode() + path.read_bytes())
    return found.hexdigest()


def identity_of(value: Any) -> Any:
    """What a transform was made with, as JSON: its class and its public attributes, at any depth.

    Args:
        value: A transform, a list of them, or anything that one holds. A network counts by its
            class and weights, a function by its name, its code and what it closes over.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): identity_of(inner) for key, inner in value.items()}
    if isinstance(value, Set):
        return sorted(map(str, value))
    if isinstance(value, Sequence):
        return [identity_of(inner) for inner in value]
    if isinstance(value, FunctionType | MethodType | partial):
        return _identity_of_function(value)
    return _identity_of_object(value)


def _identity_of_object(value: Any) -> Any:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, type | Enum) or not hasattr(value, "__dict__"):
        text = str(value)
        return str(type(value)) if " at 0x" in text else text
    held = value.state_dict() if isinstance(value, nn.Module) else vars(value)
    public = {key: inner for key, inner in held.items() if not key.startswith("_")}
    return [str(type(value)), identity_of(public)]


def _identity_of_function(function: Any) -> Any:
    if isinstance(function, partial):
        return [identity_of(each) for each in (function.func, function.args, function.keywords)]
    if isinstance(function, MethodType):
        return [identity_of(function.__func__), identity_of(function.__self__)]
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    code = _identity_of_code(function.__code__)
    return [function.__qualname__, code, identity_of([held, function.__defaults__])]


def _identity_of_code(code: CodeType) -> list[Any]:
    inner = [
        _identity_of_code(each) if isinstance(each, CodeType) else repr(each)
        for each in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), inner]


def _paths(value: Any) -> Iterator[Path]:
    """Every text in a case that may be a path."""
    if isinstance(value, Mapping):
        skip = NO_PATHS | ({"image"} if value.get("files") else set())
        value = [inner for key, inner in value.items() if key not in skip]
    if isinstance(value, str | Path):
        yield Path(value)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from _paths(inner)


def _files(path: Path) -> Iterator[Path]:
    try:
        if path.is_dir():
            yield from (inner for inner in path.iterdir() if inner.is_file())
        elif path.is_file():
            yield path
    except (OSError, ValueError):  # a report, longer than any name
        return

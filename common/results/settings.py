"""What the parts of a run are set to, read off the parts themselves.

A list of settings written by hand forgets the one that was added last, and a run with another value
is then taken for finished.
"""

from __future__ import annotations

import functools
import hashlib
import math
import types
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LARGEST_ARRAY = 64
OURS = ("common.", "monai.")
BESIDE_THE_POINT = (
    "keys", "allow_missing_keys", "map_items", "unpack_items", "log_stats", "record",
)  # fmt: skip


def settings_of(part: Any) -> Any:
    """The settings of a transform, an inferer or whatever decides a result, as plain values.

    Args:
        part: An object of this project or of MONAI: its public attributes count, deeper where they
            are such objects. One may name attributes that decide nothing in `not_settings`, or say
            itself what counts in a method `settings()`. Containers hold parts.

    Returns:
        Class names to attributes, lists, numbers and texts; what is neither (a device, a network)
        is left out.
    """
    found = _plain(part)
    return None if found is _NONE else found


_NONE = object()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return _plain_array(np.asarray(value))
    if isinstance(value, Mapping):
        return _known({str(key): _plain(each) for key, each in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        each = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [found for found in map(_plain, each) if found is not _NONE]
    return _plain_object(value)


def _plain_array(value: NDArray[Any]) -> Any:
    """A small array as it is, a large one by its content's hash."""
    if value.size <= LARGEST_ARRAY:
        return value.tolist()
    return [str(value.dtype), list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()]


def _plain_object(value: Any) -> Any:
    if isinstance(value, functools.partial):
        return {_name(value.func): _plain([*value.args, value.keywords])}
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type):
        return _name(value)
    if hasattr(value, "settings"):
        return {type(value).__name__: _plain(value.settings())}
    if not type(value).__module__.startswith(OURS) or isinstance(value, torch.nn.Module):
        return _NONE
    skipped = (*BESIDE_THE_POINT, *getattr(value, "not_settings", ()))
    attributes = {
        name: _plain(each)
        for name, each in sorted(vars(value).items())
        if not name.startswith("_") and name not in skipped
    }
    return {type(value).__name__: _known(attributes)}


def _known(found: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in found.items() if each is not _NONE}


def _name(function: Any) -> str:
    return f"{function.__module__}.{function.__qualname__}"

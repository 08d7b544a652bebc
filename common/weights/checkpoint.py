"""A file of tensors, read as what it is: safetensors or torch's own form, and never as code.

What people save beside the weights (an epoch, a best score, the arguments of a script) is looked
past.
"""

from __future__ import annotations

import argparse
import logging
import re
import zipfile
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from ..errors import InputError
from ..parallel import is_first_process

logger = logging.getLogger("common.weights")

HOLDERS = (
    "state_dict", "model_state_dict", "model_state", "model", "network", "net", "network_weights",
    "module",
)  # fmt: skip
"""Under which of a checkpoint's keys its weights stand, the first that there is."""

_NUMPY = {
    "scalar": np.float64(0).__reduce__()[0],
    "_reconstruct": np.zeros(1).__reduce__()[0],
}
_HARMLESS: list[Any] = [
    argparse.Namespace,
    defaultdict,
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefdgFDSU"},
    # numpy's own names for these changed with version 2
    *((made, f"numpy.{core}.multiarray.{name}")
      for name, made in _NUMPY.items() for core in ("core", "_core")),
]  # fmt: skip
"""What may stand beside weights in torch's form: none of it runs code."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from `.safetensors`, `.pt`, `.pth` or `.ckpt`.

    Nothing is unpickled but tensors, plain values and numpy's numbers. A checkpoint that holds its
    state dict under one of `HOLDERS` is unwrapped; what stands beside tensors is left out.

    Raises:
        InputError: If the file is damaged, holds no tensors by name, or tensors without numbers.
    """
    content: Any = _read_safetensors(path) if _is_safetensors(path) else read_torch(path)
    while isinstance(content, Mapping):
        inner = next((content[n] for n in HOLDERS if isinstance(content.get(n), Mapping)), None)
        if inner is None:
            break
        content = inner
    tensors: dict[Any, Any] = dict(content) if isinstance(content, Mapping) else {}
    beside = [str(key) for key, value in tensors.items() if not isinstance(value, Tensor)]
    tensors = {key: value for key, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        held = f"{len(beside)} other things" if beside else type(content).__name__
        raise _refused(path, f"no tensors but {held}", "save network.state_dict()")
    nameless = [key for key in tensors if not isinstance(key, str)]
    if nameless:
        got = f"{len(nameless)} keys that are no names, such as {nameless[0]!r}"
        raise _refused(path, got, "save network.state_dict()")
    empty = [key for key, value in tensors.items() if value.is_meta]
    if empty:
        got = f"tensors without numbers (meta), such as {empty[0]}"
        raise _refused(path, got, "save it from a network that was loaded whole")
    odd = [key for key, value in tensors.items() if not _is_plain(value)]
    if odd:
        got = f"sparse, nested or quantized tensors, such as {odd[0]}"
        raise _refused(path, got, "save them dense (`.to_dense()`, `.dequantize()`)")
    if beside and is_first_process():
        logger.info("%s: left out beside the weights: %s", path, shortened(beside))
    return {key: value.detach().as_subclass(Tensor) for key, value in tensors.items()}


def read_torch(path: Path) -> Any:
    """Read what `torch.save` wrote, without running any code that may stand in it.

    Raises:
        InputError: If the file is damaged, is something else, or holds objects that could run code.
    """
    try:
        what = _no_checkpoint(path)
        if not what:
            with torch.serialization.safe_globals(_HARMLESS):
                return torch.load(path, map_location="cpu", weights_only=True)
        reason = what
    except Exception as error:  # each reader has errors of its own; torch's advise to run the file
        reason = _reason(error)
    raise _refused(path, reason, "fetch, convert or save it again as network.state_dict()")


def shortened(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _is_safetensors(path: Path) -> bool:
    """Whether it is called so, as torch goes by, or holds eight bytes of length, then JSON."""
    try:
        with path.open("rb") as file:
            return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"
    except OSError:
        return False


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        what = _no_checkpoint(path)
        if not what:
            return safetensors.torch.load_file(path)
    except Exception as error:  # the library's own and, for kinds of numbers it lacks, a KeyError
        what = f"a safetensors file that is cut off, too long or damaged ({_first_line(error)})"
    raise _refused(path, what, "fetch or convert it again")


def _no_checkpoint(path: Path) -> str:
    """What a file is where that can be told at once; empty for what may be a checkpoint."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        return "an empty file"
    if start.lstrip()[:1] == b"<":
        return "a web page"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer in place of the file"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if any(Path(entry.filename).name == "constants.pkl" for entry in entries):
            return "a TorchScript program"
        if sum(entry.file_size for entry in entries) > path.stat().st_size:  # torch never deflates
            return "an archive that unfolds to more than its size"
    return ""


def _reason(error: Exception) -> str:
    """Why torch could not read a file, without its advice to run what stands in there."""
    named = re.search(r"(?:GLOBAL|class) ([\w.]+)", str(error)) if "eights" in str(error) else None
    if named:
        return f"an object of {named[1]}, which could run code"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "a damaged file or no checkpoint"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and not tensor.is_nested and not tensor.is_quantized


def _refused(path: Path, got: str, advice: str) -> InputError:
    return InputError(f"weights must be a state dict of tensors, got {path} with {got}; {advice}")

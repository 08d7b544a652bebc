"""A state dict brought to a network: its wrapper taken off, its keys renamed, every number checked.

People save networks out of wrappers: DistributedDataParallel (`module.`), `torch.compile`
(`_orig_mod.`), Lightning (`model.`). Which prefix is a wrapper's is decided by what then fits.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..parallel import is_first_process
from .checkpoint import shortened
from .key_map import KeyMap, are_equal, rename_keys, renamed_key, unequal_aliases

logger = logging.getLogger("common.weights")

WRAPPERS = ("module", "model", "_orig_mod", "network", "net", "backbone")
_LEADING = re.compile(rf"(?:(?:{'|'.join(WRAPPERS)})\.)*")
_INSIDE = r"(?<=\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
_LISTED = 2  # keys of each kind that an error names: it stays within ten lines


@dataclass(frozen=True)
class Unwrapped:
    """A state dict under a network's own names.

    Attributes:
        state: Key to tensor.
        prefix: Of a wrapper, taken off every key.
        left_out: What was outside the wrapper or renamed to nothing: first name to number of keys.
    """

    state: dict[str, Tensor]
    prefix: str = ""
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def notes(self) -> dict[str, Any]:
        """What was done, for a card; empty if nothing."""
        said = {"prefix": self.prefix, "left_out": self.left_out}
        return {key: value for key, value in said.items() if value}

    def say(self, source: str) -> None:
        """Log what was done to a checkpoint, by its name."""
        if self.prefix and is_first_process():
            logger.info("%s: the prefix %s of its keys is taken off", source, self.prefix)
        if self.left_out and is_first_process():
            parts = [f"{name} ({number} tensors)" for name, number in self.left_out.items()]
            logger.info("%s: left out %s", source, shortened(parts))


def unwrap(
    state: Mapping[str, Tensor], wanted: Collection[str], *, key_map: KeyMap = ()
) -> Unwrapped:
    """Take a wrapper's prefix off a state dict and rename its keys.

    Args:
        state: As read.
        wanted: The network's keys. Of the prefixes that are made of `WRAPPERS` or common to all
            keys, the one after which most of `wanted` are there is taken off; the shortest, if
            several do.
        key_map: See `rename_keys`.

    Raises:
        InputError: If two keys become the same.
    """
    inside = () if any(re.search(_INSIDE, key) for key in wanted) else ((_INSIDE, ""),)
    renaming = (*inside, *key_map)
    names = set(wanted)

    def fitting(prefix: str) -> tuple[int, int]:
        inner = (key[len(prefix) :] for key in state if key.startswith(prefix))
        return sum(renamed_key(key, renaming)[0] in names for key in inner), -len(prefix)

    prefix = max(_prefixes(state), key=fitting)
    inner = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    left_out = [key for key in state if not key.startswith(prefix)]
    left_out += [key for key in inner if not renamed_key(key, renaming)[0]]
    counted = dict(Counter(key.split(".")[0] for key in left_out))
    return Unwrapped(rename_keys(inner, renaming), prefix, counted)


def load_state(
    network: nn.Module,
    state: Mapping[str, Tensor],
    *,
    key_map: KeyMap = (),
    source: str = "",
) -> dict[str, Any]:
    """Load a state dict; every key and shape must fit, and every number must be one.

    Args:
        network: Gets the numbers; stays as it is if anything is wrong.
        state: Under the network's keys, or those of a wrapper around it. Of a tensor that the
            network holds under several keys (tied weights) any one will do.
        key_map: From foreign keys to the network's, see `rename_keys`.
        source: The file that they come from, as errors call it. Of a file a layer of zeros is
            refused too: no training leaves one.

    Returns:
        What was done to make it fit, for a card: `prefix`, `left_out`, `cast`. Empty if nothing.

    Raises:
        InputError: If a key is missing, unexpected or has another shape (counted, the first named);
            if the keys of one tensor hold others; if a tensor is not finite, all 0, a negative
            variance or of another kind of number.
    """
    wanted = network.state_dict()
    found = unwrap(state, wanted, key_map=key_map)
    found = replace(found, state=_with_ties(found.state, tied_keys(network)))
    misfit = _misfit(wanted, found)
    if misfit:
        msg = f"{source or 'checkpoint'} does not fit {type(network).__name__}: {misfit}"
        raise InputError(msg)
    found.say(source or "checkpoint")
    cast = check_numbers(found.state, wanted, source=source)
    network.load_state_dict(found.state)
    return {**found.notes, **({"cast": cast} if cast else {})}


def check_numbers(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, source: str
) -> dict[str, str]:
    """Look at every number of a state dict that fits a network.

    Args:
        state: Under the keys of `wanted`.
        wanted: A network's own.
        source: See `load_state`.

    Returns:
        Which kinds of numbers become others in the network: `float16` to `float32`.

    Raises:
        InputError: If a tensor is not finite, all 0, a negative variance or of another kind.
    """
    cast: dict[str, str] = {}
    wrong: dict[str, list[str]] = {}
    for key, tensor in state.items():
        kind = wanted[key].dtype
        problem = _problem(key, tensor, kind, zeros=not source)
        if problem:
            wrong.setdefault(problem, []).append(key)
        elif tensor.dtype != kind:
            cast[_name(tensor.dtype)] = _name(kind)
    if wrong:
        got = "; ".join(f"{what} in {shortened(keys)}" for what, keys in wrong.items())
        msg = (
            f"{source or 'checkpoint'} must hold finite numbers of the network's kind, variances "
            f"from 0 and no layer of zeros, got {got}; take one that was saved before the training "
            "blew up, or fetch it again"
        )
        raise InputError(msg)
    if cast and is_first_process():
        listed = ", ".join(f"{before} to {after}" for before, after in cast.items())
        logger.info("%s: numbers were cast from %s", source or "checkpoint", listed)
    return cast


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are, in one pass and no memory: `isfinite` takes 40 times as long."""
    return not tensor.numel() or all(math.isfinite(end) for end in _range(tensor))


def _range(tensor: Tensor) -> tuple[float, float]:
    """Lowest and highest number; both NaN where any is."""
    comparable = tensor.float() if tensor.element_size() == 1 else tensor  # torch orders no float8
    low, high = comparable.aminmax()
    return float(low), float(high)


def _prefixes(state: Mapping[str, Tensor]) -> list[str]:
    """The empty one, every run of wrappers' names that a key begins with, what all begin with."""
    runs = {match[0] for match in map(_LEADING.match, state) if match}
    columns = zip(*(key.split(".")[:-1] for key in state), strict=False)
    runs.add("".join(f"{words[0]}." for words in takewhile(lambda w: len(set(w)) == 1, columns)))
    found = {""}
    for run in runs:
        words = run.split(".")[:-1]
        found |= {".".join(words[:end]) + "." for end in range(1, len(words) + 1)}
    return sorted(found)


def tied_keys(network: nn.Module) -> dict[str, str]:
    """Of a network that holds one tensor under several keys: each further key to the first."""
    first: dict[int, str] = {}
    tensors = network.state_dict(keep_vars=True).items()
    pairs = [(key, first.setdefault(id(tensor), key)) for key, tensor in tensors]
    return {key: known for key, known in pairs if key != known}


def _with_ties(state: Mapping[str, Tensor], tied: Mapping[str, str]) -> dict[str, Tensor]:
    """A state under all names of its tied tensors, of which it may have any one.

    Raises:
        InputError: If it has several that are not equal.
    """
    whole = dict(state)
    groups: dict[str, list[str]] = {}
    for key, first in tied.items():
        groups.setdefault(first, [first]).append(key)
    unequal = []
    for keys in groups.values():
        there = [key for key in keys if key in state]
        unequal += [
            f"{there[0]} and {k}" for k in there[1:] if not are_equal(state[there[0]], state[k])
        ]
        whole |= {key: state[there[0]] for key in keys if there and key not in state}
    if unequal:
        raise unequal_aliases(unequal)
    return whole


def _misfit(wanted: Mapping[str, Tensor], found: Unwrapped) -> str:
    """What does not fit, in ten lines at most; empty if all does."""
    ours = {key: list(tensor.shape) for key, tensor in wanted.items()}
    theirs = {key: list(tensor.shape) for key, tensor in found.state.items()}
    kinds = {
        "missing": [f"missing {key} {ours[key]}" for key in ours if key not in theirs],
        "unexpected": [f"unexpected {key} {theirs[key]}" for key in theirs if key not in ours],
        "of another shape": [
            f"{key} has shape {theirs[key]}, expected {ours[key]}"
            for key in ours
            if key in theirs and theirs[key] != ours[key]
        ],
    }
    if not any(kinds.values()):
        return ""
    counts = ", ".join(f"{len(keys)} {kind}" for kind, keys in kinds.items() if keys)
    lines = [f"{counts} of {len(ours)} tensors{_about_prefix(found)}"]
    for kind, keys in kinds.items():
        lines += keys[:_LISTED]
        if len(keys) > _LISTED:
            lines.append(f"... and {len(keys) - _LISTED} more {kind}")
    return "\n  ".join(lines)


def _about_prefix(found: Unwrapped) -> str:
    if found.prefix:
        return f", after its prefix {found.prefix} was taken off"
    first = {key.split(".")[0] for key in found.state}
    return f"; all its keys begin with {first.pop()}." if len(first) == 1 else ""


def _is_same_kind(tensor: Tensor, kind: torch.dtype) -> bool:
    """Whether numbers stay what they are: floats of any width, or whole numbers of any width."""
    if kind.is_floating_point:
        return tensor.is_floating_point()
    if tensor.is_floating_point():  # counts of batches in a checkpoint that was halved whole
        return bool((tensor.isfinite() & (tensor == tensor.round())).all())
    return not tensor.is_complex() and (tensor.dtype == torch.bool) == (kind == torch.bool)


def _problem(key: str, tensor: Tensor, kind: torch.dtype, *, zeros: bool) -> str:
    """What is wrong with one tensor; empty if nothing. `zeros` lets a layer of them pass."""
    if not _is_same_kind(tensor, kind):
        return f"{_name(tensor.dtype)} in place of {_name(kind)}"
    if not tensor.numel() or not kind.is_floating_point:
        return ""
    low, high = _range(tensor)
    most = torch.finfo(kind).max
    if not (low >= -most and high <= most):
        return "NaN or infinity"
    if low < 0 and key.endswith("running_var"):
        return "a negative variance"
    if low == high == 0 and not zeros and key.endswith("weight"):
        return "nothing but 0"
    return ""


def _name(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")

"""What stands on the command line of `python -m monai.bundle run` is checked before it runs."""

from __future__ import annotations

import difflib
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import torch
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from .errors import InputError
from .parallel import existing_device, join_processes

# Parameters of monai.bundle's own `run` command.
RUN_PARAMETERS = (
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking",
    "args_file",
)  # fmt: skip


def start_run(device: torch.device | str = "cpu", seed: int = -1) -> None:
    """First step of every config's `run`: check the command line, join torchrun's processes.

    Where Linux gives huge pages on demand, torch is told to ask for them: large tensors come and go
    with every layer, and handing out small pages took a fifth of a segmentation's processor time.

    Args:
        device: Where the run is going to happen.
        seed: Of the weights that a network is made with; negative for chance.

    Raises:
        InputError: If an override's key is not in the config files, or there is no such device.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for huge pages from here on
    check_command_line()
    existing_device(device)
    if seed >= 0:
        torch.manual_seed(seed)
    join_processes()


def check_command_line(arguments: Sequence[str] | None = None) -> None:
    """Refuse overrides that no config file knows, and end bad input with one line.

    MONAI adds an unknown `--key value` to the config without a word, so a mistyped override
    would be ignored. Does nothing when the workflow was made
    from Python rather than from the command line.

    Args:
        arguments: The command line; by default this process's own.

    Raises:
        InputError: If an override's key is not in the config files.
    """
    if arguments is None:
        if not _is_bundle_command(sys.argv):
            return
        arguments = sys.argv[1:]
        sys.excepthook = say_in_one_line
    given = _options(arguments)
    for file in given.get("args_file", []):
        given = {
            **{key: [value] for key, value in json.loads(Path(file).read_text()).items()},
            **given,
        }
    files = given.get("config_file", [])
    config = ConfigParser(ConfigParser.load_config_files(_as_list(files[0])) if files else {})
    unknown = [key for key in given if key not in RUN_PARAMETERS and key.lstrip("+") not in config]
    if unknown:
        known = sorted(str(key) for key in config.config)
        guesses = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean --{guesses[0]}?" if guesses else f"known are {', '.join(known)}"
        msg = f"command-line keys must be in the config, got --{', --'.join(unknown)}; {hint}"
        raise InputError(msg)


def say_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """An exception hook: an `InputError` anywhere in the chain is printed without a traceback.

    So is the end by Ctrl-C. Anything else is our own fault and keeps its traceback.
    """
    if issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted: the same command goes on with what is left", file=sys.stderr)
        return
    link: BaseException | None = error
    while link is not None and not isinstance(link, InputError):
        link = link.__cause__ or link.__context__
    if link is None:
        traceback.print_exception(kind, error, trace)
    else:
        print(f"error: {link}", file=sys.stderr)


def _is_bundle_command(command: Sequence[str]) -> bool:
    return Path(command[0]).parts[-2:] == ("bundle", "__main__.py") and command[1:2] == ["run"]


def _options(arguments: Sequence[str]) -> dict[str, list[str]]:
    """Options as fire reads them: `--key value` or `--key=value`; `-` and `_` are the same."""
    options: dict[str, list[str]] = {}
    key = ""
    for argument in arguments:
        if argument.startswith("--"):
            key, equals, value = argument[2:].partition("=")
            key = key.replace("-", "_")
            options[key] = [value] if equals else []
        elif key:
            options[key].append(argument)
    return options


def _as_list(value: str | list[str]) -> list[str]:
    """`a.json` or `['a.json', 'b.json']`, as fire reads it."""
    parsed = DefaultParseValue(value) if isinstance(value, str) else value
    return [str(item) for item in parsed] if isinstance(parsed, list | tuple) else [str(parsed)]

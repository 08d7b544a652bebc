"""What stands on the command line of `python -m monai.bundle run` is read as the user meant it.

MONAI reads a value as Python, and evaluates it if it begins with `$`, looks it up if it begins with
`@`. That is what a number or an expression wants, and what a path must never meet: a file may be
called `2024_05`, `None` or `$(whatever)`. So text options are taken from the command line itself.
"""

from __future__ import annotations

import ast
import difflib
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from pydoc import ErrorDuringImport
from types import TracebackType
from typing import Any

import torch
from fire.parser import DefaultParseValue
from monai.bundle import ConfigExpression, ConfigParser

from ..errors import InputError, first_of
from ..naming import shown
from ..parallel import existing_device, is_first_process, join_processes
from .options import NAMES, NEVER_EMPTY, TEXT

logger = logging.getLogger(__name__)

BASE = "inference.json"
RETIRED = "multi_gpu.json"  # empty, for commands of versions before
INTERRUPTED = 130  # what shells make of an end by Ctrl-C

# Parameters of monai.bundle's own `run` and `run_workflow`.
RUN_PARAMETERS = (
    "run_id", "init_id", "final_id", "meta_file", "config_file", "logging_file", "tracking",
    "args_file", "workflow_name", "workflow_type", "properties_path",
)  # fmt: skip


def first_look() -> None:
    """What must be said before MONAI evaluates anything; see `common.bundle.first`.

    From here on an error of the user's, or Ctrl-C, ends in one line.

    Raises:
        SystemExit: With that line, where `inference.json` does not come first or a path begins as
            MONAI's own words do. MONAI keeps any other error of an import to itself.
    """
    if not _is_bundle_command(sys.argv):
        return
    sys.excepthook = say_in_one_line
    try:
        given = _options(sys.argv[1:])
        _check_config_files(given)
        _check_beginnings(given)
    except InputError as error:
        line = f"error: {error}"
        raise SystemExit(line) from error


def start_run(
    resolved: dict[str, Any] | None = None,
    *,
    device: torch.device | str = "cpu",
    seed: int = -1,
    join_minutes: float = 10.0,
) -> None:
    """First step of every config's `run`: read the command line, join torchrun's processes.

    Where Linux gives huge pages on demand, torch is told to ask for them: large tensors come and go
    with every layer, and handing out small pages took a fifth of a segmentation's processor time.

    Args:
        resolved: See `read_command_line`.
        device: Where the run is going to happen.
        seed: Of the weights that a network is made with; negative for chance.
        join_minutes: How long to wait for all of torchrun's processes to come.

    Raises:
        InputError: If the command line is wrong, there is no such device, or the processes do not
            come together.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for huge pages from here on
    read_command_line({} if resolved is None else resolved)
    existing_device(device)
    if seed >= 0:
        torch.manual_seed(seed)
    join_processes(join_minutes)
    if is_first_process() and any(RETIRED in argument for argument in sys.argv):
        logger.warning("%s is empty: torchrun decides how many processes train; drop it", RETIRED)


def read_command_line(resolved: dict[str, Any], arguments: Sequence[str] | None = None) -> None:
    """Check the command line, and keep its text as text.

    Does nothing when the workflow was made from Python rather than from the command line.

    Args:
        resolved: What MONAI's parser has resolved so far, `__local_refs` in an expression. Text
            that is given on the command line joins it as it stands, and is never evaluated.
        arguments: The command line; by default this process's own.

    Raises:
        InputError: If an override's key is not in the config files, or it has no value.
    """
    if arguments is None:
        if not _is_bundle_command(sys.argv):
            return
        arguments = sys.argv[1:]
        sys.excepthook = say_in_one_line
    given = _options(arguments)
    _check_keys(given)
    resolved.update(_texts(given))


def say_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """An exception hook: an `InputError` anywhere in the chain is printed without a traceback.

    So is the end by Ctrl-C. Anything else is our own fault and keeps its traceback.

    Raises:
        SystemExit: With the code of Ctrl-C, where MONAI was importing a part and made it an error.
    """
    in_import = issubclass(kind, ErrorDuringImport) and first_of(error, KeyboardInterrupt)
    if in_import or issubclass(kind, KeyboardInterrupt):
        print("\ninterrupted: the same command goes on with what is left", file=sys.stderr)
        if in_import:
            raise SystemExit(INTERRUPTED)
        return
    link = first_of(error, InputError)
    if link is None:
        traceback.print_exception(kind, error, trace)
    else:
        print(f"error: {link}", file=sys.stderr)


def _is_bundle_command(command: Sequence[str]) -> bool:
    is_monai = Path(command[0]).parts[-2:] == ("bundle", "__main__.py")
    return is_monai and command[1:2] in (["run"], ["run_workflow"])


def _options(arguments: Sequence[str]) -> dict[str, Any]:
    """Options as fire reads them, before it reads their values; over those of an `args_file`.

    `--key value`, `--key=value`, `-key value`; `-` and `_` are the same within a key. An option
    without a value is True, or False if it is called `no<key>`.
    """
    if "--" in arguments:  # what follows is for fire itself
        arguments = arguments[: len(arguments) - 1 - arguments[::-1].index("--")]
    options: dict[str, Any] = {}
    for argument, follows in zip(arguments, [*arguments[1:], "--"], strict=True):
        if not _is_flag(argument):
            continue
        key, equals, value = argument.lstrip("-").partition("=")
        key = key.replace("-", "_")
        if not equals and not _is_flag(follows):
            options[key] = follows
        elif equals or not key.startswith("no"):
            options[key] = value if equals else True
        else:
            options[key.removeprefix("no")] = False
    if isinstance(options.get("args_file"), str):
        options = {**ConfigParser.load_config_file(options["args_file"]), **options}
    return options


def _is_flag(argument: str) -> bool:
    return re.match("--|-[a-zA-Z]", argument) is not None


def _check_config_files(given: Mapping[str, Any]) -> None:
    """An overlay alone, or before what it lies over, is not what the user means."""
    files = _as_list(given["config_file"]) if "config_file" in given else []
    names = [Path(file).name for file in files]
    is_whole = "bundle_root" in ConfigParser.load_config_files(files)
    if is_whole and BASE not in names[1:]:
        return
    base = str(Path(files[0]).with_name(BASE))
    wanted = [base, *(file for file in files if Path(file).name != BASE)]
    msg = (
        f"config_file must begin with {BASE}, got {shown(', '.join(files))}; "
        f'write --config_file "{shown(wanted)}"'
    )
    raise InputError(msg)


def _check_beginnings(given: Mapping[str, Any]) -> None:
    """What MONAI replaces or runs before the command line can be read as text."""
    for key in sorted(given.keys() & (TEXT | NAMES)):
        read = _text(given[key])
        for text in read if isinstance(read, list) else [str(read)]:
            if text.startswith("%") or _is_import(text):
                msg = (
                    f"--{key} must not begin with % or $import, got {shown(text)}, which MONAI "
                    "does not take as it stands; write ./ before the path, or rename it"
                )
                raise InputError(msg)


def _is_import(text: str) -> bool:
    """Whether MONAI takes a text for an import, or stumbles when it looks."""
    try:
        return bool(ConfigExpression.is_import_statement(text))
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return True


def _check_keys(given: Mapping[str, Any]) -> None:
    """MONAI adds an unknown `--key value` to the config, and drops None, without a word."""
    if "config_file" not in given:
        return
    config = ConfigParser(ConfigParser.load_config_files(_as_list(given["config_file"])))
    unknown = [key for key in given if key not in RUN_PARAMETERS and key.lstrip("+") not in config]
    if unknown:
        known = sorted(str(key) for key in config.config)
        guesses = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean --{guesses[0]}?" if guesses else f"known are {', '.join(known)}"
        msg = f"command-line keys must be in the config, got --{', --'.join(unknown)}; {hint}"
        raise InputError(msg)
    for key, value in given.items():
        if key not in TEXT and isinstance(value, str) and DefaultParseValue(value) is None:
            msg = (
                f"--{key} must have a value, got {value}, which MONAI leaves out; "
                "write null into a config file that is laid over the others"
            )
            raise InputError(msg)


def _texts(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of text options as they stand, those of names as fire reads them."""
    for key, value in given.items():
        if key in TEXT and (isinstance(value, bool) or (key in NEVER_EMPTY and value == "")):
            msg = f"--{key} must have a value, got none; write it behind the option"
            raise InputError(msg)
    texts = {key: _text(value) for key, value in given.items() if key in TEXT}
    names = {key: value for key, value in given.items() if key in NAMES}
    for key, value in names.items():
        names[key] = DefaultParseValue(value) if isinstance(value, str) else value
    return {**texts, **names}


def _text(value: Any) -> Any:
    """A Python list of quoted texts is a list of them, anything else is one text."""
    try:
        listed = ast.literal_eval(value)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
    texts = isinstance(listed, list) and listed and all(isinstance(text, str) for text in listed)
    return listed if texts else value


def _as_list(value: str | list[str]) -> list[str]:
    """`a.json` or `['a.json', 'b.json']`, as fire reads it."""
    parsed = DefaultParseValue(value) if isinstance(value, str) else value
    return [str(item) for item in parsed] if isinstance(parsed, list | tuple) else [str(parsed)]

"""Files below a folder: regular ones alone, however deep and whatever they are called."""

# Paths are text here: ten times as fast where there are thousands.
# ruff: noqa: PTH114, PTH116, PTH118

from __future__ import annotations

import logging
import os
import re
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from tqdm import tqdm

from .case import Rejection
from .errors import InputError
from .naming import shown
from .parallel import is_first_process

log = logging.getLogger("common.cases")
Item = TypeVar("Item")

# What systems keep beside data, most of it closed to others. Names that begin with a dot, too.
NOT_DATA = frozenset({"lost+found", "$RECYCLE.BIN", "System Volume Information", "@eaDir"})
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
SILENT_S = 2.0
SAY_EVERY_S = 10.0
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Listing(NamedTuple):
    """One folder: its subfolders and regular files by name, and what else is in it."""

    folders: list[str]
    files: list[str]
    rejected: list[Rejection]


def given_path(value: object, *, name: str) -> Path:
    """A path that the user gave. An empty one is an error, never the current folder.

    Args:
        value: Text, a path, or a number where a command line took the name of a folder for one.
        name: Of the option, for the message.

    Raises:
        InputError: If it is empty, a URL or no path at all.
    """
    is_path = isinstance(value, str | os.PathLike | int | float) and not isinstance(value, bool)
    text = str(value) if is_path else ""
    if not text.strip():
        msg = f"{name} must be a path, got {shown(repr(value))}; name a file or folder"
        raise InputError(msg)
    if _URL.match(text):
        msg = (
            f"{name} must be a path on this machine, got the URL {shown(text)}; "
            "download it or mount it, and give that path"
        )
        raise InputError(msg)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~nobody
        msg = f"{name} must be a path, got {shown(text)} ({error}); write it out"
        raise InputError(msg) from error


def true_path(path: str | os.PathLike[str]) -> str:
    """The absolute path of what is there; anything else, such as a phantom's name, as it is."""
    try:
        return str(Path(path).absolute() if Path(path).exists() else path)
    except (OSError, ValueError):  # too long, not to be looked at
        return str(path)


def why_not_regular(path: str | os.PathLike[str]) -> str:
    """What a path leads to that is no regular file, such as `a named pipe`; empty for a file.

    Reading anything else can take for ever. Nothing is opened; links are followed.

    Raises:
        OSError: If there is nothing, or it may not be looked at.
    """
    mode = os.stat(path).st_mode
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def list_folder(folder: str) -> Listing:
    """List one folder in the order of names, hidden ones left out; links are followed.

    Raises:
        OSError: If the folder cannot be read.
    """
    listing = Listing([], [], [])
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in sorted(visible, key=lambda entry: entry.name):
        if entry.name in NOT_DATA:
            continue
        try:
            if entry.is_dir():
                listing.folders.append(entry.name)
            elif entry.is_file():
                listing.files.append(entry.name)
            else:
                reason = f"{why_not_regular(entry.path)}, not a file"
                listing.rejected.append(Rejection(entry.path, reason))
        except FileNotFoundError:
            listing.rejected.append(Rejection(entry.path, "a link to nothing", damaged=True))
        except OSError as error:
            listing.rejected.append(_unreadable(entry.path, error))
    return listing


def list_files(folder: Path) -> tuple[list[Path], list[Rejection]]:
    """All regular files below a folder, by folder and name, hidden ones left out.

    Links are followed, to each folder once.

    Returns:
        The files; and what cannot be read or is no file, by name.
    """
    files: list[Path] = []
    rejected: list[Rejection] = []
    for found in told(_walk(folder), what="files listed"):
        if isinstance(found, Rejection):
            rejected.append(found)
        else:
            files.append(found)
    return files, rejected


def _walk(folder: Path) -> Iterator[Path | Rejection]:
    waiting = [(os.fspath(folder), os.path.realpath(folder))]
    seen = set()
    while waiting:  # no recursion: folders may lie thousands deep
        path, real = waiting.pop()
        if real in seen:
            continue
        seen.add(real)
        try:
            listing = list_folder(path)
        except OSError as error:
            yield _unreadable(path, error)
            continue
        yield from listing.rejected
        for name in listing.files:
            yield Path(path, name)
        for name in reversed(listing.folders):
            below, real_below = os.path.join(path, name), os.path.join(real, name)
            if os.path.islink(below):
                real_below = os.path.realpath(below)
            waiting.append((below, real_below))


def _unreadable(path: str, error: OSError) -> Rejection:
    """A file or folder that may hold scans which nobody can see."""
    reason = (error.strerror or type(error).__name__).lower()
    return Rejection(path, f"cannot be read ({reason})", damaged=True)


def told(items: Iterable[Item], *, what: str, total: int | None = None) -> Iterator[Item]:
    """Pass items on, and say how far that is once it takes longer than a moment.

    A bar on a terminal, elsewhere a log line every few seconds; in the first process alone.

    Args:
        items: Whatever takes long to go through.
        what: Is counted, for example `files looked at`.
        total: How many, where known.
    """
    if not is_first_process():
        yield from items
    elif sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total, delay=SILENT_S, leave=False)
    else:
        next_s = time.monotonic() + SILENT_S
        for number, item in enumerate(items):
            if time.monotonic() > next_s:
                log.info("%d%s %s", number, f" of {total}" if total else "", what)
                next_s = time.monotonic() + SAY_EVERY_S
            yield item

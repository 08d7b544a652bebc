"""Which folder a run writes to: results of several bundles live side by side."""

from __future__ import annotations

import json
from pathlib import Path

from ..atomic import create_text, unwritable, write_text
from ..errors import InputError
from ..files import given_path
from .schema import RESULT_NAME

OWNER_NAME = ".bundle"


def results_dir(output_dir: str | Path, owner: str) -> Path:
    """Where results go; only looks, writes nothing.

    Args:
        output_dir: As the user says.
        owner: Who writes: the bundle, with the stage where it has several kinds of results.

    Returns:
        ``output_dir``, or a folder in it by the name of the owner where ``output_dir`` holds the
        results of another one.

    Raises:
        InputError: If ``output_dir`` is empty.
    """
    folder = given_path(output_dir, name="output_dir").absolute()
    return folder if owner_of_folder(folder) in (None, owner) else folder / owner


def own_folder(folder: Path, owner: str) -> None:
    """Make a results folder an owner's, for good.

    Raises:
        OutputError: If it cannot be made or written.
        InputError: If it is another owner's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = owner_of_folder(folder)
        if found in (None, owner):  # written again, which tells at once whether that is possible
            create_text(folder / OWNER_NAME, owner)
            found = owner_of_folder(folder)
        if found is None:  # left empty by a run that was killed at this very step
            write_text(folder / OWNER_NAME, owner)
    except OSError as error:
        raise unwritable(folder, error) from error
    if found not in (None, owner):
        msg = (
            f"output_dir must be free for {owner}, got {folder}, which {found} has taken just "
            "now; start again, or choose another `--output_dir`"
        )
        raise InputError(msg)


def owner_of_folder(folder: Path) -> str | None:
    """Whose results a folder holds; None where it holds none."""
    try:
        name = (folder / OWNER_NAME).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        name = ""
    if name:
        return name
    for path in folder.glob(f"*/{RESULT_NAME}"):
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["bundle"]["name"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None

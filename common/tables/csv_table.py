"""CSV files as rows of text, and their numbers, with errors that name the file."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

from ..errors import InputError

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
FORMULA = tuple("=+-@\t\r")  # a text that begins so is run by spreadsheets
LONGEST_CELL = 1 << 24  # reports are longer than the csv module's default limit allows
csv.field_size_limit(LONGEST_CELL)


def read_text(path: Path) -> str:
    """Read a text file as UTF-8, with or without a byte order mark.

    Raises:
        InputError: If it is missing, unreadable or not text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        msg = f"list must exist, got {path}; check the path"
        raise InputError(msg) from error
    except PermissionError as error:
        msg = f"{path} must be readable, got permission denied; change its permissions"
        raise InputError(msg) from error
    except (UnicodeDecodeError, IsADirectoryError) as error:
        msg = f"{path} must be a UTF-8 text file, got something else; save it again"
        raise InputError(msg) from error


def read_table(path: Path, *, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read a CSV file; commas, semicolons or tabs part its columns.

    Args:
        path: The file.
        columns: Must all be there.

    Returns:
        One dictionary per row, values stripped; at least one row.

    Raises:
        InputError: If the file is empty or lacks one of `columns`.
    """
    lines = read_text(path).splitlines(keepends=True)
    if not lines:
        msg = f"{path} must be a table with a header row, got an empty file; save it again"
        raise InputError(msg)
    delimiter = max(",;\t", key=lines[0].count)
    reader = csv.DictReader(lines, delimiter=delimiter, restval="")
    try:
        rows = [
            {key.strip(): (value or "").strip() for key, value in row.items() if key}
            for row in reader
        ]
    except csv.Error as error:
        msg = f"{path} must be a CSV table, got {error}; save it again"
        raise InputError(msg) from error
    names = [name.strip() for name in reader.fieldnames or []]
    missing = [column for column in columns if column not in names]
    if missing:
        msg = f"{path} must have the columns {missing}, got {names[:25]}; use the published table"
        raise InputError(msg)
    if not rows:
        msg = f"{path} must have at least one row, got a header alone; save it again"
        raise InputError(msg)
    return rows


def number(text: str, *, name: str) -> float:
    """A cell's number; NaN where the cell is empty.

    Raises:
        InputError: If the cell holds something else.
    """
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError as error:
        msg = f"{name} must be a number, got {text!r}; correct the table"
        raise InputError(msg) from error


def numbers(text: str, *, count: int, name: str) -> tuple[float, ...]:
    r"""The numbers of a cell that holds a list as text, such as `"[0.7, 0.7]"` or `0.7\\0.7`.

    Raises:
        InputError: If there are not exactly `count` of them.
    """
    found = tuple(float(match) for match in NUMBER.findall(text))
    if len(found) != count:
        msg = f"{name} must hold {count} numbers, got {text!r}; correct the table"
        raise InputError(msg)
    return found


def harmless(cell: object) -> object:
    """A cell that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULA else cell

"""CSV files as rows of text, and their numbers, with errors that name the file."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from .errors import InputError
from .files import why_not_regular
from .naming import shown

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
FORMULA = tuple("=+-@\t\r")  # a text that begins so is run by spreadsheets
LONGEST_CELL = 1 << 24  # reports are longer than the csv module's default limit allows
LARGEST_BYTES = 1 << 30
csv.field_size_limit(LONGEST_CELL)


def read_text(path: Path) -> str:
    """Read a text file as UTF-8, with or without a byte order mark.

    Raises:
        InputError: If it is missing, unreadable, far too large or not text, which holds no NUL: a
            file that was cut off or saved as UTF-16 does.
    """
    name = shown(path)
    try:
        other = why_not_regular(path)
        if other or path.stat().st_size > LARGEST_BYTES:
            got = other or f"one of {path.stat().st_size} bytes"
            most = f"{LARGEST_BYTES >> 30} GB"
            msg = f"{name} must be a text file of at most {most}, got {got}; check the path"
            raise InputError(msg)
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError) as error:
        msg = f"list must exist, got {name}; check the path"
        raise InputError(msg) from error
    except PermissionError as error:
        msg = f"{name} must be readable, got permission denied; change its permissions"
        raise InputError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{name} must be a UTF-8 text file, got something else; save it again"
        raise InputError(msg) from error
    except OSError as error:
        got = (error.strerror or str(error)).lower()
        msg = f"{name} must be readable, got {got}; copy it again"
        raise InputError(msg) from error
    place = text.find("\0")
    if place >= 0:
        line = text.count("\n", 0, place) + 1
        msg = f"{name} must be text, got a NUL byte in line {line}; save it again as UTF-8"
        raise InputError(msg)
    return text


def read_table(path: Path, *, columns: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """Read a CSV file; commas, semicolons or tabs part its columns.

    Args:
        path: The file.
        columns: Must all be there.

    Returns:
        One dictionary per row that is not empty, values stripped; at least one row.

    Raises:
        InputError: If the file is empty or lacks one of `columns`, or a row has more cells than
            the header: what follows a comma in a name would else be read as the next column.
    """
    text = read_text(path).lstrip("\r\n")
    first, _, rest = text.partition("\n")
    delimiter = max(",;\t", key=first.count)
    if first.lower().startswith("sep=") and len(first.strip()) == 5:  # Excel says so itself
        delimiter, text = first[4], rest
    name = shown(path)
    if not text.strip():
        msg = f"{name} must be a table with a header row, got an empty file; save it again"
        raise InputError(msg)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    try:
        names = _column_names(reader, name)
        rows = list(_rows(reader, len(names), name))
    except csv.Error as error:
        msg = f"{name} must be a CSV table, got {error}; save it again"
        raise InputError(msg) from error
    missing = [column for column in columns if column not in names]
    if missing:
        msg = f"{name} must have the columns {missing}, got {names[:25]}; use the published table"
        raise InputError(msg)
    if not rows:
        msg = f"{name} must have at least one row, got a header alone; save it again"
        raise InputError(msg)
    return rows


def _column_names(reader: csv.DictReader[str], name: str) -> list[str]:
    names = [column.strip() for column in reader.fieldnames or []]
    twice = sorted({column for column in names if column and names.count(column) > 1})
    if twice:
        msg = f"{name} must name each column once, got {twice} twice; rename one"
        raise InputError(msg)
    return names


def _rows(reader: csv.DictReader[str], num_columns: int, name: str) -> Iterator[dict[str, str]]:
    """Rows that are not empty, values stripped."""
    for row in reader:
        beyond = cast(list[str], row.pop(None, []))
        if any(cell.strip() for cell in beyond):
            msg = (
                f"{name} must have as many cells as columns, {num_columns}, got more in line "
                f"{reader.line_num}; put a cell that holds {reader.reader.dialect.delimiter!r} in "
                '"quotes"'
            )
            raise InputError(msg)
        cells = {key.strip(): (value or "").strip() for key, value in row.items() if key}
        if any(cells.values()):
            yield cells


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

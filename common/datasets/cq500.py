"""CQ500 as published: 491 head CTs, each read by three radiologists (Chilamkurthy, Lancet 2018).

- `reads.csv`: name, Category, R1:ICH, R1:IPH, ... R3:MidlineShift;
- `CQ500CT0 CQ500CT0/.../*.dcm`: what `CQ500-CT-0.zip` holds, a folder per series.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from ..case import CaseList, Rejection
from ..cases.scan_folder import scan_of_folder
from ..csv_table import number, read_table
from ..errors import InputError

READS = "reads.csv"
_NAME, _CATEGORY = "name", "Category"
_NUMBER = re.compile(r"CQ500\W?CT\W?(\d+)", re.IGNORECASE)


def cq500_cases(folder: Path) -> CaseList:
    """Every scan that the reads name, with one label: abnormal.

    Of a study with several series the plain one nearest to slices of 5 mm is taken, see
    `plain_series`; the authors of CT-FM do not say which they took.

    Args:
        folder: With `reads.csv` and one folder per scan, below it or below those that its zip
            files were unpacked to.

    Returns:
        Cases with `label`, 0 or 1; `rejected` names the scans that are not there.

    Raises:
        InputError: If the table is not the published one or no scan is there.
    """
    abnormal = read_reads(folder / READS)
    folders: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        match = _NUMBER.match(path.name)
        if path.is_dir() and match:
            folders.setdefault(f"CQ500-CT-{match[1]}", path)
    found = CaseList()
    for name, label in abnormal.items():
        if name not in folders:
            found.rejected.append(Rejection(name, f"no folder of this scan in {folder}"))
            continue
        case = scan_of_folder(folders[name], name=name)
        if isinstance(case, Rejection):
            found.rejected.append(case)
        else:
            case["label"] = [label]
            found.append(case)
    if not found:
        msg = (
            f"{folder} must hold scans of {READS}, got none of {len(abnormal)} (looked for folders "
            f"such as 'CQ500CT0 CQ500CT0'; {found.rejected[0]}); unpack the zip files there"
        )
        raise InputError(msg)
    return found


def read_reads(path: Path) -> dict[str, float]:
    """Read `reads.csv`.

    Returns:
        For each scan 1 where any reader marked anything, 0 where none did, NaN where nothing was
        filled in. `Category`, how the scan was collected, is no finding.

    Raises:
        InputError: If there is no column of a reader.
    """
    rows = read_table(path, columns=(_NAME,))
    columns = [column for column in rows[0] if column not in (_NAME, _CATEGORY)]
    if not any(column.startswith("R1:") for column in columns):
        msg = f"{path} must have columns R1:..., got {list(rows[0])[:8]}; use the published table"
        raise InputError(msg)
    return {row[_NAME]: _any_positive(row, columns, path) for row in rows}


def _any_positive(row: dict[str, str], columns: list[str], path: Path) -> float:
    marks = [number(row[column], name=f"{path}: {column}") for column in columns]
    known = [mark for mark in marks if not math.isnan(mark)]
    return float(max(known) > 0) if known else math.nan

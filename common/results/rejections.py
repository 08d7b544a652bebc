"""`rejected.csv`: what was found and is no case of the run, a row each."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..atomic import remove, write_text
from ..case import Case, Rejection
from ..csv_table import harmless, read_table
from ..files import true_path
from ..naming import shown, unique_names
from .case_result import source_of

REJECTED_NAME = "rejected.csv"
COLUMNS = ("case_id", "status", "reason", "path")


def write_rejections(
    output_dir: Path,
    cases: Sequence[Case],
    rejected: Sequence[Rejection],
    refused: Mapping[str, str],
) -> Path | None:
    """Write down what has no folder: files that are no CT, damaged ones, cases without a place.

    Rows of earlier runs stay, unless this one met the same path again.

    Args:
        output_dir: Holds `summary.csv`.
        cases: All cases of the run.
        rejected: What the list of cases left out; what could be no volume has no row.
        refused: By case_id, why a case could have no folder.

    Returns:
        Path of the table; None where it would have no row, and then there is none.

    Raises:
        InputError: If the folder cannot be written, or the table that is there cannot be read.
    """
    volumes = [each for each in rejected if each.is_volume]
    names = unique_names([*([case["case_id"]] for case in cases), *map(_longer, volumes)])
    rows = [
        {
            "case_id": name,
            "status": "failed" if each.damaged else "rejected",
            "reason": " ".join(each.reason.split()),
            "path": true_path(each.path),
        }
        for name, each in zip(names[len(cases) :], volumes, strict=True)
    ]
    for case in cases:
        if case["case_id"] in refused:
            reason = refused[case["case_id"]]
            row = {"case_id": case["case_id"], "status": "failed", "reason": reason}
            rows.append({**row, "path": source_of(case)})
    met = {_cell(row["path"]) for row in rows}
    met |= {
        _cell(true_path(path)) for case in cases for path in (case["image"], *case.get("files", ()))
    }
    known = {case["case_id"] for case in cases}
    earlier = [
        row
        for row in read_rejections(output_dir)
        if row["path"] not in met
        and not (row["case_id"] in known and not Path(row["path"]).is_absolute())
    ]
    rows = earlier + rows
    path = output_dir / REJECTED_NAME
    if not rows:
        remove(path)
        return None
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({key: _cell(row[key]) for key in COLUMNS} for row in rows)
    write_text(path, text.getvalue())
    return path


def read_rejections(output_dir: Path) -> list[dict[str, str]]:
    """The rows of `rejected.csv`; none where there is no such table.

    Raises:
        InputError: If it was changed so that it cannot be read.
    """
    path = output_dir / REJECTED_NAME
    return read_table(path, columns=COLUMNS) if path.is_file() else []


def _cell(text: str) -> str:
    """A text as the table holds it: one line that can be printed, and no formula."""
    return str(harmless(shown(text).strip()))


def _longer(rejection: Rejection) -> list[str]:
    """Names for a rejected file, from its own alone to its whole path.

    A damaged scan has the name that it will have as a case once it is mended.
    """
    if rejection.case_id:
        return [rejection.case_id]
    path = Path(rejection.path)
    if rejection.damaged:
        path = Path(rejection.path.removesuffix(".gz")).with_suffix("")
    parts = [part for part in path.parts if part != path.anchor]
    return ["_".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]

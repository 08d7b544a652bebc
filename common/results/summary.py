"""`summary.csv`: one row per case of an output folder, whichever process wrote the case."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..atomic import remove_partials, write_text
from ..csv_table import harmless
from ..naming import natural_order
from .rejections import read_rejections
from .schema import FAILURE_NAME, RESULT_NAME, check_case_result

SUMMARY_NAME = "summary.csv"
_FIRST = ["case_id", "status", "reason"]
_LAST = ["weights", "seconds"]


def write_summary(output_dir: str | Path) -> Path:
    """Merge every case below ``output_dir`` into `summary.csv`.

    Call it once, after all processes have finished. Rows stand in natural order of the case's
    name (`case_2` before `case_10`), so the same cases give the same file byte for byte, except
    for the seconds.

    Columns: case_id; status (finished, failed, rejected); reason; each plain number or text of
    the outputs; the probability of each label; `<label> positive` (0 or 1); weights; seconds
    (reading to writing). A cell is empty where a case has no such value.

    Args:
        output_dir: Holds a folder per case with `result.json` or `failure.json`, and
            `rejected.csv` where files were rejected.

    Returns:
        Path of `summary.csv`.

    Raises:
        InputError: If the folder cannot be written.
    """
    output_dir = Path(output_dir)
    rows = read_rows(output_dir)
    inner = dict.fromkeys(
        column for row in rows for column in row if column not in (*_FIRST, *_LAST)
    )
    scores = [column for column in inner if not column.endswith(" positive")]
    decisions = [column for column in inner if column.endswith(" positive")]
    text = io.StringIO()
    rows = [{column: harmless(value) for column, value in row.items()} for row in rows]
    table = csv.DictWriter(
        text, [*_FIRST, *scores, *decisions, *_LAST], restval="", lineterminator="\n"
    )
    table.writeheader()
    table.writerows(rows)
    if output_dir.is_dir():
        remove_partials(output_dir)
    write_text(output_dir / SUMMARY_NAME, text.getvalue())
    return output_dir / SUMMARY_NAME


def read_rows(output_dir: str | Path) -> list[dict[str, Any]]:
    """One row per case below ``output_dir`` and per rejected file, in natural order of the name.

    A `result.json` that cannot be read is a row with status `failed`, never an exception.
    """
    found: Iterable[Path] = [
        path for name in (RESULT_NAME, FAILURE_NAME) for path in Path(output_dir).glob(f"*/{name}")
    ]
    rows = [_row(path) for path in found]
    rows += [{key: row[key] for key in _FIRST} for row in read_rejections(Path(output_dir))]
    return sorted(rows, key=lambda row: natural_order(row["case_id"]))


def _row(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if path.name == FAILURE_NAME:
            return {key: record[key] for key in _FIRST}
        check_case_result(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"{path.name} cannot be read ({type(error).__name__}); run this case again"
        return {"case_id": path.parent.name, "status": "failed", "reason": reason}
    return {
        "case_id": record["case"]["case_id"],
        "status": "finished",
        "reason": "",
        **_scalars(record["outputs"]),
        "weights": record["weights"]["name"],
        "seconds": round(sum(record["timings"].values()), 3),
    }


def _scalars(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values at the top of the outputs, probabilities and decisions, rounded for a table."""
    row = {name: value for name, value in outputs.items() if isinstance(value, str | int | float)}
    row.update(outputs.get("probabilities", {}))
    rounded = {
        name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()
    }
    for label, finding in outputs.get("findings", {}).items():
        rounded[f"{label} positive"] = int(finding["positive"])
    return rounded

"""Columns of any table of cases, as text, joined to embeddings by the case's name.

A case is in the column `case_id` or `VolumeName`, else in the first, with or without folder and
ending of a volume file. A column `patient_id` is used where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..csv_table import read_table
from ..errors import InputError
from .table import EmbeddingTable

ID_COLUMNS = ("case_id", "VolumeName")
_ENDINGS = (".nii.gz", ".nii", ".npz", ".nrrd")


@dataclass(frozen=True)
class LabelledEmbeddings:
    """Embeddings of labelled cases.

    Attributes:
        table: N cases.
        columns: Names of the labels, L.
        values: As they stand in the table, stripped, empty where unknown; N rows of L.
        notes: What was left out, in sentences.
    """

    table: EmbeddingTable
    columns: list[str]
    values: list[list[str]]
    notes: list[str]

    def column(self, name: str) -> list[str]:
        """One label of every case."""
        place = self.columns.index(name)
        return [row[place] for row in self.values]


def join_labels(
    table: EmbeddingTable, path: str | Path, *, columns: Sequence[str]
) -> LabelledEmbeddings:
    """Label embedded cases by a CSV file.

    Args:
        table: From `read_embeddings`.
        path: A table with a row per case.
        columns: Its columns that are wanted, at least one.

    Returns:
        The cases that both have, in the order of the embeddings.

    Raises:
        InputError: If a column is missing, a case has two rows, or no case is in both.
    """
    if not columns:
        msg = "columns must name at least one label, got none; name columns of the table"
        raise InputError(msg)
    found = rows_by_case(path, columns=columns)
    shared = [name for name in table.case_ids if name in found]
    if not shared:
        msg = (
            f"{path} must label cases that have an embedding, got {', '.join(list(found)[:3])} "
            f"for {', '.join(table.case_ids[:3])}; a column case_id must hold their names"
        )
        raise InputError(msg)
    kept = with_patients(table.select(shared), found)
    left_out = {
        "embeddings without a row": len(table) - len(shared),
        "rows without an embedding": len(found) - len(shared),
    }
    return LabelledEmbeddings(
        table=kept,
        columns=list(columns),
        values=[[found[name][column] for column in columns] for name in shared],
        notes=[f"{what}, left out: {num}" for what, num in left_out.items() if num],
    )


def rows_by_case(path: str | Path, *, columns: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The rows of a table by the name of their case.

    Args:
        path: A table with a row per case.
        columns: Must all be there.

    Raises:
        InputError: If a column is missing or a case has two rows.
    """
    rows = read_table(Path(path), columns=tuple(columns))
    key = next((name for name in ID_COLUMNS if name in rows[0]), next(iter(rows[0])))
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        name = case_name(row[key])
        if name in found:
            msg = f"{path} must hold each case once, got {name} again; remove the doubles"
            raise InputError(msg)
        found[name] = row
    return found


def with_patients(table: EmbeddingTable, rows: Mapping[str, Mapping[str, str]]) -> EmbeddingTable:
    """The same embeddings, owned by whom a table's column `patient_id` says, where it does."""
    stated = [rows.get(name, {}).get("patient_id") for name in table.case_ids]
    owners = [new or old for new, old in zip(stated, table.patient_ids, strict=True)]
    return replace(table, patient_ids=owners)


def case_name(text: str) -> str:
    """A volume's name without folder and ending."""
    name = text.strip().rsplit("/", 1)[-1]
    return next((name.removesuffix(end) for end in _ENDINGS if name.endswith(end)), name)

"""`embeddings.parquet`: one row per embedded case, whichever process wrote the case.

Parquet by pyarrow: any program reads it (pandas, polars, R, DuckDB), float32 stays float32, and
148,000 embeddings of 512 numbers are 300 MB.

| column | what |
|---|---|
| case_id | as the case's folder |
| patient_id | who was scanned; empty where unknown |
| path | the scan |
| num_windows | that were embedded and pooled |
| pooling | mean, max or min |
| weights | name and first digits of the hash |
| embedding | list of F float32 |

Shapes: N cases, F numbers per embedding.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import json_text, replacing
from ..errors import InputError
from ..naming import natural_order, shown
from ..results.case_result import read_case_result
from ..results.schema import RESULT_NAME, CaseResult

TABLE_NAME = "embeddings.parquet"
MADE_BY = b"ct_bundles"
"""Key of the file's metadata that says what made the embeddings, as JSON."""


@dataclass(frozen=True)
class EmbeddingTable:
    """Embeddings of many cases, all made in the same way.

    Attributes:
        case_ids: N names, each once.
        patient_ids: Whose each case is; None where unknown.
        embeddings: `(N, F)` float32.
        paths: Of the scans; empty where unknown.
        num_windows: `(N,)`, embedded and pooled.
        made_by: What decides the numbers: bundle, weights, precision, pooling, settings, ...
    """

    case_ids: Sequence[str]
    patient_ids: Sequence[str | None]
    embeddings: NDArray[np.float32]
    paths: Sequence[str] = ()
    num_windows: Sequence[int] = ()
    made_by: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.case_ids)

    @property
    def owners(self) -> list[str]:
        """Whose each case is; a case of unknown patient is a patient of its own."""
        return [
            f"case {case}" if patient is None else f"patient {patient}"
            for case, patient in zip(self.case_ids, self.patient_ids, strict=True)
        ]

    def select(self, case_ids: Sequence[str]) -> EmbeddingTable:
        """The same table with these cases, in this order.

        Raises:
            InputError: If one has no embedding.
        """
        row = {name: index for index, name in enumerate(self.case_ids)}
        missing = [name for name in case_ids if name not in row]
        if missing or not case_ids:
            shown = ", ".join(missing[:5]) + (" ..." if len(missing) > 5 else "")
            msg = (
                f"embeddings must hold every case asked for, got none for {len(missing)} of "
                f"{len(case_ids)} ({shown or 'no case was asked for'}); run inference on them"
            )
            raise InputError(msg)
        rows = [row[name] for name in case_ids]
        return replace(
            self,
            case_ids=list(case_ids),
            patient_ids=[self.patient_ids[index] for index in rows],
            embeddings=self.embeddings[rows],
            paths=[self.paths[index] for index in rows] if self.paths else (),
            num_windows=[self.num_windows[index] for index in rows] if self.num_windows else (),
        )


def merge_embeddings(output_dir: str | Path) -> Path:
    """Merge every finished case below `output_dir` into `embeddings.parquet`.

    Call it once, after all processes have finished. Rows stand in natural order of the case's
    name, so the same cases give the same table, whichever processes wrote them and however often
    the run was taken up again.

    Args:
        output_dir: Holds a folder per case with `result.json`.

    Returns:
        Path of `embeddings.parquet`.

    Raises:
        InputError: If there is no case, a result is broken, or cases were embedded in different
            ways (their vectors must not be compared), or the folder cannot be written.
    """
    return write_embeddings(Path(output_dir) / TABLE_NAME, read_results(output_dir))


def read_results(output_dir: str | Path) -> EmbeddingTable:
    """The embeddings of every `<case_id>/result.json` below a folder. Raises as above."""
    paths = sorted(
        Path(output_dir).glob(f"*/{RESULT_NAME}"),
        key=lambda path: natural_order(path.parent.name),
    )
    hint = "keep an encoder's results in an output_dir of their own"
    records = [read_case_result(path, needs="embedding", hint=hint) for path in paths]
    if not records:
        msg = (
            f"output_dir must hold embedded cases (<case_id>/{RESULT_NAME}), got none in "
            f"{output_dir}; run inference of an encoder with this output_dir first"
        )
        raise InputError(msg)
    first = made_by(records[0])
    for path, record in zip(paths, records, strict=True):
        found = made_by(record)
        different = [key for key in first if found.get(key) != first[key]]
        if different:
            msg = (
                f"embeddings of one table must be made alike, got another {', '.join(different)} "
                f"in {path} than in {paths[0]}; keep each run in its own output_dir"
            )
            raise InputError(msg)
    outputs = [record["outputs"] for record in records]
    return EmbeddingTable(
        case_ids=_distinct([record["case"]["case_id"] for record in records], output_dir),
        patient_ids=[record["case"]["patient_id"] for record in records],
        embeddings=np.array([each["embedding"] for each in outputs], dtype=np.float32),
        paths=[record["case"]["path"] for record in records],
        num_windows=[each["num_windows"] - each["num_empty_windows"] for each in outputs],
        made_by=first,
    )


def made_by(record: CaseResult) -> dict[str, Any]:
    """What decides the numbers of an embedding, as its result says."""
    settings = {k: v for k, v in record["settings"].items() if k != "postprocessing"}
    return {
        "bundle": record["bundle"],
        "weights": record["weights"],
        "precision": record["precision"],
        "pooling": record["outputs"]["pooling"],
        "num_dimensions": record["outputs"]["num_dimensions"],
        "settings": settings,
        "clinical_use": False,
        "note": record["note"],
    }


def write_embeddings(path: str | Path, table: EmbeddingTable) -> Path:
    """Write a table as Parquet, whole or not at all.

    Raises:
        InputError: If the place cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, num = Path(path), len(table)
    width = table.embeddings.shape[1]
    num_windows: list[int | None] = list(table.num_windows) or [None] * num
    flat = pa.array(np.ascontiguousarray(table.embeddings, dtype=np.float32).reshape(-1))
    weights = table.made_by.get("weights", {})
    columns = {
        "case_id": pa.array(table.case_ids, pa.string()),
        "patient_id": pa.array(table.patient_ids, pa.string()),
        "path": pa.array([shown(path) for path in table.paths] or [""] * num, pa.string()),
        "num_windows": pa.array(num_windows, pa.int32()),
        "pooling": pa.array([str(table.made_by.get("pooling", ""))] * num, pa.string()),
        "weights": pa.array(
            [f"{weights.get('name', '')} {weights.get('sha256', '')[:12]}".strip()] * num,
            pa.string(),
        ),
        "embedding": pa.FixedSizeListArray.from_arrays(flat, width),
    }
    arrow = pa.table(columns).replace_schema_metadata({MADE_BY: json_text(table.made_by).encode()})
    with replacing(path) as partial:
        pq.write_table(arrow, partial, compression="zstd")
    return path


def read_embeddings(path: str | Path) -> EmbeddingTable:
    """Read a table of embeddings.

    Args:
        path: `embeddings.parquet`, any Parquet file with columns `case_id` and `embedding`, or the
            `output_dir` of a run: its table, else its results.

    Raises:
        InputError: If there is none, it cannot be read, a case has two rows, or embeddings differ
            in length.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / TABLE_NAME).is_file():
            return read_results(path)
        path = path / TABLE_NAME
    return _read_parquet(path)


def read_given_or_own(
    embeddings: str, *, output_dir: str | Path, case_ids: Sequence[str]
) -> EmbeddingTable:
    """The table that a user names, or this run's own cases.

    Args:
        embeddings: As of `read_embeddings`; empty takes `case_ids` of `output_dir`.
        output_dir: Where this run's embeddings lie.
        case_ids: Of this run; the folder may hold others.

    Raises:
        InputError: As `read_embeddings`, or if a case has no embedding.
    """
    if embeddings:
        return read_embeddings(embeddings)
    return read_embeddings(output_dir).select(case_ids)


def _read_parquet(path: Path) -> EmbeddingTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        msg = f"embeddings must exist, got {path}; name a table or the output_dir of a run"
        raise InputError(msg)
    try:
        arrow = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        msg = f"{path} must be a Parquet table of embeddings, got {error}; run inference again"
        raise InputError(msg) from error
    absent = [name for name in ("case_id", "embedding") if name not in arrow.column_names]
    if absent or not arrow.num_rows:
        msg = (
            f"{path} must have rows with columns case_id and embedding, got {arrow.num_rows} rows "
            f"of {', '.join(arrow.column_names)}; give an encoder's {TABLE_NAME}"
        )
        raise InputError(msg)
    lists = arrow.column("embedding").combine_chunks()
    numbers = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    lengths = {len(each) for each in lists} if lists.null_count == 0 else {0, 1}
    if len(lengths) != 1:
        msg = f"{path} must hold embeddings of one length, got several; run inference again"
        raise InputError(msg)
    stated = (arrow.schema.metadata or {}).get(MADE_BY, b"{}")

    def column(name: str) -> list[Any]:
        return arrow.column(name).to_pylist() if name in arrow.column_names else []

    ids = _distinct([str(name) for name in column("case_id")], path)
    windows = column("num_windows")
    return EmbeddingTable(
        case_ids=ids,
        patient_ids=column("patient_id") or [None] * len(ids),
        embeddings=numbers.reshape(len(ids), -1),
        paths=[str(each) for each in column("path")],
        num_windows=windows if None not in windows else [],
        made_by=json.loads(stated),
    )


def _distinct(case_ids: list[str], source: str | Path) -> list[str]:
    doubles = [name for name, count in Counter(case_ids).items() if count > 1]
    if doubles:
        msg = f"{source} must hold each case once, got {', '.join(doubles[:5])} again; mend it"
        raise InputError(msg)
    return case_ids

"""One schema for what every bundle leaves behind: ``output_dir/<case_id>/result.json``.

A folder holds either `result.json` (finished) or `failure.json` (failed), never both.
`result.json` is written last, so its presence means that everything beside it is whole.
All keys are required; times are in seconds, world coordinates in millimetres, RAS+. For other
programs the same stands in `docs/schema/result.json`, a JSON Schema made of these types.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from annotated_types import Ge, Len
from typing_extensions import TypedDict

from ..typed_json import About, Rule, problems_of
from ..weights.card import WeightsRecord

SCHEMA_VERSION: Final = 1
RESULT_NAME = "result.json"
FAILURE_NAME = "failure.json"


class InputGrid(TypedDict):
    """The input's grid: array shape, distance between neighbours, direction of each axis."""

    shape_voxels: Annotated[list[Annotated[int, Ge(0)]], Len(3, 3), Rule("three sizes")]
    spacing_mm: Annotated[list[float], Len(3, 3), Rule("three distances")]
    axcodes: Annotated[str, About("Where each axis runs, such as LPS.")]
    affine: Annotated[
        list[Annotated[list[float], Len(4, 4)]], Len(4, 4), Rule("four rows of four numbers")
    ]


class CaseRecord(TypedDict):
    """Which scan it was, and how it was stored."""

    case_id: str
    path: Annotated[str, About("Where it was read from: a file, a folder or a name.")]
    format: str
    patient_id: Annotated[str | None, Rule("text or null")]
    input: InputGrid
    series: Annotated[dict[str, Any], About("What the reader found: series_uid, modality, ...")]
    warnings: Annotated[list[str], About("Sentences about the scan.")]


class BundleRecord(TypedDict):
    """Which bundle made the result."""

    name: str
    version: str


class Timings(TypedDict):
    """Wall-clock seconds of one case."""

    read_preprocess_s: float
    inference_s: float
    write_s: float


class CaseResult(TypedDict):
    """What a bundle leaves of one finished case: `<output_dir>/<case_id>/result.json`."""

    schema_version: Annotated[Literal[1], Rule("1")]
    case: CaseRecord
    bundle: BundleRecord
    weights: WeightsRecord
    device: Annotated[str, About("cpu, cuda: NVIDIA ..., ...")]
    precision: Annotated[str, About("Of the network's arithmetic: fp32, bf16, ...")]
    backend: Annotated[str, About("What executed the network: eager, compile, openvino, ...")]
    timings: Timings
    settings: Annotated[dict[str, Any], About("What else decides the numbers.")]
    fingerprint: Annotated[
        str, About("sha256 of input, weights and settings; the same again: the case is finished.")
    ]
    outputs: Annotated[
        dict[str, Any],
        About("What the task gives; numbers and texts at its top become columns of summary.csv."),
    ]
    definitions: Annotated[
        dict[str, str], About("Of each output its unit, range and frame in one sentence.")
    ]
    files: Annotated[list[str], About("Files beside result.json that belong to it.")]
    clinical_use: Annotated[Literal[False], Rule("false")]
    note: Annotated[str, About("Why this is for no clinical use.")]
    written_at: Annotated[str, About("UTC, ISO 8601.")]


class Failure(TypedDict):
    """Why a case has no result. What is no case at all stands in `rejected.csv`."""

    schema_version: Literal[1]
    case_id: str
    path: str
    status: Literal["failed"]
    reason: str
    written_at: str


def check_case_result(result: Any) -> None:
    """Check a result against the schema in this module's docstring.

    Raises:
        ValueError: Naming every problem, one per line.
    """
    problems = case_problems(result)
    if problems:
        msg = f"{RESULT_NAME} does not keep its schema:\n  " + "\n  ".join(problems)
        raise ValueError(msg)


def case_problems(result: Any) -> list[str]:
    """What keeps a result from its schema: `<name> must be <rule>, got <value>` each."""
    problems = problems_of(result, CaseResult, name=RESULT_NAME)
    if problems:
        return problems
    undefined = [name for name in result["outputs"] if name not in result["definitions"]]
    return [f"outputs must each have a definition, got none for {undefined}"] if undefined else []

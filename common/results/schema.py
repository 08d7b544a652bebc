"""One schema for what every bundle leaves behind: ``output_dir/<case_id>/result.json``.

Layout (all keys required unless marked ?; times in seconds; world = millimetres, RAS+)::

    schema_version   1
    case             case_id, path, format, patient_id (or null),
                     input: shape_voxels [I, J, K], spacing_mm [3], axcodes "LPS", affine [4][4]
                     series: what the reader found (series_uid, modality, ...)
                     warnings: sentences
    bundle           name, version
    weights          name, sha256, source, synthetic, clinical_use (always false)
    device           "cpu", "cuda: NVIDIA ..."
    precision        "fp32", "bf16", ...
    backend          "eager", "compile", "openvino", ...
    timings          read_preprocess_s, inference_s, write_s
    settings         what else decides the numbers
    fingerprint      sha256 of input, weights and settings; the same again: the case is finished
    outputs          what the task gives; numbers and strings at its top become summary columns
    definitions      output name -> its unit, range and frame in one sentence
    files            names of the files beside result.json that belong to it
    clinical_use     false
    note             why
    written_at       UTC, ISO 8601

A folder holds either `result.json` (finished) or `failure.json` (failed), never both.
`result.json` is written last, so its presence means that everything beside it is whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from ..weights.card import WeightsRecord

SCHEMA_VERSION = 1
RESULT_NAME = "result.json"
FAILURE_NAME = "failure.json"


class InputGrid(TypedDict):
    """The input's grid: array shape, distance between neighbours, direction of each axis."""

    shape_voxels: list[int]
    spacing_mm: list[float]
    axcodes: str
    affine: list[list[float]]


class CaseRecord(TypedDict):
    """Which scan it was, and how it was stored."""

    case_id: str
    path: str
    format: str
    patient_id: str | None
    input: InputGrid
    series: dict[str, Any]
    warnings: list[str]


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
    """See the module's docstring."""

    schema_version: int
    case: CaseRecord
    bundle: BundleRecord
    weights: WeightsRecord
    device: str
    precision: str
    backend: str
    timings: Timings
    settings: dict[str, Any]
    fingerprint: str
    outputs: dict[str, Any]
    definitions: dict[str, str]
    files: list[str]
    clinical_use: Literal[False]
    note: str
    written_at: str


class Failure(TypedDict):
    """Why a case has no result. What is no case at all stands in `rejected.csv`."""

    schema_version: int
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
    problems = [
        f"{name} must be {_name(kinds)}, got {_found(result, name)}"
        for name, kinds in _SCHEMA.items()
        if not isinstance(_look_up(result, name), kinds)
    ]
    if not problems:
        problems = _rules(result)
    if problems:
        msg = "result.json does not keep its schema:\n  " + "\n  ".join(problems)
        raise ValueError(msg)


_NUMBER = (int, float)
_SCHEMA: dict[str, type | tuple[type, ...]] = {
    "schema_version": int,
    "case.case_id": str,
    "case.path": str,
    "case.format": str,
    "case.patient_id": (str, type(None)),
    "case.input.shape_voxels": list,
    "case.input.spacing_mm": list,
    "case.input.axcodes": str,
    "case.input.affine": list,
    "case.series": dict,
    "case.warnings": list,
    "bundle.name": str,
    "bundle.version": str,
    "weights.name": str,
    "weights.sha256": str,
    "weights.source": str,
    "weights.synthetic": bool,
    "weights.clinical_use": bool,
    "device": str,
    "precision": str,
    "backend": str,
    "timings.read_preprocess_s": _NUMBER,
    "timings.inference_s": _NUMBER,
    "timings.write_s": _NUMBER,
    "settings": dict,
    "fingerprint": str,
    "outputs": dict,
    "definitions": dict,
    "files": list,
    "clinical_use": bool,
    "note": str,
    "written_at": str,
}
_ABSENT = object()


def _rules(result: Any) -> list[str]:
    grid = result["case"]["input"]
    undefined = [name for name in result["outputs"] if name not in result["definitions"]]
    broken = {
        f"schema_version must be {SCHEMA_VERSION}, got {result['schema_version']}": (
            result["schema_version"] != SCHEMA_VERSION
        ),
        f"case.input.shape_voxels must be three sizes, got {grid['shape_voxels']}": (
            len(grid["shape_voxels"]) != 3
        ),
        f"case.input.spacing_mm must be three distances, got {grid['spacing_mm']}": (
            len(grid["spacing_mm"]) != 3
        ),
        "clinical_use must be false, got true": (
            result["clinical_use"] or result["weights"]["clinical_use"]
        ),
        f"outputs must each have a definition, got none for {undefined}": bool(undefined),
    }
    return [sentence for sentence, is_broken in broken.items() if is_broken]


def _look_up(result: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(result, Mapping) or part not in result:
            return _ABSENT
        result = result[part]
    return result


def _found(result: Any, name: str) -> str:
    value = _look_up(result, name)
    return "nothing" if value is _ABSENT else type(value).__name__


def _name(kinds: type | tuple[type, ...]) -> str:
    return " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))

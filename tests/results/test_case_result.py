import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from common.results.case_result import (
    fingerprint,
    is_finished,
    read_case_result,
    write_case_result,
    write_failure,
)
from common.results.schema import CaseResult, check_case_result

GOLDEN = Path(__file__).parents[1] / "golden" / "case_result.json"


def test_a_result_reads_as_the_golden_file(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    path = write_case_result(folder, make_result())
    assert path.read_text(encoding="utf-8") == GOLDEN.read_text(encoding="utf-8")


def test_a_case_is_finished_with_the_same_fingerprint_only(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    assert not is_finished(folder, "cd" * 32)
    write_case_result(folder, make_result())
    assert is_finished(folder, "cd" * 32)
    assert not is_finished(folder, "ce" * 32)


def test_a_case_without_one_of_its_files_is_not_finished(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    folder.mkdir(parents=True)
    (folder / "figure.png").touch()
    write_case_result(folder, make_result(files=["figure.png"]))
    assert is_finished(folder, "cd" * 32)
    (folder / "figure.png").unlink()
    assert not is_finished(folder, "cd" * 32)


def test_a_result_is_not_written_before_its_files(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    with pytest.raises(ValueError, match=r"got none of: figure\.png"):
        write_case_result(folder, make_result(files=["figure.png"]))
    assert not (folder / "result.json").exists()


@pytest.mark.parametrize("content", ["", '{"schema_version": 1', "[]", "null", '"text"'])
def test_a_broken_result_is_not_finished(folder: Path, content: str) -> None:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(content)
    assert not is_finished(folder, "cd" * 32)


def test_a_folder_holds_a_result_or_a_failure_never_both(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    write_failure(folder, "the scan\nis truncated")
    assert json.loads((folder / "failure.json").read_text())["reason"] == "the scan is truncated"
    write_case_result(folder, make_result())
    assert [path.name for path in folder.iterdir()] == ["result.json"]
    write_failure(folder, "again")
    assert [path.name for path in folder.iterdir()] == ["failure.json"]


def test_a_nan_output_is_refused_by_name(make_result: Callable[..., CaseResult]) -> None:
    with pytest.raises(InputError, match=r"result\.outputs\.volume_ml must be a finite number"):
        make_result(outputs={"volume_ml": float("nan")}, definitions={"volume_ml": "ml"})


def test_an_output_without_a_definition_is_refused(make_result: Callable[..., CaseResult]) -> None:
    with pytest.raises(ValueError, match=r"definition, got none for \['volume_ml'\]"):
        make_result(outputs={"volume_ml": 1.0}, definitions={})


def test_every_missing_part_is_named_at_once(make_result: Callable[..., CaseResult]) -> None:
    result: Any = make_result()
    del result["case"]["input"]["axcodes"]
    result["weights"]["synthetic"] = "no"
    with pytest.raises(ValueError, match="keep its schema") as error:
        check_case_result(result)
    assert "case.input.axcodes must be given, got nothing" in str(error.value)
    assert 'weights.synthetic must be true or false, got "no"' in str(error.value)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("shape_voxels", [1, 2], r"case\.input\.shape_voxels must be three sizes, got \[1, 2\]"),
        ("shape_voxels", [1.5, 2, 3], r"shape_voxels must be three sizes, got \[1\.5, 2, 3\]"),
        ("spacing_mm", "1 1 1", r'case\.input\.spacing_mm must be three distances, got "1 1 1"'),
        ("affine", [[1.0] * 4] * 3, r"case\.input\.affine must be four rows of four numbers"),
    ],
)
def test_a_grid_that_is_none_is_named(
    make_result: Callable[..., CaseResult], part: str, value: Any, message: str
) -> None:
    result: Any = make_result()
    result["case"]["input"][part] = value
    with pytest.raises(ValueError, match=message):
        check_case_result(result)


def test_reading_a_result_that_is_none_names_the_first_problem(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    path = write_case_result(folder, make_result())
    result = json.loads(path.read_text())
    result["device"], result["files"] = 1, "figure.png"
    path.write_text(json.dumps(result))
    named = r"must be a whole result, got: device must be text, got 1 and 1 more; run this case"
    with pytest.raises(InputError, match=named):
        read_case_result(path, needs="probabilities", hint="")
    path.write_text("{")
    with pytest.raises(InputError, match=r"must be a whole result, got: .*; run this case again"):
        read_case_result(path, needs="probabilities", hint="")


def test_clinical_use_cannot_be_claimed(make_result: Callable[..., CaseResult]) -> None:
    result: Any = make_result()
    result["clinical_use"] = True
    with pytest.raises(ValueError, match="clinical_use must be false"):
        check_case_result(result)


def test_another_schema_version_is_refused(make_result: Callable[..., CaseResult]) -> None:
    result: Any = make_result()
    result["schema_version"] = 2
    with pytest.raises(ValueError, match="schema_version must be 1, got 2"):
        check_case_result(result)


def test_synthetic_weights_are_said_in_the_note(make_result: Callable[..., CaseResult]) -> None:
    weights: Any = {**make_result()["weights"], "synthetic": False}
    assert "never saw a patient" in make_result()["note"]
    assert "synthetic" not in make_result(weights=weights)["note"]


def test_the_fingerprint_changes_with_input_weights_and_settings(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii.gz"
    scan.write_bytes(b"12345")
    case: Any = {"case_id": "a", "image": str(scan), "format": "nifti"}

    def of(**change: Any) -> str:
        return fingerprint(
            **{"case": case, "weights_sha256": "aa", "settings": {"precision": "fp32"}, **change}
        )

    first = of()
    assert first == of()
    assert len(first) == 64
    assert first != of(weights_sha256="ab")
    assert first != of(settings={"precision": "bf16"})
    os.utime(scan, ns=(1, 1))
    assert first != of()


def test_the_fingerprint_sees_every_slice_of_a_series(tmp_path: Path) -> None:
    for name in ("b.dcm", "a.dcm"):
        (tmp_path / name).write_bytes(b"123")
    case: Any = {
        "case_id": "a",
        "image": str(tmp_path),
        "format": "dicom",
        "files": [str(tmp_path / "b.dcm"), str(tmp_path / "a.dcm")],
    }
    first = fingerprint(case=case, weights_sha256="aa", settings={})
    case["files"].reverse()
    assert first == fingerprint(case=case, weights_sha256="aa", settings={})
    (tmp_path / "a.dcm").write_bytes(b"1234")
    assert first != fingerprint(case=case, weights_sha256="aa", settings={})


def test_other_frames_of_the_same_file_are_another_input(tmp_path: Path) -> None:
    file = tmp_path / "enhanced.dcm"
    file.touch()
    case: Any = {"case_id": "a", "image": str(tmp_path), "format": "dicom", "files": [str(file)]}
    settings: dict[str, Any] = {}
    prints = {
        fingerprint(case={**case, **part}, weights_sha256="aa", settings=settings)
        for part in ({}, {"frames": [[0, 1]]}, {"frames": [[2, 3]]})
    }
    assert len(prints) == 3


def test_the_fingerprint_of_a_case_without_a_file_is_the_same_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case: Any = {"case_id": "a", "image": "phantom:seed=3", "format": "phantom"}
    first = fingerprint(case=case, weights_sha256="aa", settings={})
    monkeypatch.chdir(tmp_path)
    assert first == fingerprint(case=case, weights_sha256="aa", settings={})


def test_numpy_values_become_plain_json(
    folder: Path, make_result: Callable[..., CaseResult]
) -> None:
    result = make_result(
        outputs={"embedding": np.ones(2, np.float32)}, definitions={"embedding": "unit length"}
    )
    assert result["outputs"]["embedding"] == [1.0, 1.0]
    assert json.loads(write_case_result(folder, result).read_text())["outputs"]

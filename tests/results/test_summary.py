import csv
from collections.abc import Callable
from pathlib import Path

from common.case import Rejection
from common.results.case_result import write_case_result, write_failure
from common.results.rejections import write_rejections
from common.results.schema import CaseResult
from common.results.summary import write_summary


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def test_every_case_has_a_row_in_natural_order(
    tmp_path: Path, make_result: Callable[..., CaseResult]
) -> None:
    for case_id in ("case_10", "case_2"):
        write_case_result(tmp_path / case_id, make_result(case_id))
    write_failure(tmp_path / "case_3", "voxels must be finite, got NaN")
    write_rejections(tmp_path, [], [Rejection("seg", "values must be HU, got 0 to 61")], {})
    rows = rows_of(write_summary(tmp_path))
    assert [(row["case_id"], row["status"]) for row in rows] == [
        ("case_2", "finished"),
        ("case_3", "failed"),
        ("case_10", "finished"),
        ("seg", "rejected"),
    ]
    assert rows[1]["reason"] == "voxels must be finite, got NaN"
    assert rows[1]["Lung nodule"] == ""


def test_the_columns_are_scores_then_decisions(
    tmp_path: Path, make_result: Callable[..., CaseResult]
) -> None:
    write_case_result(tmp_path / "case_1", make_result())
    (row,) = rows_of(write_summary(tmp_path))
    assert row == {
        "case_id": "case_1",
        "status": "finished",
        "reason": "",
        "Lung nodule": "0.75",
        "Pleural effusion": "0.25",
        "Lung nodule positive": "1",
        "Pleural effusion positive": "0",
        "weights": "demo",
        "seconds": "2.0",
    }


def test_plain_outputs_of_any_bundle_become_columns(
    tmp_path: Path, make_result: Callable[..., CaseResult]
) -> None:
    outputs = {"volume_ml": 12.3456789, "verdict": "normal, calm", "embedding": [1.0]}
    definitions = dict.fromkeys(outputs, "stated")
    result = make_result("b", outputs=outputs, definitions=definitions)
    write_case_result(tmp_path / "b", result)
    (row,) = rows_of(write_summary(tmp_path))
    assert (row["volume_ml"], row["verdict"]) == ("12.345679", "normal, calm")
    assert "embedding" not in row


def test_the_summary_does_not_depend_on_who_wrote_first(
    tmp_path: Path, make_result: Callable[..., CaseResult]
) -> None:
    for order, out in (("ab", tmp_path / "x"), ("ba", tmp_path / "y")):
        for case_id in order:
            write_case_result(out / case_id, make_result(case_id))
        write_summary(out)
    assert (tmp_path / "x/summary.csv").read_bytes() == (tmp_path / "y/summary.csv").read_bytes()


def test_a_result_that_cannot_be_read_is_a_failed_row(tmp_path: Path) -> None:
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "result.json").write_text('{"case": ')
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "failure.json").write_text("[]")
    odd, torn = rows_of(write_summary(tmp_path))
    assert (torn["case_id"], torn["status"]) == ("torn", "failed")
    assert "result.json cannot be read" in torn["reason"]
    assert "failure.json cannot be read" in odd["reason"]


def test_a_later_success_replaces_the_failure(
    tmp_path: Path, make_result: Callable[..., CaseResult]
) -> None:
    write_failure(tmp_path / "case_1", "killed")
    write_case_result(tmp_path / "case_1", make_result())
    (row,) = rows_of(write_summary(tmp_path))
    assert (row["status"], row["reason"]) == ("finished", "")


def test_an_empty_folder_gives_a_table_without_rows(tmp_path: Path) -> None:
    assert rows_of(write_summary(tmp_path)) == []
    assert (tmp_path / "summary.csv").read_text() == "case_id,status,reason,weights,seconds\n"

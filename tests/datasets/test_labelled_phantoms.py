import csv
from pathlib import Path

import pytest

from common.datasets.labelled_phantoms import COLUMNS, columns_of, labelled_phantoms, write_labels
from common.errors import InputError


@pytest.mark.parametrize("task", COLUMNS)
def test_a_task_is_written_with_its_columns(task, tmp_path):
    cases = labelled_phantoms(task, num=2)
    path = write_labels(tmp_path / "labels.csv", cases, task)
    with Path(path).open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["case_id", "patient_id", *columns_of(task, cases)]
    assert [row["case_id"] for row in rows] == [case["case_id"] for case in cases]
    assert len({row["patient_id"] for row in rows}) == 2


def test_a_box_is_labelled_by_its_organ(tmp_path):
    cases = labelled_phantoms("organs", num=1)
    write_labels(tmp_path / "labels.csv", cases, "organs")
    for line in (tmp_path / "labels.csv").read_text().splitlines()[1:]:
        case_id, patient_id, organ = line.split(",")
        assert case_id == f"{patient_id}_{organ}"


def test_a_scan_is_labelled_by_its_region(tmp_path):
    write_labels(tmp_path / "labels.csv", labelled_phantoms("regions", num=4), "regions")
    lines = (tmp_path / "labels.csv").read_text().splitlines()[1:]
    assert [line.split(",")[2] for line in lines] == ["chest", "abdomen", "torso", "head"]


def test_where_no_phantom_is_no_table_is(tmp_path):
    assert write_labels(tmp_path / "labels.csv", [], "chest") == ""
    assert columns_of("chest", []) == []
    assert not (tmp_path / "labels.csv").exists()


def test_an_unknown_task_names_the_known():
    with pytest.raises(InputError, match="task must be one of chest, head, organs, regions, got x"):
        labelled_phantoms("x", num=1)

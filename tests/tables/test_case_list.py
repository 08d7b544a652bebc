"""Lists of one's own: CSV with a column of paths, and MONAI data lists."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from common.cases import find_cases
from common.errors import InputError
from common.tables.ct_rate import CT_RATE_LABELS
from tests.dicom_files import write_series

CT = (np.arange(6 * 7 * 8) - 1000).reshape(6, 7, 8).astype(np.int16)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", ct=CT)
    return tmp_path


def test_csv_needs_a_column_of_paths_alone(scans: Path):
    (scans / "list.csv").write_text("image\na.npz\nb.npz\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a", "b"]
    assert all("label" not in case for case in cases)


def test_csv_gives_ids_patients_reports_and_labels(scans: Path):
    (scans / "list.csv").write_text(
        "path;case_id;patient_id;report;age;Nodule;Effusion\n"
        'a.npz;one;p1;"Clear; no nodule.";71;0;1\n'
        "b.npz;two;p1;;65;;0\n",
        encoding="utf-8-sig",
    )
    first, second = find_cases(scans / "list.csv")
    assert (first["case_id"], first["patient_id"]) == ("one", "p1")
    assert first["report"] == "Clear; no nodule."
    assert first["label"] == [0.0, 1.0]  # age is no label
    assert math.isnan(second["label"][0])


def test_ct_rate_columns_come_in_official_order(scans: Path):
    columns = sorted(CT_RATE_LABELS)
    values = [str(int(name == "Emphysema")) for name in columns]
    text = f"image,{','.join(columns)}\na.npz,{','.join(values)}\nb.npz,{','.join(values)}\n"
    (scans / "list.csv").write_text(text)
    label = find_cases(scans / "list.csv")[0]["label"]
    assert label.index(1.0) == CT_RATE_LABELS.index("Emphysema")


def test_same_file_names_get_names_of_their_own(tmp_path: Path):
    for patient in ("p1", "p2"):
        (tmp_path / patient).mkdir()
        np.savez(tmp_path / patient / "ct.npz", ct=CT)
    (tmp_path / "list.csv").write_text("image\np1/ct.npz\np2/ct.npz\n")
    assert [case["case_id"] for case in find_cases(tmp_path / "list.csv")] == ["p1_ct", "p2_ct"]


def test_missing_and_foreign_files_are_left_out(scans: Path):
    (scans / "notes.txt").write_text("x")
    (scans / "list.csv").write_text("image\na.npz\ngone.npz\nnotes.txt\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a"]
    reasons = [item.reason for item in cases.rejected]
    assert "file must exist" in reasons[0]
    assert "got '.txt'" in reasons[1]


def test_dicom_folder_in_a_list_is_a_case(tmp_path: Path):
    write_series(tmp_path / "scan")
    (tmp_path / "list.csv").write_text("image\nscan\n")
    (case,) = find_cases(tmp_path / "list.csv")
    assert (case["case_id"], case["format"], len(case["files"])) == ("scan", "dicom", 4)


def test_monai_data_list_is_read_section_by_section(scans: Path):
    content = {
        "training": [{"image": "a.npz", "label": [0, 1]}],
        "validation": [{"image": "b.npz", "label": "mask.nii.gz", "patient_id": "p"}],
        "numTraining": 1,
    }
    (scans / "list.json").write_text(json.dumps(content))
    first, second = find_cases(scans / "list.json")
    assert first["label"] == [0.0, 1.0]
    assert "label" not in second
    assert second["patient_id"] == "p"


def test_json_list_of_paths_or_cases_is_read(scans: Path):
    (scans / "list.json").write_text(json.dumps(["a.npz", {"image": "b.npz", "label": 1}]))
    assert [case["case_id"] for case in find_cases(scans / "list.json")] == ["a", "b"]


def test_found_cases_written_as_json_are_found_again(tmp_path: Path):
    write_series(tmp_path / "scan")
    cases = find_cases(tmp_path / "scan")
    (tmp_path / "list.json").write_text(json.dumps(cases))
    assert find_cases(tmp_path / "list.json") == cases


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.csv", "", "got an empty file"),
        ("a.csv", "image\n", "at least one row, got a header alone"),
        ("a.csv", "file\nx\n", "must have a column image, path, VolumeName or NoteAcc_DEID"),
        ("a.json", "{", "must be JSON"),
        ("a.json", "[]", "must be a list of"),
        ("a.json", '{"training": [{"scan": "x"}]}', "must be a list of"),
        ("a.csv", "image\ngone.npz\n", r"got 1 that are not \(.*gone\.npz"),
    ],
)
def test_broken_lists_are_said_in_one_line(tmp_path: Path, name: str, text: str, match: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        find_cases(tmp_path / name)
    assert "\n" not in str(caught.value)

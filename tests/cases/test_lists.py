"""Lists of one's own: CSV with a column of paths, and MONAI data lists."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

from common.cases.find import find_cases
from common.errors import InputError
from common.vocabulary.chest_findings import CT_RATE_LABELS
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
    assert "listed, but no such volume below" in reasons[0]
    assert "got: a .txt file is not a volume" in reasons[1]
    assert all(item.damaged for item in cases.rejected)  # a list is a promise


LISTS = {
    "list.csv": "image,case_id\na.npz,one\ngone.npz,two\nsub/gone,\n",
    "list.json": '[{"image": "a.npz", "case_id": "one"}, {"image": "gone.npz", "case_id": "two"},'
    ' "sub/gone"]',
    "ct_rate.csv": "VolumeName\ntrain_1_a_1.npz\ntrain_2_a_1.npz\ntrain_3_a_1\n",
    "rad.csv": "NoteAcc_DEID\na\ngone\ngone2.npz\n",
}


@pytest.mark.parametrize(("missing", "damaged"), [("fail", True), ("leave_out", False)])
@pytest.mark.parametrize("name", LISTS)
def test_row_whose_file_is_missing_fails_unless_it_may_be_left_out(
    scans: Path, name: str, missing: str, damaged: bool
):
    np.savez(scans / "train_1_a_1.npz", ct=CT)
    (scans / name).write_text(LISTS[name])
    cases = find_cases(scans / name, missing=missing)
    assert len(cases) == 1
    assert [item.damaged for item in cases.rejected] == [damaged, damaged]
    expected = {"ct_rate.csv": ["train_2_a_1", "train_3_a_1"], "rad.csv": ["gone", "gone2"]}
    assert [item.case_id for item in cases.rejected] == expected.get(name, ["two", "gone"])


URLS = {
    "list.csv": "image\na.npz\nhttps://host/b.npz\n",
    "list.json": '["a.npz", {"image": "s3://bucket/b.npz"}]',
    "series.json": '["a.npz", {"image": "b", "files": ["s3://bucket/1.dcm"]}]',
}


@pytest.mark.parametrize("missing", ["fail", "leave_out"])
@pytest.mark.parametrize("name", URLS)
def test_url_in_a_list_is_no_missing_volume(scans: Path, name: str, missing: str):
    (scans / name).write_text(URLS[name])
    cases = find_cases(scans / name, missing=missing)
    assert [case["case_id"] for case in cases] == ["a"]
    (rejection,) = cases.rejected
    assert "must be a path on this machine, got the URL" in rejection.reason
    assert rejection.damaged


def test_missing_must_be_one_of_two(scans: Path):
    (scans / "list.csv").write_text("image\na.npz\n")
    with pytest.raises(InputError, match="missing must be fail or leave_out, got 'ignore'"):
        find_cases(scans / "list.csv", missing="ignore")


def test_numbers_are_names(scans: Path):
    np.savez(scans / "12.npz", ct=CT)
    write_series(scans / "12")
    content = [{"case_id": 17, "image": 12, "patient_id": 3}, {"case_id": 4.0, "image": "a.npz"}]
    (scans / "list.json").write_text(json.dumps(content))
    first, second = find_cases(scans / "list.json")
    assert (first["case_id"], first["patient_id"], first["format"]) == ("17", "3", "dicom")
    assert second["case_id"] == "4"
    (scans / "list.json").write_text("[12]")
    (case,) = find_cases(scans / "list.json")
    assert case["image"] == str(scans / "12")


RUBBISH = [None, [], {}, True, [["x"]], {"image": None}, {"image": {"x": 1}}, {"image": ""}]
RUBBISH += [{"image": ["a.npz", "b.npz"]}, {"image": "b.npz", "case_id": [1]}, "a\0b", "x" * 5000]
RUBBISH += [{"image": "b.npz", "files": [1]}, {"image": math.nan}, {"image": "\ud800"}]


@pytest.mark.parametrize("rubbish", RUBBISH, ids=repr)
def test_rubbish_among_the_rows_costs_itself_alone(scans: Path, rubbish: object):
    (scans / "list.json").write_text(json.dumps(["a.npz", rubbish]))
    cases = find_cases(scans / "list.json")
    assert [case["case_id"] for case in cases] == ["a"]
    (rejection,) = cases.rejected
    assert rejection.damaged
    assert str(rejection).isprintable()


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "[" + "9" * 5000 + "]", "[1", "5"])
def test_what_is_no_list_is_said_in_one_line(tmp_path: Path, text: str):
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(InputError, match=r"must be JSON|must be a list of") as caught:
        find_cases(tmp_path / "list.json")
    assert str(caught.value).isprintable()


def test_other_lists_in_a_data_list_are_no_images(scans: Path):
    content = {"training": [{"image": "a.npz"}], "test": ["b.npz"], "authors": ["Anna", "Ben"]}
    (scans / "list.json").write_text(json.dumps(content))
    cases = find_cases(scans / "list.json")
    assert [case["case_id"] for case in cases] == ["a", "b"]
    assert [item.reason for item in cases.rejected] == ["'authors' lists no images"]
    assert not cases.rejected[0].damaged


def test_row_that_is_there_twice_is_one_case(scans: Path):
    (scans / "list.csv").write_text("image,Nodule\na.npz,\nb.npz,1\n./a.npz,\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a", "b"]
    (rejection,) = cases.rejected
    assert rejection.reason == "listed twice with the same entries; it is one case"
    assert not rejection.damaged


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image,Nodule\na.npz,0\na.npz,1\n", "a volume in two rows that differ: .*a.npz, .*a.npz"),
        ("image,case_id\na.npz,x\nb.npz,X\n", "case_id 'X' in two rows that differ: .*a.npz, .*b"),
        ("VolumeName,XYSpacing\nt_1_a_1,1 1\nt_1_a_1,2 2\n", "case_id 't_1_a_1' in two rows"),
        ("NoteAcc_DEID,final_spacing\na,1\nb,1\na.npz,2\n", "case_id 'a' in two rows"),
    ],
)
def test_rows_that_contradict_each_other_are_an_error(scans: Path, text: str, match: str):
    np.savez(scans / "t_1_a_1.npz", ct=CT)
    text = text.replace("XYSpacing", "Findings_EN,Impressions_EN").replace(" 1\n", ",x\n")
    (scans / "list.csv").write_text(text.replace(" 2\n", ",y\n"))
    with pytest.raises(InputError, match=match):
        find_cases(scans / "list.csv")


def test_one_volume_may_be_two_cases_by_name(scans: Path):
    (scans / "list.csv").write_text("image,case_id\na.npz,one\na.npz,two\n")
    assert [case["case_id"] for case in find_cases(scans / "list.csv")] == ["one", "two"]


def test_names_that_are_spelled_alike_stay_apart(scans: Path):
    (scans / "list.csv").write_text("image,case_id\na.npz,x 1\nb.npz,x_1\n")
    first, second = (case["case_id"] for case in find_cases(scans / "list.csv"))
    assert first != second
    assert first.startswith("x_1_")


@pytest.mark.parametrize(
    "text",
    [
        "image;Nodule\r\na.npz;1\r\n",
        "\ufeffimage,Nodule\na.npz,1\n",
        "image,Nodule\ra.npz,1\r",
        "image\tNodule\na.npz\t1\n",
        "sep=;\nimage;Nodule\na.npz;1\n",
        "\nimage,Nodule\n\n,\na.npz,1\n , \n",
        "image,Nodule\na.npz,1,,\n",
    ],
)
def test_csv_of_any_program_is_read(scans: Path, text: str):
    (scans / "list.csv").write_bytes(text.encode())
    (case,) = find_cases(scans / "list.csv")
    assert (case["case_id"], case["label"]) == ("a", [1.0])


def test_empty_cell_is_never_the_current_folder(scans: Path):
    (scans / "list.csv").write_text("image,Nodule\n,1\na.npz,1\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a"]
    (rejection,) = cases.rejected
    assert "row 1: image must be a path, got ''" in str(rejection)
    assert rejection.damaged


def test_line_separators_inside_a_cell_part_no_rows(scans: Path):
    (scans / "list.csv").write_text("image,report\na.npz,one\u2028two\x0cthree\x85four\n")
    (case,) = find_cases(scans / "list.csv")
    assert case["report"] == "one\u2028two\x0cthree\x85four"


def test_several_series_in_one_row_fail_that_row_alone(scans: Path):
    for series in "ab":
        write_series(scans / "two" / series, series=series)
    (scans / "list.csv").write_text("image,case_id\ntwo,t\na.npz,\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a"]
    (rejection,) = cases.rejected
    assert "got a study with 2: series 1" in rejection.reason
    assert (rejection.case_id, rejection.damaged) == ("t", True)


def test_series_of_a_row_are_chosen_as_elsewhere(scans: Path):
    def second(dataset, _index):
        dataset.SeriesNumber = 2

    write_series(scans / "two" / "x", series="a")
    write_series(scans / "two" / "y", series="b", edit=second)
    (scans / "list.csv").write_text("image,case_id\ntwo,t\n")
    (case,) = find_cases(scans / "list.csv", series=2)
    assert (case["case_id"], len(case["files"])) == ("t", 4)
    both = find_cases(scans / "list.csv", series="all")
    assert [case["case_id"] for case in both] == ["t_x", "t_y"]


def test_studies_of_one_row_fail_it(scans: Path):
    write_series(scans / "two" / "x", study="a")
    write_series(scans / "two" / "y", study="b")
    (scans / "list.csv").write_text("image\ntwo\na.npz\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a"]
    assert "a row must name one scan, got 2: " in cases.rejected[0].reason


def test_folder_of_one_volume_in_a_list_is_a_case(scans: Path):
    (scans / "p1").mkdir()
    (scans / "a.npz").rename(scans / "p1" / "a.npz")
    (scans / "list.csv").write_text("image\np1\n")
    (case,) = find_cases(scans / "list.csv")
    assert (case["case_id"], case["image"]) == ("a", str(scans / "p1" / "a.npz"))


def test_pipe_in_a_list_is_left_out_by_name(scans: Path):
    os.mkfifo(scans / "pipe.npz")
    (scans / "zero.npz").symlink_to("/dev/zero")
    (scans / "list.csv").write_text("image\na.npz\npipe.npz\nzero.npz\n")
    cases = find_cases(scans / "list.csv")
    assert [case["case_id"] for case in cases] == ["a"]
    pipe, zero = (item.reason for item in cases.rejected)
    assert "got a named pipe" in pipe
    assert "got a device" in zero


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
        ("a.csv", "image\nMüller, J.npz\n", r"1, got more in line 2; put a cell that holds ','"),
        ("a.csv", "image,image\na,b\n", r"name each column once, got \['image'\] twice"),
        ("a.csv", "image\ngone.npz\n", r"got 1 that are not \(.*gone\.npz"),
        ("a.csv", "image\na.npz\n\0\0\n", r"a\.csv must be text, got a NUL byte in line 3; save"),
        ("a.csv", "i\0m\0a\0g\0e\0\n", "got a NUL byte in line 1; save it again as UTF-8"),
        ("a.json", '["a.npz",\n"\0"]', "got a NUL byte in line 2"),
    ],
)
def test_broken_lists_are_said_in_one_line(tmp_path: Path, name: str, text: str, match: str):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        find_cases(tmp_path / name)
    assert "\n" not in str(caught.value)

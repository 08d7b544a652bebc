import csv

import pytest

from common.case import Rejection
from common.errors import InputError
from common.results.rejections import write_rejections
from common.results.summary import write_summary


@pytest.fixture
def case(tmp_path):
    (tmp_path / "scan.nii").write_text("voxels")
    return {"case_id": "scan", "image": str(tmp_path / "scan.nii"), "format": "nifti"}


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def statuses(folder):
    with (folder / "rejected.csv").open() as file:
        return {row["case_id"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


def test_rejected_files_are_rows_and_no_folders(case, out):
    rejected = [Rejection("in/mask.nii.gz", "a mask"), Rejection("in/b.nii.gz", "torn", True)]
    write_rejections(out, [case], rejected, {})
    assert statuses(out) == {"mask.nii.gz": ("rejected", "a mask"), "b": ("failed", "torn")}
    assert [path.name for path in out.iterdir()] == ["rejected.csv"]


def test_what_is_no_volume_is_not_written_down(case, out):
    rejected = [Rejection("in/notes.txt", "a .txt file is not a volume", is_volume=False)]
    assert write_rejections(out, [case], rejected, {}) is None
    assert list(out.iterdir()) == []


def test_rejected_files_of_one_name_are_kept_apart(case, out):
    rejected = [Rejection(f"in/{folder}/mask.nii", folder) for folder in ("ann", "bob")]
    write_rejections(out, [case], rejected, {})
    assert statuses(out) == {
        "ann_mask.nii": ("rejected", "ann"),
        "bob_mask.nii": ("rejected", "bob"),
    }


def test_a_rejected_file_never_takes_a_cases_name(case, out):
    rejected = [Rejection("in/scan.nrrd", "torn", True), Rejection("in/other/scan", "a link")]
    write_rejections(out, [case], rejected, {})
    assert set(statuses(out)) == {"in_scan", "other_scan"}


def test_a_case_without_a_place_is_a_failed_row(case, out):
    write_rejections(out, [case], [], {"scan": "folder taken"})
    assert statuses(out) == {"scan": ("failed", "folder taken")}


def test_rows_of_other_runs_stay_until_their_file_is_met_again(case, out):
    write_rejections(out, [], [Rejection("a.nii", "torn", True)], {})
    write_rejections(out, [], [Rejection(case["image"], "torn", True)], {})
    assert set(statuses(out)) == {"a", "scan"}
    write_rejections(out, [case], [], {})  # mended
    assert set(statuses(out)) == {"a"}
    write_rejections(out, [], [Rejection("a.nii", "a mask")], {})
    assert statuses(out) == {"a.nii": ("rejected", "a mask")}


def test_a_row_goes_once_a_case_has_its_name(case, out):
    write_rejections(out, [], [Rejection("valid_1_a_1", "missing", True, case_id="scan")], {})
    assert set(statuses(out)) == {"scan"}
    assert write_rejections(out, [case], [], {}) is None
    assert list(out.iterdir()) == []


def test_a_broken_scan_of_the_same_name_elsewhere_keeps_its_row(case, out, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "scan.nii").write_text("broken")
    broken = Rejection(str(tmp_path / "b" / "scan.nii"), "torn", True, case_id="scan")
    write_rejections(out, [], [broken], {})
    write_rejections(out, [case], [], {})
    assert statuses(out) == {"scan": ("failed", "torn")}


def test_a_file_is_one_row_however_its_path_is_spelt(out, tmp_path, monkeypatch):
    (tmp_path / "mask.nii").write_text("mask")
    monkeypatch.chdir(tmp_path)
    for path in ("mask.nii", str(tmp_path / "mask.nii")):
        write_rejections(out, [], [Rejection(path, "a mask")], {})
        assert len(statuses(out)) == 1


def test_a_spoiled_table_is_an_error_and_stays(case, out):
    (out / "rejected.csv").write_text("my own notes\n1\n")
    with pytest.raises(InputError, match="must have the columns"):
        write_rejections(out, [case], [Rejection("a.nii", "torn", True)], {})


def test_odd_paths_are_a_row_each_however_often_they_are_met(out):
    odd = [Rejection(name, "torn", True) for name in ("a .nii ", "b\r.nii", "c\n.nii")]
    for _ in range(2):
        write_rejections(out, [], odd, {})
        assert len(statuses(out)) == 3


def test_a_hostile_name_is_no_formula_and_no_second_line(out):
    name = "in/=cmd|' /C calc'!A0\n.nii"
    write_rejections(out, [], [Rejection(name, "=1+1\nand more")], {})
    write_rejections(out, [], [Rejection("in/\udcff.nii", "no text")], {})
    write_summary(out)
    for table in ("rejected.csv", "summary.csv"):
        with (out / table).open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 2
        assert "'=1+1 and more" in [row["reason"] for row in rows]
        assert not [cell for row in rows for cell in row.values() if cell and cell[0] in "=+-@"]

import json

import pytest
import torch

from common.case import CaseList, Rejection
from common.errors import InputError
from common.results.run_record import unfinished_cases


@pytest.fixture
def case(tmp_path):
    (tmp_path / "scan.nii").write_text("voxels")
    return {"case_id": "scan", "image": str(tmp_path / "scan.nii"), "format": "nifti"}


def statuses(folder):
    found = {}
    for path in folder.glob("*/failure.json"):
        content = json.loads(path.read_text())
        found[path.parent.name] = (content["status"], content["reason"])
    return found


def test_record_makes_the_folder_and_knows_the_version(begin, tmp_path):
    record = begin()
    assert record.bundle == {"name": "ct_scroll", "version": "1.2.3"}
    assert record.folder("a") == tmp_path / "out" / "a"
    assert (tmp_path / "out").is_dir()
    assert record.device_name() == "cpu"


def test_gpu_has_a_name(begin, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "H200")
    assert begin(device="cuda:1").device_name() == "cuda:1: H200"


@pytest.mark.parametrize(
    "change", [{"precision": "bf16"}, {"backend": "openvino"}, {"relevance": False}]
)
def test_fingerprint_changes_with_what_decides_the_result(begin, case, change):
    assert begin().fingerprint(case) == begin().fingerprint(case)
    assert begin(**change).fingerprint(case) != begin().fingerprint(case)


def test_fingerprint_changes_with_the_file(begin, case, tmp_path):
    before = begin().fingerprint(case)
    (tmp_path / "scan.nii").write_text("other voxels")
    assert begin().fingerprint(case) != before


def test_file_in_the_way_is_refused(begin, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match=r"output_dir must be a folder .*taken.*; name another"):
        begin(output_dir=tmp_path / "taken")


def test_all_cases_are_unfinished_at_first(begin, case):
    assert unfinished_cases([case], record=begin()) == [case]


def test_each_process_has_its_share(begin, case, monkeypatch):
    monkeypatch.setattr("common.parallel.idist.get_world_size", lambda: 2)
    monkeypatch.setattr("common.parallel.idist.get_rank", lambda: 1)
    listed = [{**case, "case_id": name} for name in "abcd"]
    assert [one["case_id"] for one in unfinished_cases(listed, record=begin())] == ["b", "d"]


def test_rejected_files_are_written_down(begin, case, tmp_path):
    rejected = [Rejection("in/mask.nii.gz", "a mask"), Rejection("in/b.nii.gz", "torn", True)]
    unfinished_cases(CaseList([case], rejected), record=begin())
    assert statuses(tmp_path / "out") == {
        "mask.nii.gz": ("rejected", "a mask"),
        "b": ("failed", "torn"),
    }


def test_what_is_no_volume_is_not_written_down(begin, case, tmp_path):
    rejected = [Rejection("in/notes.txt", "a .txt file is not a volume", is_volume=False)]
    unfinished_cases(CaseList([case], rejected), record=begin())
    assert statuses(tmp_path / "out") == {}


def test_rejected_files_of_one_name_are_kept_apart(begin, case, tmp_path):
    rejected = [Rejection(f"in/{folder}/mask.nii", folder) for folder in ("ann", "bob")]
    unfinished_cases(CaseList([case], rejected), record=begin())
    assert statuses(tmp_path / "out") == {
        "ann_mask.nii": ("rejected", "ann"),
        "bob_mask.nii": ("rejected", "bob"),
    }


def test_a_rejected_file_never_takes_a_cases_folder(begin, case, tmp_path):
    rejected = [Rejection("in/scan.nrrd", "torn", True), Rejection("in/other/scan", "a link")]
    unfinished_cases(CaseList([case], rejected), record=begin())
    assert set(statuses(tmp_path / "out")) == {"in_scan", "other_scan"}


def test_only_the_first_process_writes_rejections(begin, case, tmp_path, monkeypatch):
    monkeypatch.setattr("common.results.run_record.is_first_process", lambda: False)
    unfinished_cases(CaseList([case], [Rejection("mask.nii", "a mask")]), record=begin())
    assert statuses(tmp_path / "out") == {}

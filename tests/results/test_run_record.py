import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from common.errors import InputError, OutputError
from common.results.case_result import describe_case
from common.results.claims import owner_of
from common.results.run_record import CLAIM_NAME

FINISHED = {"outputs": {}, "definitions": {}, "write_s": 0.1}


@pytest.fixture
def case(tmp_path):
    (tmp_path / "scan.nii").write_text("voxels")
    return {"case_id": "scan", "image": str(tmp_path / "scan.nii"), "format": "nifti"}


@pytest.fixture
def finish(small_volume):
    """Run a case that leaves the files given."""

    def run(record, case, files=()):
        assert record.claim(case) is None
        for name in files:
            (record.draft(case["case_id"]) / name).write_text(name)
        data = {
            "case": case,
            "fingerprint": record.fingerprint(case),
            "read_preprocess_s": 0.1,
            "pred": {"inference_s": 0.1},
        }
        described = describe_case(case, small_volume)
        record.finish(data, case=described, files=list(files), **FINISHED)
        record.release(case["case_id"])

    return run


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_record_knows_the_version_and_writes_nothing_before_it_is_opened(begin, tmp_path):
    record = begin()
    assert record.bundle == {"name": "ct_scroll", "version": "1.2.3"}
    assert record.folder("a") == tmp_path / "out" / "a"
    assert not (tmp_path / "out").exists()
    record.open()
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


@pytest.mark.parametrize(
    "change", [{"rescale": [1, -1024]}, {"affine": [[1, 0, 0, 0]]}, {"patient_id": "P2"}]
)
def test_fingerprint_changes_with_what_the_list_says_of_a_scan(begin, case, change):
    assert begin().fingerprint({**case, **change}) != begin().fingerprint(case)


def test_fingerprint_changes_with_the_cards_labels(begin, case, tiny_card):
    swapped = replace(tiny_card, content={**tiny_card.content, "labels": ["right", "left"]})
    assert begin(card=swapped).fingerprint(case) != begin().fingerprint(case)


def test_file_in_the_way_is_refused(begin, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"output must be a place .*taken .*`--output_dir`"):
        begin(output_dir=tmp_path / "taken").open()


@pytest.mark.parametrize("nothing", ["", "  "])
def test_no_folder_is_not_the_current_one(begin, nothing):
    with pytest.raises(InputError, match=r"output_dir must be a path, got .*; name"):
        begin(output_dir=nothing)


def test_a_case_is_finished_once_its_result_has_its_place(begin, case, finish, tmp_path):
    record = begin()
    assert not record.is_finished(case)
    finish(record, case, ["figure.png"])
    assert record.is_finished(case)
    assert names(tmp_path / "out" / "scan") == ["figure.png", "result.json"]


def test_a_folder_holds_what_its_last_run_wrote(begin, case, finish, tmp_path):
    finish(begin(), case, ["figure.png", "attention.npz"])
    (tmp_path / "out" / "scan" / "my notes.txt").write_text("mine")
    finish(begin(), case, ["figure.png"])
    assert names(tmp_path / "out" / "scan") == ["figure.png", "my notes.txt", "result.json"]
    record = begin()
    record.fail(case, "torn")
    assert names(tmp_path / "out" / "scan") == ["failure.json", "my notes.txt"]
    finish(record, case)
    assert names(tmp_path / "out" / "scan") == ["my notes.txt", "result.json"]


def test_what_a_case_wrote_before_it_failed_goes(begin, case, tmp_path):
    record = begin()
    assert record.claim(case) is None
    (record.draft("scan") / "figure.png").write_text("half")
    record.fail(case, "torn")
    record.release("scan")
    assert names(tmp_path / "out" / "scan") == ["failure.json"]
    failure = json.loads((tmp_path / "out" / "scan" / "failure.json").read_text())
    assert failure["path"] == case["image"]


def test_a_result_that_names_files_elsewhere_takes_none_of_them_along(
    begin, case, finish, tmp_path
):
    finish(begin(), case, ["figure.png"])
    (tmp_path / "precious").write_text("mine")
    result = tmp_path / "out" / "scan" / "result.json"
    content = json.loads(result.read_text())
    content["files"] = ["../../precious", "..", ".", "", 7, "figure.png"]
    result.write_text(json.dumps(content))
    begin().fail(case, "torn")
    assert (tmp_path / "precious").read_text() == "mine"
    assert names(tmp_path / "out" / "scan") == ["failure.json"]


def test_a_second_run_does_not_get_a_claimed_case(begin, case):
    first, second = begin(), begin()
    assert first.claim(case) is None
    assert second.claim(case).process == os.getpid()
    first.release("scan")
    assert second.claim(case) is None


def test_a_killed_run_leaves_nothing_to_the_next(begin, case, finish, tmp_path):
    program = (
        "import sys, os, json\n"
        "from common.results.claims import Claims\n"
        "from common.atomic import partial_name\n"
        "from pathlib import Path\n"
        "folder = Path(sys.argv[1])\n"
        "assert Claims().take(folder / '.claim', about=sys.argv[2])\n"
        "draft = partial_name(folder / 'result'); draft.mkdir()\n"
        "(draft / '.result.json').write_text(json.dumps({'files': ['figure.png', 'mask']}))\n"
        "(folder / 'figure.png').write_text('moved already')\n"
        "(draft / 'mask').write_text('not yet')\n"
        "os._exit(9)\n"
    )
    folder = tmp_path / "out" / "scan"
    dead = subprocess.run([sys.executable, "-c", program, str(folder), case["image"]], check=False)
    assert dead.returncode == 9
    assert owner_of(folder / CLAIM_NAME) is not None
    finish(begin(), case)
    assert names(folder) == ["result.json"]


def test_the_result_of_another_scan_is_never_replaced(begin, case, finish, tmp_path):
    finish(begin(), case, ["figure.png"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "scan.nii").write_text("other voxels")
    other = {**case, "image": str(tmp_path / "other" / "scan.nii")}
    record = begin()
    with pytest.raises(InputError, match=r"case scan must have a folder .*another scan, .*scan"):
        record.claim(other)
    assert names(tmp_path / "out" / "scan") == ["figure.png", "result.json"]
    assert record.is_finished(case)


def test_the_same_scan_by_another_way_is_no_other(begin, case, finish, tmp_path):
    finish(begin(), case)
    (tmp_path / "link").symlink_to(tmp_path)
    again = {**case, "image": str(tmp_path / "link" / ".." / tmp_path.name / "scan.nii")}
    assert begin().is_finished(again)
    assert begin().claim({**again, "patient_id": "P9"}) is None


def test_whoever_was_taken_over_touches_nothing(begin, case, finish, tmp_path):
    late, next_one = begin(), begin()
    assert late.claim(case) is None
    (late.draft("scan") / "figure.png").write_text("late")
    claim = tmp_path / "out" / "scan" / CLAIM_NAME
    claim.unlink()  # as after a lease that ran out
    finish(next_one, case, ["figure.png"])
    assert next_one.claim(case) is None
    (next_one.draft("scan") / "new.png").write_text("going on")
    with pytest.raises(InputError, match="worked on by one process, got it taken over by process"):
        finish_again(late, case)
    late.fail(case, "torn")
    late.release("scan")
    assert (next_one.draft("scan") / "new.png").is_file()
    assert begin().is_finished(case)
    assert owner_of(claim) is not None


def finish_again(record, case):
    data = {
        "fingerprint": "ab",
        "case": case,
        "read_preprocess_s": 0,
        "pred": {"inference_s": 0},
    }
    record.finish(data, case={"case_id": "scan"}, files=[], **FINISHED)


def test_what_a_dead_run_had_moved_goes_with_its_note(begin, case, tmp_path):
    folder = tmp_path / "out" / "scan"
    (folder / ".partial-0-0-result").mkdir(parents=True)
    (folder / ".partial-0-0-result" / ".result.json").write_text('{"files": ["figure.png"]}')
    (folder / "figure.png").write_text("of a dead run")
    record = begin()
    assert record.claim(case) is None
    record.release("scan")
    assert not folder.exists()


def test_another_bundle_gets_a_folder_beside(begin, case, finish, tmp_path):
    record = begin()
    record.open()
    finish(record, case)
    searched = begin(stage="search")
    assert searched.output_dir == tmp_path / "out" / "ct_scroll_search"
    assert begin().output_dir == tmp_path / "out"
    (tmp_path / "out" / ".bundle").unlink()
    assert begin(stage="search").output_dir == tmp_path / "out" / "ct_scroll_search"


def test_a_folder_that_another_bundle_takes_meanwhile_is_refused(begin):
    first, second = begin(), begin(stage="search")
    first.open()
    with pytest.raises(InputError, match=r"free for ct_scroll_search, got .* ct_scroll has taken"):
        second.open()

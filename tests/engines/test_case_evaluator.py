import csv
import json
import logging
import shutil
import threading
import time

import pytest
import torch

from common.case import CaseList, Rejection
from common.engines import case_evaluator
from common.engines.case_evaluator import CaseDataset, CaseEvaluator, reason_of
from common.errors import InputError, OutputError
from common.outputs.base import CaseOutput, Left
from common.results.run_record import RunRecord

FULL = "output must be a place"


def cases(*names):
    return [{"case_id": name, "image": f"{name}.nii", "format": "nifti"} for name in names]


def prepare(case):
    """Reading that fails for cases named so."""
    if case["case_id"].startswith("unreadable"):
        msg = f"{case['image']} must be a CT, got a poem; give another"
        raise RuntimeError(case["case_id"]) from InputError(msg)
    return {**case, "image": torch.ones(1, 2)}


def write(data):
    """Saving that fails for cases named so."""
    if data["case_id"].startswith("unlucky"):
        return 1 / 0
    if data["case_id"].startswith("full"):
        raise RuntimeError(data["case_id"]) from OutputError(FULL)
    return data


class Keep(CaseOutput):
    """A kind that leaves a picture, and remembers whom it has seen."""

    definitions = {}  # noqa: RUF012

    def __init__(self, record, *, volume=None, save=lambda _data: None, merged=()):
        super().__init__(record=record)
        self._seen, self._volume, self._save, self._merged = [], volume, save, merged

    def __call__(self, data):
        write(data)
        self._save(data)
        super().__call__({**data, "volume": self._volume, "pred": {"inference_s": 0.1}})
        self._seen.append(data["case_id"])
        return data

    def write(self, folder, data, case):
        (folder / "figure.png").write_text("drawn")
        return Left({}, ["figure.png"])

    def merge(self, output_dir):
        if isinstance(self._merged, list):
            self._merged.append(output_dir)


@pytest.fixture
def evaluate(begin, tmp_path, small_volume):
    """Run cases; `evaluate.done` are those that were saved, in order."""

    def run(listed, *, num_workers=1, then=None, **options):
        record = begin(output_dir=tmp_path)
        keep = Keep(record, volume=small_volume, **options)
        engine = CaseEvaluator(
            record=record,
            dataset=CaseDataset(listed, prepare),
            num_workers=num_workers,
            network=torch.nn.Identity(),
            inferer=lambda inputs, _network: inputs * 2,
            postprocessing=keep,
            then=then,
        )
        run.done = keep._seen
        engine.run()

    return run


def summary(tmp_path):
    with (tmp_path / "summary.csv").open() as file:
        return {row["case_id"]: (row["status"], row["reason"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_cases_are_run_in_order(evaluate, num_workers):
    evaluate(cases("a", "b", "c", "d"), num_workers=num_workers)
    assert evaluate.done == ["a", "b", "c", "d"]


def test_what_is_finished_is_merged_once_whether_or_not_others_failed(evaluate, tmp_path):
    merged = []
    with pytest.raises(InputError, match="1 of 1 cases failed"):
        evaluate(cases("unlucky"), merged=merged)
    assert merged == []  # nothing is finished
    with pytest.raises(InputError, match="1 of 2 cases failed"):
        evaluate(cases("b", "unlucky"), merged=merged)
    assert merged == [tmp_path]


def test_an_evaluation_comes_last_and_only_where_no_case_failed(evaluate, tmp_path):
    class Evaluation:
        def run(self):
            self.found = summary(tmp_path)

    failing, whole = Evaluation(), Evaluation()
    with pytest.raises(InputError, match="1 of 2 cases failed"):
        evaluate(cases("a", "unlucky"), then=failing)
    assert not hasattr(failing, "found")
    evaluate(cases("a"), then=whole)
    assert whole.found["a"] == ("finished", "")


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_failing_case_is_written_down_and_the_others_go_on(evaluate, tmp_path, num_workers):
    with pytest.raises(InputError) as caught:
        evaluate(cases("a", "unreadable", "b", "unlucky", "c"), num_workers=num_workers)
    assert evaluate.done == ["a", "b", "c"]
    assert str(caught.value) == (
        "2 of 5 cases failed: unreadable: unreadable.nii must be a CT, got a poem; give another; "
        "unlucky: ZeroDivisionError: division by zero"
    )
    failed = {name: row for name, row in summary(tmp_path).items() if row[0] == "failed"}
    assert failed == {
        "unlucky": ("failed", "ZeroDivisionError: division by zero"),
        "unreadable": ("failed", "unreadable.nii must be a CT, got a poem; give another"),
    }
    failure = json.loads((tmp_path / "unreadable" / "failure.json").read_text())
    assert failure["path"] == "unreadable.nii"
    failure = json.loads((tmp_path / "unlucky" / "failure.json").read_text())
    assert failure["path"] == "unlucky.nii"  # not the tensor that was made of it


def test_nothing_left_to_do_is_no_error(evaluate, tmp_path, caplog):
    evaluate(cases("a", "b"))
    with caplog.at_level(logging.INFO):
        evaluate(cases("a", "b"))
    assert evaluate.done == []
    assert "2 cases were finished before and are not run again" in caplog.text
    assert (tmp_path / "summary.csv").is_file()


def test_a_change_of_any_setting_runs_a_case_again(evaluate, monkeypatch):
    evaluate(cases("a"))
    made = case_evaluator.settings_of
    monkeypatch.setattr(case_evaluator, "settings_of", lambda part: [made(part), "stricter"])
    evaluate(cases("a"))
    assert evaluate.done == ["a"]


def test_a_place_that_cannot_be_written_ends_the_run_at_once(evaluate, tmp_path):
    with pytest.raises(OutputError, match="output must be a place"):
        evaluate(cases("a", "full", "b"))
    assert evaluate.done == ["a"]
    assert not list(tmp_path.rglob("failure.json"))
    assert not list(tmp_path.rglob(".claim"))


def test_a_case_that_is_claimed_while_the_run_ends_is_given_up(evaluate, tmp_path, monkeypatch):
    claim = RunRecord.claim

    def slowly(record, case):
        if case["case_id"] == "b":
            time.sleep(0.3)
        return claim(record, case)

    monkeypatch.setattr(RunRecord, "claim", slowly)
    with pytest.raises(OutputError, match="output must be a place"):
        evaluate(cases("full", "b"))
    time.sleep(0.4)  # as long as whoever still reads would need
    assert not list(tmp_path.rglob(".claim"))


def test_results_that_vanish_meanwhile_are_named(evaluate, tmp_path):
    def vanish(data):
        if data["case_id"] == "c":
            shutil.rmtree(tmp_path / "a")

    with pytest.raises(InputError, match=r"every case must end .* got neither for a; look"):
        evaluate(cases("a", "b", "c"), save=vanish)


def test_a_result_that_another_run_replaced_is_named(evaluate, tmp_path):
    def replace_a(data):
        if data["case_id"] == "b":
            path = tmp_path / "a" / "result.json"
            path.write_text(path.read_text().replace('"fingerprint": "', '"fingerprint": "0'))

    with pytest.raises(InputError, match=r"every case must end .* got neither for a; look"):
        evaluate(cases("a", "b"), save=replace_a)


def test_a_file_that_cannot_be_looked_at_is_one_failed_case(evaluate):
    long = {**cases("b")[0], "image": "x" * 5000}
    evaluate([*cases("a"), long, *cases("c")])
    assert evaluate.done == ["a", "b", "c"]


def test_a_scan_keeps_its_folder_when_a_neighbour_makes_its_name_longer(evaluate, tmp_path):
    (tmp_path / "s.nii").write_text("voxels")
    (case,) = cases("s")
    evaluate([{**case, "image": str(tmp_path / "s.nii")}])
    evaluate([{**case, "case_id": "d1_s", "image": str(tmp_path / "s.nii")}])
    assert evaluate.done == []
    assert list(summary(tmp_path)) == ["s"]


def test_what_is_finished_is_in_the_summary_of_an_interrupted_run(evaluate, tmp_path):
    def interrupt(data):
        if data["case_id"] == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(cases("a", "b", "c"), save=interrupt)
    assert list(summary(tmp_path)) == ["a"]


def test_two_runs_share_the_cases_and_both_wait_for_all(evaluate, tmp_path, begin, caplog):
    caplog.set_level(logging.INFO)
    other, (case,) = begin(output_dir=tmp_path), cases("b")
    other.open()
    assert other.claim(case) is None

    def give_up():
        while sorted(path.parent.name for path in tmp_path.glob("*/result.json")) != ["a", "c"]:
            time.sleep(0.01)
        other.release("b")

    thread = threading.Thread(target=give_up)
    thread.start()
    evaluate(cases("a", "b", "c"))
    thread.join()
    assert evaluate.done == ["a", "c", "b"]
    assert "b is waited for, process" in caplog.text


def test_what_another_run_finishes_meanwhile_is_not_run_again(evaluate, monkeypatch):
    evaluate(cases("a"))
    monkeypatch.setattr(CaseEvaluator, "_was_finished", lambda *_: False)  # as it was before
    evaluate(cases("a"))
    assert evaluate.done == []


def test_another_scan_of_one_name_fails_and_takes_nothing_along(evaluate, tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "s.nii").write_text(folder)
    first, second = (
        {**cases("s")[0], "image": str(tmp_path / folder / "s.nii")} for folder in ("one", "two")
    )
    evaluate([first])
    before = (tmp_path / "s" / "result.json").read_bytes()
    with pytest.raises(InputError, match=r"1 of 1 cases failed: s: case s must have a folder"):
        evaluate([second])
    assert (tmp_path / "s" / "result.json").read_bytes() == before
    with (tmp_path / "summary.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished", "failed"]


def test_a_process_that_hangs_is_named(begin, tmp_path, monkeypatch):
    record, listed = begin(output_dir=tmp_path), cases("a", "b")
    engine = CaseEvaluator(
        record=record, dataset=CaseDataset(listed, prepare), postprocessing=Keep(record),
        network=torch.nn.Identity(), inferer=lambda inputs, _network: inputs,
    )  # fmt: skip
    record.open()
    assert record.claim(listed[1]) is None
    engine._look_for_hung()
    monkeypatch.setattr(case_evaluator, "LONGEST_CASE_S", -1.0)
    with pytest.raises(InputError, match=r"finish a case within .* still at b; end it and run"):
        engine._look_for_hung()


def test_damaged_files_that_were_left_out_fail_the_run(evaluate):
    listed = CaseList(cases("a"), [Rejection("x/b.nii.gz", "truncated", damaged=True)])
    with pytest.raises(InputError, match=r"1 of 2 cases failed: b\.nii\.gz: truncated"):
        evaluate(listed)
    assert evaluate.done == ["a"]


def test_damaged_files_of_one_name_count_each(evaluate):
    damaged = [Rejection(f"{folder}/b.nii.gz", "truncated", damaged=True) for folder in "xy"]
    with pytest.raises(InputError, match=r"2 of 3 cases failed: b\.nii\.gz: .*; b\.nii\.gz: "):
        evaluate(CaseList(cases("a"), damaged))


def test_of_many_failures_the_first_are_told(evaluate):
    many = [f"unlucky{number}" for number in range(30)]
    with pytest.raises(InputError, match=r"30 of 30 .*unlucky19: .*; and 10 more, see summary.csv"):
        evaluate(cases(*many))


def test_files_of_another_kind_do_not_fail_the_run(evaluate):
    evaluate(CaseList(cases("a"), [Rejection("x/mask.nii.gz", "a mask")]))
    assert evaluate.done == ["a"]


def test_interrupt_is_not_taken_for_a_failing_case(evaluate, tmp_path, monkeypatch):
    def interrupt(_data):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{__name__}.write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        evaluate(cases("a", "b"))
    assert not list(tmp_path.rglob("failure.json"))


def raised(*chain):
    """The last of exceptions that were each raised from the one before."""
    cause = None
    for error in chain:
        error.__cause__ = cause
        cause = error
    return cause


def test_reason_is_the_input_error_of_a_chain_or_else_its_first_cause():
    advice = InputError("a must b, got c; d")
    assert reason_of(raised(KeyError("x"), advice, RuntimeError("outer"))) == str(advice)
    assert reason_of(raised(KeyError("x"), RuntimeError("outer"))) == "KeyError: 'x'"
    assert reason_of(MemoryError("no room")) == "MemoryError: no room"

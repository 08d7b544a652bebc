import csv
import json
import logging

import pytest
import torch

from common.case import CaseList, Rejection
from common.engines.case_evaluator import (
    CaseDataset,
    CaseEvaluator,
    CaseLoader,
    one_case,
    reason_of,
)
from common.errors import InputError


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
    return data


@pytest.fixture
def evaluate(tmp_path):
    done = []

    def network(image):
        return image * 2

    def save(data):
        done.append(write(data)["case_id"])
        return data

    def run(listed, *, pending=None, num_workers=1, merge=None):
        done.clear()
        dataset = CaseDataset(listed if pending is None else pending, prepare)
        engine = CaseEvaluator(
            output_dir=tmp_path,
            cases=listed,
            merge=merge,
            device="cpu",
            val_data_loader=CaseLoader(dataset, num_workers=num_workers),
            network=torch.nn.Identity(),
            inferer=lambda inputs, net: network(inputs),
            postprocessing=save,
        )
        try:
            engine.run()
        finally:
            run.done = list(done)

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
    evaluate(cases("a"), merge=merged.append)
    assert merged == []  # nothing is finished: these cases write no result
    (tmp_path / "a").mkdir(exist_ok=True)
    (tmp_path / "a" / "result.json").write_text("{}")
    with pytest.raises(InputError, match="1 of 2 cases failed"):
        evaluate(cases("b", "unlucky"), merge=merged.append)
    assert merged == [tmp_path]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_failing_case_is_written_down_and_the_others_go_on(evaluate, tmp_path, num_workers):
    with pytest.raises(InputError) as caught:
        evaluate(cases("a", "unreadable", "b", "unlucky", "c"), num_workers=num_workers)
    assert evaluate.done == ["a", "b", "c"]
    assert str(caught.value) == (
        "2 of 5 cases failed: unreadable: unreadable.nii must be a CT, got a poem; give another; "
        "unlucky: ZeroDivisionError: division by zero"
    )
    assert summary(tmp_path) == {
        "unlucky": ("failed", "ZeroDivisionError: division by zero"),
        "unreadable": ("failed", "unreadable.nii must be a CT, got a poem; give another"),
    }
    failure = json.loads((tmp_path / "unreadable" / "failure.json").read_text())
    assert failure["path"] == "unreadable.nii"


def test_nothing_left_to_do_is_no_error(evaluate, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        evaluate(cases("a", "b"), pending=[])
    assert "2 cases were finished before and are not run again" in caplog.text
    assert (tmp_path / "summary.csv").is_file()


def test_damaged_files_that_were_left_out_fail_the_run(evaluate):
    listed = CaseList(cases("a"), [Rejection("x/b.nii.gz", "truncated", damaged=True)])
    with pytest.raises(InputError, match=r"1 of 2 cases failed: b\.nii\.gz: truncated"):
        evaluate(listed)
    assert evaluate.done == ["a"]


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


def test_collating_one_case_adds_a_batch_axis_to_tensors_alone():
    batch = one_case([{"image": torch.zeros(1, 4), "case_id": "a", "files": ["x", "y"]}])
    assert batch["image"].shape == (1, 1, 4)
    assert batch["files"] == ["x", "y"]


@pytest.mark.parametrize("num_workers", [-1, 1.5, "two"])
def test_number_of_workers_is_checked(num_workers):
    with pytest.raises(InputError, match="num_workers must be 0 or more, got"):
        CaseLoader(CaseDataset(cases("a"), prepare), num_workers=num_workers)


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

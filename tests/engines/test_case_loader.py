import threading
import time

import pytest
import torch

from common.engines.case_loader import CaseLoader, with_batch_axis
from common.errors import InputError, OutputError


def cases(*names):
    return [{"case_id": name, "image": f"{name}.nii", "format": "nifti"} for name in names]


def given_out(loader):
    return [each["case_id"] for each in loader]


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_every_case_is_given_out_once_and_in_order(num_workers):
    slow_first = iter([0.05, 0, 0, 0, 0, 0])

    def read(case):
        time.sleep(next(slow_first))
        return case

    loader = CaseLoader(cases(*"abcdef"), read, num_workers=num_workers)
    assert len(loader) == 6
    assert given_out(loader) == list("abcdef")


def test_reading_goes_ahead_of_the_one_who_asks_but_not_far():
    begun = []
    loader = CaseLoader(cases(*"abcdef"), lambda case: begun.append(case) or case, num_workers=2)
    batches = iter(loader)
    next(batches)
    end = time.monotonic() + 10
    while len(begun) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(begun) == 3  # the one given out and one for each thread


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_case_that_is_busy_is_asked_for_again_after_all_others(num_workers, monkeypatch):
    monkeypatch.setattr("common.engines.case_loader.RETRY_S", 0.01)
    asked = []

    def read(case):
        asked.append(case["case_id"])
        busy = case["case_id"] in "bd" and asked.count(case["case_id"]) < 3
        return None if busy else case

    loader = CaseLoader(cases(*"abcd"), read, num_workers=num_workers)
    assert given_out(loader) == ["a", "c", "b", "d"]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_of_reading_reaches_the_one_who_asks(num_workers):
    def read(case):
        if case["case_id"] == "b":
            raise OutputError(case["case_id"])
        return case

    batches = iter(CaseLoader(cases(*"abc"), read, num_workers=num_workers))
    assert next(batches)["case_id"] == "a"
    with pytest.raises(OutputError, match="b"):
        next(batches)


def test_nothing_is_read_once_the_loader_is_closed():
    begun, ended, go_on = [], [], threading.Event()

    def read(case):
        begun.append(case["case_id"])
        if case["case_id"] == "b":
            go_on.wait(10)
        ended.append(case["case_id"])
        return case

    loader = CaseLoader(cases(*"abcdef"), read, num_workers=1)
    next(iter(loader))
    while "b" not in begun:
        time.sleep(0.01)
    threading.Timer(0.2, go_on.set).start()
    loader.close()
    assert begun == ended == ["a", "b"]


def test_a_loader_begins_anew_after_it_was_closed():
    loader = CaseLoader(cases(*"abc"), lambda case: case, num_workers=2)
    loader.close()
    next(iter(loader))
    loader.close()
    assert given_out(loader) == ["a", "b", "c"]


def test_a_batch_of_one_has_a_batch_axis_on_tensors_alone():
    batch = with_batch_axis({"image": torch.zeros(1, 4), "case_id": "a", "files": ["x", "y"]})
    assert batch["image"].shape == (1, 1, 4)
    assert batch["files"] == ["x", "y"]


@pytest.mark.parametrize("num_workers", [-1, 1.5, "two", True])
def test_number_of_workers_is_checked(num_workers):
    with pytest.raises(InputError, match="num_workers must be 0 or more, got"):
        CaseLoader(cases("a"), lambda case: case, num_workers=num_workers)

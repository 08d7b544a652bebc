"""Splits keep patients whole and come out the same everywhere."""

import pytest

from common.case import Case
from common.datasets.splits import first_of_each_patient, split_by_patient
from common.errors import InputError

THREE = {"train": 0.6, "validation": 0.2, "test": 0.2}


def cases_of(num_patients: int, scans: int = 3) -> list[Case]:
    return [
        Case(case_id=f"p{p}_{s}", image="", format="nifti", patient_id=f"p{p}")
        for s in range(scans)
        for p in range(num_patients)
    ]


def test_no_patient_is_in_two_parts_and_no_case_is_lost():
    parts = split_by_patient(cases_of(20), THREE)
    patients = [{case["patient_id"] for case in part} for part in parts.values()]
    assert [len(part) for part in patients] == [12, 4, 4]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]
    assert sum(len(part) for part in parts.values()) == 60


def test_each_patient_comes_first_once():
    first = first_of_each_patient(cases_of(3))
    assert [case["case_id"] for case in first] == ["p0_0", "p1_0", "p2_0"]
    nameless = [Case(case_id=name, image="", format="nifti") for name in "ab"]
    assert first_of_each_patient(nameless) == nameless


def test_split_does_not_depend_on_the_order_of_cases():
    cases = cases_of(20)
    forward, backward = split_by_patient(cases, THREE), split_by_patient(cases[::-1], THREE)
    for name in THREE:
        assert {case["case_id"] for case in forward[name]} == {
            case["case_id"] for case in backward[name]
        }


def test_seed_changes_the_split():
    first, second = (split_by_patient(cases_of(20), THREE, seed=seed) for seed in (0, 1))
    assert first["test"] != second["test"]


def test_split_is_the_same_on_every_machine():
    test = split_by_patient(cases_of(10, scans=1), {"train": 0.8, "test": 0.2})["test"]
    assert [case["case_id"] for case in test] == ["p4_0", "p7_0"]


def test_cases_without_patient_are_their_own():
    cases = [Case(case_id=name, image="", format="nifti") for name in "abcd"]
    parts = split_by_patient(cases, {"train": 0.5, "test": 0.5})
    assert [len(part) for part in parts.values()] == [2, 2]


@pytest.mark.parametrize("fractions", [{}, {"train": 0.5}, {"train": 1.2, "test": -0.2}])
def test_fractions_must_add_up_to_one(fractions: dict):
    with pytest.raises(InputError, match="fractions must be above 0 and add up to 1"):
        split_by_patient(cases_of(4), fractions)


def test_part_without_patient_is_an_error():
    with pytest.raises(InputError, match="got 2 patients and none for test"):
        split_by_patient(cases_of(2), {"train": 0.5, "validation": 0.4, "test": 0.1})

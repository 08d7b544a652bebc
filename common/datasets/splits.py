"""Part cases into training, validation and test, patient by patient."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import accumulate

from ..case import Case
from ..errors import InputError


def split_by_patient(
    cases: Sequence[Case], fractions: Mapping[str, float], *, seed: int = 0
) -> dict[str, list[Case]]:
    """Part cases so that all scans of one patient stay together.

    Patients are ordered by a hash of seed and id, so the same patients give the same split on
    every machine, whatever the order of the list. A case without patient_id is its own patient.

    Args:
        cases: To part.
        fractions: Share of patients per part, such as `{"train": 0.8, "validation": 0.2}`.
        seed: Another seed gives another split.

    Returns:
        For each name in `fractions` its cases, in the order of `cases`.

    Raises:
        InputError: If the fractions do not add up to 1, or leave a part without a patient.
    """
    total = sum(fractions.values())
    if not fractions or min(fractions.values()) <= 0 or abs(total - 1) > 1e-6:
        msg = f"fractions must be above 0 and add up to 1, got {dict(fractions)}; correct them"
        raise InputError(msg)
    patients = sorted({patient_of(case) for case in cases}, key=lambda name: _order(name, seed))
    ends = [round(end * len(patients)) for end in accumulate(fractions.values())]
    part_of: dict[str, str] = {}
    for name, start, end in zip(fractions, [0, *ends], ends, strict=False):
        if start == end:
            msg = (
                f"cases must give every part a patient, got {len(patients)} patients and none for "
                f"{name}; give more cases or other fractions"
            )
            raise InputError(msg)
        part_of.update(dict.fromkeys(patients[start:end], name))
    parts: dict[str, list[Case]] = {name: [] for name in fractions}
    for case in cases:
        parts[part_of[patient_of(case)]].append(case)
    return parts


def first_of_each_patient(cases: Sequence[Case]) -> list[Case]:
    """One case of each patient, the first in the list."""
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(patient_of(case), case)
    return list(first.values())


def patient_of(case: Case) -> str:
    """Who was scanned: the patient_id, or the case itself where it is unknown."""
    return case.get("patient_id") or case["case_id"]


def _order(patient: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{patient}".encode()).hexdigest()

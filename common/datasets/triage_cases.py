"""Head CTs with one label, abnormal, for training and evaluation, wherever they come from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from ..case import Case, CaseList
from ..cases.find import find_cases
from ..errors import InputError
from ..files import given_path
from ..phantom.cases import phantom_cases
from ..vocabulary.head_findings import ABNORMAL
from .cq500 import READS, cq500_cases
from .labelled import Split, label_by_name
from .sinoct import sinoct_cases
from .splits import split_by_patient

log = logging.getLogger(__name__)


def triage_cases(
    *,
    dataset_dir: str | Path,
    split: Split,
    labels_file: str = "",
    num_phantoms: int = 1,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
    training_share: float = 1.0,
    seed: int = 0,
) -> list[Case]:
    """The labelled head CTs of one split.

    Args:
        dataset_dir: `phantom`; CQ500's folder with `reads.csv`, all of which is `test`; SinoCT's
            folder, which is parted by directory; or the folder of the volumes of `labels_file`.
        split: Which.
        labels_file: A CSV below `dataset_dir` with a column `image` and a column `Abnormal`. It is
            parted by patient for `train` and `validation` and taken whole for `test`.
        num_phantoms: How many synthetic patients.
        validation_fraction: Share of patients for validation; published 0.1.
        test_fraction: Share of SinoCT's directories for test; published 0.1.
        training_share: Share of the training patients that is kept; published 0.02, 0.05, 0.1
            and 1. A smaller share is part of a larger one.
        seed: Of the splits; published 0. Another generator than the authors' draws them.

    Returns:
        Cases with one number as `label`, 1 for abnormal.

    Raises:
        InputError: If files or labels are missing, or an argument is out of range.
    """
    if not 0 < training_share <= 1:
        msg = f"training_share must be in (0, 1], got {training_share}; 1 takes all"
        raise InputError(msg)
    if str(dataset_dir) == "phantom":
        cases: Sequence[Case] = [
            {**case, "label": case["label"][:1]}
            for case in phantom_cases(split, num=num_phantoms, region="head")
        ]
    else:
        folder = given_path(dataset_dir, name="dataset_dir")
        cases = _read(folder, split, labels_file, validation_fraction, test_fraction, seed)
    if split != "train" or training_share == 1:
        return list(cases)
    parts = {"kept": training_share, "left": 1 - training_share}
    return split_by_patient(cases, parts, seed=seed)["kept"]


def _read(
    folder: Path, split: Split, labels_file: str, validation: float, test: float, seed: int
) -> Sequence[Case]:
    if labels_file:
        found = _listed(folder / labels_file, folder)
        fractions = {"train": 1 - validation, "validation": validation}
    elif (folder / READS).is_file():
        found, fractions = cq500_cases(folder), {}
    else:
        found = sinoct_cases(folder)
        fractions = {"train": 1 - validation - test, "validation": validation, "test": test}
    if not labels_file:  # `find_cases` has said it
        for rejection in found.rejected:
            log.warning("left out %s", rejection)
    if split in fractions:
        return split_by_patient(found, fractions, seed=seed)[split]
    if split != "test":
        msg = f"dataset_dir must be for training, got CQ500 in {folder}; it is for evaluation"
        raise InputError(msg)
    return found


def _listed(table: Path, folder: Path) -> CaseList:
    """Cases of a list, with their `Abnormal` alone, whatever other labels it has."""
    found = find_cases(table, data_dir=folder, missing="leave_out")
    found[:] = label_by_name(found, table, folder, (ABNORMAL,))
    return found

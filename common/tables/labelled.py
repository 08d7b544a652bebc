"""Labelled cases for training and evaluation, wherever they come from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..case import Case
from ..cases import find_cases
from ..errors import InputError
from ..phantom.cases import phantom_cases
from .splits import split_by_patient

Split = Literal["train", "validation", "test"]
_LONG_NAMES = {"train": "train", "valid": "validation"}  # CT-RATE spells some of its files so


def labelled_cases(
    *,
    dataset_dir: str | Path,
    split: Split,
    labels_file: str = "",
    num_phantoms: int = 1,
    prevalence: float | None = None,
    validation_fraction: float = 0.05,
    seed: int = 0,
) -> list[Case]:
    """The labelled cases of one split.

    Args:
        dataset_dir: `phantom`, or a folder of volumes. A folder laid out as CT-RATE publishes it
            needs nothing else: `train` and `validation` are parted by patient from the
            published training volumes, `test` is the published validation volumes.
        split: Which.
        labels_file: A CSV or JSON list with labels for the volumes in `dataset_dir`, in place of
            CT-RATE's; it is parted by patient for `train` and `validation` and taken whole for
            `test`.
        num_phantoms: How many synthetic patients.
        prevalence: Of every label in synthetic patients; realistic if None.
        validation_fraction: Share of patients kept out of training.
        seed: Of the split.

    Raises:
        InputError: If the tables or all volumes are missing, or a case has no label.
    """
    if str(dataset_dir) == "phantom":
        return phantom_cases(split, num=num_phantoms, prevalence=prevalence)
    folder = Path(dataset_dir)
    table = folder / labels_file if labels_file else _ct_rate_labels(folder, split)
    published = "valid" if split == "test" else "train"
    cases = find_cases(
        table,
        data_dir=folder,
        exclude=_ct_rate_table(folder, f"no_chest_{published}.txt"),
        metadata=_ct_rate_table(folder, f"{_LONG_NAMES[published]}_metadata.csv"),
    )
    unlabelled = [case["case_id"] for case in cases if "label" not in case]
    if unlabelled:
        msg = (
            f"{table} must give every case a label, got {len(unlabelled)} without, "
            f"such as {unlabelled[0]}; add label columns"
        )
        raise InputError(msg)
    if split == "test":
        return list(cases)
    fractions = {"train": 1 - validation_fraction, "validation": validation_fraction}
    return split_by_patient(cases, fractions, seed=seed)[split]


def _ct_rate_labels(folder: Path, split: Split) -> Path:
    published = "valid" if split == "test" else "train"
    name = f"{published}_predicted_labels.csv"
    for place in (folder / "multi_abnormality_labels" / name, folder / name):
        if place.is_file():
            return place
    msg = (
        f"dataset_dir must hold multi_abnormality_labels/{name}, got {folder} without it; "
        "download CT-RATE's tables or name a CSV with --labels_file"
    )
    raise InputError(msg)


def _ct_rate_table(folder: Path, name: str) -> Path | None:
    """A published table that need not be there."""
    places = (folder / "metadata" / name, folder / name)
    return next((place for place in places if place.is_file()), None)

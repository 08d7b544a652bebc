"""Labelled cases for training and evaluation, wherever they come from."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Literal

from ..case import Case
from ..cases.find import find_cases
from ..cases.lists import IMAGE_COLUMNS
from ..csv_table import number, read_table
from ..errors import InputError
from ..files import given_path
from ..phantom.cases import phantom_cases
from ..vocabulary.chest_findings import CT_RATE_LABELS
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
    labels: Sequence[str] = (),
) -> list[Case]:
    """The labelled cases of one split.

    Args:
        dataset_dir: `phantom`, or a folder of volumes. A folder laid out as CT-RATE publishes it
            needs nothing else: `train` and `validation` are parted by patient from the
            published training volumes, `test` is the published validation volumes.
        split: Which.
        labels_file: A CSV or JSON list with labels for the volumes in `dataset_dir`, in place of
            CT-RATE's; it is parted by patient for `train` and `validation` and taken whole for
            `test`. Volumes that a table names and that are not there are left out, which is said.
        num_phantoms: How many synthetic patients.
        prevalence: Of every label in synthetic patients; realistic if None.
        validation_fraction: Share of patients kept out of training.
        seed: Of the split.
        labels: Names in the network's order; each is looked up by its column's name. As the list
            has them if none are given.

    Raises:
        InputError: If the tables, a label's column or all volumes are missing, or a case has no
            label.
    """
    if str(dataset_dir) == "phantom":
        cases = phantom_cases(split, num=num_phantoms, prevalence=prevalence)
        return [_chosen(case, labels, "phantoms") for case in cases]
    folder = given_path(dataset_dir, name="dataset_dir")
    table = folder / labels_file if labels_file else _ct_rate_labels(folder, split)
    published = "valid" if split == "test" else "train"
    cases = find_cases(
        table,
        data_dir=folder,
        missing="leave_out",  # part of a data set is often enough to train on or to test
        exclude=_ct_rate_table(folder, f"no_chest_{published}.txt"),
        metadata=_ct_rate_table(folder, f"{_LONG_NAMES[published]}_metadata.csv"),
    )
    if labels:
        cases[:] = label_by_name(cases, table, folder, labels)
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


def label_by_name(
    cases: Sequence[Case], table: Path, folder: Path, labels: Sequence[str]
) -> list[Case]:
    """The same cases, labelled by the columns of a table that have the labels' names.

    Args:
        cases: Read from the table.
        table: CSV with a column `image` or `path`; CT-RATE's; a JSON list, whose labels have no
            names and must be as many.
        folder: Where the table's volumes lie.
        labels: Names in the order wanted.

    Raises:
        InputError: If a label has no column.
    """
    if table.suffix.lower() == ".json":
        return [_chosen(case, labels, str(table), names=labels) for case in cases]
    rows = read_table(table)
    column = next((name for name in IMAGE_COLUMNS if name in rows[0]), None)
    if column is None:
        return [_chosen(case, labels, str(table)) for case in cases]
    by_image = {
        str(folder / Path(row[column]).expanduser()): [
            number(row[label], name=f"{table}: {label}") for label in labels
        ]
        for row in read_table(table, columns=tuple(labels))
    }
    return [{**case, "label": by_image[_listed_image(case, by_image)]} for case in cases]


def _listed_image(case: Case, images: Container[str]) -> str:
    """What the list calls a case's image: the file, or the folder in which it was found."""
    image = Path(case["image"])
    return next(str(place) for place in (image, *image.parents) if str(place) in images)


def _chosen(
    case: Case, labels: Sequence[str], source: str, names: Sequence[str] = CT_RATE_LABELS
) -> Case:
    """A case with the labels of some names, of those that its own are for."""
    if not labels or "label" not in case:
        return case
    own = dict(zip(names, case["label"], strict=False))
    missing = [label for label in labels if label not in own]
    if missing or len(names) != len(case["label"]):
        got = f"none for {missing[0]}" if missing else f"{len(case['label'])} for {len(names)}"
        msg = f"{source} must label every case for {len(labels)} labels, got {got}; see `labels`"
        raise InputError(msg)
    return {**case, "label": [own[label] for label in labels]}


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

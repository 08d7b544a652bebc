"""Scans for self-supervised training, without labels, and the labelled ones that watch it."""

from __future__ import annotations

from pathlib import Path

from ..case import Case
from ..cases.find import find_cases
from ..phantom.cases import organ_box_cases, phantom_cases
from .labelled import labelled_cases


def scans_to_train_on(
    *, dataset_dir: str | Path, num_phantoms: int = 1, region: str = "torso"
) -> list[Case]:
    """All scans of a place, every series of a DICOM study among them.

    Args:
        dataset_dir: `phantom`, or whatever `find_cases` takes: a folder, a list, a file.
        num_phantoms: How many synthetic patients.
        region: What of them is scanned.

    Raises:
        InputError: If there is no scan.
    """
    if str(dataset_dir) == "phantom":
        return phantom_cases("train", num=num_phantoms, region=region)
    return list(find_cases(dataset_dir, series="all"))


def scans_to_probe(
    *, dataset_dir: str | Path, labels_file: str = "", num_phantoms: int = 1
) -> list[Case]:
    """Labelled scans by which pre-training is watched; none of them is trained on.

    Args:
        dataset_dir: `phantom`, or a folder of volumes.
        labels_file: A CSV or JSON list in that folder with a label for each.
        num_phantoms: How many synthetic patients, each cut into the boxes of eleven organs.

    Raises:
        InputError: If a table or all volumes are missing, or a case has no label.
    """
    if str(dataset_dir) == "phantom":
        return organ_box_cases("validation", num=num_phantoms)
    return labelled_cases(dataset_dir=dataset_dir, split="test", labels_file=labels_file)

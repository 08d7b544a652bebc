"""Scans without labels, for self-supervised training."""

from __future__ import annotations

from pathlib import Path

from ..case import Case
from ..cases import find_cases
from ..phantom.cases import phantom_cases


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

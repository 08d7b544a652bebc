"""Scans with segmentation truth for training and evaluation, from folders as they are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..files import given_path
from ..phantom.cases import phantom_cases
from ..truth.label_source import LabelSource, SegmentationCase
from ..vocabulary.segmentation_classes import ALL, LabelVersion, choose_classes, names_by_number
from .label_volumes import DECATHLON_JSON, LabelNames, decathlon_cases, paired_cases
from .labelled import Split
from .segmentation_splits import FewShot, SplitOptions, few
from .totalsegmentator_dataset import META, totalsegmentator_cases

__all__ = ["LabelSource", "SegmentationCase", "segmentation_cases"]


def segmentation_cases(
    *,
    dataset_dir: str | Path,
    split: Split,
    classes: str | Sequence[str] = ALL,
    label_version: LabelVersion = "",
    label_names: LabelNames = (),
    images: str = "",
    labels: str = "",
    study_types: Sequence[str] = (),
    exclude: Sequence[str] = (),
    split_file: str = "",
    fold: int = -1,
    validation_share: float = 0.0,
    test_share: float = 0.0,
    num_training: int = 0,
    training_share: float = 1.0,
    few_shot: FewShot = "first",
    shorten_validation: bool = False,
    num_phantoms: int = 1,
    region: str = "torso",
    prevalence: float | None = None,
    seed: int = 42,
) -> list[SegmentationCase]:
    """The cases of one part, each with `segmentation`: where its truth lies and what it means.

    Args:
        dataset_dir: `phantom`; TotalSegmentator's folder with `meta.csv`; a Decathlon task's folder
            with `dataset.json`; a folder with scans and label volumes of the same names; or one
            scan, with its label volume in `labels`.
        split: Which part.
        classes: Of channels 1, 2, ...: `all`, `shared` (by both TotalSegmentator versions), a
            group of `vocabulary.totalsegmentator.GROUPS`, or names. `all` of TotalSegmentator's
            data set are the 117 of version 2, unless `label_version` says `v1`.
        label_version: `v1` or `v2`: which TotalSegmentator named or numbered the labels. Needed
            for label volumes unless `label_names` is given or the files hold their names; checked
            against every name that is there.
        label_names: What the numbers of label volumes mean: names by number, or a list from 1.
        images: Folder of the scans below `dataset_dir`, for pairs; usual names if empty.
        labels: Folder of the label volumes, for pairs; the file, for a single scan.
        study_types: TotalSegmentator: only these, such as `ct thorax` or `*thorax*`.
        exclude: Ids to leave out.
        split_file: JSON with ids per part or per fold, in place of what the data set says; see
            `read_split_file`.
        fold: Which fold of the split file is validation; negative for none.
        validation_share: Share of the training cases that becomes validation, by chance with
            `seed`. VISTA3D's TotalSegmentator split: its JSON, 57 / 1082, seed 42.
        test_share: Likewise for test, taken first.
        num_training: Few-shot: how many training cases; 0 for all.
        training_share: Few-shot: which share of them, `round(n * share)` cases; 1 for all.
        few_shot: `first` rows, as published, or `random`.
        shorten_validation: Whether `training_share` also shortens validation, as published.
        num_phantoms: How many synthetic patients.
        region: What of them is scanned: `chest`, `abdomen` or `torso`.
        prevalence: Of every finding in synthetic patients; realistic if None.
        seed: Of everything that is by chance.

    Raises:
        InputError: If files, tables or classes are missing or contradict each other. No v1 label
            is ever taken for one of v2 or the reverse.
    """
    options = SplitOptions(
        split=split,
        split_file=str(split_file),
        fold=fold,
        validation_share=validation_share,
        test_share=test_share,
        num_training=num_training,
        training_share=training_share,
        few_shot=few_shot,
        shorten_validation=shorten_validation,
        seed=seed,
    )
    if str(dataset_dir) == "phantom":
        return _phantoms(options, classes, num_phantoms, prevalence, region)
    place = given_path(dataset_dir, name="dataset_dir")
    if not place.exists():
        msg = f"dataset_dir must exist, got {place}; check the path"
        raise InputError(msg)
    if (place / META).is_file():
        return totalsegmentator_cases(
            place,
            options,
            classes=classes,
            label_version=label_version,
            study_types=study_types,
            exclude=exclude,
        )
    if (place / DECATHLON_JSON).is_file():
        return decathlon_cases(place, options, classes=classes, exclude=exclude)
    return paired_cases(
        place,
        options,
        images=images,
        labels=labels,
        classes=classes,
        label_version=label_version,
        label_names=label_names,
        exclude=exclude,
    )


def _phantoms(
    options: SplitOptions,
    classes: str | Sequence[str],
    num: int,
    prevalence: float | None,
    region: str,
) -> list[SegmentationCase]:
    """Synthetic patients, whose organs have the numbers of version 2."""
    names = names_by_number("v2")
    chosen = choose_classes(classes, list(names.values()), version="v2")
    numbers = {name: number for number, name in names.items()}
    cases = {
        case["case_id"]: case
        for case in phantom_cases(options.split, num=num, prevalence=prevalence, region=region)
    }
    found = []
    for case_id in few(list(cases), options):
        case = cases[case_id]
        source = LabelSource(
            kind="phantom", path=case["image"], classes=chosen, version="v2", numbers=numbers
        )
        found.append(
            SegmentationCase(
                case_id=case_id,
                image=case["image"],
                format=case["format"],
                patient_id=case["patient_id"],
                segmentation=source,
            )
        )
    return found

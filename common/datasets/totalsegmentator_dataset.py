"""TotalSegmentator's data set as published: `meta.csv` and a folder per scan.

`<image_id>/ct.nii.gz` and `<image_id>/segmentations/<structure>.nii.gz`, one binary mask per
structure, 117 of them in version 2 (Zenodo 10047292), 104 in version 1 (Zenodo 6802614). The two
are told apart by the names of their masks.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

from ..csv_table import read_table
from ..errors import InputError
from ..truth.label_source import MASK_ENDING, LabelSource, SegmentationCase
from ..vocabulary.segmentation_classes import (
    ALL,
    LabelVersion,
    check_version,
    choose_classes,
    names_by_number,
    some,
)
from .segmentation_splits import SPELLINGS, Parts, SplitOptions, few, part_of

log = logging.getLogger(__name__)
META = "meta.csv"
IMAGE = "ct.nii.gz"
MASKS = "segmentations"


def totalsegmentator_cases(
    folder: Path,
    options: SplitOptions,
    *,
    classes: str | Sequence[str] = ALL,
    label_version: LabelVersion = "",
    study_types: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> list[SegmentationCase]:
    """Cases of one part of TotalSegmentator's data set.

    Args:
        folder: Holds `meta.csv`.
        options: Which part, see `SplitOptions`.
        classes: See `choose_classes`; `all` means the 117 of version 2 unless `label_version`
            says `v1`.
        label_version: What the masks must be of; told from their names if empty.
        study_types: Only scans of these types (column `study_type`), such as `ct thorax`; `*`
            stands for anything, as in `*thorax*`.
        exclude: Ids to leave out.

    Returns:
        Cases in the order of the table. Rows without their files are logged and left out, after
        the split and few-shot are decided, so that both are the same on every machine.

    Raises:
        InputError: If the table has no column that is needed, no case is left, or the masks are of
            the other version or not complete, naming them.
    """
    table = folder / META
    rows = read_table(table, columns=("image_id",))
    types = {row["image_id"]: row.get("study_type", "") for row in rows}
    ids = part_of(list(types), _published(table, rows, options), options, str(table))
    if study_types:
        ids = _of_types(ids, types, study_types, table)
    ids = few([name for name in ids if name not in set(exclude)], options)
    there = [name for name in ids if (folder / name / IMAGE).is_file()]
    there = [name for name in there if (folder / name / MASKS).is_dir()]
    if len(there) < len(ids):
        absent = [name for name in ids if name not in set(there)]
        log.warning(
            "left out %d of %d scans without files: %s", len(absent), len(ids), some(absent)
        )
    if not there:
        msg = (
            f"{folder} must hold <image_id>/{IMAGE} and <image_id>/{MASKS}/, got neither for "
            f"{some(ids) or 'any scan'}; unpack the data set here or choose another split"
        )
        raise InputError(msg)
    masks = {name: _mask_names(folder / name / MASKS) for name in there}
    version, chosen = _chosen(masks, classes, label_version, folder)
    return [_case(folder, name, chosen, version) for name in there]


def _published(table: Path, rows: Sequence[dict[str, str]], options: SplitOptions) -> Parts:
    """Ids by part as the table's column `split` says."""
    if options.split_file or (options.test_share and "split" not in rows[0]):
        return {}
    if "split" not in rows[0]:
        msg = (
            f"{table} must have a column split, got {some(rows[0], 25)} (version 1 is published "
            "without); name a split_file with a list of ids per part, or carve test and "
            "validation cases with test_share and validation_share"
        )
        raise InputError(msg)
    parts: dict[str, list[str]] = {}
    for row in rows:
        parts.setdefault(row["split"].lower(), []).append(row["image_id"])
    unknown = [name for name in parts if name not in SPELLINGS]
    if unknown:
        msg = f"{table}: split must be train, val or test, got {unknown}; correct the table"
        raise InputError(msg)
    return {SPELLINGS[name]: ids for name, ids in parts.items()}


def _of_types(
    ids: Iterable[str], types: dict[str, str], wanted: Sequence[str], table: Path
) -> list[str]:
    """The scans of the wanted types."""
    patterns = [wanted] if isinstance(wanted, str) else list(wanted)
    patterns = [pattern.lower() for pattern in patterns]
    found = [
        name
        for name in ids
        if any(fnmatch(types.get(name, "").lower(), pattern) for pattern in patterns)
    ]
    if not found:
        known = sorted({kind for kind in types.values() if kind})
        msg = (
            f"study_types must fit a scan of {table}, got {patterns}; there are "
            f"{some(known, 20) or 'none, as the column study_type is missing'}"
        )
        raise InputError(msg)
    return found


def _mask_names(folder: Path) -> frozenset[str]:
    """Names of the mask files of a folder, without their ending."""
    return frozenset(
        path.name.removesuffix(MASK_ENDING)
        for path in folder.iterdir()
        if path.name.endswith(MASK_ENDING) and not path.name.startswith(".")
    )


def _chosen(
    masks: dict[str, frozenset[str]],
    wanted: str | Sequence[str],
    stated: LabelVersion,
    folder: Path,
) -> tuple[LabelVersion, list[str]]:
    """The version of the masks and the classes to read, which every case must have."""
    if wanted == ALL and not stated:
        stated = "v2"
    version = stated
    for name, found in masks.items():
        version = check_version(found, version, source=str(folder / name / MASKS))
    known = list(names_by_number(version).values()) if version else []
    if wanted != ALL:
        known += sorted(frozenset().union(*masks.values()) - set(known))
    chosen = choose_classes(wanted, known, version=version)
    gaps = {
        name: [one for one in chosen if one not in found]
        for name, found in masks.items()
        if not found.issuperset(chosen)
    }
    if gaps:
        name, missing = next(iter(gaps.items()))
        msg = (
            f"every scan in {folder} must have a mask per class, got {len(gaps)} of {len(masks)} "
            f"without; {name} lacks {some(missing)}; unpack them again, or leave these classes "
            "out with `classes` or these scans with `exclude`"
        )
        raise InputError(msg)
    return version, chosen


def _case(folder: Path, name: str, classes: list[str], version: LabelVersion) -> SegmentationCase:
    source = LabelSource(
        kind="masks", path=str(folder / name / MASKS), classes=classes, version=version, numbers={}
    )
    return SegmentationCase(
        case_id=name,
        image=str(folder / name / IMAGE),
        format="nifti",
        patient_id=name,
        segmentation=source,
    )

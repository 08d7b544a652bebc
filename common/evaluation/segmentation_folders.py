"""Segmentations of many cases in a folder, whoever made them.

Per case one of: `<case>.nii.gz` (or any other volume file), `<case>/segmentation.nii.gz` as our
bundles write it, `<case>/segmentations/<structure>.nii.gz` as TotalSegmentator's data set has it,
or `<case>/<structure>.nii.gz` as its command writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..cases.read import format_of
from ..datasets.label_volumes import LabelNames, read_names
from ..datasets.segmentation_splits import bare_name
from ..errors import InputError
from ..truth.label_source import MASK_ENDING, LabelSource, SourceKind, label_table
from ..vocabulary.segmentation_classes import (
    LabelVersion,
    check_version,
    comparable,
    names_by_number,
    some,
)

RESULT = "segmentation.nii.gz"
MASKS = "segmentations"
_NO_MASKS = ("ct", "segmentation")


@dataclass(frozen=True)
class FolderLabels:
    """Label volumes found below a folder.

    Attributes:
        sources: By case.
        names: Structures that all of them can hold.
        version: Of TotalSegmentator, empty for any other names.
    """

    sources: Mapping[str, LabelSource]
    names: list[str]
    version: LabelVersion


def find_labels(
    folder: str | Path, *, label_version: LabelVersion = "", label_names: LabelNames = ()
) -> FolderLabels:
    """Find the segmentations below a folder and what their numbers mean.

    Args:
        folder: Holds a file or a folder per case.
        label_version: Which TotalSegmentator numbered or named them.
        label_names: What the numbers mean, for any other; see `read_names`. Where neither is
            given, the table of names in the files is used. Masks are known by their file names.

    Raises:
        InputError: If there is none, nothing says what the numbers mean, or names are of the
            other version.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        msg = f"{folder} must be a folder of segmentations, got no folder; check the path"
        raise InputError(msg)
    found = dict(each for path in sorted(folder.iterdir()) if (each := _find(path)) is not None)
    if not found:
        msg = (
            f"{folder} must hold <case>.nii.gz, <case>/{RESULT} or <case>/{MASKS}/, got "
            f"{some([path.name for path in sorted(folder.iterdir())]) or 'nothing'}; "
            "give the folder above them"
        )
        raise InputError(msg)
    volumes = [path for kind, path in found.values() if kind == "volume"]
    known = _names_of_volumes(volumes, label_version, label_names) if volumes else {}
    version = label_version
    masks = {case: mask_names(path) for case, (kind, path) in found.items() if kind == "masks"}
    for case, held in masks.items():
        version = check_version(held, version, source=str(folder / case))
    version = check_version(known.values(), version, source=str(folder))
    names = list(known.values()) or sorted(frozenset.intersection(*masks.values()))
    if masks and known:
        names = [name for name in names if all(name in each for each in masks.values())]
    numbers = {name: number for number, name in known.items()}
    return FolderLabels(
        sources={
            case: LabelSource(
                kind=kind,
                path=str(path),
                classes=names,
                version=version,
                numbers=numbers if kind == "volume" else {},
            )
            for case, (kind, path) in found.items()
        },
        names=names,
        version=version,
    )


def shared_classes(
    predictions: FolderLabels, truth: FolderLabels, wanted: Sequence[str] = ()
) -> list[str]:
    """Structures to score: those of the truth that the predictions hold with the same meaning.

    Args:
        predictions: What is scored.
        truth: What it is scored against.
        wanted: Only these; all if empty.

    Raises:
        InputError: If nothing is left, or a wanted structure is not among them.
    """
    shared = comparable(truth.names, truth.version, predictions.names, predictions.version)
    missing = [name for name in wanted if name not in shared]
    if missing or not shared:
        msg = (
            f"classes must be structures of truth and predictions alike, got "
            f"{some(missing) or 'none'} that are not; truth has {some(truth.names)}, predictions "
            f"have {some(predictions.names)}"
        )
        raise InputError(msg)
    return list(wanted) or shared


def mask_names(folder: Path) -> frozenset[str]:
    """Names of the mask files of a folder, without their ending; not a scan or a result."""
    return frozenset(
        name
        for path in folder.glob(f"*{MASK_ENDING}")
        if (name := path.name.removesuffix(MASK_ENDING)) not in _NO_MASKS
        and not name.startswith(".")
    )


def _find(path: Path) -> tuple[str, tuple[SourceKind, Path]] | None:
    """A case and where its labels lie; None for what is none."""
    if path.name.startswith("."):
        return None
    if path.is_file():
        return (bare_name(path.name), ("volume", path)) if format_of(path) else None
    if (path / RESULT).is_file():
        return path.name, ("volume", path / RESULT)
    if (path / MASKS).is_dir() and mask_names(path / MASKS):
        return path.name, ("masks", path / MASKS)
    return (path.name, ("masks", path)) if mask_names(path) else None


def _names_of_volumes(
    volumes: Sequence[Path], version: LabelVersion, names: LabelNames
) -> dict[int, str]:
    """Names by number of label volumes."""
    if version and names:
        msg = (
            f"label_version and label_names must not both be given, got {version} and names; "
            "give the one that says what the numbers mean"
        )
        raise InputError(msg)
    if version:
        return names_by_number(version)
    known = read_names(names) if names else label_table(volumes[0])
    if not known:
        msg = (
            f"label_version must say which TotalSegmentator numbered {volumes[0]} (v1 or v2), or "
            "label_names what each number means, got neither; versions 1 and 2 share only the "
            "numbers 1 to 6, so this cannot be guessed"
        )
        raise InputError(msg)
    return known

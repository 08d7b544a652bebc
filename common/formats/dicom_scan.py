"""Find the CT series among DICOM files, and choose among the series of one study."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..case import Rejection
from ..errors import InputError
from .ct_series import Series
from .dicom_best import best_of_each_study
from .dicom_header import SPLIT_KEYWORDS, SliceHeader, read_slice_headers
from .dicom_parts import group_series
from .dicom_pixels import check_repeats
from .dicom_refusal import CUT_SHORT, is_derived, numbers
from .dicom_series import stack_slices
from .evidence import why_derived_is_no_ct

SHARED_UIDS = (
    "SOPInstanceUIDs of this series are also those of other images: they are not unique, and "
    "another program may take one image for the other."
)
AXIAL_COSINE = 0.7  # a plane nearer to axial than to any other


def find_series(files: Iterable[Path]) -> tuple[list[Series], list[Rejection]]:
    """Group DICOM files into the CT series that form a volume.

    Localizers, secondary captures, dose reports, other modalities, what is not in HU, copies and
    broken series are left out; every file is in a series or in a rejection.

    Returns:
        The series, by study, number and folder; and what was left out, one entry per series and
        reason.
    """
    slices: list[SliceHeader] = []
    refused: dict[tuple[str, ...], list[SliceHeader]] = defaultdict(list)
    num_frames: dict[str, int] = {}
    rejections = []
    for file in files:
        headers = _headers_of(file)
        if isinstance(headers, Rejection):
            rejections.append(headers)
            continue
        num_frames[str(file)] = len(headers)
        for header in headers:
            if header.refusal:
                refused[(header.study_uid, header.series_uid, header.refusal)].append(header)
            else:
                slices.append(header)
    rejections += [_rejection(headers, headers[0].refusal) for headers in refused.values()]
    groups = group_series(slices)
    rejections += [_rejection(headers, reason) for headers, reason in groups.left_out]
    series: list[Series] = []
    for group in groups.series:
        stacked = _stacked(group, num_frames, groups.ambiguous)
        if isinstance(stacked, Rejection):
            rejections.append(stacked)
        else:
            series.append(stacked)
    return _number_parts(sorted(series, key=_sort_key)), rejections


def _headers_of(file: Path) -> list[SliceHeader] | Rejection:
    try:
        return read_slice_headers(file)
    except (InputError, OSError) as error:
        return Rejection(str(file), reason_of(error, file), damaged=True)
    except Exception as error:  # whatever else a header makes a reader throw
        reason = f"cannot be read ({_said(error)}); copy it again"
        return Rejection(str(file), reason, damaged=True)


def _stacked(
    group: list[SliceHeader], num_frames: Mapping[str, int], ambiguous: set[str]
) -> Series | Rejection:
    try:
        return _series(group, num_frames, ambiguous)
    except InputError as error:
        return _rejection(group, reason_of(error, _folder(group)))
    except Exception as error:  # the same for a series
        reason = f"cannot be stacked ({_said(error)}); export it again"
        return replace(_rejection(group, reason), damaged=True)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _sort_key(series: Series) -> tuple[object, ...]:
    return series.study, series.number or 0, str(series.folder), series.uid, series.files


def _number_parts(found: list[Series]) -> list[Series]:
    """Number the acquisitions that share one series UID, and say what tells them apart."""
    parts: dict[tuple[tuple[str, ...], str], list[Series]] = defaultdict(list)
    for series in found:
        parts[(series.study, series.uid or str(series.number))].append(series)
    numbered = []
    for group in parts.values():
        if len(group) == 1:
            numbered += group
            continue
        key = next((key for key in range(len(SPLIT_KEYWORDS)) if _tells_apart(key, group)), None)
        if key is not None:
            group.sort(key=lambda one: (not one.original, _natural(one.marks[key])))
        for part, series in enumerate(group, 1):
            which = "" if key is None else f"{SPLIT_KEYWORDS[key]} {series.marks[key] or 'none'}"
            numbered.append(replace(series, part=part, part_is=which))
    return numbered


def _tells_apart(key: int, group: Sequence[Series]) -> bool:
    return len({series.marks[key] for series in group}) == len(group)


def _natural(mark: str) -> tuple[float, str]:
    stated = numbers(mark)
    return (stated[0] if stated else math.inf), mark


def reason_of(error: Exception, path: Path) -> str:
    """An error's message without the path that it starts with."""
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error).removeprefix(f"{path} ")


def _rejection(headers: Sequence[SliceHeader], reason: str) -> Rejection:
    files = sorted({header.path for header in headers})
    others = "" if len(files) == 1 else f" (and {len(files) - 1} more files of the series)"
    return Rejection(files[0], f"{reason}{others}", damaged=reason.startswith(CUT_SHORT))


def _folder(headers: Sequence[SliceHeader]) -> Path:
    folders = {Path(header.path).parent for header in headers}
    first = folders.pop()
    shared = [first, *first.parents]
    return next(
        folder for folder in shared if all(other.is_relative_to(folder) for other in folders)
    )


def _series(group: list[SliceHeader], num_frames: Mapping[str, int], ambiguous: set[str]) -> Series:
    folder = _folder(group)
    stack = stack_slices(group, str(folder))
    check_repeats(stack, str(folder))
    first = stack.slices[0]
    original = not any(is_derived(header.image_type) for header in group)
    reason = "" if original else why_derived_is_no_ct(stack.slices)
    if reason:
        msg = f"{folder} {reason}"
        raise InputError(msg)
    columns, rows, slices = ((stack.affine[:3, :3] ** 2).sum(axis=0) ** 0.5).tolist()
    row, column = np.reshape(first.orientation, (2, 3))
    frames: dict[str, list[int]] = defaultdict(list)
    for header in group:
        frames[header.path].append(header.frame)
    files = sorted(frames)
    is_whole = all(len(frames[file]) == num_frames[file] for file in files)
    return Series(
        folder=folder,
        files=tuple(files),
        frames=() if is_whole else tuple(tuple(sorted(frames[file])) for file in files),
        study=(first.patient_id, first.study_uid or str(folder)),
        number=first.series_number,
        part=0,
        uid=first.series_uid,
        description=first.description,
        patient_id=first.patient_id,
        num_slices=stack.num_slices,
        spacing_mm=(columns, rows, slices),
        original=original,
        axial=bool(abs(np.cross(row, column)[2]) > AXIAL_COSINE),
        kernel=first.kernel,
        marks=first.split_keys[: len(SPLIT_KEYWORDS)],
        notes=[SHARED_UIDS] if any(one.instance_uid in ambiguous for one in group) else [],
    )


def choose_series(found: list[Series], choice: str | int) -> list[Series]:
    """Choose among the series that were found.

    Args:
        found: At least one.
        choice: `ask`, `all`, `best`, a series number, `<number>/<part>` or a series UID. `ask`
            takes every series of several studies, but of one study with several series it takes
            none and names them. `best` takes one of each study, see `best_of_each_study`.

    Returns:
        The chosen series.

    Raises:
        InputError: If `ask` has to ask, or if the choice fits no series.
    """
    wanted = str(choice).strip()
    if wanted == "all":
        return found
    if wanted == "best":
        return best_of_each_study(found)
    if wanted == "ask":
        if len(found) == 1 or len({series.study for series in found}) > 1:
            return found
        how = "choose with `--series <number>`, `--series <UID>`, `--series best` or `--series all`"
        msg = f"input must be one series, got a study with {len(found)}: {_listing(found)}; {how}"
        raise InputError(msg)
    chosen = [
        series
        for series in found
        if wanted in (series.uid, str(series.number), f"{series.number}/{series.part}")
    ]
    if not chosen:
        msg = f"series must be one of those found, got {wanted}; choose among {_listing(found)}"
        raise InputError(msg)
    return chosen


def _listing(found: list[Series]) -> str:
    return "; ".join(str(series) for series in found)

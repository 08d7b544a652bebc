"""DICOM series: decode the slices and stack them into one volume."""

from __future__ import annotations

import itertools
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..memory import AUTO, array_bytes, check_memory
from ..volumes.volume import Volume
from .dicom_header import SliceHeader, read_headers
from .dicom_pixels import AIR_HU, air_fits, check_repeats, padding_of, read_frames, set_to_air
from .dicom_series import Stack, stack_slices

MAX_DECODERS = 4
Job = list[tuple[int, SliceHeader]]


def read_dicom(
    files: Sequence[str | Path],
    *,
    name: str | None = None,
    frames: Sequence[Sequence[int]] | None = None,
    notes: Sequence[str] = (),
    max_gb: float | str = AUTO,
) -> Volume:
    """Read one DICOM series.

    Args:
        files: The files of the series, any order; slices or one multi-frame file.
        name: Of the series, for errors; the folder by default.
        frames: Of each file the frames that are meant; all by default.
        notes: What discovery has to say of the series; they come first in the warnings.
        max_gb: Most memory that the voxels may take, see `common.memory`.

    Returns:
        Stored values `(I, J, K)`: I along an image row, J down a column, K from slice to slice
        along the normal; K is slowest in memory. Where the rescale differs between slices, or
        cannot express air, the values are float32 HU. Padding that cannot be tissue is air,
        missing slices (a few) are interpolated, and slices at uneven distances are interpolated
        to even ones; `facts["source_slices_voxel"]` then says where along K each stored slice
        lies. `facts["warnings"]` tells of all that.

    Raises:
        InputError: If the files do not form one CT volume or a frame cannot be decoded.
    """
    name = name or str(Path(files[0]).parent)
    headers = read_headers(files, frames)
    refused = [header for header in headers if header.refusal]
    if refused:
        msg = f"{refused[0].path} must be a CT slice, got {refused[0].refusal}; leave it out"
        raise InputError(msg)
    stack = stack_slices(headers, name)
    voxels, slope, intercept, warnings = _decode(stack, name, max_gb)
    first = stack.slices[0]
    facts: dict[str, Any] = {
        "format": "dicom",
        "path": name,
        "modality": "CT",
        "series_uid": first.series_uid,
        "study_uid": first.study_uid,
        "patient_id": first.patient_id,
        "series_description": first.description,
        "warnings": [*notes, *stack.warnings, *warnings],
    }
    if not stack.is_even or stack.num_slices > len(stack.slices):
        facts["source_slices_voxel"] = [round(index, 4) for index in stack.indices.tolist()]
    return Volume(voxels.transpose(2, 1, 0), stack.affine, slope, intercept, facts)


def _decode(
    stack: Stack, name: str, max_gb: float | str
) -> tuple[NDArray[Any], float, float, list[str]]:
    """Decode all slices into one array `(K, J, I)`."""
    first = stack.slices[0]
    rescales = {(header.slope, header.intercept) for header in stack.slices}
    stored = next(read_frames([first])).dtype
    as_stored = len(rescales) == 1 and all(air_fits(header, stored) for header in stack.slices)
    dtype = stored if as_stored else np.dtype(np.float32)
    places = stack.indices.astype(int) if stack.is_even else range(len(stack.slices))
    num_places = stack.num_slices if stack.is_even else len(stack.slices)
    shape = num_places, first.rows, first.columns
    held = (num_places if stack.is_even else num_places + stack.num_slices, *shape[1:])
    check_memory(name, array_bytes(held, dtype), f"{held} {dtype.name}", max_gb=max_gb)
    voxels = np.empty(shape, dtype)

    def place(job: Job) -> bool:
        """Decode the frames of a file into their places; tells whether they held padding."""
        padded = False
        for (number, header), pixels in zip(job, read_frames([h for _, h in job]), strict=True):
            if as_stored and pixels.dtype != dtype:
                kinds = f"{dtype} and {pixels.dtype}"
                msg = f"{name} must have one pixel type, got {kinds}; export it again"
                raise InputError(msg)
            padding = padding_of(pixels, header)
            padded |= padding is not None
            if as_stored:
                set_to_air(pixels, padding, header)
                voxels[places[number]] = pixels
            else:
                hu = pixels * header.slope + header.intercept
                voxels[places[number]] = hu if padding is None else np.where(padding, AIR_HU, hu)
        return padded

    with ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as pool:
        padded = any(list(pool.map(place, _jobs(stack.slices))))
    check_repeats(stack, name)
    if stack.is_even:
        _interpolate_missing(voxels, stack.indices)
    else:
        voxels = _at_even_places(voxels, stack)
    slope, intercept = rescales.pop() if as_stored else (1.0, 0.0)
    return voxels, slope, intercept, _decode_notes(stack, padded, as_stored)


def _jobs(slices: Sequence[SliceHeader]) -> list[Job]:
    """Slices by file; the frames of a large file are shared among the decoders."""
    by_file: dict[str, Job] = defaultdict(list)
    for number, header in enumerate(slices):
        by_file[header.path].append((number, header))
    return [
        job[start : start + size]
        for job in by_file.values()
        for size in [math.ceil(len(job) / MAX_DECODERS)]
        for start in range(0, len(job), size)
    ]


def _decode_notes(stack: Stack, padded: bool, as_stored: bool) -> list[str]:
    notes = []
    if padded:
        notes.append("Padding outside the reconstructed field is set to air.")
    if len({(header.slope, header.intercept) for header in stack.slices}) > 1:
        notes.append("Slope and intercept differ between slices; all are converted to HU.")
    elif not as_stored:
        notes.append("The stored values cannot express air; all are converted to HU.")
    if not all(header.has_rescale for header in stack.slices):
        notes.append("Rescale slope or intercept is missing: 1 and 0 are assumed.")
    return notes


def _interpolate_missing(voxels: NDArray[Any], indices: NDArray[np.float64]) -> None:
    """Fill gaps along K linearly between the slices on either side, in place."""
    for below, above in itertools.pairwise(indices.astype(int).tolist()):
        for index in range(below + 1, above):
            share = (index - below) / (above - below)
            voxels[index] = _blend(voxels[below], voxels[above], share)


def _at_even_places(voxels: NDArray[Any], stack: Stack) -> NDArray[Any]:
    """Slices at uneven places along K, interpolated linearly to whole ones."""
    even = np.empty((stack.num_slices, *voxels.shape[1:]), voxels.dtype)
    for index in range(stack.num_slices):
        above = int(np.clip(np.searchsorted(stack.indices, index), 1, len(voxels) - 1))
        low, high = stack.indices[above - 1 : above + 1]
        share = float(np.clip((index - low) / (high - low), 0, 1))
        even[index] = _blend(voxels[above - 1], voxels[above], share)
    return even


def _blend(below: NDArray[Any], above: NDArray[Any], share: float) -> NDArray[Any]:
    blend = below * (1 - share) + above * share
    return np.rint(blend) if below.dtype.kind in "iu" else blend

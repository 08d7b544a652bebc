"""DICOM series: decode the slices and stack them into one volume.

pydicom decodes; its plug-ins handle JPEG 2000, JPEG-LS, JPEG lossless and RLE.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.utils import pixel_array

from ..errors import InputError
from ..memory import AUTO, array_bytes, check_memory
from ..volume import Volume
from .dicom_header import SliceHeader, read_slice_headers
from .dicom_series import Stack, stack_slices

AIR_HU = -1000.0
SCANNER_RANGE_HU = (-1024.0, 3071.0)  # 12 bits; a padding value outside it cannot be tissue
MAX_DECODERS = 4


def read_dicom(
    files: Sequence[str | Path], *, name: str | None = None, max_gb: float | str = AUTO
) -> Volume:
    """Read one DICOM series.

    Args:
        files: The files of the series, any order; slices or one multi-frame file.
        name: Of the series, for errors; the folder by default.
        max_gb: Most memory that the voxels may take, see `common.memory`.

    Returns:
        Stored values `(I, J, K)`: I along an image row, J down a column, K from slice to slice
        along the normal; K is slowest in memory. Where the rescale differs between slices, the
        values are float32 HU. Padding that cannot be tissue is air, missing slices (a few) are
        interpolated; `facts["warnings"]` says so.

    Raises:
        InputError: If the files do not form one CT volume or a frame cannot be decoded.
    """
    name = name or str(Path(files[0]).parent)
    headers = [header for file in files for header in read_slice_headers(Path(file))]
    refused = [header for header in headers if header.refusal]
    if refused:
        msg = f"{refused[0].path} must be a CT slice, got {refused[0].refusal}; leave it out"
        raise InputError(msg)
    stack = stack_slices(headers, name)
    voxels, slope, intercept, warnings = _decode(stack, name, max_gb)
    first = stack.slices[0]
    facts = {
        "format": "dicom",
        "path": name,
        "modality": "CT",
        "series_uid": first.series_uid,
        "study_uid": first.study_uid,
        "patient_id": first.patient_id,
        "series_description": first.description,
        "warnings": [*stack.warnings, *warnings],
    }
    return Volume(voxels.transpose(2, 1, 0), stack.affine, slope, intercept, facts)


def _decode(
    stack: Stack, name: str, max_gb: float | str
) -> tuple[NDArray[Any], float, float, list[str]]:
    """Decode all slices into one array `(K, J, I)`."""
    first = stack.slices[0]
    rescales = {(header.slope, header.intercept) for header in stack.slices}
    one_rescale = len(rescales) == 1
    pixels = _pixels(first)
    dtype = pixels.dtype if one_rescale else np.dtype(np.float32)
    shape = (stack.num_slices, first.rows, first.columns)
    check_memory(name, array_bytes(shape, dtype), f"{shape} {dtype.name}", max_gb=max_gb)
    voxels = np.empty(shape, dtype)

    def place(index: int, header: SliceHeader) -> bool:
        """Decode one slice into its place; tells whether it held padding."""
        pixels = _pixels(header)
        if one_rescale and pixels.dtype != dtype:
            msg = (
                f"{name} must have one pixel type, got {dtype} and {pixels.dtype}; export it again"
            )
            raise InputError(msg)
        padded = _pad_with_air(pixels, header)
        voxels[index] = pixels if one_rescale else pixels * header.slope + header.intercept
        return padded

    with ThreadPoolExecutor(min(MAX_DECODERS, os.cpu_count() or 1)) as pool:
        padded = list(pool.map(place, stack.indices, stack.slices))
        _check_repeats(stack, name)
    _interpolate_missing(voxels, stack.indices)
    slope, intercept = rescales.pop() if one_rescale else (1.0, 0.0)
    return voxels, slope, intercept, _decode_notes(stack, padded, one_rescale)


def _decode_notes(stack: Stack, padded: list[bool], one_rescale: bool) -> list[str]:
    notes = []
    if any(padded):
        notes.append("Padding outside the reconstructed field is set to air.")
    if not one_rescale:
        notes.append("Slope and intercept differ between slices; all are converted to HU.")
    if not all(header.has_rescale for header in stack.slices):
        notes.append("Rescale slope or intercept is missing: 1 and 0 are assumed.")
    return notes


def _pixels(header: SliceHeader) -> NDArray[Any]:
    """Stored values of one slice `(J, I)`, writable."""
    try:
        pixels = pixel_array(header.path, index=header.frame, raw=True)
    except Exception as error:  # each decoder plug-in fails in its own way
        got = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"{header.path} must hold a decodable image, got {got!r}; export the series again"
        raise InputError(msg) from error
    if pixels.shape != (header.rows, header.columns):
        wanted = (header.rows, header.columns)
        msg = f"{header.path} must decode to {wanted} pixels, got {pixels.shape}; export it again"
        raise InputError(msg)
    return pixels if pixels.flags.writeable else pixels.copy()


def _pad_with_air(pixels: NDArray[Any], header: SliceHeader) -> bool:
    """Set padding to air in place, where its value cannot be tissue."""
    if header.padding is None:
        return False
    low, high = header.padding
    lowest_hu, highest_hu = SCANNER_RANGE_HU
    ends = [value * header.slope + header.intercept for value in (low, high)]
    if not (max(ends) < lowest_hu or min(ends) > highest_hu):
        return False
    padding = (pixels >= low) & (pixels <= high)
    if not padding.any():
        return False
    pixels[padding] = np.rint((AIR_HU - header.intercept) / header.slope).astype(pixels.dtype)
    return True


def _check_repeats(stack: Stack, name: str) -> None:
    for kept, other in stack.repeats:
        if not np.array_equal(_pixels(kept), _pixels(other)):
            msg = (
                f"{name} must have one slice per position, got different images in "
                f"{Path(kept.path).name} and {Path(other.path).name}; give one acquisition alone"
            )
            raise InputError(msg)


def _interpolate_missing(voxels: NDArray[Any], indices: list[int]) -> None:
    """Fill gaps along K linearly between the slices on either side, in place."""
    for below, above in itertools.pairwise(indices):
        for index in range(below + 1, above):
            share = (index - below) / (above - below)
            blend = voxels[below] * (1 - share) + voxels[above] * share
            voxels[index] = np.rint(blend) if voxels.dtype.kind in "iu" else blend

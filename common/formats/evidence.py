"""Is a file CT in HU? Cheap evidence, so that discovery leaves out masks, MR and 8-bit images.

The header and the first slabs decide in most cases: a CT holds air or lung far below zero. What
stays open after a bounded look is let through; preprocessing checks the whole volume again.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..case import Case
from ..errors import InputError
from ..memory import array_bytes
from .dicom_header import SliceHeader
from .dicom_pixels import padding_of, read_frames
from .gunzip import DAMAGE_ERRORS, damaged
from .nifti import open_voxels, read_header
from .npz import open_npz
from .nrrd import open_nrrd_voxels, read_nrrd_header, spatial_affine
from .regular_file import open_regular

FIRST_LOOK_BYTES = 256 << 10
LONGEST_LOOK_BYTES = 64 << 20
BELOW_WATER_HU = -50.0  # fat and air; neither masks nor MR hold negative values
LOOKED_AT = (0.5, 0.25, 0.75, 0.0, 1.0)  # places along a series
MOST_LABELS = 128


def why_no_ct(case: Case) -> str:
    """Look at a case's file just long enough to tell whether it can be CT in HU.

    DICOM cases are not looked at: discovery has read their headers, and of derived images the
    pixels.

    Returns:
        Why it is not; empty where it is, or may be.

    Raises:
        InputError: If the file is damaged or holds no volume.
    """
    path = Path(case["image"])
    match case["format"]:
        case "nifti":
            return _why_nifti_is_no_ct(path, case)
        case "nrrd":
            return _why_nrrd_is_no_ct(path)
        case "npz":
            return _why_npz_is_no_ct(path)
        case _:
            return ""


def why_derived_is_no_ct(slices: Sequence[SliceHeader]) -> str:
    """Look at a few slices of a derived DICOM series: their header may not say what they show.

    Args:
        slices: In order, lowest first.

    Returns:
        Why they are not CT in HU; empty where they are, or may be.

    Raises:
        InputError: If one of them cannot be decoded.
    """
    seen: list[NDArray[Any]] = []
    for share in LOOKED_AT:
        header = slices[round(share * (len(slices) - 1))]
        pixels = next(read_frames([header]))
        padding = padding_of(pixels, header)
        values = (pixels if padding is None else pixels[~padding]) * header.slope + header.intercept
        if values.size and values.min() < BELOW_WATER_HU:
            return ""
        seen.append(values.ravel())
    described = _describe(np.concatenate(seen))
    return f"is a derived {described}, none below {BELOW_WATER_HU:g}: not CT in HU"


def _why_nifti_is_no_ct(path: Path, case: Case) -> str:
    with open_voxels(path) as stream:
        header = read_header(stream, path)
        if header.affine is None and "affine" not in case:
            return "a blank header (neither qform nor sform), so its place is unknown"
        if header.affine is None and "rescale" in case:
            return ""  # not in HU before the table's rescale
        try:
            stream.seek(header.offset)
        except DAMAGE_ERRORS as error:
            raise damaged(path, error) from error
        look = _Look(stream, header.dtype, header.shape, path)
        return look.why_no_ct(header.slope, header.intercept)


def _why_nrrd_is_no_ct(path: Path) -> str:
    with ExitStack() as opened:
        file = opened.enter_context(open_regular(path))
        header = read_nrrd_header(file, path)
        spatial_affine(header, path)
        shape = tuple(int(size) for size in header["sizes"])
        stream, _ = open_nrrd_voxels(file, header, path)
        opened.callback(stream.close)
        return _Look(stream, header["dtype"], shape, path).why_no_ct()


def _why_npz_is_no_ct(path: Path) -> str:
    key, header, stream = open_npz(path)
    with stream:
        if len(header.shape) != 3 or header.dtype.kind not in "iuf":
            return f"{key} holds {header.dtype} {header.shape}, not a 3D volume of numbers"
        return _Look(stream, header.dtype, header.shape, path).why_no_ct()


class _Look:
    """The first voxels of a file, more of them only while they leave the question open."""

    def __init__(
        self,
        stream: io.BufferedIOBase,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        path: Path,
    ) -> None:
        self._stream = stream
        self._content = b""
        self._dtype = dtype
        self._num_bytes = array_bytes(shape, dtype)
        self._path = path

    def why_no_ct(self, slope: float = 1.0, intercept: float = 0.0) -> str:
        if self._dtype.itemsize == 1:
            return f"an 8-bit {_describe(self._values(LONGEST_LOOK_BYTES))}, not CT in HU"
        num_bytes = FIRST_LOOK_BYTES
        while True:
            values = self._values(num_bytes)
            if _lowest(values) * slope + intercept < BELOW_WATER_HU:
                return ""
            if num_bytes >= self._num_bytes:
                return f"{_describe(values)}, none below {BELOW_WATER_HU:g}: not CT in HU"
            if num_bytes >= LONGEST_LOOK_BYTES:
                return ""
            num_bytes *= 16

    def _values(self, num_bytes: int) -> NDArray[Any]:
        """The first `num_bytes` of the voxels; what was read before is kept."""
        wanted = min(num_bytes, self._num_bytes) - len(self._content)
        try:
            self._content += self._stream.read(wanted)
        except DAMAGE_ERRORS as error:
            raise damaged(self._path, error) from error
        count = len(self._content) // self._dtype.itemsize
        if not count:
            msg = f"{self._path} must hold voxels, got a header alone; copy or download it again"
            raise InputError(msg)
        return np.frombuffer(self._content, self._dtype, count=count)


def _lowest(values: NDArray[Any]) -> float:
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return float(finite.min()) if finite.size else 0.0


def _describe(values: NDArray[Any]) -> str:
    """What a volume that is no CT most likely is, with its range."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return "image without finite values"
    span = f"{finite.min():g} to {finite.max():g}"
    distinct = np.unique(finite)
    if distinct.size == 1:
        return f"image without content (every value is {distinct[0]:g})"
    whole = bool((distinct == np.rint(distinct)).all())
    if whole and distinct[0] >= 0 and distinct.size <= MOST_LABELS:
        return f"label volume or mask ({distinct.size} distinct values, {span})"
    return f"image with values {span}"

"""Pixels of DICOM slices, one frame at a time.

pydicom decodes; its plug-ins handle JPEG 2000, JPEG-LS, JPEG lossless and RLE.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.utils import iter_pixels

from ..errors import InputError
from .dicom_file import open_dicom
from .dicom_header import SliceHeader
from .dicom_refusal import one_line
from .dicom_series import Stack

AIR_HU = -1000.0
SCANNER_RANGE_HU = (-1024.0, 3071.0)  # 12 bits; a padding value outside it cannot be tissue


def read_frames(headers: Sequence[SliceHeader]) -> Iterator[NDArray[Any]]:
    """Decode frames of one file.

    Args:
        headers: Of the frames, all in one file.

    Yields:
        Stored values `(J, I)`, writable, in the order of `headers`.

    Raises:
        InputError: If a frame cannot be decoded, or is not as its header says.
    """
    first = headers[0]
    wanted = (first.rows, first.columns)
    frames = [header.frame for header in headers]
    count = 0
    try:
        with open_dicom(first.path, num_pixel_bytes=first.num_pixel_bytes) as stream:
            for pixels in iter_pixels(stream, indices=frames, raw=True):
                if pixels.shape != wanted:
                    break
                count += 1
                yield pixels if pixels.flags.writeable else pixels.copy()
    except InputError:
        raise
    except Exception as error:  # each decoder plug-in fails in its own way
        got = one_line(error) or type(error).__name__
        msg = f"{first.path} must hold a decodable image, got {got!r}; export the series again"
        raise InputError(msg) from error
    if count < len(headers):
        got = f"{pixels.shape}" if pixels.shape != wanted else f"{count} of {len(headers)} frames"
        msg = f"{first.path} must decode to {wanted} pixels, got {got}; export it again"
        raise InputError(msg)


def same_image(one: SliceHeader, other: SliceHeader) -> bool:
    """Whether two slices hold the same pixels.

    Raises:
        InputError: If one of them cannot be decoded.
    """
    if one.frame == other.frame and _same_file(one.path, other.path):
        return True
    first, second = next(read_frames([one])), next(read_frames([other]))
    same_scale = (one.slope, one.intercept) == (other.slope, other.intercept)
    return same_scale and np.array_equal(first, second)


def check_repeats(stack: Stack, name: str) -> None:
    """Compare the slices that lie where another one does.

    Raises:
        InputError: If two of them show different images.
    """
    for kept, other in stack.repeats:
        if not same_image(kept, other):
            msg = (
                f"{name} must have one slice per position, got different images in "
                f"{Path(kept.path).name} and {Path(other.path).name}; give one acquisition alone"
            )
            raise InputError(msg)


def _same_file(one: str, other: str) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)  # looks at the sizes first
    except OSError:  # decoding will tell
        return False


def air_fits(header: SliceHeader, dtype: np.dtype[Any]) -> bool:
    """Whether the stored type can say -1000 HU, where there is padding to be set to it."""
    if dtype.kind not in "iu" or not _pads_outside_tissue(header):
        return True
    limits = np.iinfo(dtype)
    return bool(limits.min <= _stored_air(header) <= limits.max)


def padding_of(pixels: NDArray[Any], header: SliceHeader) -> NDArray[np.bool_] | None:
    """Which pixels are padding whose value cannot be tissue; None where there are none."""
    if header.padding is None or not _pads_outside_tissue(header):
        return None
    low, high = header.padding
    padding = (pixels >= low) & (pixels <= high)
    return padding if padding.any() else None


def set_to_air(
    pixels: NDArray[Any], padding: NDArray[np.bool_] | None, header: SliceHeader
) -> None:
    """Set padding to the stored value of air, in place."""
    if padding is not None:
        pixels[padding] = np.asarray(_stored_air(header)).astype(pixels.dtype)


def _stored_air(header: SliceHeader) -> float:
    return float(np.rint((AIR_HU - header.intercept) / header.slope))


def _pads_outside_tissue(header: SliceHeader) -> bool:
    if header.padding is None:
        return False
    lowest_hu, highest_hu = SCANNER_RANGE_HU
    ends = [value * header.slope + header.intercept for value in header.padding]
    return max(ends) < lowest_hu or min(ends) > highest_hu

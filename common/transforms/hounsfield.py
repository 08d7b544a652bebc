"""Is this CT in Hounsfield units? A cheap look at a scan's values before a network trusts them.

A network fed with an 8-bit export, an MR or a scan rescaled twice still gives probabilities. CT
in HU has marks that those lack: air near -1000, soft tissue between -150 and 150, hundreds of
different values. The check looks at a sample of whole rows, about 200,000 voxels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..volumes.volume import Volume

_SAMPLE_ROWS = 512
_LEAST_RANGE_HU = 100.0


def _fail(rule: str, found: str, remedy: str) -> None:
    """Raise the one kind of error this module has."""
    msg = f"image must {rule}, got {found}; {remedy}"
    raise InputError(msg)


def _count_not_finite(voxels: NDArray[Any]) -> int:
    """Voxels that are NaN or infinite, slice by slice to bound memory."""
    if voxels.dtype.kind != "f":
        return 0
    slow = int(np.argmax(np.abs(voxels.strides)))
    stack = np.moveaxis(voxels, slow, 0)
    return int(sum(part.size - np.isfinite(part).sum() for part in stack))


def _sample_rows(voxels: NDArray[Any]) -> NDArray[Any]:
    """Whole rows along the fastest axis in memory, evenly spread: `(rows, F)`."""
    order = sorted(range(3), key=lambda axis: -abs(voxels.strides[axis]))
    view = voxels.transpose(order)
    slices, rows = view.shape[:2]
    every = max(1, int(np.sqrt(slices * rows / _SAMPLE_ROWS)))
    # Both steps alike, but no axis is skipped over altogether.
    first, second = min(every, max(slices // 4, 1)), min(every, max(rows // 4, 1))
    picked = view[first // 2 :: first, second // 2 :: second]
    return picked.reshape(-1, view.shape[2])


def _share(values: NDArray[np.float64], low: float, high: float) -> float:
    """Share of the values in [low, high]."""
    return float(((values >= low) & (values <= high)).mean())


def check_hounsfield(volume: Volume) -> None:
    """Refuse what is not a CT in HU.

    Accepted are contrast, metal, crops with little air, and values below -1024 outside the
    scanner's field of view (-2000, -2048, -3024), which every window cuts away.

    Args:
        volume: The scan as stored, with its rescale.

    Raises:
        InputError: If it is one slice, holds NaN or infinite values or one value only, is a label
            volume, an 8-bit image, normalised, MR-like, not rescaled or rescaled twice. The
            message says what was measured and what to do.
    """
    voxels = volume.voxels
    if voxels.ndim != 3 or min(voxels.shape) < 2:
        _fail(
            "be a 3D scan of at least 2 slices",
            f"shape {voxels.shape}",
            "give the whole series, not one slice or a scout view",
        )
    volume.wait_until_filled(max(voxels.shape))
    bad = _count_not_finite(voxels)
    if bad:
        _fail(
            "have finite values",
            f"{bad} NaN or infinite of {voxels.size} voxels",
            "export it again, or set them to -1000",
        )
    rows = _sample_rows(voxels).astype(np.float64) * volume.slope + volume.intercept
    _check_variety(rows)
    if rows.min() >= 0:
        _check_unsigned(rows)
    _check_tissue(rows, volume)


def _check_variety(rows: NDArray[np.float64]) -> None:
    """Enough different values for a CT."""
    low, high = float(rows.min()), float(rows.max())
    if low == high:
        _fail("hold a scan", f"the one value {low:g} throughout", "choose another file")
    if high - low < _LEAST_RANGE_HU and not _is_label(rows):
        _fail(
            "be in HU",
            f"values from {low:g} to {high:g}, too narrow for CT",
            "give the scan before it was windowed or normalised",
        )
    if _is_label(rows):
        _fail(
            "be a CT",
            f"{len(np.unique(rows))} distinct whole numbers from {low:g} to {high:g} in large "
            f"uniform areas, a label volume",
            "give the scan it belongs to",
        )


def _is_label(rows: NDArray[np.float64]) -> bool:
    """Few whole numbers, none negative, almost all equal to their neighbour."""
    if rows.min() < 0 or (rows != np.round(rows)).any() or rows.shape[1] < 2:
        return False
    return bool((rows[:, 1:] == rows[:, :-1]).mean() > 0.85 and len(np.unique(rows)) <= 256)


def _check_unsigned(rows: NDArray[np.float64]) -> None:
    """No negative value at all: not HU, and the range says what it may be."""
    high = float(rows.max())
    found = f"values from {rows.min():g} to {high:g}, none negative"
    if high <= 255:
        _fail("be in HU", f"{found}, as in an 8-bit picture", "export the scan with its HU")
    if _share(rows, 900, 1150) > 0.1:
        _fail(
            "be in HU",
            f"{found}, {_share(rows, 900, 1150):.0%} of them near 1024, as stored before rescale",
            "apply slope and intercept, usually by subtracting 1024",
        )
    _fail("be in HU", f"{found}, so no air or fat, as in MR", "give a CT with its HU")


def _check_tissue(rows: NDArray[np.float64], volume: Volume) -> None:
    """Soft tissue near 0, neither at 1024 nor at -1024."""
    tissue, air = _share(rows, -300, 300), _share(rows, -1150, -850)
    beyond = _share(rows, -np.inf, -1500)
    rescale = f"(slope {volume.slope:g}, intercept {volume.intercept:g})"
    if tissue < 0.01 and beyond > 0.01 and air > 0.01:
        _fail(
            "have soft tissue near 0 HU",
            f"{tissue:.1%} of voxels within 300 HU of 0, {air:.0%} near -1000 and {beyond:.0%} "
            f"below -1500 {rescale}",
            "it was rescaled twice: undo one rescale, usually by adding 1024",
        )
    if _share(rows, 900, 1150) > 0.1 and _share(rows, -1150, -300) < 0.001:
        _fail(
            "be in HU",
            f"{_share(rows, 900, 1150):.0%} of voxels near 1024 and no air or lung {rescale}",
            "apply slope and intercept, usually by subtracting 1024",
        )
    if tissue < 0.001:
        _fail(
            "have soft tissue near 0 HU",
            f"{tissue:.2%} of voxels within 300 HU of 0 {rescale}",
            "check the rescale, or that the scan shows a patient",
        )

"""Segmentation truth of a case: read onto the scan's grid, and from there to the network's.

Shapes: I J K are the axes of the scan as stored; D H W those of the network's grid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from numpy.typing import NDArray

from ..case import Case
from ..cases.read import ACCEPTED, format_of, read_volume
from ..errors import InputError, at_least_one
from ..phantom.cases import make_case_phantom
from ..vocabulary.segmentation_classes import some
from ..volumes.geometry import Grid, checked_affine, index_map, transform_points
from ..volumes.inverse import read_grid, resample_labels
from ..volumes.volume import Volume
from .label_source import MASK_ENDING, LabelSource, label_table

GRID_TOLERANCE_MM = 1e-3
_SLICES_AT_ONCE = 16  # bounds what a look-up by numbers needs beside the volume itself


class ReadLabelsd(Transform):
    """Read a case's truth as one label volume on the grid of its scan.

    Needs `image` as `ReadCTd` leaves it, or `source_grid` as `PreprocessCTd` does, to know the
    scan's grid. The result is a `Volume` of uint8 `(I, J, K)`: 0 background, `c` the class at place
    `c - 1` of the case's `segmentation["classes"]`.

    Args:
        key: Where the label volume goes.
        source: Where the case says what to read, see `common.truth.label_source.LabelSource`.
        image: Where the scan is.
        grid_tolerance_mm: How far a voxel of the truth may lie from the scan's.
    """

    def __init__(
        self,
        key: str = "label",
        *,
        source: str = "segmentation",
        image: str = "image",
        grid_tolerance_mm: float = GRID_TOLERANCE_MM,
    ) -> None:
        self.key = key
        self.source = source
        self.image = image
        self.grid_tolerance_mm = grid_tolerance_mm

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read.

        Raises:
            InputError: If the case has no truth, or it cannot be read or lies on another grid.
        """
        if self.source not in data:
            msg = (
                f"case {data.get('case_id', '')} must have {self.source}, got "
                f"{some(map(str, data))}; make the list of cases with segmentation_cases"
            )
            raise InputError(msg)
        grid = self._grid(data)
        labels = read_labels(data[self.source], grid=grid, tolerance_mm=self.grid_tolerance_mm)
        return {**data, self.key: labels}

    def _grid(self, data: Mapping[Hashable, Any]) -> Grid:
        """The scan's grid as stored."""
        image = data.get(self.image)
        if isinstance(image, Volume):
            return grid_of(image)
        if "source_grid" in data:
            return read_grid(data["source_grid"])
        msg = (
            f"{self.image} must be a Volume or come with source_grid, got {type(image).__name__}; "
            "put ReadCTd before ReadLabelsd"
        )
        raise InputError(msg)


class LabelsToNetworkGridd(MapTransform):
    """Bring a label volume onto the grid of the preprocessed scan, by nearest neighbour.

    The result is a `MetaTensor` `(1, D, H, W)`, uint8, with the scan's affine; what lies outside
    the truth is 0. Refined by r it is `(1, (D - 1) r + 1, (H - 1) r + 1, (W - 1) r + 1)`, the grid
    of the labels that `StreamingInferer(refine=r)` gives.

    Args:
        keys: Where the `Volume` is that `ReadLabelsd` left.
        image: Where the preprocessed scan is, a `MetaTensor` `(1, D, H, W)`.
        refine: How many times finer than the scan the result is, 1 or more.
        allow_missing_keys: Skip a key that is not there.

    Raises:
        InputError: If `refine` is below 1.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = "label",
        *,
        image: str = "image",
        refine: int = 1,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        at_least_one(refine=refine)
        self.image = image
        self.refine = refine

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample.

        Raises:
            InputError: If the labels or the scan are not as above.
        """
        result = dict(data)
        image = result.get(self.image)
        if not isinstance(image, MetaTensor) or image.ndim != 4:
            msg = (
                f"{self.image} must be a MetaTensor (1, D, H, W), got {type(image).__name__}; "
                "put PreprocessCTd before LabelsToNetworkGridd"
            )
            raise InputError(msg)
        d, h, w = (int(n) for n in image.shape[1:])
        affine = checked_affine(np.asarray(image.affine, dtype=np.float64))
        target = Grid((d, h, w), affine).refined(self.refine)
        for key in self.key_iterator(result):
            labels = result[key]
            if not isinstance(labels, Volume):
                msg = (
                    f"{key} must be a Volume, got {type(labels).__name__}; "
                    "put ReadLabelsd before LabelsToNetworkGridd"
                )
                raise InputError(msg)
            array = resample_labels(
                labels.voxels,
                labels.affine,
                target,
                reach_voxels=_reach_voxels(labels, target, self.refine),
            )
            finer = torch.tensor(target.affine)
            result[key] = MetaTensor(torch.from_numpy(array)[None], affine=finer)
        return result


def _reach_voxels(labels: Volume, target: Grid, refine: int) -> list[float]:
    """Half a voxel of the truth's grid or of the network's, whichever is coarser, per axis.

    The network's last voxel may lie that far beyond the truth's. The scan takes the value of its
    edge there, and so does the truth.
    """
    source = Grid(labels.voxels.shape, checked_affine(labels.affine))
    step = np.abs(index_map(source, target)[:3, :3]).max(axis=1)
    return [max(0.5, 0.5 * refine * float(n)) for n in step]


def read_labels(
    source: LabelSource, *, grid: Grid | None = None, tolerance_mm: float = GRID_TOLERANCE_MM
) -> Volume:
    """The truth of one case as one label volume.

    Masks are read one at a time, so memory is two volumes of a byte per voxel, however many
    classes there are. Where masks overlap, the later class keeps the voxel.

    Args:
        source: What to read.
        grid: Where it must lie; anywhere if None.
        tolerance_mm: How far a voxel may lie from that.

    Returns:
        uint8 `(I, J, K)` with affine: 0 background, `c` the class at place `c - 1`.

    Raises:
        InputError: If a file is missing, damaged or on another grid, a mask has more than two
            values, or a volume holds a number that has no name, or another name in the file.
    """
    match source["kind"]:
        case "phantom":
            phantom = make_case_phantom(source["path"])
            volume = Volume(phantom.organs, phantom.volume.affine)
            labels = _by_number(volume, source)
        case "volume":
            _check_table(source)
            volume = _read(Path(source["path"]))
            labels = _by_number(volume, source)
        case _:
            labels = _merge_masks(source, grid, tolerance_mm)
    if grid is not None:
        check_same_grid(grid_of(labels), grid, source["path"], tolerance_mm=tolerance_mm)
    return labels


def grid_of(volume: Volume) -> Grid:
    """Shape and affine of a volume.

    Raises:
        InputError: If its affine is none.
    """
    i, j, k = volume.voxels.shape
    return Grid((i, j, k), checked_affine(volume.affine))


def check_same_grid(
    found: Grid, wanted: Grid, name: str, *, tolerance_mm: float = GRID_TOLERANCE_MM
) -> None:
    """Refuse labels that do not lie voxel on voxel.

    Args:
        found: Of the labels.
        wanted: Of what they belong to.
        name: Of the labels, for the error.
        tolerance_mm: How far any voxel may lie from its counterpart.

    Raises:
        InputError: If the shapes differ, or a corner lies further away.
    """
    if found.shape != wanted.shape:
        msg = (
            f"{name} must have the scan's shape {wanted.shape}, got {found.shape}; "
            "resample it onto the scan's grid by nearest neighbour"
        )
        raise InputError(msg)
    corners = np.array(list(product(*((0, n - 1) for n in wanted.shape))), dtype=np.float64)
    apart = transform_points(found.affine, corners) - transform_points(wanted.affine, corners)
    distance = float(np.linalg.norm(apart, axis=1).max())
    if distance > tolerance_mm:
        msg = (
            f"{name} must lie on the scan's grid within {tolerance_mm} mm, got {distance:.4g} mm "
            "between their affines; resample it onto the scan, or mend its header"
        )
        raise InputError(msg)


def _read(path: Path) -> Volume:
    """A whole file, nothing of it still being inflated."""
    kind = format_of(path)
    if kind is None:
        msg = f"label volume must be {ACCEPTED}, got {path}; convert it"
        raise InputError(msg)
    volume = read_volume(Case(case_id="", image=str(path), format=kind))
    volume.wait_until_filled(max(volume.voxels.shape))
    return volume


def _merge_masks(source: LabelSource, grid: Grid | None, tolerance_mm: float) -> Volume:
    """One binary mask per class to one volume."""
    labels = affine = None
    for number, name in enumerate(source["classes"], start=1):
        path = Path(source["path"]) / f"{name}{MASK_ENDING}"
        mask = _read(path)
        if grid is None:
            grid = grid_of(mask)
        check_same_grid(grid_of(mask), grid, str(path), tolerance_mm=tolerance_mm)
        if labels is None or affine is None:
            labels, affine = np.zeros(mask.voxels.shape, np.uint8, order="F"), mask.affine
        inside = mask.voxels != 0
        if mask.intercept or (inside.any() and np.ptp(mask.voxels[inside])):
            msg = (
                f"{path} must be a mask of two values, got {some(map(str, np.unique(mask.voxels)))}"
                "; give label volumes as a folder of their own, with names or label_version"
            )
            raise InputError(msg)
        np.copyto(labels, np.uint8(number), where=inside)
    assert labels is not None  # there is at least one class
    assert affine is not None
    return Volume(labels, affine)


def _by_number(volume: Volume, source: LabelSource) -> Volume:
    """A volume of stored numbers to one of channels."""
    table = _channel_of_number(source)
    stored = volume.voxels
    labels = np.zeros(stored.shape, np.uint8, order="F")
    for first in range(0, stored.shape[2], _SLICES_AT_ONCE):
        slab = stored[:, :, first : first + _SLICES_AT_ONCE]
        if (volume.slope, volume.intercept) != (1.0, 0.0):
            slab = slab * volume.slope + volume.intercept
        numbers = slab if slab.dtype.kind in "iu" else np.rint(slab).astype(np.int64)
        known = (numbers >= 0) & (numbers < len(table)) & (numbers == slab)
        channels = table[np.where(known, numbers, 0)]
        known &= channels >= 0
        if not known.all():
            raise InputError(_unknown_numbers(np.unique(slab[~known]), source))
        labels[:, :, first : first + _SLICES_AT_ONCE] = channels
    return Volume(labels, volume.affine)


def _channel_of_number(source: LabelSource) -> NDArray[np.int16]:
    """Channel by stored number: 0 where the class is not wanted, -1 where there is no class."""
    table = np.full(max(source["numbers"].values()) + 1, -1, np.int16)
    table[[0, *source["numbers"].values()]] = 0
    for channel, name in enumerate(source["classes"], start=1):
        table[source["numbers"][name]] = channel
    return table


def _unknown_numbers(found: NDArray[Any], source: LabelSource) -> str:
    """What to say about numbers that mean nothing."""
    version = source["version"]
    known = max(source["numbers"].values())
    what = f"numbers of TotalSegmentator {version}" if version else "numbers that have a name"
    fix = (
        "state the label_version that made it (they share only the numbers 1 to 6)"
        if version
        else "give every number a name with label_names"
    )
    return (
        f"{source['path']} must hold {what} (0 to {known}), got "
        f"{some(f'{number:g}' for number in found.tolist())}; {fix}"
    )


def _check_table(source: LabelSource) -> None:
    """Refuse a file whose own names contradict the stated version."""
    if not source["version"]:
        return
    own = label_table(Path(source["path"]))
    wrong = [
        f"{number} is {own[number]}, not {name}"
        for name, number in source["numbers"].items()
        if own.get(number, name) != name
    ]
    if wrong:
        msg = (
            f"{source['path']} must be numbered as TotalSegmentator {source['version']}, got names "
            f"in the file that differ: {some(wrong, 3)}; state the label_version that made it"
        )
        raise InputError(msg)

"""Read a CT and bring it to the network's grid and range, as MONAI dictionary transforms.

Both steps work on a `Case`, a plain dictionary. Reading leaves a `Volume` under `image`: stored
values, not yet a float array. Preprocessing replaces it by the network's input and adds two keys
that every MONAI loader can collate:

* `source_grid`: shape and affine of the scan as stored, for `transforms.inverse`;
* `scan_facts`: what the reader found (series, warnings, ...), as one JSON string, because its
  keys differ from scan to scan.

Shapes: D H W are the axes of the result; which way they run is `axcodes`.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, MapTransform

from ..case import Case
from ..cases.read import read_volume
from ..errors import InputError
from ..formats.in_memory import volume_in_memory
from ..memory import AUTO, array_bytes, check_memory, memory_bound_gb
from ..volumes.geometry import (
    FittedGrid,
    Grid,
    GridKind,
    checked_affine,
    checked_axcodes,
    fit_grid,
    index_map,
    target_grid,
)
from ..volumes.inverse import describe_grid
from ..volumes.resampling import resample
from ..volumes.slice_streams import Values
from ..volumes.volume import Volume
from .foreground import foreground_box
from .hounsfield import check_hounsfield

AIR_HU = -1000.0


class ReadCTd(MapTransform):
    """Read the scan of a case: path in, `Volume` out.

    A scan that a host holds in memory, a `MetaTensor` or an array with the case's `affine`, becomes
    the same `Volume` as its file would, see `common.formats.in_memory`. A `Volume` that is there
    already, such as a phantom made on the fly, is left as it is.

    Args:
        keys: Where the scan is, usually `image`.
        keep_as: A second key for the same `Volume`, for steps that want the scan as stored after
            preprocessing has replaced it. Such data should not travel between processes.
        max_gb: Most memory that the stored voxels may take, in units of 10**9 bytes, or `auto`, see
            `common.memory`.
        allow_missing_keys: Skip a key that is not there.
    """

    not_settings = ("max_gb",)  # whether a case is read, not what comes out

    def __init__(
        self,
        keys: str | Sequence[str] = "image",
        *,
        keep_as: str | None = None,
        max_gb: float | str = AUTO,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.keep_as = keep_as
        self.max_gb = max_gb
        memory_bound_gb(max_gb)  # says now, not per scan, what is wrong

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read.

        Raises:
            InputError: If the scan cannot be read, see `common.formats.read_volume`.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            image = result[key]
            if isinstance(image, torch.Tensor | np.ndarray):
                result[key] = volume_in_memory(image, data.get("affine"), name=str(key))
            elif not isinstance(image, Volume):
                case = cast(Case, {**data, "image": image})
                result[key] = read_volume(case, max_gb=self.max_gb)
            if self.keep_as is not None:
                result[self.keep_as] = result[key]
        return result


class PreprocessCTd(MapTransform):
    """Orient, crop, resample, window and pad a `Volume` in one pass.

    Args:
        keys: Where the `Volume` is, usually `image`.
        axcodes: Direction of each axis of the result.
        spacing_mm: Distance of neighbours along each axis of the result. None keeps the scan's.
        size: Voxels along each axis of the result, cropped and padded around the centre. None,
            for one axis or for all, keeps the field of view.
        hu_window: Lowest and highest HU; beyond, values are cut. None keeps HU as they are.
        output_range: What the window becomes. None keeps HU.
        grid: `half_pixel` or `affine`, see `common.volumes.geometry`.
        pad_multiple: An axis without a size is padded to a multiple of this many voxels.
        check_hu: Refuse what is not CT in HU, see `check_hounsfield`.
        crop_above_hu: Crop the stored scan to the box of what is above this, before anything
            else; `size` is then around that box's centre. None keeps all of it.
        max_gb: Most memory that the stored scan and the result may take together, in units of
            10**9 bytes, or `auto`, see `common.memory`.
        allow_missing_keys: Skip a key that is not there.

    The result is a `MetaTensor` `(1, D, H, W)`, float32, contiguous, with the affine (voxel to
    world mm, RAS+) of its grid. Padding has the value of `hu_window`'s lower end, or of air.
    """

    not_settings = ("max_gb",)

    def __init__(
        self,
        keys: str | Sequence[str] = "image",
        *,
        axcodes: Sequence[str] = "SLP",
        spacing_mm: Sequence[float] | None = (1.5, 0.75, 0.75),
        size: Sequence[int | None] | None = None,
        hu_window: Sequence[float] | None = (-1000.0, 200.0),
        output_range: Sequence[float] | None = (-0.449, 0.551),
        grid: GridKind = "half_pixel",
        pad_multiple: Sequence[int] = (1, 1, 1),
        check_hu: bool = True,
        crop_above_hu: float | None = None,
        max_gb: float | str = AUTO,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.axcodes = checked_axcodes(axcodes)
        self.spacing_mm = None if spacing_mm is None else tuple(spacing_mm)
        self.size = None if size is None else tuple(size)
        self.pad_multiple = tuple(pad_multiple)
        self.hu_window = _checked_range(hu_window, "hu_window")
        self.output_range = _checked_range(output_range, "output_range")
        if self.output_range is not None and self.hu_window is None:
            msg = (
                f"hu_window must be given with output_range, got None and {self.output_range}; "
                f"set both, or neither to keep HU"
            )
            raise InputError(msg)
        self.grid: GridKind = grid
        self.check_hu = check_hu
        self.crop_above_hu = crop_above_hu
        self.max_gb = max_gb
        memory_bound_gb(max_gb)  # says now, not per scan, what is wrong
        self.fitted(Grid((2, 2, 2), np.eye(4)))  # says now, not per scan, what is wrong

    def fitted(self, source: Grid) -> FittedGrid:
        """The grid of the result for a scan on `source`, and the part of it the scan covers."""
        whole = target_grid(
            source, axcodes=self.axcodes, spacing_mm=self.spacing_mm, kind=self.grid
        )
        return fit_grid(whole, self.size, self.pad_multiple)

    def values(self, slope: float, intercept: float) -> Values:
        """How stored values become output values."""
        if self.hu_window is None:
            return Values(slope, intercept, -np.inf, np.inf, AIR_HU)
        low, high = self.hu_window
        first, last = self.output_range or self.hu_window
        gain = (last - first) / (high - low)
        return Values(slope * gain, (intercept - low) * gain + first, first, last, first)

    def preprocess(self, volume: Volume) -> MetaTensor:
        """One scan to network input.

        Args:
            volume: `(I, J, K)` as stored.

        Returns:
            `(1, D, H, W)` float32 with affine.

        Raises:
            InputError: If the volume is not 3D, not CT in HU, has no usable affine, nothing above
                `crop_above_hu`, or would take too much memory.
        """
        i, j, k = _shape_of(volume)
        source, voxels = Grid((i, j, k), checked_affine(volume.affine)), volume.voxels
        if self.crop_above_hu is not None:
            box = foreground_box(volume, self.crop_above_hu)
            source, voxels = source.part(box), voxels[box]
        fitted = self.fitted(source)
        num_bytes = volume.voxels.nbytes + array_bytes(fitted.grid.shape, np.float32)
        what = f"{volume.voxels.shape} as stored and {fitted.grid.shape} on the network's grid"
        check_memory(volume.facts.get("path", "image"), num_bytes, what, max_gb=self.max_gb)
        array = resample(
            voxels,
            index_map(source, fitted.grid),
            fitted.grid.shape,
            fitted.inside,
            self.values(volume.slope, volume.intercept),
            volume.wait_until_filled,
        )
        if self.check_hu:  # after the work, so that it overlaps with a reader in the background
            check_hounsfield(volume)
        affine = torch.from_numpy(fitted.grid.affine)
        return MetaTensor(torch.from_numpy(array)[None], affine=affine)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace the volume and add `source_grid` and `scan_facts`."""
        result = dict(data)
        for key in self.key_iterator(result):
            volume = result[key]
            if not isinstance(volume, Volume):
                msg = (
                    f"{key} must be a Volume, got {type(volume).__name__}; "
                    f"put ReadCTd before PreprocessCTd"
                )
                raise InputError(msg)
            result[key] = self.preprocess(volume)
            i, j, k = volume.voxels.shape
            result["source_grid"] = describe_grid(Grid((i, j, k), checked_affine(volume.affine)))
            result["scan_facts"] = json.dumps(dict(volume.facts), default=str)
        return result


def _shape_of(volume: Volume) -> tuple[int, int, int]:
    """Shape of the stored array."""
    shape = volume.voxels.shape
    if len(shape) != 3 or 0 in shape:
        msg = f"image must be one 3D volume, got shape {shape}; pass one scan, not a time series"
        raise InputError(msg)
    return shape[0], shape[1], shape[2]


def _checked_range(values: Sequence[float] | None, name: str) -> tuple[float, float] | None:
    """Two increasing numbers, or None."""
    if values is None:
        return None
    if len(values) != 2 or not values[0] < values[1]:
        msg = f"{name} must be two increasing numbers, got {values}; give [low, high]"
        raise InputError(msg)
    return float(values[0]), float(values[1])


def ct_preprocessing(*, keys: str | Sequence[str] = "image", **settings: Any) -> Compose:
    """`ReadCTd` and `PreprocessCTd` in a row.

    Args:
        keys: Where the scan is.
        settings: Of `PreprocessCTd`.
    """
    return Compose([ReadCTd(keys), PreprocessCTd(keys, **settings)])

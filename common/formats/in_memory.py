"""A scan that a host program holds in memory: a tensor or an array, with its affine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.utils import ImageMetaKey, MetaKeys, SpaceKeys
from numpy.typing import NDArray

from ..errors import InputError
from ..volumes.affines import LPS_TO_RAS, checked_affine
from ..volumes.volume import Volume

RAS_IN_DEPLOY = "nifti_affine_transform"
"""MONAI Deploy's series operator hands over an affine in RAS under this name, and says LPS."""


def volume_in_memory(
    image: torch.Tensor | NDArray[Any], affine: Any = None, *, name: str = "image"
) -> Volume:
    """Make a `Volume` of what a host holds.

    Args:
        image: HU, `(I, J, K)` or with one channel first `(1, I, J, K)`, any real type, on any
            device.
        affine: `(4, 4)` voxel index to world mm, RAS+. Not needed for a `MetaTensor` that has its
            own; that comes first, as a file's own does.
        name: For errors.

    Returns:
        Values `(I, J, K)`, first axis fastest in memory as in a file, so that the same numbers
        come out. Copied only where they lie otherwise.

    Raises:
        InputError: If it is no volume of numbers, or nothing says where it lies.
    """
    voxels = _array(image)
    if voxels.ndim == 4 and voxels.shape[0] == 1:
        voxels = voxels[0]
    if voxels.ndim != 3 or min(voxels.shape) < 2 or voxels.dtype.kind not in "iuf":
        msg = (
            f"{name} must be one volume of numbers, (I, J, K) or (1, I, J, K), got shape "
            f"{tuple(image.shape)} of {voxels.dtype}; give one scan, channel first"
        )
        raise InputError(msg)
    meta = image.meta if isinstance(image, MetaTensor) else {}
    own = _own_affine(image)
    placed = own if own is not None else affine
    if placed is None:
        msg = (
            f"{name} must have an affine (voxel to world mm, RAS+), got a tensor without or with "
            "the identity that MetaTensor sets by itself; give a MetaTensor with its affine, or "
            "add 'affine' to the case"
        )
        raise InputError(msg)
    facts = {
        "format": "memory",
        "path": str(meta.get(ImageMetaKey.FILENAME_OR_OBJ) or "memory"),
        "warnings": [],
    }
    return Volume(
        np.asfortranarray(voxels), checked_affine(_matrix(placed, name), name), facts=facts
    )


def _matrix(affine: Any, name: str) -> NDArray[np.float64]:
    try:
        matrix: NDArray[np.float64] = torch.as_tensor(affine, dtype=torch.float64).numpy(force=True)
        return matrix.copy()
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"{name} must have an affine of numbers, got {affine!r:.100}; give (4, 4) in mm, RAS+"
        raise InputError(msg) from error


def _array(image: torch.Tensor | NDArray[Any]) -> NDArray[Any]:
    if not isinstance(image, torch.Tensor):
        return image
    plain = image.detach().as_subclass(torch.Tensor).cpu()
    return plain.float().numpy() if plain.dtype == torch.bfloat16 else plain.numpy()


def _own_affine(image: torch.Tensor | NDArray[Any]) -> NDArray[np.float64] | None:
    """A `MetaTensor`'s affine in RAS+; None for the identity that it has where none was given."""
    if not isinstance(image, MetaTensor):
        return None
    meta: Mapping[Any, Any] = image.meta
    affine = _matrix(image.affine, "image")
    if np.array_equal(affine, np.eye(4)) and MetaKeys.ORIGINAL_AFFINE not in meta:
        return None  # a loader would have kept the file's own beside it
    is_lps = meta.get(MetaKeys.SPACE) == SpaceKeys.LPS and RAS_IN_DEPLOY not in meta
    return LPS_TO_RAS @ affine if is_lps and affine.shape == (4, 4) else affine

"""How much of each voxel of the network's grid is ill, for heads whose truth is known in space.

Shapes: D H W the network's grid.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from ..errors import InputError
from ..phantom.cases import make_case_phantom
from ..phantom.head import HeadPhantom
from ..volumes.geometry import transform_points, voxel_ml


class LesionVolumed(Transform):
    """Say how many ml of findings lie in each voxel of a preprocessed phantom head.

    Reads `image` `(1, D, H, W)` with its affine, and under `phantom` what the case's `image` said,
    such as `phantom:7?region=head`. Findings without voxels, such as breaks, lie nowhere.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add `lesions` `(1, D, H, W)`, float32, ml, 0 where nothing is wrong.

        Raises:
            InputError: If the scan is no phantom head.
        """
        told = str(data["phantom"])
        phantom = make_case_phantom(told) if told.startswith("phantom:") else None
        if not isinstance(phantom, HeadPhantom):
            msg = (
                f"locate.json must have phantom heads, got {told}, of whose findings no place "
                "is known; take train.json without it"
            )
            raise InputError(msg)
        image, affine = data["image"], phantom.volume.affine
        to_index = np.linalg.inv(np.asarray(image.affine, dtype=np.float64)) @ affine
        index = transform_points(to_index, np.argwhere(phantom.lesions > 0).astype(np.float64))
        nearest = np.rint(index).astype(int)
        lesions = np.zeros(image.shape[-3:], np.float32)
        nearest = nearest[((nearest >= 0) & (nearest < lesions.shape)).all(axis=1)]
        np.add.at(lesions, tuple(nearest.T), voxel_ml(affine))
        return {**data, "lesions": torch.from_numpy(lesions)[None]}

"""Which findings each slice triplet shows, and where, for scans whose truth is known in space.

Shapes: T slice triplets, L labels, h w cells of a picture.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from ..errors import InputError
from ..volumes.geometry import transform_points


class TripletTruthd(Transform):
    """Say for each cell of each triplet which findings reach into it.

    A cell is what one place of the slice encoder's map looks at first: a square of `stride_px`,
    centred on a multiple of it. Reads the preprocessed `image` `(1, D, H, W)` with its affine,
    and from `scan_facts` points within the findings (`points_world_mm`), which only phantoms have.

    Args:
        labels: L names in channel order.
        stride_px: Pixels from one place of the encoder's map to the next.
    """

    def __init__(self, *, labels: Sequence[str], stride_px: int = 32) -> None:
        self.labels = list(labels)
        self.stride_px = stride_px

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add `where` `(T, L, h, w)`, uint8, 1 where a finding is; triplets from the feet.

        Raises:
            InputError: If the scan's truth is not known in space.
        """
        image = data["image"]
        facts = json.loads(data["scan_facts"])
        if "points_world_mm" not in facts:
            msg = (
                f"pretrain.json must have phantoms, got {facts.get('path', 'a scan')}, of whose "
                "findings no place is known; take train.json with ct_rate.json"
            )
            raise InputError(msg)
        to_index = np.linalg.inv(np.asarray(image.affine, dtype=np.float64))
        step = np.array([3, self.stride_px, self.stride_px])
        t, h, w = -(-np.asarray(image.shape[-3:]) // step)
        where = np.zeros((t, len(self.labels), h, w), np.uint8)
        for column, label in enumerate(self.labels):
            points = np.reshape(facts["points_world_mm"].get(label, ()), (-1, 3))
            index = transform_points(to_index, points)
            # a triplet is centred on its second slice, a cell on its first pixel
            cell = np.rint((index - [1, 0, 0]) / step).astype(int)
            within = ((cell >= 0) & (cell < [t, h, w])).all(axis=1)
            triplet, row, col = cell[within].T
            where[triplet, column, row, col] = 1
        return {**data, "where": torch.from_numpy(where)}

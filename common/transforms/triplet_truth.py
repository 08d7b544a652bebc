"""Which findings each slice triplet shows, for scans whose truth is known slice by slice.

Shapes: T slice triplets, L labels.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform

from ..errors import InputError
from ..results.classification import triplet_centres_world_mm


class TripletTruthd(Transform):
    """Put each triplet's truth below the scan's own in `label`.

    Reads `label` `(L,)`, the preprocessed `image` with its affine, and from `scan_facts` the
    heights that each finding takes (`extents_z_world_mm`), which only phantoms have. A triplet
    shows a finding where the finding reaches into its three slices.

    Args:
        labels: L names in channel order.
    """

    def __init__(self, *, labels: Sequence[str]) -> None:
        self.labels = list(labels)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Make `label` `(1 + T, L)`, float32: the scan first, then its triplets from the feet.

        Raises:
            InputError: If the scan's truth is not known slice by slice.
        """
        image = data["image"]
        centres = triplet_centres_world_mm(image.affine, image.shape[-3:])[:, 2]
        half_mm = 1.5 * float(np.linalg.norm(image.affine[:3, 0]))
        facts = json.loads(data["scan_facts"])
        if "extents_z_world_mm" not in facts:
            msg = (
                f"train.json alone must have phantoms, got {facts.get('path', 'a scan')}, whose "
                "findings are not known slice by slice; add ct_rate.json to config_file"
            )
            raise InputError(msg)
        extents = facts["extents_z_world_mm"]
        shown = np.zeros((len(centres), len(self.labels)), np.float32)
        for column, label in enumerate(self.labels):
            for low, high in extents.get(label, ()):
                shown[(centres + half_mm > low) & (centres - half_mm < high), column] = 1
        scan = torch.as_tensor(data["label"], dtype=torch.float32)
        return {**data, "label": torch.cat([scan[None], torch.from_numpy(shown)])}

"""Where an answer that is no mask comes from, as a label volume that any viewer lays on the scan.

A classifier that tells relevance along the body: the slices that speak most for each finding that
it made. Whatever else: the part of the scan that the network saw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.results.label_volume import write_label_volume
from common.results.schema import RESULT_NAME
from common.volumes.inverse import labels_to_input_grid
from common.weights.card import Card

WHERE_NAME = "where.nii.gz"
SEEN = "seen by the network"


def labels_of(card: Card, *, tells_slices: bool) -> list[str]:
    """What the volume of these weights can hold, in the order of its numbers, from 1 on."""
    return card.labels if tells_slices else [SEEN]


class ShowWhere:
    """Handler of a finished case: writes `where.nii.gz` beside its `result.json`.

    Reads of the batch `case_id`, `volume` (the scan as stored), `image` `(1, C, D, H, W)` with its
    affine, and `source_grid`.

    Args:
        output_dir: Of the run.
        labels: From `labels_of`.
    """

    def __init__(self, output_dir: Path, labels: Sequence[str]) -> None:
        self.output_dir = output_dir
        self.labels = labels

    def __call__(self, engine: Any) -> None:
        """Write the volume; nothing where the case failed."""
        data = engine.state.batch
        folder = self.output_dir / data["case_id"]
        if not (folder / RESULT_NAME).is_file():
            return
        outputs = json.loads((folder / RESULT_NAME).read_text(encoding="utf-8"))["outputs"]
        volume = data["volume"]
        if "relevance" in outputs:
            where = relevant_slices(outputs, self.labels, volume.voxels.shape)
        else:
            image = data["image"]
            seen = np.ones(image.shape[-3:], dtype=np.uint8)
            where = labels_to_input_grid(seen, np.asarray(image.affine), data["source_grid"])
        names = ["background", *self.labels]
        write_label_volume(folder / WHERE_NAME, where, volume.affine, names)


def relevant_slices(
    outputs: Mapping[str, Any], labels: Sequence[str], shape: Sequence[int]
) -> NDArray[np.uint8]:
    """Slabs of the slices that speak most for each positive finding.

    A slice that speaks for several findings is shared: each has a strip of it, of equal width, in
    the order of the labels. Without a positive finding the volume is empty.

    Args:
        outputs: Of `classification_outputs`, with `relevance`.
        labels: The first is number 1.
        shape: `(I, J, K)` of the input.

    Returns:
        `(I, J, K)`.
    """
    where = np.zeros(tuple(shape), dtype=np.uint8)
    claims: dict[tuple[int, int], list[int]] = {}
    for number, label in enumerate(labels, start=1):
        if not outputs["findings"][label]["positive"]:
            continue
        for triplet in outputs["relevance"][label]["top_triplets"]:
            axis = "IJK".index(triplet["input_axis"])
            first, last = triplet["slices_voxel"] or (0, -1)
            for index in range(first, last + 1):
                claims.setdefault((axis, index), []).append(number)
    for (axis, index), numbers in claims.items():
        plane = np.moveaxis(where, axis, 0)[index]
        shared = sorted(set(numbers))
        for part, number in zip(np.array_split(plane, len(shared)), shared, strict=True):
            part[...] = number
    return where

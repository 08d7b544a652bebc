"""A segmentation as `segmentation.nii.gz`, with its names in a colour table for 3D Slicer.

The labels lie on the input's grid, so any viewer shows them on the scan. Names go into a text
file beside the volume in the form that 3D Slicer's developer guide gives for a discrete colour
table (`.ctbl`): load it, then choose it as "color node" when loading the volume as segmentation.
No viewer's documentation says that it reads names from a header of NIfTI, so they stay out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..atomic import write_text
from ..vocabulary.structure_colours import structure_colour
from ..volumes.volume import Qform
from .nifti_file import SUFFIX, nifti_file, slabs

COLOUR_TABLE_SUFFIX = ".ctbl"
MOST_LABELS = 256


def write_label_volume(
    path: str | Path,
    labels: NDArray[Any],
    affine: ArrayLike,
    names: Sequence[str],
    *,
    qform: Qform | None = None,
) -> list[str]:
    """Write a label volume and the colour table that names its structures.

    How the affine is kept stands in `nifti_file`.

    Args:
        path: Where to write, ends in `.nii.gz`; the table goes beside it, ending in `.ctbl`.
        labels: `(I, J, K)` integers from 0 (background) to 255, on the input's grid.
        affine: `(4, 4)`, voxel index to world mm, RAS+.
        names: Name of each number, `names[0]` that of the background; one per label at least.
        qform: The scan's own, where it has one.

    Returns:
        The names of both files.

    Raises:
        InputError: If a file cannot be written.
        ValueError: If ``labels`` are not such integers, or one of them has no name.
    """
    path = Path(path)
    if labels.ndim != 3 or labels.dtype.kind not in "iu":
        msg = f"labels must be integers (I, J, K), got {labels.dtype} {labels.shape}"
        raise ValueError(msg)
    num_voxels = np.zeros(MOST_LABELS, dtype=np.int64)
    with nifti_file(
        path, labels.shape, affine, dtype=np.uint8, intent="label", qform=qform
    ) as stream:
        for part in slabs(labels):
            slab = _as_stored(part)
            for index in range(slab.shape[2]):
                plane = slab[:, :, index].ravel(order="F")
                num_voxels += np.bincount(plane, minlength=MOST_LABELS)
                stream.write(plane.data)
        present = [int(number) for number in np.flatnonzero(num_voxels) if number]
        nameless = [number for number in present if number >= len(names)]
        if nameless:
            msg = f"names must hold a name for every label, got {len(names)} for labels {nameless}"
            raise ValueError(msg)
    table = path.with_name(path.name.removesuffix(SUFFIX) + COLOUR_TABLE_SUFFIX)
    write_text(table, colour_table(present, names))
    return [path.name, table.name]


def colour_table(numbers: Sequence[int], names: Sequence[str]) -> str:
    """A discrete colour table as 3D Slicer reads it: `number name R G B A` per line.

    Args:
        numbers: The labels to name, without the background, which is added and transparent.
        names: Name of each number; spaces become underscores.
    """
    lines = [f"# Color table file\n# {len(numbers) + 1} values\n0 background 0 0 0 0\n"]
    for number in numbers:
        red, green, blue = (int(part) for part in structure_colour(names[number]))
        lines.append(f"{number} {'_'.join(names[number].split())} {red} {green} {blue} 255\n")
    return "".join(lines)


def _as_stored(slab: NDArray[Any]) -> NDArray[np.uint8]:
    """Labels as uint8 in Fortran order, which is how NIfTI lays them out."""
    if slab.dtype != np.uint8 and (slab.min() < 0 or slab.max() >= MOST_LABELS):
        msg = f"labels must be 0 to {MOST_LABELS - 1}, got {slab.min()} to {slab.max()}"
        raise ValueError(msg)
    return np.asfortranarray(slab, dtype=np.uint8)

"""Organ masks with TotalSegmentator v2 ids, from the same shapes as the voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .anatomy import ORGAN_IDS, Part, abdominal_parts, airways, mediastinal_parts
from .fields import Space, make_frame, soft_tissue
from .findings_lung import PleuralFluid
from .lattice import Lattice, refine
from .scene import Region, Scene, lobe_index
from .skeleton import add_bones
from .solids import F32


def draw_organs(lattice: Lattice, scene: Scene, step_mm: float) -> NDArray[np.uint8]:
    """Name each voxel of a grid.

    Args:
        lattice: The grid, in world mm.
        scene: What is drawn.
        step_mm: Of the coarse grid on which large shapes are evaluated.

    Returns:
        Ids `(I, J, K)`, 0 where nothing is named. Lobes include vessels, airways and lesions
        within them, but not pleural fluid.
    """
    patient = scene.patient
    to_reference = np.linalg.inv(patient.world_from_reference)
    coarse, strides = lattice.coarser(step_mm)
    space = Space.of_lattice(Lattice(to_reference @ coarse.matrix, coarse.shape))
    frame = make_frame(space, patient)
    fields = soft_tissue(space, frame, patient)
    bone_ids = add_bones(fields, space, frame, with_ids=True)
    assert bone_ids is not None
    cavity = frame.pleura
    for edit in scene.edits:
        if isinstance(edit, Region) and isinstance(edit.distance_at, PleuralFluid):
            cavity = np.maximum(cavity, -edit.distance_at(space, frame))
    np.maximum(fields.bone, fields.body, out=fields.bone)
    organs = np.zeros(lattice.shape, np.uint8)
    reference = Lattice(to_reference @ lattice.matrix, lattice.shape)
    for i in range(lattice.shape[0]):
        window = (slice(i, i + 1), slice(0, lattice.shape[1]), slice(0, lattice.shape[2]))
        x, y, z = np.broadcast_arrays(*reference.coordinates(window))
        lung = _row(cavity, i, strides, lattice.shape) < 0
        lobes = lobe_index(x[0][lung], y[0][lung], z[0][lung])
        organs[i][lung] = lobes + ORGAN_IDS["lung_upper_lobe_left"]
        bone = _row(fields.bone, i, strides, lattice.shape) < 0
        names = bone_ids[round(i / strides[0])]
        rows = np.minimum(
            (np.arange(lattice.shape[1]) + strides[1] // 2) // strides[1], names.shape[0] - 1
        )
        columns = np.minimum(
            (np.arange(lattice.shape[2]) + strides[2] // 2) // strides[2], names.shape[1] - 1
        )
        near = names[rows][:, columns]
        organs[i][bone] = near[bone]
    inside = np.maximum(frame.cage + np.float32(1.5), np.float32(3.0) - frame.dome)
    for part in abdominal_parts(patient):
        _name(organs, reference, part, (inside, strides))
    for part in mediastinal_parts(patient):
        _name(organs, reference, part, (frame.cage + np.float32(5.0), strides))
    for tube in airways(patient)[:1]:
        _name(organs, reference, Part("trachea", tube, 0.0), None)
    return organs


def _row(field: F32, i: int, strides: tuple[int, int, int], shape: tuple[int, int, int]) -> F32:
    n, share = divmod(i, strides[0])
    plane = field[n]
    if share:
        plane = plane + (field[n + 1] - plane) * np.float32(share / strides[0])
    return refine(plane, strides[1:], (shape[1], shape[2]))


def _name(
    organs: NDArray[np.uint8],
    reference: Lattice,
    part: Part,
    limit: tuple[F32, tuple[int, int, int]] | None,
) -> None:
    number = ORGAN_IDS.get(part.name)
    if number is None:
        return
    pieces = part.shape.pieces() if hasattr(part.shape, "pieces") else [part.shape]
    for shape in pieces:
        window = reference.window(shape.bounds(), 1.0)
        if window is None:
            continue
        inside = shape.distance(*reference.coordinates(window)) < 0
        if limit is not None:
            field, strides = limit
            for i in range(window[0].start, window[0].stop):
                row = _row(field, i, strides, reference.shape) < 0
                inside[i - window[0].start] &= row[window[1], window[2]]
        organs[window][inside] = number

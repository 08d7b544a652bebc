"""A scene into voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .branches import bronchus_strokes, bronchus_tubes, grow, vessel_strokes
from .fields import SKIN_MM, Space, below_diaphragm, make_frame, soft_tissue
from .lattice import Lattice
from .layers import torso_layers
from .painting import Limits, paint
from .raster import add_noise, draw, fill
from .scene import Scene
from .skeleton import add_bones
from .table import draw_table

COARSE_STEP_MM = 3.0


def render(scene: Scene, lattice: Lattice) -> tuple[NDArray[np.int16], NDArray[np.uint8] | None]:
    """Fill the voxels of a grid in world mm.

    Returns:
        HU `(I, J, K)`, and what was painted below the diaphragm, see `painting.paint`; None for a
        chest.
    """
    patient = scene.patient
    coarse, strides = lattice.coarser(COARSE_STEP_MM)
    to_reference = np.linalg.inv(patient.world_from_reference)
    space = Space.of_lattice(Lattice(to_reference @ coarse.matrix, coarse.shape))
    torso = patient.region != "chest"
    frame = make_frame(space, patient)
    fields = soft_tissue(space, frame, patient)
    add_bones(fields, space, frame, whole=not torso)
    for edit in scene.edits:
        edit.apply(fields, space, frame)
    voxels = fill(fields, lattice, strides)
    painted = None
    if torso:
        under_skin = fields.body + np.float32(SKIN_MM)
        limits = Limits(below_diaphragm(frame), under_skin, strides)
        reference = Lattice(to_reference @ lattice.matrix, lattice.shape)
        layers = torso_layers(patient)
        painted = paint(voxels, lattice, reference, layers, limits, patient.seed)
    branches = grow(patient, scene.lungs.points[scene.lungs.depth_mm > 4.0])
    tubes = bronchus_tubes(branches, scene.bronchi, patient)
    draw(voxels, lattice, scene.under)
    draw(voxels, lattice, vessel_strokes(branches, patient))
    draw(voxels, lattice, bronchus_strokes(tubes, scene.bronchi))
    draw(voxels, lattice, scene.over)
    draw_table(voxels, lattice, patient)
    spacing = np.linalg.norm(lattice.matrix[:3, :3], axis=0)
    size = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    noise = (patient.seed, patient.scan) if patient.scan else (patient.seed,)
    add_noise(voxels, size, patient.noise_hu, patient.noise_grain_mm, noise)
    return voxels, painted

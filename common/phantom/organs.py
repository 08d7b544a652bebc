"""Organ masks with TotalSegmentator v2 ids, from the same shapes as the voxels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, label

from ..vocabulary.totalsegmentator import MANY_PIECES
from ..volumes.label_pieces import clean_pieces
from .anatomy import ORGAN_IDS, Part, abdominal_parts, airways, mediastinal_parts
from .fields import SKIN_MM, Fields, Frame, Space, below_diaphragm, make_frame, trunk
from .findings_lung import PleuralFluid
from .lattice import Lattice, Window, read_between
from .painting import UNNAMED
from .patient import Patient
from .profile import CHEST
from .scene import Region, Scene, lobe_index
from .skeleton import add_bones, vertebra_ids
from .solids import F32, Shape
from .spine import AlongSpine, autochthon

Ids = NDArray[np.uint8]
_ONE_PIECE = [number for name, number in ORGAN_IDS.items() if name not in MANY_PIECES]
_LOBES = [number for name, number in ORGAN_IDS.items() if name.startswith("lung_")]


def draw_organs(lattice: Lattice, scene: Scene, step_mm: float, painted: Ids | None = None) -> Ids:
    """Name each voxel of a grid.

    Args:
        lattice: The grid, in world mm.
        scene: What is drawn.
        step_mm: Of the coarse grid on which large shapes are evaluated.
        painted: What was painted over the chest, as `painting.paint` returns it.

    Returns:
        Ids `(I, J, K)`, 0 where nothing is named. Lobes include vessels, airways and lesions
        within them, but not pleural fluid. As in the voxels, bone lies over soft organs and lung
        over both; what was painted lies over all of them.
    """
    patient = scene.patient
    to_reference = np.linalg.inv(patient.world_from_reference)
    coarse, strides = lattice.coarser(step_mm)
    space = Space.of_lattice(Lattice(to_reference @ coarse.matrix, coarse.shape))
    frame = make_frame(space, patient)
    organs = np.zeros(lattice.shape, np.uint8)
    reference = Lattice(to_reference @ lattice.matrix, lattice.shape)
    skin = trunk(space, patient)
    for name, shape, limit in _soft_parts(patient, frame, skin + np.float32(SKIN_MM)):
        _name(organs, reference, name, shape, limit, strides)
    _name_bones(organs, reference, patient, (space, frame, strides), skin)
    _name_lobes(organs, reference, scene, (space, frame, strides))
    _name(organs, reference, "trachea", airways(patient)[0], None, strides)
    if painted is not None:
        np.copyto(organs, painted, where=painted > 0)
        organs[organs == UNNAMED] = 0
        organs = _whole_pieces(organs)
    return organs


def _soft_parts(
    patient: Patient, frame: Frame, under_skin: F32
) -> Iterator[tuple[str, Shape, F32 | None]]:
    """Soft tissue of the chest in the order in which it is drawn, with what bounds it."""
    profile = patient.profile
    for side in ("left", "right"):
        yield f"autochthon_{side}", autochthon(side, profile), under_skin
    parts: list[tuple[Part, F32]] = []
    if profile is CHEST:
        parts += [(part, below_diaphragm(frame)) for part in abdominal_parts(patient)]
    within = frame.cage + np.float32(5.0)
    parts += [(part, within) for part in mediastinal_parts(patient)]
    for part, limit in parts:
        yield part.name, part.shape, limit
    if profile is CHEST:
        yield "spinal_cord", AlongSpine(0.0, profile), None


def _whole_pieces(organs: Ids) -> Ids:
    """Drop slivers that other organs have cut off; one of a lobe goes to the lobe beside it."""
    kept = clean_pieces(organs, one_piece=_ONE_PIECE)
    lobes = np.isin(organs, _LOBES) & (kept == 0)
    if lobes.any():
        islands, _ = label(lobes, np.ones((3, 3, 3)))
        for number, box in enumerate(find_objects(islands), 1):
            around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
            island = islands[around] == number
            beside = kept[around][binary_dilation(island) & ~island]
            beside = beside[np.isin(beside, _LOBES)]
            if beside.size:
                kept[around][island] = np.bincount(beside).argmax()
    return kept


Coarse = tuple[Space, Frame, tuple[int, int, int]]


def _name_bones(
    organs: Ids, reference: Lattice, patient: Patient, coarse: Coarse, skin: F32
) -> None:
    space, frame, strides = coarse
    fields = Fields.empty(skin)
    spine = patient.profile is CHEST
    ids = add_bones(fields, space, frame, with_ids=True, whole=spine)
    assert ids is not None
    bone = np.maximum(fields.bone, fields.body)
    rows, columns = (_nearest(organs.shape[n], strides[n], ids.shape[n]) for n in (1, 2))
    for i, plane in enumerate(organs):
        inside = read_between(bone, _slab(reference, i), strides)[0] < 0
        if not inside.any():
            continue
        names = ids[round(i / strides[0])][rows][:, columns][inside]
        if spine:
            of_spine = names == ORGAN_IDS["vertebrae_T12"]
            y, z = (v[inside][of_spine] for v in _plane(reference, i)[1:])
            names[of_spine] = vertebra_ids(y, z)
        plane[inside] = names


def _name_lobes(organs: Ids, reference: Lattice, scene: Scene, coarse: Coarse) -> None:
    space, frame, strides = coarse
    cavity = frame.pleura
    for edit in scene.edits:
        if isinstance(edit, Region) and isinstance(edit.distance_at, PleuralFluid):
            cavity = np.maximum(cavity, -edit.distance_at(space, frame))
    for i, plane in enumerate(organs):
        lung = read_between(cavity, _slab(reference, i), strides)[0] < 0
        x, y, z = (v[lung] for v in _plane(reference, i))
        plane[lung] = lobe_index(x, y, z) + ORGAN_IDS["lung_upper_lobe_left"]


def _plane(reference: Lattice, i: int) -> list[F32]:
    """Coordinates of plane `i`, `(J, K)` each."""
    size = (1, *reference.shape[1:])
    return [np.broadcast_to(v, size)[0] for v in reference.coordinates(_slab(reference, i))]


def _slab(reference: Lattice, i: int) -> Window:
    return slice(i, i + 1), slice(0, reference.shape[1]), slice(0, reference.shape[2])


def _nearest(size: int, stride: int, coarse_size: int) -> NDArray[np.intp]:
    return np.minimum((np.arange(size) + stride // 2) // stride, coarse_size - 1)


def _name(
    organs: Ids,
    reference: Lattice,
    name: str,
    shape: Shape,
    limit: F32 | None,
    strides: tuple[int, int, int],
) -> None:
    number = ORGAN_IDS.get(name)
    if number is None:
        return
    for piece in shape.pieces() if hasattr(shape, "pieces") else [shape]:
        window = reference.window(piece.bounds(), 1.0)
        if window is None:
            continue
        inside = piece.distance(*reference.coordinates(window)) < 0
        if limit is not None:
            inside &= read_between(limit, window, strides) < 0
        organs[window][inside] = number

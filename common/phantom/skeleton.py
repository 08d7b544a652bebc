"""Ribs, spine, sternum, shoulder blades and collar bones.

Ribs are where a shell around the cage meets a stack of sloping sheets, one per rib; their number
is the number of the sheet. Vertebrae are a column cut into levels. Reference mm, RAS.
"""

from __future__ import annotations

from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from .anatomy import ORGAN_IDS
from .fields import Fields, Frame, Space
from .lattice import Window
from .profile import CHEST
from .solids import F32, Bounds, Tube, cover, ramp

RIB_PITCH_MM = 22.5
VERTEBRA_PITCH_MM = 23.5
T1_HEIGHT_MM = 128.0
CARTILAGE_HU, DISC_HU = 110.0, 85.0
_DISC_MM = 9.2  # of a vertebra's middle
THORACIC_END_MM = T1_HEIGHT_MM - 11.5 * VERTEBRA_PITCH_MM
MARROW_HU, CORD_HU = 170.0, 36.0
CANAL_BACK_MM, CORD_RADIUS_MM = 24.0, 5.0
_FRONT_END = np.array(
    [0, 0.7, 0.7, 0.72, 0.74, 0.76, 0.76, 0.72, 0.62, 0.5, 0.0, -0.45], np.float32
)
_CARTILAGE_END = np.array([0, 2, 2, 2, 2, 2, 2, 2, 0.75, 0.6, 0.05, -0.4], np.float32)
"""How far to the front bone and cartilage of ribs 1..12 reach, as `Frame.depth`."""

Ids = NDArray[np.uint8]


def add_bones(
    fields: Fields,
    space: Space,
    frame: Frame,
    *,
    with_ids: bool = False,
    whole: bool = True,
) -> Ids | None:
    """Add all bones to the fields.

    Args:
        fields: Changed in place.
        space: Where.
        frame: Of the same points.
        with_ids: Whether the bones are to be named.
        whole: Whether the vertebrae and the first ribs are among them; `spine` draws them finer.

    Returns:
        TotalSegmentator ids of the bone that is nearest at each point (0 for none; T12 for any
        vertebra), if asked for.
    """
    ids = np.zeros(space.x.shape, np.uint8) if with_ids else None
    _add_ribs(fields, space, frame, ids, highest=0 if whole else 1)
    if whole:
        _add_spine(fields, space, frame, ids)
    _add_sternum(fields, space, frame, ids)
    _add_scapulae(fields, space, frame, ids)
    _add_clavicles(fields, space, ids)
    return ids


def vertebra_ids(y: F32, z: F32) -> Ids:
    """Which vertebra points of the spine belong to, none where they lie in a disc.

    Args:
        y: To the front, mm.
        z: Up, mm.

    Returns:
        TotalSegmentator ids.
    """
    level = (np.float32(T1_HEIGHT_MM) - z) * np.float32(1 / VERTEBRA_PITCH_MM)
    number = np.rint(level)
    first = ORGAN_IDS["vertebrae_T12"] + 11
    names = np.clip(first - number, ORGAN_IDS["vertebrae_L5"], ORGAN_IDS["vertebrae_C1"])
    off = np.abs(level - number) * np.float32(VERTEBRA_PITCH_MM)
    in_front = y - CHEST.spine[CHEST.index(z)] > -16
    return np.asarray(np.where((off > _DISC_MM) & in_front, 0, names), np.uint8)


def _join(
    fields: Fields,
    window: Window | EllipsisType,
    distance: F32,
    hu: F32 | float,
    ids: Ids | None,
    names: Ids | int,
) -> None:
    nearer = distance < fields.bone[window]
    np.copyto(fields.bone[window], distance, where=nearer)
    np.copyto(fields.bone_hu[window], np.asarray(hu, np.float32), where=nearer)
    if ids is not None:
        np.copyto(ids[window], np.asarray(names, np.uint8), where=nearer)


def _add_ribs(fields: Fields, space: Space, frame: Frame, ids: Ids | None, *, highest: int) -> None:
    near = np.flatnonzero(np.abs(frame.cage - np.float32(6.5)) < np.float32(10.5))
    x, y, z = (axis.reshape(-1)[near] for axis in (space.x, space.y, space.z))
    cage, depth = frame.cage.reshape(-1)[near], frame.depth.reshape(-1)[near]
    sheet = z + np.float32(0.42) * (y + np.float32(85)) + np.float32(0.12) * np.abs(x)
    level = (np.float32(T1_HEIGHT_MM + 6) - sheet) * np.float32(1 / RIB_PITCH_MM)
    number = np.clip(np.rint(level), highest, 11).astype(np.int8)
    height = np.abs(level - number) * np.float32(0.88 * RIB_PITCH_MM) - np.float32(5.2)
    shell = np.abs(cage - np.float32(6.5)) - np.float32(3.4)
    distance = _rounded_and(shell, height, 2.5)
    end = (depth - _CARTILAGE_END[number]) * np.float32(80)
    np.maximum(distance, end, out=distance)
    np.maximum(distance, np.float32(14.0) - np.abs(x), out=distance)
    share = ramp(depth - _FRONT_END[number], -0.03, 0.03)
    hu = np.float32(MARROW_HU) + share * np.float32(CARTILAGE_HU - MARROW_HU)
    bone, bone_hu = fields.bone.reshape(-1), fields.bone_hu.reshape(-1)
    nearer = distance < bone[near]
    picked = near[nearer]
    bone[picked] = distance[nearer]
    bone_hu[picked] = hu[nearer]
    if ids is not None:
        first = np.where(x < 0, ORGAN_IDS["rib_left_1"], ORGAN_IDS["rib_right_1"])
        names = np.where(share > 0.5, ORGAN_IDS["costal_cartilages"], first + number)
        ids.reshape(-1)[picked] = names[nearer]


def _rounded_and(first: F32, second: F32, radius_mm: float) -> F32:
    a, b = (
        np.maximum(first + np.float32(radius_mm), 0),
        np.maximum(second + np.float32(radius_mm), 0),
    )
    corner = np.sqrt(a * a + b * b) - np.float32(radius_mm)
    return np.asarray(np.where((a > 0) | (b > 0), corner, np.maximum(first, second)), np.float32)


def _add_spine(fields: Fields, space: Space, frame: Frame, ids: Ids | None) -> None:
    bounds: Bounds = ((-40, -140, -400), (40, -5, 400))
    window = space.window(bounds, 4.0)
    if window is None:
        return
    x, y, z = space.at(window)
    back = y - frame.spine_y[window]
    level = (np.float32(T1_HEIGHT_MM) - z) * np.float32(1 / VERTEBRA_PITCH_MM)
    number = np.rint(level)
    off = (level - number) * np.float32(VERTEBRA_PITCH_MM)  # mm below the vertebra's middle
    side = np.abs(x)
    u, v = x * np.float32(1 / 17.5), back * np.float32(1 / 14.5)
    column = (np.sqrt(u * u + v * v) - np.float32(1)) * np.float32(15.5)
    disc = ramp(np.abs(off), 8.6, 9.8)
    column += np.float32(1.0) * disc
    canal = np.sqrt(x * x + (back + np.float32(CANAL_BACK_MM)) ** 2)
    arch = np.maximum(np.abs(canal - np.float32(11.0)) - np.float32(2.6), back + np.float32(16))
    arch = np.maximum(arch, np.abs(off - 1) - np.float32(9.0))
    drop = off - np.float32(0.5) * (-back - np.float32(34))
    spinous = np.maximum(side - np.float32(2.8), np.abs(back + np.float32(46)) - np.float32(13))
    spinous = np.maximum(spinous, np.abs(drop) - np.float32(7.0))
    swing = back + np.float32(22) + np.float32(0.28) * side
    transverse = np.maximum(np.abs(swing) - np.float32(4.5), np.abs(off + 2) - np.float32(5.5))
    transverse = np.maximum(transverse, np.abs(side - np.float32(22)) - np.float32(10))
    distance = np.minimum(np.minimum(column, arch), np.minimum(spinous, transverse))
    hu = np.float32(MARROW_HU) + disc * np.float32(DISC_HU - MARROW_HU)
    names: Ids | int = 0
    if ids is not None:
        names = ORGAN_IDS["vertebrae_T12"]  # which one it is: `vertebra_ids`
    fat = np.maximum(canal - np.float32(8.4), -canal)
    fields.lean[window] = np.maximum(fields.lean[window], -fat)
    cord = canal - np.float32(CORD_RADIUS_MM)
    fields.lean[window] = np.minimum(fields.lean[window], cord)
    density = fields.lean_hu[window]
    density += cover(cord - np.float32(2), 3.0) * (np.float32(CORD_HU) - density)
    _join(fields, window, distance, hu, ids, names)


def _add_sternum(fields: Fields, space: Space, frame: Frame, ids: Ids | None) -> None:
    window = space.window(((-34, 10, -60), (34, 140, 100)), 4.0)
    if window is None:
        return
    x, _, z = space.at(window)
    width = np.float32(16.0) + np.float32(10.0) * ramp(z, 48.0, 66.0)
    distance = np.maximum(
        np.abs(frame.cage[window] - np.float32(9)) - np.float32(5), np.abs(x) - width
    )
    distance = np.maximum(distance, np.abs(z - np.float32(18)) - np.float32(66))
    distance = np.maximum(distance, np.float32(10) - space.at(window)[1])
    _join(fields, window, distance, MARROW_HU - 30, ids, ORGAN_IDS["sternum"])


def _add_scapulae(fields: Fields, space: Space, frame: Frame, ids: Ids | None) -> None:
    for sign, name in ((-1.0, "scapula_left"), (1.0, "scapula_right")):
        low, high = sorted((68.0 * sign, 160.0 * sign))
        window = space.window(((low, -140, -15), (high, 0, 112)), 4.0)
        if window is None:
            continue
        x, y, z = space.at(window)
        # a flat blade: its plane faces back and to the side
        plane = np.float32(0.5) * np.abs(x) - np.float32(0.87) * y - np.float32(138.0)
        plane += np.float32(0.12) * (z - np.float32(50))
        along = np.float32(0.87) * np.abs(x) + np.float32(0.5) * y - np.float32(46.0)
        half = np.float32(14.0) + np.float32(22.0) * ramp(z, -10.0, 85.0)
        distance = np.maximum(np.abs(plane) - np.float32(2.6), np.abs(along) - half)
        distance = np.maximum(distance, np.abs(z - np.float32(46)) - np.float32(58))
        _join(fields, window, distance, MARROW_HU + 60, ids, ORGAN_IDS[name])


def _add_clavicles(fields: Fields, space: Space, ids: Ids | None) -> None:
    for sign, name in ((-1.0, "clavicula_left"), (1.0, "clavicula_right")):
        line = ((24 * sign, 50.0, 92.0), (66 * sign, 44.0, 106.0), (128 * sign, 8.0, 128.0))
        for piece in Tube(line, (7.5, 6.0, 6.0)).pieces():
            window = space.window(piece.bounds(), 6.0)
            if window is not None:
                distance = piece.distance(*space.at(window))
                _join(fields, window, distance, MARROW_HU, ids, ORGAN_IDS[name])

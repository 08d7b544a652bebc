"""Distances and densities of the whole chest at given points, before any voxel is filled.

Fields are float32 arrays over a `Space`; a distance is negative inside, mm.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
from numpy.typing import NDArray

from .anatomy import Part, abdominal_parts, mediastinal_parts
from .lattice import Lattice, Window
from .patient import Patient
from .profile import (
    BODY_HALF_DEPTH,
    BODY_HALF_WIDTH,
    CAGE_HALF_DEPTH,
    CAGE_HALF_WIDTH,
    CAGE_MIDDLE,
    SPINE,
    height_index,
    rounded_rectangle,
)  # fmt: skip
from .solids import F32, Bounds, Ellipsoid, cover, ramp, smooth_union

FAT_HU, MUSCLE_HU, AIR_HU = -105.0, 52.0, -1000.0


@dataclass(frozen=True)
class Space:
    """Points in the reference frame: a grid, or any scattered points.

    Attributes:
        x: To the right, mm.
        y: To the front, mm.
        z: Up, mm.
        lattice: The grid the points come from; its boxes save work.
    """

    x: F32
    y: F32
    z: F32
    lattice: Lattice | None = None

    @classmethod
    def of_lattice(cls, lattice: Lattice) -> Space:
        """All points of a grid."""
        x, y, z = lattice.coordinates(lattice.whole())
        x, y, z = (np.ascontiguousarray(np.broadcast_to(v, lattice.shape)) for v in (x, y, z))
        return cls(x, y, z, lattice)

    @classmethod
    def of_points(cls, points: NDArray[np.floating]) -> Space:
        """Scattered points `(N, 3)`."""
        x, y, z = np.asarray(points, np.float32).T
        return cls(x, y, z)

    def window(self, bounds: Bounds, margin_mm: float) -> Window | EllipsisType | None:
        """Index of the points near a box; None if there are none."""
        return ... if self.lattice is None else self.lattice.window(bounds, margin_mm)

    def at(self, window: Window | EllipsisType) -> tuple[F32, F32, F32]:
        """Coordinates of the points of a window."""
        return self.x[window], self.y[window], self.z[window]


@dataclass
class Frame:
    """What the large surfaces of the trunk are made from.

    Attributes:
        cage: Distance to the inner side of the ribs.
        dome: Distance below the diaphragm's upper side: negative above it.
        middle: Distance to the mediastinum, fat included.
        pleura: Distance to the space of both lungs.
        spine_y: Middle of the vertebral bodies, front to back.
        depth: Front to back position within the cage: -1 back, 1 front.
    """

    cage: F32
    dome: F32
    middle: F32
    pleura: F32
    spine_y: F32
    depth: F32


def make_frame(space: Space, patient: Patient) -> Frame:
    """Cage, diaphragm, mediastinum and pleura at the points."""
    x, y, z = space.x, space.y, space.z
    index = height_index(z)
    half_width, half_depth = CAGE_HALF_WIDTH[index], CAGE_HALF_DEPTH[index]
    forward = y - CAGE_MIDDLE[index]
    cage = rounded_rectangle(x, forward, half_width, half_depth)
    depth = forward / half_depth
    spine_y = SPINE[index]
    dome = diaphragm(x, y, z, patient)
    side = np.abs(x)
    waist = np.float32(22.0) + np.float32(14.0) * ramp(z, 40.0, 105.0)
    waist *= np.float32(1.0) - np.float32(0.72) * ramp(y, 15.0, 80.0)
    middle = (side - waist) * np.float32(0.95)
    vertebra = np.sqrt(x * x + (y - spine_y) ** 2) - np.float32(21.0)
    np.minimum(vertebra, np.maximum(side - np.float32(15.0), y - spine_y), out=vertebra)
    middle = smooth_union(middle, vertebra, 9.0)
    for part in mediastinal_parts(patient):
        if part.room_mm is not None:
            _push(middle, space, part, 9.0 if part.name == "heart" else 5.0)
    pleura = np.maximum(np.maximum(cage, dome), -middle)
    return Frame(cage, dome, middle, pleura, spine_y, depth)


def diaphragm(x: F32, y: F32, z: F32, patient: Patient) -> F32:
    """Distance to the diaphragm: negative above, positive below."""
    heights = []
    for centre, top, raised in zip(
        (72.0, -76.0), (-52.0, -62.0), patient.dome_raise_mm, strict=True
    ):
        u, v = (x - np.float32(centre)) * np.float32(1 / 68), (y - 12) * np.float32(1 / 85)
        steep = np.where(v < 0, np.float32(62.0), np.float32(32.0))
        heights.append(np.float32(top + raised) - np.float32(36.0) * u * u - steep * v * v)
    dome = -smooth_union(-heights[0], -heights[1], 14.0)
    return (dome - z) * np.float32(0.72)


def _push(middle: F32, space: Space, part: Part, blend_mm: float) -> None:
    room = part.room_mm or 0.0
    for shape in part.shape.pieces() if hasattr(part.shape, "pieces") else [part.shape]:
        window = space.window(shape.bounds(), room + 2 * blend_mm)
        if window is not None:
            distance = shape.distance(*space.at(window)) - np.float32(room)
            middle[window] = smooth_union(middle[window], distance, blend_mm)


@dataclass
class Fields:
    """What the voxels are filled from.

    Attributes:
        body: Distance to the skin.
        lean: Distance to anything denser than fat, bone and air apart.
        lean_hu: What that is filled with; defined a little beyond its surface.
        bone: Distance to bone and cartilage.
        bone_hu: Density inside, HU; bone's shell is denser than this.
        lung: Distance to aerated lung.
        lung_hu: Its density.
        septa: Nothing, or two signed distances to thickened septa and their share of the lung.
    """

    body: F32
    lean: F32
    lean_hu: F32
    bone: F32
    bone_hu: F32
    lung: F32
    lung_hu: F32
    septa: tuple[F32, ...] = ()

    def stack(self) -> tuple[F32, ...]:
        """All fields, in the order of the attributes."""
        soft = (self.body, self.lean, self.lean_hu)
        return (*soft, self.bone, self.bone_hu, self.lung, self.lung_hu, *self.septa)


def paint(fields: Fields, window: Window | EllipsisType, distance: F32, hu: float) -> None:
    """Add a solid to the lean tissue."""
    fields.lean[window] = np.minimum(fields.lean[window], distance)
    density = fields.lean_hu[window]
    density += cover(distance - np.float32(2.0), 3.0) * (np.float32(hu) - density)
    fields.lean_hu[window] = density


def soft_tissue(space: Space, frame: Frame, patient: Patient) -> Fields:
    """Body, muscles, organs and lungs; the bones are still missing."""
    x, y, z = space.x, space.y, space.z
    fat = np.float32(patient.fat_mm / patient.mean_scale)
    index = height_index(z)
    body = rounded_rectangle(
        x, y + np.float32(8), BODY_HALF_WIDTH[index] + fat, BODY_HALF_DEPTH[index] + fat
    )
    lean = _chest_wall(x, y, z, frame)
    fields = Fields(
        body=body,
        lean=lean,
        lean_hu=np.full(x.shape, MUSCLE_HU, np.float32),
        bone=np.full(x.shape, 50.0, np.float32),
        bone_hu=np.full(x.shape, 170.0, np.float32),
        lung=frame.pleura.copy(),
        lung_hu=patient.lung_hu - np.float32(patient.gravity_hu) * frame.depth,
    )
    if patient.breast_mm:
        _add_breasts(fields, space, patient)
    np.maximum(fields.lean, fields.body + np.float32(2.5), out=fields.lean)
    np.minimum(
        fields.lean, np.abs(fields.body + np.float32(1.0)) - np.float32(1.0), out=fields.lean
    )
    inside = np.maximum(frame.cage + np.float32(1.5), np.float32(3.0) - frame.dome)
    diaphragm_muscle = np.abs(frame.dome - np.float32(1.5)) - np.float32(1.5)
    np.minimum(fields.lean, np.maximum(diaphragm_muscle, frame.cage), out=fields.lean)
    _add_parts(fields, space, abdominal_parts(patient), inside)
    _add_parts(fields, space, mediastinal_parts(patient), frame.cage + np.float32(5.0))
    return fields


def _chest_wall(x: F32, y: F32, z: F32, frame: Frame) -> F32:
    side = np.abs(x)
    thick = np.float32(13.0) + np.float32(45.0) * ramp(z, 55.0, 125.0) * ramp(side, 25.0, 75.0)
    pectoral = ramp(y, 5.0, 45.0) * ramp(z, -25.0, 30.0) * ramp(side, 140.0, 60.0)
    pectoral *= ramp(side, 8.0, 26.0)
    back = ramp(y, -20.0, -70.0) * ramp(side, 150.0, 90.0)
    thick += np.float32(11.0) * pectoral + np.float32(12.0) * back
    wall = np.maximum(frame.cage - thick, -frame.cage - np.float32(1.5))
    groove = y - frame.spine_y
    for sign in (-1.0, 1.0):  # the long muscles beside the spinous processes
        u, v = (x - np.float32(27 * sign)) * np.float32(1 / 24), (groove + 43) * np.float32(1 / 18)
        np.minimum(wall, (np.sqrt(u * u + v * v) - np.float32(1)) * np.float32(20), out=wall)
    return np.asarray(wall)


def _add_breasts(fields: Fields, space: Space, patient: Patient) -> None:
    radius = patient.breast_mm
    front = 112.0 + patient.fat_mm * 0.5
    for sign in (-1.0, 1.0):
        breast = Ellipsoid((80 * sign, front, -12), (1.15 * radius, 0.75 * radius, radius))
        window = space.window(breast.bounds(), 8.0)
        if window is None:
            continue
        x, y, z = space.at(window)
        fields.body[window] = smooth_union(fields.body[window], breast.distance(x, y, z), 14.0)
        gland = Ellipsoid(
            (80 * sign, front + 0.3 * radius, -14), (0.6 * radius, 0.3 * radius, 0.55 * radius),
            rough_mm=8.0, grain_mm=9.0, seed=patient.seed,
        )  # fmt: skip
        paint(fields, window, gland.distance(x, y, z), 35.0)


def _add_parts(fields: Fields, space: Space, parts: Iterable[Part], inside: F32) -> None:
    for part in parts:
        shapes = part.shape.pieces() if hasattr(part.shape, "pieces") else [part.shape]
        for shape in shapes:
            window = space.window(shape.bounds(), 8.0)
            if window is None:
                continue
            distance = np.maximum(shape.distance(*space.at(window)), inside[window])
            paint(fields, window, distance, part.hu)

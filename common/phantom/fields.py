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
from .profile import CHEST, rounded_rectangle
from .solids import F32, Bounds, Ellipsoid, Tube, cover, ramp, smooth_union

FAT_HU, MUSCLE_HU, AIR_HU = -105.0, 52.0, -1000.0
SKIN_MM = 2.5
LONG_MUSCLES_END_MM, CROTCH_MM = -345.0, -456.0


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
    profile = patient.profile
    index = profile.index(z)
    half_width, half_depth = profile.cage_half_width[index], profile.cage_half_depth[index]
    forward = y - profile.cage_middle[index]
    cage = rounded_rectangle(x, forward, half_width, half_depth)
    depth = forward / half_depth
    spine_y = CHEST.spine[CHEST.index(z)]  # the same lungs in every region
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
    if profile is not CHEST:
        spine_y = profile.spine[index]
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

    @classmethod
    def empty(cls, body: F32) -> Fields:
        """Nothing but skin."""
        far, zero = np.full(body.shape, np.float32(50)), np.zeros(body.shape, np.float32)
        return cls(body, far.copy(), zero.copy(), far.copy(), zero.copy(), far, zero)

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


def trunk(space: Space, patient: Patient) -> F32:
    """Distance to the skin, but for breasts and thighs."""
    fat = np.float32(patient.fat_mm / patient.mean_scale)
    profile = patient.profile
    index = profile.index(space.z)
    half_width, half_depth = profile.body_half_width[index], profile.body_half_depth[index]
    return rounded_rectangle(
        space.x, space.y - profile.body_middle[index], half_width + fat, half_depth + fat
    )


def soft_tissue(space: Space, frame: Frame, patient: Patient) -> Fields:
    """Body, muscles, organs and lungs; the bones are still missing.

    In the chest alone the organs below the diaphragm are part of it; elsewhere `painting` draws
    them, finer.
    """
    x, y, z = space.x, space.y, space.z
    body = trunk(space, patient)
    profile = patient.profile
    lean = _wall(x, y, z, frame, whole=profile is not CHEST)
    if profile is not CHEST:
        _add_thighs(body, lean, space, frame, patient)
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
    np.maximum(fields.lean, fields.body + np.float32(SKIN_MM), out=fields.lean)
    np.minimum(
        fields.lean, np.abs(fields.body + np.float32(1.0)) - np.float32(1.0), out=fields.lean
    )
    inside = below_diaphragm(frame)
    diaphragm_muscle = np.abs(frame.dome - np.float32(1.5)) - np.float32(1.5)
    np.minimum(fields.lean, np.maximum(diaphragm_muscle, frame.cage), out=fields.lean)
    if profile is CHEST:
        _add_parts(fields, space, abdominal_parts(patient), inside)
    _add_parts(fields, space, mediastinal_parts(patient), frame.cage + np.float32(5.0))
    return fields


def below_diaphragm(frame: Frame) -> F32:
    """Distance to the space for the abdominal organs: under the diaphragm, within the wall."""
    return np.asarray(np.maximum(frame.cage + np.float32(1.5), np.float32(3.0) - frame.dome))


def _wall(x: F32, y: F32, z: F32, frame: Frame, *, whole: bool) -> F32:
    side = np.abs(x)
    thick = np.float32(13.0) + np.float32(45.0) * ramp(z, 55.0, 125.0) * ramp(side, 25.0, 75.0)
    pectoral = ramp(y, 5.0, 45.0) * ramp(z, -25.0, 30.0) * ramp(side, 140.0, 60.0)
    pectoral *= ramp(side, 8.0, 26.0)
    back = ramp(y, -20.0, -70.0) * ramp(side, 150.0, 90.0)
    thick += np.float32(11.0) * pectoral + np.float32(12.0) * back
    if whole:
        thick -= _belly(side, y, z)
    wall = np.maximum(frame.cage - thick, -frame.cage - np.float32(1.5))
    groove = y - frame.spine_y
    for sign in (-1.0, 1.0):
        muscle = long_muscle(x, groove, sign)
        if whole:
            np.maximum(muscle, np.float32(LONG_MUSCLES_END_MM) - z, out=muscle)
        np.minimum(wall, muscle, out=wall)
    return np.asarray(wall)


def _belly(side: F32, y: F32, z: F32) -> F32:
    """How much thinner the wall is between the straight muscles and beside them, mm."""
    middle = ramp(side, 7.0, 1.0) + ramp(np.abs(side - np.float32(70)), 9.0, 2.0)
    return np.asarray(np.float32(9.0) * middle * ramp(y, 30.0, 55.0) * ramp(z, -120.0, -165.0))


def long_muscle(x: F32, back: F32, sign: float) -> F32:
    """Distance to the long muscle beside the spinous processes.

    Args:
        x: To the right, mm.
        back: To the front from the middle of the vertebral bodies, mm.
        sign: 1 right, -1 left.
    """
    u, v = (x - np.float32(27 * sign)) * np.float32(1 / 24), (back + 43) * np.float32(1 / 18)
    return np.asarray((np.sqrt(u * u + v * v) - np.float32(1)) * np.float32(20))


def _add_thighs(body: F32, lean: F32, space: Space, frame: Frame, patient: Patient) -> None:
    """End the trunk at the crotch and hang the thighs on it, muscle under fat."""
    end = np.float32(CROTCH_MM) - space.z - np.float32(0.1) * np.abs(space.x)
    body[...] = -smooth_union(-body, np.asarray(-end, np.float32), 36.0)
    for sign in (-1.0, 1.0):
        thigh = Tube(((sign * 93, -16.0, -416.0), (sign * 94, -10.0, -640.0)), (67.0, 70.0))
        window = space.window(thigh.bounds(), 40.0)
        if window is None:
            continue
        distance = thigh.distance(*space.at(window))
        within = np.float32(-3) - frame.cage[window]  # the pelvis keeps its fat
        lean[window] = np.minimum(lean[window], np.maximum(distance, within))
        skin = distance - np.float32(0.6 * patient.fat_mm / patient.mean_scale + 5)
        body[window] = smooth_union(body[window], skin, 20.0)


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

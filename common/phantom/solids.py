"""Shapes by signed distance: negative inside, positive outside, millimetres.

A shape is a frozen dataclass with `distance(x, y, z)` and `bounds()`. Coordinates are float32
arrays of one common (or broadcastable) shape, in the frame of the shape's own numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

F32 = NDArray[np.float32]
Point = tuple[float, float, float]
Bounds = tuple[Point, Point]


class Shape(Protocol):
    """Anything with a signed distance and a box around it."""

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance in mm at each point."""
        ...

    def bounds(self) -> Bounds:
        """Lowest and highest corner of a box that holds the shape, mm."""
        ...


def cover(distance: F32, width_mm: float) -> F32:
    """Share of a voxel inside a surface: 1 well inside, 0 well outside, a ramp between."""
    share = distance * np.float32(-1.0 / width_mm)
    share += np.float32(0.5)
    return np.clip(share, 0.0, 1.0, out=share)


def smooth_union(first: F32, second: F32, blend_mm: float) -> F32:
    """Union of two shapes whose crease is rounded over `blend_mm`."""
    overlap = np.float32(blend_mm) - np.abs(first - second)
    np.maximum(overlap, 0.0, out=overlap)
    overlap *= overlap
    overlap *= np.float32(0.25 / blend_mm)
    return np.asarray(np.minimum(first, second) - overlap)


def ramp(value: F32, start: float, stop: float) -> F32:
    """0 before `start`, 1 after `stop`, a smooth step between (either may be the larger)."""
    step = np.clip((value - np.float32(start)) * np.float32(1.0 / (stop - start)), 0.0, 1.0)
    return np.asarray(step * step * (np.float32(3.0) - np.float32(2.0) * step))


def rotation(turn_deg: Point) -> NDArray[np.float64]:
    """Rotation matrix `(3, 3)`: about x, then y, then z."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass(frozen=True)
class Texture:
    """Smooth random field in space, about -1..1, the same for a seed on every grid.

    Attributes:
        seed: Which field.
        grain_mm: Distance over which it changes.
    """

    seed: int
    grain_mm: float

    def at(self, x: F32, y: F32, z: F32) -> F32:
        """Value at each point."""
        knots = np.random.default_rng([self.seed, 77]).uniform(-1, 1, (16, 16, 16))
        index = np.stack(np.broadcast_arrays(x, y, z)).astype(np.float32)
        index *= np.float32(1.0 / self.grain_mm)
        values = map_coordinates(knots.astype(np.float32), index, order=1, mode="grid-wrap")
        return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Ellipsoid:
    """Ellipsoid, turned if wanted, with a rough surface if wanted.

    Attributes:
        centre: Centre, mm.
        radii: Half axes, mm.
        turn_deg: Rotation about x, y, z.
        rough_mm: How far the surface wanders from the ellipsoid.
        grain_mm: Over which distance it wanders.
        seed: Of the roughness.
    """

    centre: Point
    radii: Point
    turn_deg: Point = (0.0, 0.0, 0.0)
    rough_mm: float = 0.0
    grain_mm: float = 12.0
    seed: int = 0

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance, exact on a sphere and to first order elsewhere."""
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        if any(self.turn_deg):
            r = rotation(self.turn_deg).astype(np.float32)  # columns are the ellipsoid's axes
            dx, dy, dz = (r[0, c] * dx + r[1, c] * dy + r[2, c] * dz for c in range(3))
        a, b, c = (np.float32(1.0 / radius) for radius in self.radii)
        dx, dy, dz = dx * a, dy * b, dz * c
        level = np.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx * a, dy * b, dz * c
        slope = np.sqrt(dx * dx + dy * dy + dz * dz)
        distance = (level - np.float32(1)) * level / np.maximum(slope, np.float32(1e-6))
        np.copyto(distance, np.float32(-min(self.radii)), where=level < 1e-3)
        if self.rough_mm:
            distance += np.float32(self.rough_mm) * Texture(self.seed, self.grain_mm).at(x, y, z)
        return np.asarray(distance, np.float32)

    def bounds(self) -> Bounds:
        """Box around the turned ellipsoid."""
        axes = rotation(self.turn_deg) * np.asarray(self.radii)
        half = np.linalg.norm(axes, axis=1) + self.rough_mm
        return _box(np.asarray(self.centre) - half, np.asarray(self.centre) + half)

    @property
    def volume_ml(self) -> float:
        """Volume of the smooth ellipsoid."""
        return float(4 / 3 * np.pi * np.prod(self.radii) / 1000)


@dataclass(frozen=True)
class Cap:
    """The part of an ellipsoid in front of a level: air over fluid in a supine patient.

    Attributes:
        whole: The ellipsoid.
        level: In -1..1, from its back to its front.
    """

    whole: Ellipsoid
    level: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        height = np.float32(self.whole.centre[1] + self.level * self.whole.radii[1])
        return np.asarray(np.maximum(self.whole.distance(x, y, z), height - y))

    def bounds(self) -> Bounds:
        """Box around the whole."""
        return self.whole.bounds()


@dataclass(frozen=True)
class Tube:
    """Chain of round cones along a line of points.

    Attributes:
        points: Centre line, mm.
        radii: Radius at each point, mm.
    """

    points: tuple[Point, ...]
    radii: tuple[float, ...]

    def pieces(self) -> list[Tube]:
        """One tube per stretch between two points."""
        return [
            Tube(self.points[n : n + 2], self.radii[n : n + 2]) for n in range(len(self.points) - 1)
        ]

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance to the surface."""
        if len(self.points) > 2:
            return np.asarray(
                np.minimum.reduce([piece.distance(x, y, z) for piece in self.pieces()])
            )
        return cone_distance(
            self.points[0], self.points[-1], self.radii[0], self.radii[-1], x, y, z
        )

    def bounds(self) -> Bounds:
        """Box around the tube."""
        points, radius = np.asarray(self.points), max(self.radii)
        return _box(points.min(axis=0) - radius, points.max(axis=0) + radius)


@dataclass(frozen=True)
class Plate:
    """Flat round plate, thinning to its edge, such as a septum or a band.

    Attributes:
        centre: Centre, mm.
        normal: Direction across the plate, any length.
        radius_mm: Of the disc.
        thickness_mm: Full thickness in the middle; half of it at the edge.
    """

    centre: Point
    normal: Point
    radius_mm: float
    thickness_mm: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance to the surface."""
        nx, ny, nz = np.asarray(self.normal, np.float32) / np.float32(np.linalg.norm(self.normal))
        dx, dy, dz = x - self.centre[0], y - self.centre[1], z - self.centre[2]
        across = nx * dx + ny * dy + nz * dz
        along = np.sqrt(np.maximum(dx * dx + dy * dy + dz * dz - across * across, 0.0))
        edge = along - np.float32(self.radius_mm)
        half = np.float32(0.5 * self.thickness_mm) - along * np.float32(
            0.25 * self.thickness_mm / self.radius_mm
        )
        return np.asarray(np.maximum(np.abs(across) - half, edge))

    def bounds(self) -> Bounds:
        """Box around the plate."""
        normal = np.asarray(self.normal) / np.linalg.norm(self.normal)
        half = self.radius_mm * np.sqrt(1 - normal**2) + self.thickness_mm * np.abs(normal)
        return _box(np.asarray(self.centre) - half, np.asarray(self.centre) + half)


def cone_distance(
    start: Point, stop: Point, start_radius: float, stop_radius: float, x: F32, y: F32, z: F32
) -> F32:
    """Distance to a capsule whose radius runs linearly from one end to the other."""
    along = np.asarray(stop, np.float32) - np.asarray(start, np.float32)
    length = float(along @ along)
    dx, dy, dz = x - np.float32(start[0]), y - np.float32(start[1]), z - np.float32(start[2])
    if length < 1e-6:
        return np.asarray(np.sqrt(dx * dx + dy * dy + dz * dz) - np.float32(start_radius))
    share = along / np.float32(length)
    t = dx * share[0] + dy * share[1] + dz * share[2]
    t = np.clip(t, 0.0, 1.0)
    ox, oy, oz = dx - t * along[0], dy - t * along[1], dz - t * along[2]
    ox *= ox
    oy *= oy
    oz *= oz
    ox += oy
    ox += oz
    np.sqrt(ox, out=ox)
    ox -= np.float32(start_radius)
    if start_radius != stop_radius:
        ox -= t * np.float32(stop_radius - start_radius)
    return np.asarray(ox)


def _box(low: NDArray[np.float64], high: NDArray[np.float64]) -> Bounds:
    lowest, highest = (tuple(float(v) for v in corner) for corner in (low, high))
    return lowest, highest  # type: ignore[return-value]

"""Shapes made of shapes: joined, cut, grown, bounded by a plane, lofted over height.

On a grid each part is evaluated only in the box that holds it, so a gut of hundreds of short
tubes costs what its own volume costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .lattice import Lattice, Window
from .solids import F32, Bounds, Point, Shape, smooth_union

FAR_MM = 40.0
"""Distance that a joined shape reports where none of its parts is near."""
REACH_MM = 6.0
"""How far from a part its distance is still right on a grid."""
_EVERYWHERE: Bounds = ((-1e4, -1e4, -1e4), (1e4, 1e4, 1e4))


def distance_on(shape: Shape, lattice: Lattice, window: Window) -> F32:
    """Signed distance on the points of a grid's window, right within `REACH_MM` of the surface."""
    if isinstance(shape, Joined | Cut | Common | Grown):
        return shape.distance_on(lattice, window)
    points = lattice.coordinates(window)
    size = tuple(part.stop - part.start for part in window)
    return np.array(np.broadcast_to(shape.distance(*points), size))


def window_of(shape: Shape, lattice: Lattice, margin_mm: float) -> Window | None:
    """Indices of the box that holds a shape, or None where it misses the grid."""
    return lattice.window(shape.bounds(), margin_mm)


@dataclass(frozen=True)
class Joined:
    """All of several shapes.

    Attributes:
        parts: Which.
        blend_mm: Over how many mm the creases between them are rounded.
    """

    parts: tuple[Shape, ...]
    blend_mm: float = 0.0

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        total = self.parts[0].distance(x, y, z)
        for part in self.parts[1:]:
            total = self._join(total, part.distance(x, y, z))
        return np.asarray(total)

    def distance_on(self, lattice: Lattice, window: Window) -> F32:
        """Signed distance on a window of a grid, each part in its own box."""
        size = tuple(part.stop - part.start for part in window)
        total = np.full(size, np.float32(FAR_MM))
        for part in self.parts:
            near = lattice.window(part.bounds(), REACH_MM + 2 * self.blend_mm)
            both = None if near is None else _shared(window, near)
            if both is None:
                continue
            here = _relative(both, window)
            total[here] = self._join(total[here], distance_on(part, lattice, both))
        return total

    def bounds(self) -> Bounds:
        """Box around all parts."""
        corners = np.array([part.bounds() for part in self.parts])
        return _bounds(corners[:, 0].min(axis=0), corners[:, 1].max(axis=0))

    def _join(self, first: F32, second: F32) -> F32:
        if self.blend_mm:
            return smooth_union(first, second, self.blend_mm)
        return np.asarray(np.minimum(first, second))


@dataclass(frozen=True)
class Common:
    """What several shapes have in common.

    Attributes:
        parts: Which; the first one is bounded.
    """

    parts: tuple[Shape, ...]

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        return np.asarray(np.maximum.reduce([part.distance(x, y, z) for part in self.parts]))

    def distance_on(self, lattice: Lattice, window: Window) -> F32:
        """Signed distance on a window of a grid."""
        total = distance_on(self.parts[0], lattice, window)
        for part in self.parts[1:]:
            np.maximum(total, distance_on(part, lattice, window), out=total)
        return total

    def bounds(self) -> Bounds:
        """Box around what they share."""
        corners = np.array([part.bounds() for part in self.parts])
        return _bounds(corners[:, 0].max(axis=0), corners[:, 1].min(axis=0))


@dataclass(frozen=True)
class Cut:
    """A shape without another.

    Attributes:
        whole: The shape.
        taken: What is missing from it.
        gap_mm: How far the cut keeps from `taken`; at most `REACH_MM`.
    """

    whole: Shape
    taken: Shape
    gap_mm: float = 0.0

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        missing = np.float32(self.gap_mm) - self.taken.distance(x, y, z)
        return np.asarray(np.maximum(self.whole.distance(x, y, z), missing))

    def distance_on(self, lattice: Lattice, window: Window) -> F32:
        """Signed distance on a window of a grid."""
        total = distance_on(self.whole, lattice, window)
        near = lattice.window(self.taken.bounds(), REACH_MM)
        both = None if near is None else _shared(window, near)
        if both is not None:
            here = _relative(both, window)
            missing = np.float32(self.gap_mm) - distance_on(self.taken, lattice, both)
            total[here] = np.maximum(total[here], missing)
        return total

    def bounds(self) -> Bounds:
        """Box around the whole."""
        return self.whole.bounds()


@dataclass(frozen=True)
class Grown:
    """A shape with a coat, or without its outermost layer.

    Attributes:
        shape: The shape.
        by_mm: Thickness of the coat; negative takes away.
    """

    shape: Shape
    by_mm: float

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        return np.asarray(self.shape.distance(x, y, z) - np.float32(self.by_mm))

    def distance_on(self, lattice: Lattice, window: Window) -> F32:
        """Signed distance on a window of a grid."""
        return np.asarray(distance_on(self.shape, lattice, window) - np.float32(self.by_mm))

    def bounds(self) -> Bounds:
        """Box around the grown shape."""
        low, high = np.array(self.shape.bounds())
        return _bounds(low - self.by_mm, high + self.by_mm)


@dataclass(frozen=True)
class Half:
    """Everything on one side of a plane.

    Attributes:
        point: On the plane, mm.
        outward: Direction out of the half, any length.
    """

    point: Point
    outward: Point

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        a, b, c = np.asarray(self.outward, np.float32) / np.float32(np.linalg.norm(self.outward))
        offset = np.float32(np.dot((a, b, c), self.point))
        return np.asarray(a * x + b * y + c * z - offset, np.float32)

    def bounds(self) -> Bounds:
        """Far beyond any scan."""
        return _EVERYWHERE


@dataclass(frozen=True)
class Loft:
    """A slab whose width, thickness and place change with height, with rounded edges.

    Attributes:
        z: Heights of the knots, mm, rising.
        y: Middle of the slab, front to back, at each.
        half_width: At each.
        half_thickness: At each, across the slab.
        sweep: How far the slab's sides lie behind its middle, per mm aside.
        round_mm: Radius of its edges.
    """

    z: tuple[float, ...]
    y: tuple[float, ...]
    half_width: tuple[float, ...]
    half_thickness: tuple[float, ...]
    sweep: float = 0.0
    round_mm: float = 4.0

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance, to first order."""
        slope = np.gradient(np.asarray(self.y), np.asarray(self.z))
        tables = (self.y, self.half_width, self.half_thickness, 1 / np.hypot(1, slope))
        middle, wide, thick, across = (
            np.interp(z, self.z, table).astype(np.float32) for table in tables
        )
        side = np.abs(x)
        edge = side - wide
        face = np.abs(y - middle + np.float32(self.sweep) * side) * across - thick
        r = np.float32(self.round_mm)
        a, b = np.maximum(edge + r, 0), np.maximum(face + r, 0)
        flat = np.minimum(np.maximum(edge, face) + r, 0) + np.sqrt(a * a + b * b) - r
        ends = np.maximum(np.float32(self.z[0]) - z, z - np.float32(self.z[-1]))
        return np.asarray(np.maximum(flat, ends), np.float32)

    def bounds(self) -> Bounds:
        """Box around the slab."""
        wide, thick = max(self.half_width), max(self.half_thickness)
        low = (-wide, min(self.y) - 1.6 * thick - abs(self.sweep) * wide, self.z[0])
        return low, (wide, max(self.y) + 1.6 * thick, self.z[-1])


def _shared(first: Window, second: Window) -> Window | None:
    parts = [
        slice(max(a.start, b.start), min(a.stop, b.stop))
        for a, b in zip(first, second, strict=True)
    ]
    if any(part.start >= part.stop for part in parts):
        return None
    return parts[0], parts[1], parts[2]


def _relative(inner: Window, outer: Window) -> Window:
    i, j, k = (
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(inner, outer, strict=True)
    )
    return i, j, k


def _bounds(low: np.ndarray, high: np.ndarray) -> Bounds:
    lowest, highest = (tuple(float(v) for v in corner) for corner in (low, high))
    return lowest, highest  # type: ignore[return-value]

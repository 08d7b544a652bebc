"""What findings are made of: edits of the fields, strokes on the voxels, and their truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .anatomy import Heart, make_heart
from .branches import Bronchi
from .fields import Fields, Frame, Space, make_frame, paint
from .patient import Patient
from .raster import Stroke
from .solids import F32, Bounds, Point, Shape, cover

LOBES = (
    "left upper lobe",
    "left lower lobe",
    "right upper lobe",
    "right middle lobe",
    "right lower lobe",
)
"""In the order of TotalSegmentator's ids 10 to 14."""
_RIM_MM = 1.2  # how far lesions reach past the lung's edge, so that no rim of fat is left between


@dataclass(frozen=True)
class Finding:
    """Truth about one lesion, or about one label where it is spread out.

    Attributes:
        label: Official CT-RATE name, or one of a head's findings.
        side: `left`, `right`, `bilateral`, or None where there is no side.
        lobe: One of `LOBES`, or a part of the head such as `thalamus`, or None.
        size_mm: Largest extent: diameter of a nodule, depth of an effusion, short axis of a
            lymph node, heart width of a cardiomegaly.
        volume_ml: Of what was drawn, None where that has no meaning.
        centre_world_mm: RAS world position, None where it is everywhere.
    """

    label: str
    side: str | None
    lobe: str | None
    size_mm: float | None
    volume_ml: float | None
    centre_world_mm: Point | None


class Edit(Protocol):
    """A change of the coarse fields."""

    def apply(self, fields: Fields, space: Space, frame: Frame) -> None:
        """Change `fields` in place."""
        ...


@dataclass(frozen=True)
class Solid:
    """Soft tissue that takes the place of lung or fat.

    Attributes:
        shape: Reference mm.
        hu: Of what.
        only_lung: Whether it ends where the lung ends.
    """

    shape: Shape
    hu: float
    only_lung: bool = True

    def apply(self, fields: Fields, space: Space, frame: Frame) -> None:
        """Take the place from the lung and give it to the lean tissue."""
        window = space.window(self.shape.bounds(), 6.0)
        if window is None:
            return
        distance = self.shape.distance(*space.at(window))
        if self.only_lung:
            distance = np.maximum(distance, frame.pleura[window] - np.float32(_RIM_MM))
        fields.lung[window] = np.maximum(fields.lung[window], -distance)
        paint(fields, window, distance, self.hu)


@dataclass(frozen=True)
class Haze:
    """Lung that is denser without hiding its vessels.

    Attributes:
        shape: Reference mm.
        hu: Density in its middle.
        soft_mm: Over how many mm it fades.
    """

    shape: Shape
    hu: float
    soft_mm: float

    def apply(self, fields: Fields, space: Space, frame: Frame) -> None:
        """Raise the lung's density."""
        window = space.window(self.shape.bounds(), self.soft_mm)
        if window is not None:
            share = cover(self.shape.distance(*space.at(window)), self.soft_mm)
            density = fields.lung_hu[window]
            fields.lung_hu[window] = density + share * (np.float32(self.hu) - density)


@dataclass(frozen=True)
class Region:
    """A shape that is defined by the chest around it, such as fluid in the pleura.

    Attributes:
        box: Reference mm.
        distance_at: Space and frame to distance, on the points given.
        hu: Of what it is filled with.
        only_lung: Whether it ends where the lung ends.
    """

    box: Bounds
    distance_at: Callable[[Space, Frame], F32]
    hu: float
    only_lung: bool = False

    def apply(self, fields: Fields, space: Space, frame: Frame) -> None:
        """Take the place from the lung and give it to the lean tissue."""
        distance = self.distance_at(space, frame)
        if self.only_lung:
            distance = np.maximum(distance, frame.pleura - np.float32(_RIM_MM))
        fields.lung[...] = np.maximum(fields.lung, -distance)
        paint(fields, ..., distance, self.hu)


def distance_to(edit: Solid | Haze | Region, space: Space, frame: Frame) -> F32:
    """Distance to what an edit fills, mm; it ends at the lung's edge where the edit does."""
    if isinstance(edit, Region):
        distance = edit.distance_at(space, frame)
    else:
        distance = edit.shape.distance(space.x, space.y, space.z)
    if isinstance(edit, Haze) or edit.only_lung:
        distance = np.maximum(distance, frame.pleura)
    return distance


class Lungs:
    """Random places in a patient's lungs to put something, and where they lie.

    Attributes:
        points: Reference mm `(N, 3)`, all inside the lungs.
        depth_mm: Distance of each to the lung's surface, `(N,)`.
        lobe: Index into `LOBES` of each, `(N,)`.
    """

    def __init__(self, patient: Patient) -> None:
        rng = np.random.default_rng([patient.seed, 3])
        points = rng.uniform((-150, -115, -150), (150, 105, 125), (9000, 3))
        depth = -make_frame(Space.of_points(points), patient).pleura
        inside = depth > 2.0
        self.patient = patient
        self.points: NDArray[np.float64] = points[inside]
        self.depth_mm: F32 = depth[inside]
        self.lobe = lobe_index(*self.points.T)
        self.side = np.where(self.points[:, 0] < 0, "left", "right")

    def choose(self, rng: np.random.Generator, wanted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """One place among those `wanted`; anywhere deep enough if none is."""
        places = np.flatnonzero(wanted)
        if not places.size:
            places = np.flatnonzero(self.depth_mm > 8)
        return np.asarray(self.points[rng.choice(places)])

    @cached_property
    def x(self) -> NDArray[np.float64]:
        """To the right, mm."""
        return np.asarray(self.points[:, 0])

    @cached_property
    def y(self) -> NDArray[np.float64]:
        """To the front, mm."""
        return np.asarray(self.points[:, 1])

    @cached_property
    def z(self) -> NDArray[np.float64]:
        """Up, mm."""
        return np.asarray(self.points[:, 2])


def lobe_index(
    x: NDArray[np.floating], y: NDArray[np.floating], z: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """Index into `LOBES` by the fissures: one oblique plane per lung, a flat one on the right."""
    above_oblique = z + 0.85 * y + 10.0 > 0
    above_horizontal = z + 0.12 * y > 4.0
    left = np.where(above_oblique, 0, 1)
    right = np.where(above_oblique, np.where(above_horizontal, 2, 3), 4)
    return np.where(x < 0, left, right).astype(np.uint8)


@dataclass
class Scene:
    """A patient with findings, ready to be drawn.

    Attributes:
        patient: Who.
        lungs: Where things can be put.
        edits: Changes of the fields, in order.
        under: Strokes drawn before vessels and bronchi.
        over: Strokes drawn after them.
        bronchi: How the bronchi look.
        findings: Truth.
        measured: Edits whose volume and centre are to be measured, by index into `findings`.
        points_world_mm: By label, points within what was drawn for it, see `extent`.
    """

    patient: Patient
    lungs: Lungs
    edits: list[Edit] = field(default_factory=list)
    under: list[Stroke] = field(default_factory=list)
    over: list[Stroke] = field(default_factory=list)
    bronchi: Bronchi = field(default_factory=Bronchi)
    findings: list[Finding] = field(default_factory=list)
    measured: dict[int, Region | Solid] = field(default_factory=dict)
    points_world_mm: dict[str, list[list[float]]] = field(default_factory=dict)

    @cached_property
    def heart(self) -> Heart:
        """The patient's heart."""
        return make_heart(self.patient)

    def world(self, point: NDArray[np.floating] | Point) -> Point:
        """One point from reference mm to world mm."""
        return as_point(self.to_world(np.asarray(point, float)))

    def to_world(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Points `(..., 3)` from reference mm to world mm."""
        matrix = self.patient.world_from_reference
        return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])

    def add(
        self,
        label: str,
        *,
        side: str | None = None,
        lobe: str | None = None,
        size_mm: float | None = None,
        volume_ml: float | None = None,
        centre: NDArray[np.floating] | Point | None = None,
    ) -> None:
        """Record a finding; `centre` in reference mm."""
        place = None if centre is None else self.world(centre)
        self.findings.append(Finding(label, side, lobe, size_mm, volume_ml, place))

    def add_solid(
        self,
        label: str,
        edit: Region | Solid,
        *,
        side: str | None,
        lobe: str | None,
        size_mm: float,
    ) -> None:
        """Record a finding whose volume and centre are measured from its edit when asked for."""
        self.edits.append(edit)
        self.measured[len(self.findings)] = edit
        self.findings.append(Finding(label, side, lobe, size_mm, None, None))


def side_of(x: float) -> str:
    """Side of a reference or world position."""
    return "left" if x < 0 else "right"


def as_point(values: NDArray[np.floating]) -> Point:
    """Three numbers as a plain point."""
    x, y, z = (float(v) for v in values)
    return x, y, z

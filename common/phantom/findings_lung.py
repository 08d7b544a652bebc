"""Findings of the lungs and the pleura: what each is drawn from.

Each function adds one CT-RATE label to a scene. Places are reference mm, sizes world mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .fields import Fields, Frame, Space
from .raster import Stroke
from .scene import LOBES, Haze, Region, Scene, Solid, as_point, lobe_index, side_of
from .solids import F32, Ellipsoid, Plate, Point, Texture, Tube, ramp

Rng = np.random.Generator


def add_nodules(scene: Scene, rng: Rng) -> None:
    """One to three solid spheres of 7 to 26 mm, away from the hilum's large vessels."""
    lungs = scene.lungs
    for _ in range(int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))):
        diameter = float(np.clip(7 + rng.gamma(1.8, 3.2), 7, 26))
        far = np.hypot(np.abs(lungs.x) - 48, lungs.y + 15) > 34
        place = lungs.choose(rng, (lungs.depth_mm > diameter / 2 + 3) & far & (lungs.z > -70))
        radius = diameter / 2
        sphere = Ellipsoid(scene.world(place), (radius, radius, radius))
        scene.over.append(Stroke(sphere, float(rng.uniform(20, 70)), "brighter"))
        scene.add(
            "Lung nodule",
            side=side_of(place[0]),
            lobe=_lobe(place),
            size_mm=diameter,
            volume_ml=sphere.volume_ml,
            centre=place,
        )


def add_opacity(scene: Scene, rng: Rng) -> None:
    """One to four hazy patches, -620 to -420 HU, with soft and irregular borders."""
    lungs = scene.lungs
    for number in range(int(rng.integers(1, 5))):
        radii = rng.uniform(16, 34, 3)
        place = lungs.choose(rng, lungs.depth_mm > 10)
        blob = Ellipsoid(
            as_point(place),
            as_point(radii),
            rough_mm=7.0,
            grain_mm=14.0,
            seed=_texture_seed(scene, 20 + number),
        )
        scene.edits.append(Haze(blob, float(rng.uniform(-620, -420)), soft_mm=9.0))
        scene.add(
            "Lung opacity",
            side=side_of(place[0]),
            lobe=_lobe(place),
            size_mm=_extent(scene, radii),
            volume_ml=blob.volume_ml * float(np.prod(scene.patient.scale)),
            centre=place,
        )


def add_consolidation(scene: Scene, rng: Rng) -> None:
    """One or two dense patches that reach the pleura, with air-filled bronchi left open."""
    lungs = scene.lungs
    for number in range(int(rng.choice([1, 2], p=[0.7, 0.3]))):
        radii = rng.uniform(19, 36, 3)
        place = lungs.choose(rng, (lungs.depth_mm > 9) & (lungs.depth_mm < 22))
        blob = Ellipsoid(
            as_point(place),
            as_point(radii),
            rough_mm=8.0,
            grain_mm=11.0,
            seed=_texture_seed(scene, 30 + number),
        )
        scene.add_solid(
            "Consolidation",
            Solid(blob, float(rng.uniform(25, 55))),
            side=side_of(place[0]),
            lobe=_lobe(place),
            size_mm=_extent(scene, radii),
        )
        _air_bronchograms(scene, rng, place, radii)


def _air_bronchograms(
    scene: Scene, rng: Rng, place: NDArray[np.float64], radii: NDArray[np.float64]
) -> None:
    inwards = np.array([np.sign(place[0]) * 48.0, -15.0, 12.0]) - place
    inwards /= np.linalg.norm(inwards)
    for _ in range(int(rng.integers(4, 7))):
        fan = -inwards + rng.normal(0, 0.55, 3)
        fan /= np.linalg.norm(fan)
        start = place + inwards * 0.75 * radii.min()
        stop = start + fan * rng.uniform(1.0, 1.5) * radii.min()
        tube = Tube((scene.world(start), scene.world(stop)), (2.3, 1.3))
        scene.over.append(Stroke(tube, -930.0, "darker"))


def add_atelectasis(scene: Scene, rng: Rng) -> None:
    """Dense plates and a dependent wedge above a diaphragm that stands high."""
    lungs = scene.lungs
    for side in _sides(scene.patient.collapse_side):
        here = lungs.side == side
        for _ in range(int(rng.integers(1, 3))):
            low = (lungs.z < np.quantile(lungs.z[here], 0.3)) & here & (lungs.depth_mm > 6)
            place = lungs.choose(rng, low)
            radius, thick = float(rng.uniform(26, 42)), float(rng.uniform(5.5, 9.5))
            normal: Point = (float(rng.normal(0, 0.3)), float(rng.normal(0.25, 0.3)), 1.0)
            plate = Plate(as_point(place), normal, radius, thick)
            scene.add_solid(
                "Atelectasis",
                Solid(plate, float(rng.uniform(30, 60))),
                side=side,
                lobe=_lobe(place),
                size_mm=2 * radius * scene.patient.mean_scale,
            )
        back = here & (lungs.y < np.quantile(lungs.y[here], 0.12)) & (lungs.z < -40)
        place = lungs.choose(rng, back)
        place[1] = -92.0
        radii = (float(rng.uniform(24, 40)), float(rng.uniform(16, 26)), float(rng.uniform(24, 38)))
        wedge = Ellipsoid(as_point(place), radii, (float(rng.uniform(-25, 0)), 0.0, 0.0))
        scene.add_solid(
            "Atelectasis",
            Solid(wedge, float(rng.uniform(40, 65))),
            side=side,
            lobe=_lobe(place),
            size_mm=2 * max(radii) * scene.patient.mean_scale,
        )


def add_pleural_effusion(scene: Scene, rng: Rng) -> None:
    """Fluid in the dependent pleura of one or both sides, deepest at the base, with a meniscus."""
    which = str(rng.choice(["right", "left", "bilateral"], p=[0.35, 0.25, 0.4]))
    for side in _sides(which):
        deep, top = float(rng.uniform(15, 42)), float(rng.uniform(20, 75))
        box = ((0.0, -120.0, -170.0), (150.0, 110.0, 90.0))
        if side == "left":
            box = ((-150.0, -120.0, -170.0), (0.0, 110.0, 90.0))
        fluid = Region(box, PleuralFluid(side, deep, top), float(rng.uniform(2, 20)), True)
        lobe = LOBES[4] if side == "right" else LOBES[1]
        size = deep * scene.patient.scale[1]
        scene.add_solid("Pleural effusion", fluid, side=side, lobe=lobe, size_mm=size)


@dataclass(frozen=True)
class PleuralFluid:
    """Crescent of fluid along the back of one lung.

    Attributes:
        side: `left` or `right`.
        deep_mm: Depth at the base, reference mm.
        top: Height up to which it reaches.
    """

    side: str
    deep_mm: float
    top: float

    def __call__(self, space: Space, frame: Frame) -> F32:
        """Distance to the fluid."""
        share = ramp(space.z, self.top, -70.0)
        depth = np.float32(self.deep_mm) * share
        level = (frame.depth + np.float32(1)) * np.float32(98) - np.float32(1.35) * depth
        shell = -frame.cage - depth
        fluid = np.float32(0.55) * level + np.float32(0.45) * shell
        fluid += (share < 0.01) * np.float32(20)
        sign = np.float32(1 if self.side == "left" else -1)
        return np.asarray(np.maximum(fluid, sign * space.x))


def add_emphysema(scene: Scene, rng: Rng) -> None:
    """Round holes without walls, most of them in the upper lobes; some larger ones at the apex."""
    lungs = scene.lungs
    upper = np.isin(lungs.lobe, (0, 2)) & (lungs.z > 15)
    places = np.flatnonzero(upper & (lungs.depth_mm > 4))
    number = int(rng.integers(130, 260))
    radii = rng.uniform(3.0, 7.5, number)
    apex = np.flatnonzero(upper & (lungs.z > 60))
    chosen = list(rng.choice(places, number))
    if apex.size:
        large = int(rng.integers(4, 11))
        chosen += list(rng.choice(apex, large))
        radii = np.concatenate([radii, rng.uniform(8, 14, large)])
    volume = 0.0
    for place, radius in zip(lungs.points[chosen], radii, strict=True):
        r = float(radius)
        hole = Ellipsoid(scene.world(place), (r, r, r * float(rng.uniform(0.9, 1.3))))
        scene.under.append(Stroke(hole, float(rng.uniform(-995, -975)), "darker"))
        volume += hole.volume_ml
    scene.add(
        "Emphysema",
        side="bilateral",
        size_mm=float(2 * radii.max()),
        centre=lungs.points[chosen].mean(axis=0),
    )


def add_mosaic(scene: Scene, rng: Rng) -> None:
    """Lobule-sized patches of darker and brighter lung with sharp borders, everywhere."""
    seed = _texture_seed(scene, 40)
    scene.edits.append(
        Mosaic(Texture(seed, float(rng.uniform(20, 28))), float(rng.uniform(75, 110)))
    )
    scene.add("Mosaic attenuation pattern", side="bilateral")


@dataclass(frozen=True)
class Mosaic:
    """Patchwork of two lung densities.

    Attributes:
        texture: Where it is bright.
        swing_hu: Bright lung rises and dark lung falls by about this.
    """

    texture: Texture
    swing_hu: float

    def apply(self, fields: Fields, space: Space, frame: Frame) -> None:
        """Change the lung's density."""
        where = np.nonzero(frame.pleura < 6.0)
        patch = self.texture.at(space.x[where], space.y[where], space.z[where])
        bright = np.clip(patch * np.float32(7.0), -0.75, 1.0)
        fields.lung_hu[where] += np.float32(self.swing_hu) * bright


def add_sequela(scene: Scene, rng: Rng) -> None:
    """Scars: crooked strands that run from a thickened apical pleura towards the hilum."""
    lungs = scene.lungs
    which = str(rng.choice(["right", "left", "bilateral"], p=[0.35, 0.25, 0.4]))
    for side in _sides(which):
        mine = lungs.side == side
        here = mine & (lungs.z > np.quantile(lungs.z[mine], 0.95)) & (lungs.depth_mm < 9)
        place = lungs.choose(rng, here)
        radius = float(rng.uniform(26, 36))
        around = Ellipsoid(as_point(place), (radius, radius, 0.8 * radius))
        cap = PleuralCap(around, float(rng.uniform(4, 7)), _texture_seed(scene, 50))
        scene.edits.append(Region(around.bounds(), cap, 40.0, only_lung=True))
        hilum = np.array([np.sign(place[0]) * 50.0, -15.0, 20.0])
        longest = 0.0
        for _ in range(int(rng.integers(10, 17))):
            start = place + rng.normal(0, (12, 11, 3))
            aim = hilum - start
            aim = aim / np.linalg.norm(aim) + rng.normal(0, 0.45, 3)
            length = float(rng.uniform(22, 48))
            bend = start + aim * length / 2 + rng.normal(0, 4, 3)
            stop = bend + (aim + rng.normal(0, 0.35, 3)) * length / 2
            line = tuple(scene.world(p) for p in (start, bend, stop))
            radius = float(rng.uniform(1.6, 3.0))
            scene.over.append(Stroke(Tube(line, (radius, radius, 0.7 * radius)), 20.0, "brighter"))
            longest = max(longest, length)
        scene.add(
            "Pulmonary fibrotic sequela",
            side=side,
            lobe=_lobe(place),
            size_mm=longest,
            centre=place,
        )


@dataclass(frozen=True)
class PleuralCap:
    """Uneven thickening of the pleura.

    Attributes:
        around: Where.
        thick_mm: Reference mm.
        seed: Of the unevenness.
    """

    around: Ellipsoid
    thick_mm: float
    seed: int

    def __call__(self, space: Space, frame: Frame) -> F32:
        """Distance to the thickened pleura."""
        distance = np.full(space.x.shape, 60.0, np.float32)
        window = space.window(self.around.bounds(), 8.0)
        if window is not None:
            points = space.at(window)
            uneven = np.float32(0.7 * self.thick_mm) * Texture(self.seed, 6.0).at(*points)
            layer = -frame.pleura[window] - np.float32(self.thick_mm) + uneven
            distance[window] = np.maximum(self.around.distance(*points), layer)
        return distance


def add_septal_thickening(scene: Scene, rng: Rng) -> None:
    """A net of thin sheets in the outer and lower lung, and straight lines on the pleura."""
    lungs = scene.lungs
    seed = _texture_seed(scene, 60)
    top = float(rng.uniform(10, 60))
    nets = (Texture(seed, float(rng.uniform(11, 14))), Texture(seed + 1, 12.0))
    scene.edits.append(Septa(nets, top))
    rim = (lungs.depth_mm > 5) & (lungs.depth_mm < 12) & (lungs.z < top) & (np.abs(lungs.x) > 60)
    for place in lungs.points[rng.choice(np.flatnonzero(rim), int(rng.integers(60, 110)))]:
        along = np.array([-place[1] / 90, (place[0] - np.sign(place[0]) * 65) / 70, 0.0])
        normal = as_point(along / max(np.linalg.norm(along), 1e-3) + rng.normal(0, 0.2, 3))
        radius, thick = float(rng.uniform(7, 11)), float(rng.uniform(1.6, 2.2))
        plate = Plate(scene.world(place), normal, radius, thick)
        scene.over.append(Stroke(plate, -50.0, "brighter"))
    scene.add("Interlobular septal thickening", side="bilateral")


@dataclass(frozen=True)
class Septa:
    """Net of sheets where two smooth random fields change their sign.

    Attributes:
        nets: The two fields.
        top: Height above which there are none.
    """

    nets: tuple[Texture, Texture]
    top: float

    def apply(self, fields: Fields, space: Space, frame: Frame) -> None:
        """Hand the distances to the sheets to the voxels."""
        where = np.nonzero(frame.pleura < 4.0)
        points = space.x[where], space.y[where], space.z[where]
        share = np.zeros(space.x.shape, np.float32)
        share[where] = ramp(frame.cage[where], -25.0, -14.0) * ramp(
            points[2], self.top + 15, self.top - 15
        )
        distances = []
        for net in self.nets:
            distance = np.full(space.x.shape, 9.0, np.float32)
            distance[where] = net.at(*points) * np.float32(net.grain_mm)
            distances.append(distance)
        fields.septa = (*distances, share)


def _sides(which: str) -> tuple[str, ...]:
    return ("right", "left") if which == "bilateral" else (which,)


def _lobe(place: NDArray[np.float64]) -> str:
    return LOBES[int(lobe_index(*(place[axis : axis + 1] for axis in range(3)))[0])]


def _extent(scene: Scene, radii: NDArray[np.float64]) -> float:
    return float(2 * radii.max() * scene.patient.mean_scale)


def _texture_seed(scene: Scene, number: int) -> int:
    return scene.patient.seed * 101 + number

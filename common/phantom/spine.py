"""The spine as layers: every vertebra with its arch and processes, discs, sacrum, cord.

Reference mm, RAS. The chest alone has a simpler one, see `skeleton`; bodies stand in the same
places in both. Lumbar vertebrae are 34 mm apart, the others 23.5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .abdomen import mirrored, tube
from .build import Build
from .compounds import Common, Half, Loft
from .fields import LONG_MUSCLES_END_MM, long_muscle
from .painting import Filling, Layer
from .profile import TORSO, Profile
from .skeleton import (
    CANAL_BACK_MM,
    CORD_HU,
    CORD_RADIUS_MM,
    DISC_HU,
    MARROW_HU,
    T1_HEIGHT_MM,
    VERTEBRA_PITCH_MM,
)
from .solids import F32, Bounds, Point

LUMBAR_PITCH_MM = 34.0
THORAX_END_MM = T1_HEIGHT_MM - 11.5 * VERTEBRA_PITCH_MM
BONE = Filling(MARROW_HU, 560.0, 1.8, 3.0, mottle_hu=18, grain_mm=7)
SACRUM = Loft(
    z=(-440, -430, -415, -400, -385, -365, -345, -328, -318, -312),
    y=(-82, -87, -95, -98, -97, -91, -80, -68, -62, -59),
    half_width=(5, 8, 12, 22, 32, 45, 54, 57, 48, 27),
    half_thickness=(4, 5, 6, 8, 9, 11, 14, 16, 17, 16),
    sweep=0.16,
)
_FIRST_RIB: tuple[Point, ...] = (
    (27, -80, 126), (46, -62, 121), (61, -30, 113), (56, 8, 105), (43, 34, 99),
)  # fmt: skip
_ENDLESS_MM = 1000.0


@dataclass(frozen=True)
class Form:
    """How vertebrae of one kind are built, mm.

    Attributes:
        body: Half width, half depth, half height of the body.
        canal: Middle of the canal behind the body's middle, and its radius.
        spinous: Middle of the spinous process behind the body's middle, half its length, half its
            height, and how far it sinks per mm backwards.
        transverse: How far the transverse processes reach aside, and half their height.
        swing: How far they turn backwards, per mm aside.
    """

    body: tuple[float, float, float]
    canal: tuple[float, float]
    spinous: tuple[float, float, float, float]
    transverse: tuple[float, float]
    swing: float


LUMBAR = Form((21.5, 15.8, 13.6), (27.0, 10.7), (53.0, 15.0, 9.0, 0.1), (43.0, 5.5), 0.2)
THORACIC = Form((16.5, 14.0, 9.3), (CANAL_BACK_MM, 8.6), (46.0, 13.0, 5.5, 0.34), (31.0, 5.0), 0.28)


@dataclass(frozen=True)
class Vertebra:
    """A vertebra: body, pedicles, arch, spinous and transverse processes.

    Attributes:
        height: Middle of its body.
        form: Of its kind.
        size: Against the reference.
    """

    height: float
    form: Form
    size: float = 1.0

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance, to first order."""
        s, form = np.float32(1 / self.size), self.form
        back, off = _along(y, z, self.height)
        side, back, off = np.abs(x) * s, back * s, off * s
        middle, radius = form.canal
        around = np.sqrt(side * side + (back + np.float32(middle)) ** 2)
        tall = form.body[2]
        arch = np.maximum(np.abs(around - np.float32(radius + 2.6)) - np.float32(2.6),
                          back + np.float32(middle - 6))  # fmt: skip
        arch = np.maximum(arch, np.abs(off) - np.float32(0.8 * tall))
        pedicle = _box((side, back, off), (radius + 1.8, -0.5 * middle - 4, 0.3 * tall),
                       (3.4, 0.5 * middle - 3, 0.45 * tall))  # fmt: skip
        far, half, height, drop = form.spinous
        sunk = off - np.float32(drop) * (back + np.float32(far - half))
        spinous = _box((side, back, sunk), (0, -far, 0), (3.2, half, height))
        reach, high = form.transverse
        turned = back + np.float32(middle - 3) + np.float32(form.swing) * side
        inner = radius + 1.5
        wings = _box((side, turned, off), (0.5 * (reach + inner), 0, 0),
                     (0.5 * (reach - inner), 4.0, high))  # fmt: skip
        parts = (_column(side, back, off, form.body), arch, pedicle, spinous, wings)
        return np.asarray(np.minimum.reduce(parts) * np.float32(self.size))

    def bounds(self) -> Bounds:
        """Box around it."""
        y, (far, half, high, drop) = spine_y(self.height), self.form.spinous
        side, tall = self.form.transverse[0] + 2, 1.15 * self.form.body[2] + 2
        low = min(-tall, -2 * drop * half - high - 2)
        return (
            (-side, y - far - half - 8, self.height + low),
            (side, y + 24, self.height + tall),
        )


@dataclass(frozen=True)
class Disc:
    """The disc between two vertebrae.

    Attributes:
        height: Its middle.
        body: Half width, half depth, half height.
    """

    height: float
    body: tuple[float, float, float]

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance, to first order."""
        back, off = _along(y, z, self.height)
        return _column(np.abs(x), back, off, self.body)

    def bounds(self) -> Bounds:
        """Box around it."""
        y, (wide, deep, tall) = spine_y(self.height), self.body
        return (
            (-wide - 4, y - deep - 8, self.height - tall),
            (wide + 4, y + deep + 8, self.height + tall),
        )


@dataclass(frozen=True)
class AlongSpine:
    """Something that follows the spine from end to end: the cord, or a long muscle.

    Attributes:
        sign: 0 for the cord; 1 for the right muscle, -1 for the left.
        profile: Where the spine runs.
    """

    sign: float
    profile: Profile = TORSO

    def distance(self, x: F32, y: F32, z: F32) -> F32:
        """Signed distance."""
        back = y - self.profile.spine[self.profile.index(z)]
        if not self.sign:
            around = np.sqrt(x * x + (back + np.float32(CANAL_BACK_MM)) ** 2)
            return np.asarray(around - np.float32(CORD_RADIUS_MM))
        around = long_muscle(x, back, self.sign)
        if self.profile is TORSO:
            np.maximum(around, np.float32(LONG_MUSCLES_END_MM) - z, out=around)
        return around

    def bounds(self) -> Bounds:
        """Box around it."""
        low, high = sorted((self.sign * 2.0, self.sign * 52.0)) if self.sign else (-6.0, 6.0)
        return (low, -150.0, -_ENDLESS_MM), (high, 30.0, _ENDLESS_MM)


def autochthon(side: str, profile: Profile) -> AlongSpine:
    """The long muscle of one side, as `fields` draws it."""
    return AlongSpine(-1.0 if side == "left" else 1.0, profile)


def spine_y(z: float) -> float:
    """Middle of the vertebral bodies, front to back."""
    return float(TORSO.spine[TORSO.index(np.array([z], np.float32))][0])


def spine_layers(build: Build) -> list[Layer]:
    """Discs, vertebrae from C1 to L5, sacrum with S1, first ribs, the cord in its canal."""
    s = build.size["bones"]
    upper = [(f"C{n}", T1_HEIGHT_MM + VERTEBRA_PITCH_MM * (8 - n)) for n in range(1, 8)]
    upper += [(f"T{n}", T1_HEIGHT_MM - VERTEBRA_PITCH_MM * (n - 1)) for n in range(1, 13)]
    lower = [(f"L{n}", THORAX_END_MM - LUMBAR_PITCH_MM * (n - 0.5)) for n in range(1, 6)]
    disc = Filling(DISC_HU, mottle_hu=5)
    layers = [
        *(Layer("disc", Disc(z + 0.5 * VERTEBRA_PITCH_MM, (17.5, 15, 2.9)), disc)
          for _, z in upper),
        *(Layer("disc", Disc(z + sign * 0.5 * LUMBAR_PITCH_MM, (23, 17, 3.9)), disc)
          for name, z in lower for sign in ((1, -1) if name == "L5" else (1,))),
        *(Layer(f"vertebrae_{name}", Vertebra(z, form, s), BONE, within="skin")
          for form, part in ((THORACIC, upper), (LUMBAR, lower)) for name, z in part),
    ]  # fmt: skip
    cut: Point = (0, -72, -337)
    layers += [
        Layer("sacrum", Common((SACRUM, Half(cut, (0, 0.5, 1)))), BONE),
        Layer("vertebrae_S1", Common((SACRUM, Half(cut, (0, -0.5, -1)))), BONE),
    ]
    top = [z for _, z in upper]
    levels = (*top[::2], THORAX_END_MM, *(z for _, z in lower))
    backs = (*(CANAL_BACK_MM for _ in top[::2]), 25.5, *(27.0 for _ in lower))
    canal: tuple[Point, ...] = (
        *((0, spine_y(z) - b, z) for z, b in zip(levels, backs, strict=True)),
        (0, -76, -314), (0, -86, -338), (0, -95, -358),
    )  # fmt: skip
    wide = (*(8.4 for _ in top[::2]), 8.8, *(10.2 for _ in lower), 8.5, 6, 4)
    cord = (*(5.0 for _ in top[::2]), 5.8, *(7.0 for _ in lower), 6, 4, 2.5)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        rib = tube(mirrored(_FIRST_RIB, sign), (4.2, 4, 4, 4.4, 4.6))
        layers.append(Layer(f"rib_{side}_1", rib, BONE))
    return [
        *layers,
        Layer("fat", tube(canal, wide), Filling(-85.0)),
        Layer("spinal_cord", tube(canal, cord), Filling(CORD_HU)),
    ]


def _along(y: F32, z: F32, height: float) -> tuple[F32, F32]:
    """In front of the bodies' middle, and above a height, mm; it leans as the spine runs there."""
    lean = np.float32((spine_y(height + 9) - spine_y(height - 9)) / 18)
    back = y - np.float32(spine_y(height)) - lean * (z - np.float32(height))
    off = z - np.float32(height) + lean * back
    return np.asarray(back, np.float32), np.asarray(off, np.float32)


def _column(side: F32, back: F32, off: F32, body: tuple[float, float, float]) -> F32:
    wide, deep, tall = body
    waist = np.float32(1) + np.float32(0.12 / tall**2) * off * off
    u, v = side / (np.float32(wide) * waist), back / (np.float32(deep) * waist)
    around = (np.sqrt(u * u + v * v) - np.float32(1)) * np.float32(0.5 * (wide + deep))
    return np.asarray(np.maximum(around, np.abs(off) - np.float32(tall)))


def _box(point: tuple[F32, F32, F32], middle: Point, half: Point) -> F32:
    sides = (np.abs(p - np.float32(m)) - np.float32(h)
             for p, m, h in zip(point, middle, half, strict=True))  # fmt: skip
    return np.asarray(np.maximum.reduce(list(np.broadcast_arrays(*sides))))

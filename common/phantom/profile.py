"""How the trunk changes with height: widths and depths, read from tables over z.

All numbers are reference mm, RAS. Two profiles: `CHEST` ends at the waist and goes on below it as
it is there; `TORSO` is the same above the waist and leads on to the thighs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .solids import F32

_LOWEST, _HIGHEST, _STEP = -260.0, 240.0, 0.5
_FURTHER = 680  # table entries that `TORSO` has below those of `CHEST`: down to -600
_WAIST = -185.0
_HEIGHTS = np.arange(_LOWEST, _HIGHEST, _STEP)


def _table(knots: Mapping[int, float]) -> F32:
    values = np.interp(_HEIGHTS, sorted(knots), [knots[z] for z in sorted(knots)])
    kernel = np.hanning(41)  # rounds the corners of the table over 20 mm
    padded = np.pad(values, 20, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)


CAGE_HALF_WIDTH = _table(
    {-240: 136, -175: 140, -140: 143, -100: 145, -60: 144, -20: 140, 20: 130}
    | {60: 110, 85: 90, 105: 66, 118: 38, 127: 12, 140: 6}
)
"""Half width of the space inside the ribs."""
CAGE_HALF_DEPTH = _table(
    {
        -240: 96,
        -140: 100,
        -60: 102,
        -20: 100,
        20: 95,
        60: 81,
        85: 66,
        105: 48,
        118: 29,
        127: 10,
        140: 5,
    }
)
"""Half depth of the space inside the ribs."""
CAGE_MIDDLE = _table({-240: -2, -60: 0, -20: 0, 20: -3, 60: -10, 85: -17, 105: -24, 127: -30})
"""Where, front to back, that space has its middle."""
BODY_HALF_WIDTH = _table(
    {
        -240: 166,
        -175: 168,
        -100: 172,
        -20: 172,
        40: 174,
        80: 176,
        110: 168,
        135: 140,
        160: 92,
        185: 68,
    }
)
"""Half width of the body under its fat."""
BODY_HALF_DEPTH = _table(
    {-240: 114, -100: 119, -20: 121, 40: 118, 80: 108, 110: 92, 140: 76, 170: 66}
)
"""Half depth of the body under its fat."""
BODY_MIDDLE = np.full(len(_HEIGHTS), -8.0, np.float32)
"""Where, front to back, the body has its middle."""
SPINE = _table({z: -66 + 0.0011 * z * z for z in range(-240, 241, 20)})
"""Where, front to back, the vertebral bodies have their middle."""


@dataclass(frozen=True)
class Profile:
    """Tables over height, all of one length, in steps of 0.5 mm.

    Attributes:
        further: Entries below z = -260, where the chest's tables begin.
        cage_half_width: Half width of the space inside ribs, abdominal wall and pelvis.
        cage_half_depth: Half depth of that space.
        cage_middle: Where, front to back, it has its middle.
        body_middle: Where, front to back, the body has its middle.
        body_half_width: Half width of the body under its fat.
        body_half_depth: Half depth of the body under its fat.
        spine: Where, front to back, the vertebral bodies have their middle.
    """

    further: int
    cage_half_width: F32
    cage_half_depth: F32
    cage_middle: F32
    body_middle: F32
    body_half_width: F32
    body_half_depth: F32
    spine: F32

    def index(self, z: F32) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        """Index into the tables for each height."""
        return height_index(z, self.further)


def height_index(z: F32, further: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Index into tables that begin `further` entries below those of the chest."""
    index = ((z - np.float32(_LOWEST)) * np.float32(1 / _STEP)).astype(np.int32)
    if further:
        index += np.int32(further)
    return np.clip(index, 0, len(_HEIGHTS) + further - 1, out=index)


def _further_down(chest: F32, knots: Mapping[int, float], join: float = _WAIST) -> F32:
    """The chest's table, and below `join` one through `knots`; they should meet there."""
    heights = _LOWEST + _STEP * np.arange(-_FURTHER, len(_HEIGHTS))
    whole = np.concatenate([np.full(_FURTHER, chest[0]), chest]).astype(np.float32)
    above = {float(z): float(whole[np.searchsorted(heights, z)]) for z in (join, join + 10)}
    points = above | {float(z): value for z, value in knots.items()}
    lower = np.interp(heights, sorted(points), [points[z] for z in sorted(points)])
    kernel = np.hanning(61)  # rounds the corners over 30 mm
    lower = np.convolve(np.pad(lower, 30, mode="edge"), kernel / kernel.sum(), mode="valid")
    share = np.clip((join - heights) / 10.0, 0.0, 1.0)
    return np.where(share > 0, whole + share * (lower - whole), whole).astype(np.float32)


def rounded_rectangle(x: F32, y: F32, half_width: F32, half_depth: F32) -> F32:
    """Distance, in plane, to an outline between an ellipse and a rectangle."""
    across, along = np.float32(1) / half_width, np.float32(1) / half_depth
    u, v = x * across, y * along
    uu, vv = np.minimum(u * u, np.float32(3.5)), np.minimum(v * v, np.float32(3.5))
    level = uu + vv
    level -= np.float32(0.25) * uu * vv
    level -= np.float32(1)
    u *= across * (np.float32(2) - np.float32(0.5) * vv)
    v *= along * (np.float32(2) - np.float32(0.5) * uu)
    u *= u
    v *= v
    u += v
    slope = np.sqrt(u, out=u)
    level /= np.maximum(slope, np.float32(0.008))
    # far outside, where the outline's formula no longer holds, the distance to its box does
    box = np.maximum(np.abs(x) - half_width, np.abs(y) - half_depth)
    box *= np.float32(0.9)
    return np.asarray(np.maximum(level, box, out=level))


CHEST = Profile(
    further=0,
    cage_half_width=CAGE_HALF_WIDTH,
    cage_half_depth=CAGE_HALF_DEPTH,
    cage_middle=CAGE_MIDDLE,
    body_middle=BODY_MIDDLE,
    body_half_width=BODY_HALF_WIDTH,
    body_half_depth=BODY_HALF_DEPTH,
    spine=SPINE,
)
TORSO = Profile(
    further=_FURTHER,
    cage_half_width=_further_down(
        CAGE_HALF_WIDTH,
        {-240: 137, -275: 135, -310: 124, -345: 104, -370: 80, -400: 58, -430: 46, -455: 26}
        | {-600: 22},
    ),
    cage_half_depth=_further_down(
        CAGE_HALF_DEPTH,
        {-240: 93, -300: 92, -340: 87, -380: 76, -415: 60, -440: 44, -455: 26, -600: 22},
    ),
    cage_middle=_further_down(
        CAGE_MIDDLE, {-240: -1, -300: 0, -340: -2, -380: -8, -415: -11, -450: -20, -600: -20}
    ),
    body_middle=_further_down(
        BODY_MIDDLE,
        {-230: -8, -300: -8, -340: -12, -380: -22, -404: -25, -425: -24, -445: -19, -475: -15}
        | {-600: -14},
    ),
    body_half_width=_further_down(
        BODY_HALF_WIDTH,
        {-230: 162, -265: 159, -300: 160, -340: 163, -390: 167, -420: 168, -460: 162, -600: 160},
    ),
    body_half_depth=_further_down(
        BODY_HALF_DEPTH,
        {-230: 112, -270: 109, -320: 111, -380: 112, -404: 111, -425: 102, -445: 91, -460: 82}
        | {-480: 76, -600: 76},
    ),
    spine=_further_down(
        SPINE,
        {-130: -55, -150: -53, -175: -48, -200: -43, -226: -40, -262: -41, -294: -47}
        | {-312: -53, -345: -64, -600: -80},
        join=-105.0,
    ),
)

"""How the trunk changes with height: widths and depths, read from tables over z.

All numbers are reference mm, RAS.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .solids import F32

_LOWEST, _HIGHEST, _STEP = -260.0, 240.0, 0.5
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
SPINE = _table({z: -66 + 0.0011 * z * z for z in range(-240, 241, 20)})
"""Where, front to back, the vertebral bodies have their middle."""


def height_index(z: F32) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """Index into the tables for each height."""
    index = ((z - np.float32(_LOWEST)) * np.float32(1 / _STEP)).astype(np.int32)
    return np.clip(index, 0, len(_HEIGHTS) - 1, out=index)


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

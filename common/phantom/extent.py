"""Where a finding can be seen, as points in world mm (RAS+), for training on single slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .anatomy import Heart
from .fields import Space, make_frame
from .findings_lung import Septa
from .scene import Edit, Haze, Region, Scene, Solid, distance_to
from .solids import Bounds, Shape, Tube

SPACING_MM = 8.0
"""Points of one thing lie no farther apart than this."""
Marks = tuple[int, int, int]
Points = NDArray[np.float64]


def marks(scene: Scene) -> Marks:
    """How far a scene has got: edits, strokes under, strokes over."""
    return len(scene.edits), len(scene.under), len(scene.over)


def points_since(scene: Scene, since: Marks, label: str) -> list[list[float]]:
    """Points within each thing that was added to a scene for one label.

    What has no shape of its own (a mosaic, thick bronchial walls) lies in the lungs; an enlarged
    heart is where the heart is, widened bronchi are within their regions.

    Args:
        scene: After the label was added.
        since: `marks` before it was.
        label: Official CT-RATE name.

    Returns:
        Points [x, y, z], world mm, rounded to 0.1.
    """
    world: list[Points] = []
    reference: list[Points] = []
    if label == "Cardiomegaly":
        reference.append(_inside(scene.heart))
    for edit in scene.edits[since[0] :]:
        if label == "Lymphadenopathy" and not any(edit is sick for sick in scene.measured.values()):
            continue  # a node of normal size
        reference.append(_edited(scene, edit))
    for stroke in (*scene.under[since[1] :], *scene.over[since[2] :]):
        world.append(_inside(stroke.shape))
    if not world and not reference:
        reference.append(scene.lungs.points)
    world.append(scene.to_world(np.concatenate([np.empty((0, 3)), *reference])))
    points = np.concatenate(world)
    if label == "Bronchiectasis":
        places = np.array([place for place, _ in scene.bronchi.widened])
        radii = np.array([radius for _, radius in scene.bronchi.widened])
        away = np.linalg.norm(points[:, None] - places, axis=2)
        points = points[(away < radii).any(axis=1)]
    rounded: list[list[float]] = points.round(1).tolist()
    return rounded


def _edited(scene: Scene, edit: Edit) -> Points:
    if isinstance(edit, Region):
        grid = _grid(edit.box)
    elif isinstance(edit, Solid | Haze):
        grid = _grid(edit.shape.bounds())
    elif isinstance(edit, Septa):
        lungs = scene.lungs
        return np.asarray(lungs.points[(lungs.z < edit.top) & (lungs.depth_mm < 25)])
    else:
        return scene.lungs.points
    space = Space.of_points(grid)
    return np.asarray(grid[distance_to(edit, space, make_frame(space, scene.patient)) < 0])


def _inside(shape: Shape | Heart) -> Points:
    """Points in a shape; along its middle where it is a tube, its centre where it is small."""
    if isinstance(shape, Tube):
        pieces = [np.asarray(piece.points) for piece in shape.pieces()]
        steps = [int(np.ceil(np.linalg.norm(b - a) / SPACING_MM)) for a, b in pieces]
        return np.concatenate(
            [np.linspace(a, b, n + 1) for (a, b), n in zip(pieces, steps, strict=True)]
        )
    grid = _grid(shape.bounds())
    x, y, z = grid.T.astype(np.float32)
    inside = grid[shape.distance(x, y, z) < 0]
    return inside if len(inside) else np.asarray(shape.bounds()).mean(axis=0, keepdims=True)


def _grid(box: Bounds) -> Points:
    low, high = np.asarray(box, dtype=np.float64)
    number = np.ceil((high - low) / SPACING_MM).astype(int).clip(3)
    axes = [
        a + (np.arange(n) + 0.5) * (b - a) / n for a, b, n in zip(low, high, number, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)

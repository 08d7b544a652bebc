"""Over which heights a finding can be seen, for training on single slices.

Heights are world z in mm, RAS+.
"""

from __future__ import annotations

import numpy as np

from .findings_lung import Septa
from .scene import Haze, Region, Scene, Solid
from .solids import Bounds

Extent = tuple[float, float]
Marks = tuple[int, int, int]


def marks(scene: Scene) -> Marks:
    """How far a scene has got: edits, strokes under, strokes over."""
    return len(scene.edits), len(scene.under), len(scene.over)


def extents_since(scene: Scene, since: Marks, label: str) -> list[Extent]:
    """Lowest and highest point of each thing that was added to a scene for one label.

    What has no box of its own (a mosaic, thick bronchial walls) lies in the lungs from its
    lowest to its highest point; an enlarged heart is as high as the heart.

    Args:
        scene: After the label was added.
        since: `marks` before it was.
        label: Official CT-RATE name.
    """
    if label == "Cardiomegaly":
        return [_heights(scene, scene.heart.bounds())]
    boxes: list[Bounds] = []
    found: list[Extent] = []
    for edit in scene.edits[since[0] :]:
        if label == "Lymphadenopathy" and not any(edit is sick for sick in scene.measured.values()):
            continue  # a node of normal size
        if isinstance(edit, Region):
            boxes.append(edit.box)
        elif isinstance(edit, Solid | Haze):
            boxes.append(edit.shape.bounds())
        else:
            found.append(_lungs(scene, edit.top if isinstance(edit, Septa) else np.inf))
    found += [_heights(scene, box) for box in boxes]
    for stroke in (*scene.under[since[1] :], *scene.over[since[2] :]):
        low, high = stroke.shape.bounds()
        found.append((float(low[2]), float(high[2])))
    return found or [_lungs(scene, np.inf)]


def _lungs(scene: Scene, top: float) -> Extent:
    points = scene.lungs.points[scene.lungs.z <= top]
    return _heights(scene, (tuple(points.min(axis=0)), tuple(points.max(axis=0))))


def _heights(scene: Scene, box: Bounds) -> Extent:
    """World z of a box in reference mm, through its centre line: tilt is small."""
    low, high = np.asarray(box[0]), np.asarray(box[1])
    middle = (low + high) / 2
    ends = [scene.world((middle[0], middle[1], z))[2] for z in (low[2], high[2])]
    return min(ends), max(ends)

"""Volumes and centres of findings, the same whatever grid the head was drawn on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..lattice import Lattice
from ..scene import Finding
from ..solids import F32
from .inside import fill_inside
from .scene import HeadScene
from .vault import surfaces

STEP_MM = 2.0
_LOW_MM, _HIGH_MM = (-76.0, -112.0, -76.0), (76.0, 78.0, 84.0)


def measured_findings(scene: HeadScene) -> tuple[Finding, ...]:
    """A scene's findings with volume and centre of all that has voxels."""
    if not scene.findings:
        return ()
    place, shares = _shares(scene)
    cell_ml = STEP_MM**3 * float(np.prod(scene.head.scale)) / 1000
    found = list(scene.findings)
    for number, share in shares.items():
        total = float(share.sum(dtype=np.float64))
        if total < 1e-3:
            found[number] = replace(found[number], volume_ml=0.0)
            continue
        centre = np.array([float((share * v).sum(dtype=np.float64)) / total for v in place])
        finding = replace(found[number], volume_ml=total * cell_ml)
        if finding.centre_world_mm is None:
            finding = replace(finding, centre_world_mm=scene.world(centre))
        found[number] = finding
    return tuple(found)


def _shares(scene: HeadScene) -> tuple[tuple[F32, F32, F32], dict[int, F32]]:
    low, high = np.asarray(_LOW_MM), np.asarray(_HIGH_MM)
    matrix = np.diag([STEP_MM] * 3 + [1.0])
    matrix[:3, 3] = low
    i, j, k = (int(n) for n in np.ceil((high - low) / STEP_MM))
    lattice = Lattice(matrix, (i, j, k))
    x, y, z = (np.broadcast_to(v, lattice.shape).ravel()
               for v in lattice.coordinates(lattice.whole()))  # fmt: skip
    cavity = surfaces(scene.head, x, y, z, tuple(scene.dents)).cavity
    inside = cavity < 0
    place = x[inside], y[inside], z[inside]
    return place, fill_inside(scene, place, cavity[inside], STEP_MM).shares

"""A synthetic scan with its truth: voxels, patient, findings, organ masks, report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..volumes.volume import Volume
from .drawing import COARSE_STEP_MM
from .fields import Space, make_frame
from .lattice import Lattice
from .organs import draw_organs
from .patient import Patient
from .report import write_report
from .scene import Finding, Region, Scene, Solid, distance_to

_MEASURE_STEP_MM = 3.0


@dataclass(frozen=True)
class Phantom:
    """A synthetic CT and the truth about it.

    Attributes:
        volume: Voxels int16 HU `(I, J, K)`, slope 1, intercept 0, affine to RAS world mm.
        patient: The body and how it was scanned.
        scene: What was drawn.
        painted: What was painted below the diaphragm, as `painting.paint` returns it; None where
            that is not in the picture. Half as much memory as the voxels.
    """

    volume: Volume
    patient: Patient
    scene: Scene
    painted: NDArray[np.uint8] | None = None

    @property
    def patient_id(self) -> str:
        """Name of the patient: one per seed."""
        return f"phantom_{self.patient.seed}"

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """Labels present, in official order."""
        present = {finding.label for finding in self.scene.findings}
        return tuple(label for label in CT_RATE_LABELS if label in present)

    @cached_property
    def labels(self) -> NDArray[np.float32]:
        """1 where a label is present, float32 `(18,)`, official CT-RATE order."""
        return np.array([label in self.label_names for label in CT_RATE_LABELS], np.float32)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Truth, in official label order; volumes are measured the first time it is asked for.

        One entry per nodule, opacity, consolidation, collapsed part, enlarged node, side of an
        effusion or scar, widened region; one entry for what is spread out (emphysema, mosaic,
        septal and peribronchial thickening) or strung along vessels (both calcifications: volume
        of all plaques, extent of the longest).
        """
        findings = [self._measured(n, f) for n, f in enumerate(self.scene.findings)]
        return tuple(sorted(findings, key=lambda f: CT_RATE_LABELS.index(f.label)))

    @cached_property
    def report(self) -> str:
        """The findings as a radiologist would write them."""
        return write_report(self.findings, self.patient)

    @cached_property
    def organs(self) -> NDArray[np.uint8]:
        """TotalSegmentator v2 ids `(I, J, K)` of all that is drawn, one per voxel.

        Lungs include lesions, but not pleural fluid. Made the first time it is asked for, from
        the same shapes as the voxels, without drawing these again; see `torso` for what it costs.
        """
        lattice = Lattice(self.volume.affine, shape_of(self.volume.voxels.shape))
        return draw_organs(lattice, self.scene, COARSE_STEP_MM, self.painted)

    def _measured(self, number: int, finding: Finding) -> Finding:
        edit = self.scene.measured.get(number)
        if edit is None:
            return finding
        volume_ml, centre = _measure(edit, self.scene)
        return replace(finding, volume_ml=volume_ml, centre_world_mm=centre)


def _measure(edit: Region | Solid, scene: Scene) -> tuple[float, tuple[float, float, float] | None]:
    """Volume in ml and centre of an edit, on a fixed grid over its box."""
    low, high = edit.box if isinstance(edit, Region) else edit.shape.bounds()
    matrix = np.diag([_MEASURE_STEP_MM] * 3 + [1.0])
    matrix[:3, 3] = np.asarray(low) - 3.0
    size = np.ceil((np.asarray(high) - low + 6.0) / _MEASURE_STEP_MM).astype(int) + 1
    space = Space.of_lattice(Lattice(matrix, shape_of(size)))
    distance = distance_to(edit, space, make_frame(space, scene.patient))
    share = np.clip(0.5 - distance / _MEASURE_STEP_MM, 0.0, 1.0).astype(np.float64)
    total = float(share.sum())
    if total == 0:
        return 0.0, None
    centre = [float((share * axis).sum() / total) for axis in (space.x, space.y, space.z)]
    scale = float(np.prod(scene.patient.scale))
    return total * _MEASURE_STEP_MM**3 * scale / 1000, scene.world(np.asarray(centre))


def shape_of(size: Iterable[int]) -> tuple[int, int, int]:
    """Three sizes as plain numbers."""
    i, j, k = (int(n) for n in size)
    return i, j, k

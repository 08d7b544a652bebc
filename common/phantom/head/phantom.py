"""A synthetic head CT with its truth: voxels, findings, organ and lesion masks, report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...vocabulary.head_findings import ABNORMAL, HEAD_CONSEQUENCES, HEAD_FINDINGS, HEAD_LABELS
from ...volumes.volume import Volume
from ..scene import Finding
from .build import Head
from .measure import measured_findings
from .report import write_head_report
from .scene import HeadScene


@dataclass(frozen=True)
class HeadPhantom:
    """A synthetic head CT and the truth about it.

    Attributes:
        volume: Voxels int16 HU `(I, J, K)`, slope 1, intercept 0, affine to RAS world mm.
        patient: The head and how it was scanned.
        scene: What was drawn.
        organs: TotalSegmentator v2 ids `(I, J, K)`: skull with face and jaw, brain (all within
            the inner table, fluid and blood included), spinal cord, first two vertebrae.
        lesions: Number of the finding, `findings[number - 1]`, that fills more than half of a
            voxel, `(I, J, K)`; 0 elsewhere. Breaks, wide ventricles and what follows from other
            findings have no voxels; blood in narrow sulci fills few by more than half.
    """

    volume: Volume
    patient: Head
    scene: HeadScene
    organs: NDArray[np.uint8]
    lesions: NDArray[np.uint8]

    @property
    def patient_id(self) -> str:
        """Name of the patient: one per seed, the same as of the seed's trunk."""
        return f"phantom_{self.patient.seed}"

    @cached_property
    def label_names(self) -> tuple[str, ...]:
        """Findings present and what follows from them, in official order."""
        present = {finding.label for finding in self.scene.findings}
        return tuple(name for name in (*HEAD_FINDINGS, *HEAD_CONSEQUENCES) if name in present)

    @cached_property
    def labels(self) -> NDArray[np.float32]:
        """1 where a label is present, float32 `(12,)`, order of `HEAD_LABELS`: abnormal first."""
        present = {*self.label_names, *([ABNORMAL] if self.label_names else [])}
        return np.array([label in present for label in HEAD_LABELS], np.float32)

    @property
    def abnormal(self) -> bool:
        """Whether there is any finding; a variant of normal is none."""
        return bool(self.label_names)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Truth, in official order; volumes and centres are measured when first asked for.

        One entry per bleed, infarct, mass and break, and one each for hydrocephalus, mass effect
        and midline shift. `lobe` holds the place. `size_mm` is the thickness of what lies around
        the brain, the diameter of what lies in it, the length of a break, the width of both
        frontal horns, the largest displacement, the shift of the septum.
        """
        return measured_findings(self.scene)

    @cached_property
    def report(self) -> str:
        """The findings as a radiologist would write them."""
        return write_head_report(self.findings)

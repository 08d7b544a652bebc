"""`make_chest`: a synthetic chest CT with its truth, from a seed.

The patient is drawn first, by chance; then the voxels are filled. So one seed is one patient on
whatever grid, and only the noise belongs to the grid. Nothing is kept between calls.

Speed on one core, as `python scripts/make_phantom.py --time` prints it: 0.46 s for 240 x 240 x 120
voxels, 0.80 s for 400 x 340 x 200, 1.8 s for 512 x 512 x 300 (AMD EPYC, 2.6 GHz).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..tables.ct_rate import CT_RATE_LABELS
from ..volume import Volume
from .branches import bronchus_strokes, bronchus_tubes, grow, vessel_strokes
from .extent import marks, points_since
from .fields import Space, make_frame, soft_tissue
from .findings_lung import (
    add_atelectasis,
    add_consolidation,
    add_emphysema,
    add_mosaic,
    add_nodules,
    add_opacity,
    add_pleural_effusion,
    add_septal_thickening,
    add_sequela,
)  # fmt: skip
from .findings_mediastinum import (
    add_arterial_calcification,
    add_bronchiectasis,
    add_cardiomegaly,
    add_coronary_calcification,
    add_coronary_courses,
    add_hiatal_hernia,
    add_lymph_nodes,
    add_medical_material,
    add_peribronchial_thickening,
    add_pericardial_effusion,
    add_stomach_air,
)  # fmt: skip
from .grids import make_grid
from .lattice import Lattice
from .organs import draw_organs
from .patient import Patient, draw_patient
from .prevalence import draw_labels, known_labels
from .raster import add_noise, draw, fill
from .report import write_report
from .scene import Finding, Lungs, Region, Scene, Solid, distance_to
from .skeleton import add_bones
from .table import draw_table

COARSE_STEP_MM = 3.0
_MEASURE_STEP_MM = 3.0

_ADD = {
    "Medical material": add_medical_material,
    "Arterial wall calcification": add_arterial_calcification,
    "Cardiomegaly": add_cardiomegaly,
    "Pericardial effusion": add_pericardial_effusion,
    "Coronary artery wall calcification": add_coronary_calcification,
    "Hiatal hernia": add_hiatal_hernia,
    "Emphysema": add_emphysema,
    "Atelectasis": add_atelectasis,
    "Lung nodule": add_nodules,
    "Lung opacity": add_opacity,
    "Pulmonary fibrotic sequela": add_sequela,
    "Pleural effusion": add_pleural_effusion,
    "Mosaic attenuation pattern": add_mosaic,
    "Peribronchial thickening": add_peribronchial_thickening,
    "Consolidation": add_consolidation,
    "Bronchiectasis": add_bronchiectasis,
    "Interlobular septal thickening": add_septal_thickening,
}
_DRAWING_ORDER = (
    "Mosaic attenuation pattern",  # first what fills the lungs, then what takes its place
    "Lung opacity",
    "Consolidation",
    "Atelectasis",
    "Pulmonary fibrotic sequela",
    "Pericardial effusion",
    "Hiatal hernia",
    "Pleural effusion",
)


@dataclass(frozen=True)
class ChestPhantom:
    """A synthetic chest CT and the truth about it.

    Attributes:
        volume: Voxels int16 HU `(I, J, K)`, slope 1, intercept 0, affine to RAS world mm.
        patient: The body and how it was scanned.
        scene: What was drawn.
    """

    volume: Volume
    patient: Patient
    scene: Scene

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
        """TotalSegmentator v2 ids `(I, J, K)` of all that is drawn; lungs include lesions."""
        lattice = Lattice(self.volume.affine, _shape(self.volume.voxels.shape))
        return draw_organs(lattice, self.scene, COARSE_STEP_MM)

    def _measured(self, number: int, finding: Finding) -> Finding:
        edit = self.scene.measured.get(number)
        if edit is None:
            return finding
        volume_ml, centre = _measure(edit, self.scene)
        return replace(finding, volume_ml=volume_ml, centre_world_mm=centre)


def make_chest(
    *,
    seed: int,
    spacing_mm: tuple[float, float, float] = (0.8, 0.8, 1.5),
    shape: tuple[int, int, int] | None = None,
    axcodes: str = "LPS",
    affine: NDArray[np.float64] | None = None,
    findings: Iterable[str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
) -> ChestPhantom:
    """Make a synthetic chest CT.

    The patient lies with mid lung at the world's origin.

    Args:
        seed: Which patient; `SEED_RANGES` keeps training, validation and test apart.
        spacing_mm: Voxel size along I, J, K; at least 0.2 mm.
        shape: Number of voxels along I, J, K; what holds the patient if None. The field of view
            is centred on the scan range.
        axcodes: Where I, J, K run to, such as `LPS` or `SLP`.
        affine: Voxel index to world mm, `(4, 4)`, in place of `spacing_mm` and `axcodes`; needs
            `shape`. May be oblique or sheared.
        findings: Exactly these labels; drawn by chance if None.
        prevalence: One share for all labels, or shares by label name, in place of `PREVALENCE`.

    Returns:
        The phantom.

    Raises:
        InputError: If an argument is out of its range, or a label unknown.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        msg = f"seed must be a whole number from 0 on, got {seed!r}; see SEED_RANGES"
        raise InputError(msg)
    seed = int(seed)
    if findings is None:
        labels = draw_labels(np.random.default_rng([seed, 0]), prevalence)
    else:
        labels = known_labels(findings)
    patient = draw_patient(seed, labels)
    lattice = make_grid(patient, spacing_mm, shape, axcodes, affine)
    scene = make_scene(patient, labels)
    voxels = render(scene, lattice)
    facts: dict[str, Any] = {
        "format": "phantom",
        "modality": "CT",
        "patient_id": f"phantom_{seed}",
        "points_world_mm": scene.points_world_mm,
    }
    return ChestPhantom(Volume(voxels, lattice.matrix, facts=facts), patient, scene)


def make_scene(patient: Patient, labels: Iterable[str]) -> Scene:
    """Place the findings. Each label has a stream of chance of its own."""
    scene = Scene(patient, Lungs(patient))
    present = set(labels)
    add_coronary_courses(scene)
    add_stomach_air(scene)
    nodes = np.random.default_rng([patient.seed, 2, CT_RATE_LABELS.index("Lymphadenopathy")])
    before = marks(scene)
    add_lymph_nodes(scene, nodes, enlarged="Lymphadenopathy" in present)
    if "Lymphadenopathy" in present:
        points = points_since(scene, before, "Lymphadenopathy")
        scene.points_world_mm["Lymphadenopathy"] = points
    late = [label for label in CT_RATE_LABELS if label not in _DRAWING_ORDER]
    for label in (*_DRAWING_ORDER, *late):
        if label in present and label in _ADD:
            rng = np.random.default_rng([patient.seed, 2, CT_RATE_LABELS.index(label)])
            before = marks(scene)
            _ADD[label](scene, rng)
            scene.points_world_mm[label] = points_since(scene, before, label)
    return scene


def render(scene: Scene, lattice: Lattice) -> NDArray[np.int16]:
    """Fill the voxels of a grid in world mm."""
    patient = scene.patient
    coarse, strides = lattice.coarser(COARSE_STEP_MM)
    to_reference = np.linalg.inv(patient.world_from_reference)
    space = Space.of_lattice(Lattice(to_reference @ coarse.matrix, coarse.shape))
    frame = make_frame(space, patient)
    fields = soft_tissue(space, frame, patient)
    add_bones(fields, space, frame)
    for edit in scene.edits:
        edit.apply(fields, space, frame)
    voxels = fill(fields, lattice, strides)
    branches = grow(patient, scene.lungs.points[scene.lungs.depth_mm > 4.0])
    tubes = bronchus_tubes(branches, scene.bronchi, patient)
    draw(voxels, lattice, scene.under)
    draw(voxels, lattice, vessel_strokes(branches, patient))
    draw(voxels, lattice, bronchus_strokes(tubes, scene.bronchi))
    draw(voxels, lattice, scene.over)
    draw_table(voxels, lattice, patient)
    spacing = np.linalg.norm(lattice.matrix[:3, :3], axis=0)
    size = (float(spacing[0]), float(spacing[1]), float(spacing[2]))
    add_noise(voxels, size, patient.noise_hu, patient.noise_grain_mm, patient.seed)
    return voxels


def _measure(edit: Region | Solid, scene: Scene) -> tuple[float, tuple[float, float, float] | None]:
    """Volume in ml and centre of an edit, on a fixed grid over its box."""
    low, high = edit.box if isinstance(edit, Region) else edit.shape.bounds()
    matrix = np.diag([_MEASURE_STEP_MM] * 3 + [1.0])
    matrix[:3, 3] = np.asarray(low) - 3.0
    size = np.ceil((np.asarray(high) - low + 6.0) / _MEASURE_STEP_MM).astype(int) + 1
    space = Space.of_lattice(Lattice(matrix, _shape(size)))
    distance = distance_to(edit, space, make_frame(space, scene.patient))
    share = np.clip(0.5 - distance / _MEASURE_STEP_MM, 0.0, 1.0).astype(np.float64)
    total = float(share.sum())
    if total == 0:
        return 0.0, None
    centre = [float((share * axis).sum() / total) for axis in (space.x, space.y, space.z)]
    scale = float(np.prod(scene.patient.scale))
    return total * _MEASURE_STEP_MM**3 * scale / 1000, scene.world(np.asarray(centre))


def _shape(size: Iterable[int]) -> tuple[int, int, int]:
    i, j, k = (int(n) for n in size)
    return i, j, k

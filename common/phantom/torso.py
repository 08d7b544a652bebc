"""`make_torso`: a synthetic CT of chest, abdomen or both with its truth, from a seed.

The patient is drawn first, by chance; then the voxels are filled. So one seed is one patient on
whatever grid and in whatever region, and only the noise belongs to the grid. Nothing is kept
between calls.

Speed on one core while other work ran on the machine: 1.0 s for a torso of 190 x 130 x 320 voxels
of 2 mm and 0.4 s more for its organ masks; 0.9 s and 0.4 s at 3 mm, 1.8 s and 0.9 s at 1.5 mm with
254 x 174 x 427 voxels (AMD EPYC, 2.6 GHz; a chest of 240 x 240 x 120 voxels took 0.66 s then, where
a quiet machine takes 0.46 s). `python scripts/make_phantom.py --time` measures them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..volumes.volume import Volume
from .drawing import render
from .extent import marks, points_since
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
from .patient import TRUNK_REGIONS, Patient, checked_seed, draw_patient, rescanned
from .phantom import Phantom
from .prevalence import draw_labels, known_labels
from .scene import Lungs, Scene

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


def make_torso(
    *,
    seed: int,
    spacing_mm: tuple[float, float, float] = (1.5, 1.5, 1.5),
    shape: tuple[int, int, int] | None = None,
    axcodes: str = "LPS",
    affine: NDArray[np.float64] | None = None,
    region: str = "torso",
    findings: Iterable[str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
    scan: int = 0,
) -> Phantom:
    """Make a synthetic CT of the trunk.

    The patient lies with mid lung at the world's origin. Findings are those of the chest, in every
    region. Abdomen and pelvis are drawn with region `abdomen` and `torso` only: what a chest scan
    shows below the diaphragm is simpler, and stays as it always was.

    Args:
        seed: Which patient; `SEED_RANGES` keeps training, validation and test apart.
        spacing_mm: Voxel size along I, J, K; at least 0.2 mm.
        shape: Number of voxels along I, J, K; what holds the patient if None. The field of view
            is centred on the scan range.
        axcodes: Where I, J, K run to, such as `LPS` or `SLP`.
        affine: Voxel index to world mm, `(4, 4)`, in place of `spacing_mm` and `axcodes`; needs
            `shape`. May be oblique or sheared.
        region: `chest` (lungs), `abdomen` (mid heart to upper thighs) or `torso` (base of the neck
            to upper thighs). The patient is the same in each.
        findings: Exactly these labels; drawn by chance if None.
        prevalence: One share for all labels, or shares by label name, in place of `PREVALENCE`.
        scan: Which scan of the patient; any but 0 is another, see `rescanned`.

    Returns:
        The phantom.

    Raises:
        InputError: If an argument is out of its range, or a label unknown.
    """
    seed = checked_seed(seed)
    if region not in TRUNK_REGIONS:
        msg = f"region must be one of {', '.join(TRUNK_REGIONS)}, got {region!r}; choose one"
        raise InputError(msg)
    if findings is None:
        labels = draw_labels(np.random.default_rng([seed, 0]), prevalence)
    else:
        labels = known_labels(findings)
    patient = rescanned(draw_patient(seed, labels, region), scan)
    lattice = make_grid(patient, spacing_mm, shape, axcodes, affine)
    scene = make_scene(patient, labels)
    voxels, painted = render(scene, lattice)
    facts: dict[str, Any] = {
        "format": "phantom",
        "modality": "CT",
        "patient_id": f"phantom_{seed}",
        "points_world_mm": scene.points_world_mm,
    }
    return Phantom(Volume(voxels, lattice.matrix, facts=facts), patient, scene, painted)


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

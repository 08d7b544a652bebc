"""`make_head`: a synthetic head CT with its truth, from a seed.

As a torso's, the patient is drawn first and the voxels are filled afterwards, so one seed is one
head on whatever grid, and only the noise belongs to the grid.

CPU seconds on one core with masks, findings by chance, while other work ran on the machine: 0.7 for
188 x 188 x 36 voxels, 0.9 for 235 x 235 x 72, 4.6 for 512 x 512 x 72; 0.55 for a case of `cases` on
average, and 0.4 more where volumes of findings are asked for (AMD EPYC, 2.6 GHz).
`python scripts/make_phantom.py --time` measures them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...vocabulary.head_findings import HEAD_FINDINGS
from ...volumes.volume import Volume
from ..patient import checked_seed
from ..prevalence import draw_labels, known_labels
from ..scene import side_of
from .build import Head, draw_head
from .drawing import render
from .edits import NOBODY
from .findings_blood import (
    add_acute_subdural,
    add_chronic_subdural,
    add_epidural,
    add_intraparenchymal,
    add_intraventricular,
    add_subarachnoid,
)
from .findings_other import (
    add_acute_infarct,
    add_bruise,
    add_fracture,
    add_hydrocephalus,
    add_mass,
    add_old_infarct,
)
from .grid import make_head_grid
from .labels import HEAD_SET
from .phantom import HeadPhantom
from .scene import HeadScene
from .shift import SEPTUM_MM, largest_push_mm, midline_shift_mm
from .vault import inner_table
from .ventricles import BACK, FOURTH, FRONT, TEMPORAL, THIRD, usual_ventricles

SEEN_MM = 3.0
_LABEL_STREAM = 32
_FINDING_STREAM = 33
_ADD = {
    "Epidural haemorrhage": add_epidural,
    "Acute subdural haemorrhage": add_acute_subdural,
    "Chronic subdural haemorrhage": add_chronic_subdural,
    "Subarachnoid haemorrhage": add_subarachnoid,
    "Intraparenchymal haemorrhage": add_intraparenchymal,
    "Intraventricular haemorrhage": add_intraventricular,
    "Acute infarct": add_acute_infarct,
    "Old infarct": add_old_infarct,
    "Mass": add_mass,
    "Hydrocephalus": add_hydrocephalus,
    "Fracture": add_fracture,
}


def make_head(
    *,
    seed: int,
    spacing_mm: tuple[float, float, float] = (0.9, 0.9, 2.5),
    shape: tuple[int, int, int] | None = None,
    axcodes: str = "LPS",
    affine: NDArray[np.float64] | None = None,
    gantry_tilt_deg: float = 0.0,
    findings: Iterable[str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
) -> HeadPhantom:
    """Make a synthetic head CT without contrast agent.

    The anterior commissure lies at the world's origin.

    Args:
        seed: Which patient; `SEED_RANGES` keeps training, validation and test apart.
        spacing_mm: Voxel size along I, J, K; at least 0.2 mm.
        shape: Number of voxels along I, J, K; what holds the head if None. The field of view is
            centred on the scan range.
        axcodes: Where I, J, K run to, such as `LPS` or `SLP`.
        affine: Voxel index to world mm, `(4, 4)`, in place of `spacing_mm` and `axcodes`; needs
            `shape`. May be oblique or sheared.
        gantry_tilt_deg: How far the slices lean back: they are turned about x, the table still
            moves along z, so the grid is sheared. Within -30 and 30.
        findings: Exactly these of `HEAD_FINDINGS`; drawn by chance if None. Mass effect and
            midline shift follow from them.
        prevalence: One share for all findings, or shares by name, in place of `HEAD_PREVALENCE`.

    Returns:
        The phantom.

    Raises:
        InputError: If an argument is out of its range, or a finding unknown.
    """
    seed = checked_seed(seed)
    if findings is None:
        labels = draw_head_findings(seed, prevalence)
    else:
        labels = known_labels(findings, HEAD_SET)
    head = draw_head(seed)
    lattice = make_head_grid(head, spacing_mm, shape, axcodes, affine, gantry_tilt_deg)
    scene = make_head_scene(head, labels)
    drawn = render(scene, lattice)
    facts: dict[str, Any] = {
        "format": "phantom",
        "modality": "CT",
        "patient_id": f"phantom_{seed}",
    }
    volume = Volume(drawn.voxels, lattice.matrix, facts=facts)
    return HeadPhantom(volume, head, scene, drawn.organs, drawn.lesions)


def draw_head_findings(
    seed: int, prevalence: float | Mapping[str, float] | None = None
) -> tuple[str, ...]:
    """The findings of one patient's head, by chance; see `make_head`.

    Raises:
        InputError: If a share is out of range or a name unknown.
    """
    return draw_labels(np.random.default_rng([seed, _LABEL_STREAM]), prevalence, HEAD_SET)


def make_head_scene(head: Head, labels: Iterable[str]) -> HeadScene:
    """Place the findings. Each has a stream of chance of its own."""
    scene = HeadScene(head, usual_ventricles(head))
    present = set(labels)
    for index, label in enumerate(HEAD_FINDINGS):
        if label in present:
            _ADD[label](scene, np.random.default_rng([head.seed, _FINDING_STREAM, index]))
    if scene.swell_mm:
        scene.ventricles = usual_ventricles(head, scene.swell_mm, scene.fourth_mm)
    if head.variants.swelling_mm and not scene.bruises:
        turn = np.deg2rad(head.variants.swelling_turn_deg)
        place = inner_table((float(np.sin(turn)), float(np.cos(turn)), 0.35))
        add_bruise(scene, NOBODY, place, head.variants.swelling_mm)
    add_consequences(scene)
    return scene


def add_consequences(scene: HeadScene) -> None:
    """Record mass effect and midline shift where what takes room has moved the brain enough.

    From 3 mm on, which can be seen; neurosurgeons act from about 5 mm on.
    """
    taking = [push for push in scene.pushes if push.efface > 0]
    x, y, z = scene.head.scale
    walls = np.array([*FRONT, *BACK, *TEMPORAL], float)
    places = np.concatenate([walls, walls * (-1, 1, 1), [THIRD, FOURTH]])
    moved = largest_push_mm(taking, places) * (x * y * z) ** (1 / 3)
    if moved >= SEEN_MM:
        most = max(taking, key=lambda push: largest_push_mm([push], places))
        scene.add("Mass effect", side=side_of(most.middle[0]), place="ventricles", size_mm=moved)
    shift = midline_shift_mm(scene.pushes) * x
    if abs(shift) >= SEEN_MM:
        centre = (shift / x, *SEPTUM_MM[1:])
        scene.add(
            "Midline shift", side=side_of(shift), place="septum pellucidum",
            size_mm=abs(shift), centre=centre,
        )  # fmt: skip

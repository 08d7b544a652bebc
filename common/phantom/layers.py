"""What is painted over a scan that shows more than the chest, in order: the last lies on top."""

from __future__ import annotations

from .abdomen import kidney_layers, liver_layers, pelvic_layers, small_organ_layers
from .abdomen_vessels import mesentery_layers, neck_layers, vessel_layers
from .build import draw_build
from .gut import colon_layers, duodenum_layers, small_bowel_layers, stomach_layers
from .painting import Layer
from .patient import Patient
from .pelvis import bone_layers, muscle_layers, upper_body_layers
from .spine import spine_layers


def torso_layers(patient: Patient) -> list[Layer]:
    """Everything that a chest scan does not show as finely: soft organs first, bones last.

    The small bowel takes what space the other organs leave, so it is made after them and painted
    under them.
    """
    build = draw_build(patient)
    solid = liver_layers(patient, build) + kidney_layers(patient, build)
    others = (
        stomach_layers(patient, build)
        + colon_layers(patient, build)
        + duodenum_layers(patient, build)
        + small_organ_layers(patient, build)
        + vessel_layers(patient, build)
        + pelvic_layers(patient, build)
        + muscle_layers(build)
        + bone_layers(build)
        + spine_layers(build)
    )
    obstacles = [layer.shape for layer in solid + others]
    bowel = small_bowel_layers(patient, build, obstacles)
    chest = neck_layers(patient) + upper_body_layers(patient)
    return solid + mesentery_layers(patient, build) + bowel + others + chest

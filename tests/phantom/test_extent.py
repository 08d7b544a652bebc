"""Heights of findings against the voxels that they change."""

import numpy as np
import pytest

from common.phantom import CT_RATE_LABELS, make_chest

# A wide heart moves what is beside it, a collapsed lobe the diaphragm below it.
MOVES_THE_REST = ("Cardiomegaly", "Atelectasis")


@pytest.mark.parametrize("label", [name for name in CT_RATE_LABELS if name not in MOVES_THE_REST])
def test_what_a_finding_changes_lies_within_its_heights(label):
    grid = {"seed": 11, "spacing_mm": (4.0, 4.0, 4.0), "shape": (90, 80, 90)}
    healthy = make_chest(findings=[], **grid)
    ill = make_chest(findings=[label], **grid)
    changed = np.abs(ill.volume.hounsfield() - healthy.volume.hounsfield()) > 50
    heights = ill.volume.affine[2, 2] * np.arange(90) + ill.volume.affine[2, 3]
    inside = np.zeros(90, dtype=bool)
    for low, high in ill.volume.facts["extents_z_world_mm"][label]:
        inside |= (heights > low - 8) & (heights < high + 8)
    assert changed.any()
    assert changed[:, :, ~inside].sum() <= 0.05 * changed.sum()

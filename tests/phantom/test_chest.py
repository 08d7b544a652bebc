"""The synthetic chest against its own truth."""

import numpy as np
import pytest

from common.errors import InputError
from common.phantom import CT_RATE_LABELS, make_chest

COARSE = {"spacing_mm": (2.5, 2.5, 4.0)}


def test_same_seed_gives_the_same_voxels():
    first, again = make_chest(seed=3, **COARSE), make_chest(seed=3, **COARSE)
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert first.findings == again.findings


@pytest.mark.parametrize("label", CT_RATE_LABELS)
def test_each_label_can_be_asked_for_alone(label):
    phantom = make_chest(seed=5, findings=[label], **COARSE)
    assert phantom.label_names == (label,)
    assert phantom.labels.tolist() == [float(name == label) for name in CT_RATE_LABELS]
    assert phantom.volume.voxels.dtype == np.int16


def test_unknown_finding_is_refused_with_the_list_of_known_ones():
    with pytest.raises(InputError, match="findings must be CT-RATE label names, got 'Nodules'"):
        make_chest(seed=0, findings=["Nodules"])

"""Organs cut out of synthetic patients, as OrganMNIST3D cuts them out of real ones."""

import numpy as np
import pytest

from common.errors import InputError
from common.formats.registry import read_volume
from common.phantom.cases import make_case_phantom, organ_box_cases
from common.phantom.organ_boxes import MARGIN_MM, ORGAN_BOXES, cut_organ_box
from common.tables.retrieval_protocols import ORGAN_MNIST_LABELS
from common.tables.totalsegmentator import STRUCTURES


@pytest.fixture(scope="module")
def cases():
    return organ_box_cases("example", num=1)


def test_they_are_the_organs_of_organ_mnist():
    assert tuple(ORGAN_BOXES) == ORGAN_MNIST_LABELS
    assert {name for names in ORGAN_BOXES.values() for name in names} <= set(STRUCTURES)


def test_a_patient_is_eleven_cases_each_labelled_by_its_organ(cases):
    assert len({case["case_id"] for case in cases}) == len(cases) == 11
    assert len({case["patient_id"] for case in cases}) == 1
    np.testing.assert_array_equal([case["label"] for case in cases], np.eye(11))


@pytest.mark.parametrize("organ", ["heart", "lung-left"])
def test_a_box_holds_its_organ_where_the_scan_has_it(cases, organ):
    case = cases[list(ORGAN_BOXES).index(organ)]
    box = read_volume(case)
    phantom = make_case_phantom(case["image"].split("&")[0])
    whole = phantom.volume
    first = np.linalg.solve(whole.affine, box.affine[:, 3])[:3].round().astype(int)
    part = tuple(slice(a, a + n) for a, n in zip(first, box.voxels.shape, strict=True))
    assert np.array_equal(box.voxels, whole.voxels[part])
    numbers = [STRUCTURES.index(name) for name in ORGAN_BOXES[organ]]
    organs = np.isin(phantom.organs, numbers)
    assert organs[part].sum() == organs.sum() > 0
    reach = np.argwhere(organs[part])
    assert (reach.min(axis=0) * box.spacing_mm >= MARGIN_MM).all()


def test_an_organ_that_is_not_there_is_refused(cases):
    phantom = make_case_phantom(cases[0]["image"].split("&")[0])
    with pytest.raises(InputError, match=r"organ must be one of liver, .* got brain"):
        cut_organ_box(phantom, "brain")

"""Organs cut out of synthetic patients, as OrganMNIST3D cuts them out of real ones."""

import numpy as np
import pytest

from common.cases.read import read_volume
from common.datasets.retrieval_protocols import ORGAN_MNIST_LABELS
from common.errors import InputError
from common.phantom.cases import make_case_phantom, organ_box_cases
from common.phantom.organ_boxes import BOX_MM, ORGAN_BOXES, SHIFT_MM, cut_organ_box
from common.vocabulary.totalsegmentator import STRUCTURES


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
def test_a_box_is_a_part_of_the_scan_near_its_organs_centre(cases, organ):
    case = cases[list(ORGAN_BOXES).index(organ)]
    box = read_volume(case)
    phantom = make_case_phantom(case["image"].split("&")[0])
    whole, spacing = phantom.volume, np.array(phantom.volume.spacing_mm)
    first = np.linalg.solve(whole.affine, box.affine[:, 3])[:3].round().astype(int)
    part = tuple(slice(a, a + n) for a, n in zip(first, box.voxels.shape, strict=True))
    assert np.array_equal(box.voxels, whole.voxels[part])
    numbers = [STRUCTURES.index(name) for name in ORGAN_BOXES[organ]]
    centre = np.argwhere(np.isin(phantom.organs, numbers)).mean(axis=0)
    middle = first + np.array(box.voxels.shape) / 2
    assert (np.abs(middle - centre) * spacing <= SHIFT_MM + spacing).all()


def test_boxes_of_all_organs_have_one_size_in_mm_where_the_scan_does_not_end(cases):
    sizes = []
    for case in cases:
        box = read_volume(case)
        extent = np.abs(box.affine[:3, :3]) @ box.voxels.shape
        assert (extent <= np.array(BOX_MM) + max(box.spacing_mm)).all()
        sizes.append(extent)
    full = np.abs(np.array(sizes) - BOX_MM).max(axis=1) <= max(box.spacing_mm)
    assert full.sum() >= 5


def test_a_box_lies_the_same_way_every_time_and_another_way_for_another_patient(cases):
    again = read_volume(cases[0])
    np.testing.assert_array_equal(again.affine, read_volume(cases[0]).affine)
    first, second = (
        make_case_phantom(case["image"].split("&")[0])
        for case in organ_box_cases("example", num=2)[::11]
    )
    off = [
        cut_organ_box(one, "liver").affine[:3, 3] - one.volume.affine[:3, 3]
        for one in (first, second)
    ]
    assert np.abs(off[0] - off[1]).max() > 1


def test_an_organ_that_is_not_there_is_refused(cases):
    phantom = make_case_phantom(cases[0]["image"].split("&")[0])
    with pytest.raises(InputError, match=r"organ must be one of liver, .* got brain"):
        cut_organ_box(phantom, "brain")

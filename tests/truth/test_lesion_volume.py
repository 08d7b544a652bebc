"""Lesions of phantom heads on the network's grid."""

import pytest

from common.errors import InputError
from common.phantom.cases import make_case_phantom, phantom_cases
from common.transforms.preprocessing import PreprocessCTd
from common.truth.lesion_volume import LesionVolumed
from common.volumes.geometry import voxel_ml


def case_with(column):
    """The first phantom head that has a finding, by its place in the label row."""
    cases = phantom_cases("train", num=60, region="head")
    return next(case for case in cases if case["label"][column])


def test_volume_and_place_of_lesions_are_kept():
    told = case_with(5)["image"]  # blood within the brain
    phantom = make_case_phantom(told)
    image = PreprocessCTd(
        axcodes="SPL", spacing_mm=(5, 3, 3), hu_window=None, output_range=None, grid="affine"
    ).preprocess(phantom.volume)
    lesions = LesionVolumed()({"image": image, "phantom": told})["lesions"]
    assert lesions.shape == image.shape
    whole = (phantom.lesions > 0).sum() * voxel_ml(phantom.volume.affine)
    assert float(lesions.sum()) == pytest.approx(whole, rel=0.02)
    inside = image.numpy()[lesions.numpy() > 0.5 * lesions.numpy().max()]
    assert inside.mean() > 40  # HU; blood is brighter than brain


@pytest.mark.parametrize("told", ["scan.nii.gz", "phantom:3?region=abdomen"])
def test_what_is_no_phantom_head_is_refused(told):
    with pytest.raises(InputError, match=r"locate\.json must have phantom heads, got"):
        LesionVolumed()({"phantom": told})

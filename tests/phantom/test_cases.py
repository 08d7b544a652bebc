import numpy as np
import pytest

from common.cases.read import read_volume
from common.errors import InputError
from common.phantom.cases import (
    HEAD_SLICE_SPACINGS_MM,
    draw_head_scan,
    make_case_phantom,
    phantom_cases,
    region_cases,
    retest_cases,
)
from common.phantom.patient import SEED_RANGES
from common.vocabulary.chest_findings import CT_RATE_LABELS


def test_splits_share_no_patient():
    patients = [
        {case["patient_id"] for case in phantom_cases(split, num=50)} for split in SEED_RANGES
    ]
    assert len(set().union(*patients)) == 50 * len(SEED_RANGES)


def test_a_longer_list_begins_with_the_shorter():
    assert phantom_cases("test", num=9)[:4] == phantom_cases("test", num=4)


@pytest.mark.parametrize("prevalence", [None, 0.5])
def test_case_says_what_is_drawn(prevalence):
    case = phantom_cases("train", num=1, prevalence=prevalence)[0]
    phantom = make_case_phantom(case["image"])
    assert case["label"] == phantom.labels.tolist()
    assert case["patient_id"] == phantom.patient_id


def test_same_name_is_the_same_scan():
    case = phantom_cases("train", num=2)[1]
    first, second = read_volume(case), read_volume(case)
    assert np.array_equal(first.voxels, second.voxels)
    assert np.array_equal(first.affine, second.affine)


def test_prevalence_is_that_of_every_label():
    shares = np.mean(
        [case["label"] for case in phantom_cases("train", num=2000, prevalence=0.3)], 0
    )
    assert len(shares) == len(CT_RATE_LABELS)
    assert np.all(np.abs(shares - 0.3) < 0.06)


def test_scans_differ_as_scans_do():
    grids = {
        tuple(np.round(make_case_phantom(case["image"]).volume.spacing_mm, 2))
        for case in phantom_cases("validation", num=3)
    }
    assert len(grids) == 3
    assert all(0.75 <= i <= 1.5 and i == j and 1.5 <= k <= 3.0 for i, j, k in grids)


@pytest.mark.parametrize("region", ["abdomen", "torso"])
def test_a_case_of_another_region_has_organs_and_no_labels(region):
    case = phantom_cases("test", num=1, region=region, prevalence=0.2)[0]
    assert "label" not in case
    assert case["image"] == f"phantom:1100000?prevalence=0.2&region={region}"
    phantom = make_case_phantom(case["image"])
    assert phantom.patient.region == region
    assert phantom.organs.shape == phantom.volume.voxels.shape
    assert {5, 20, 21} <= set(np.unique(phantom.organs).tolist())  # liver, colon, bladder
    i, j, k = phantom.volume.spacing_mm
    assert 1.5 <= round(i, 6) == round(j, 6) <= 2.0
    assert 1.5 <= k <= 3.0


def test_a_head_case_says_what_is_drawn():
    cases = phantom_cases("train", num=14, region="head")
    assert cases[3]["image"] == "phantom:3?region=head"
    sick = next(case for case in cases if case["label"][0])
    phantom = make_case_phantom(sick["image"])
    assert sick["label"] == phantom.labels.tolist()
    assert sick["patient_id"] == phantom.patient_id
    i, j, k = phantom.volume.spacing_mm
    assert 1.0 <= round(i, 6) == round(j, 6) <= 1.5
    assert k in HEAD_SLICE_SPACINGS_MM
    columns, rows, _ = phantom.volume.voxels.shape
    assert columns == rows
    assert 219 < columns * i < 251


def test_half_of_the_head_cases_are_abnormal_and_prevalence_overrides_that():
    labels = np.array([case["label"] for case in phantom_cases("test", num=2000, region="head")])
    assert np.array_equal(labels[:, 0] > 0, labels[:, 1:].any(axis=1))
    assert labels[:, 0].mean() == pytest.approx(0.5, abs=0.04)
    healthy = phantom_cases("test", num=20, region="head", prevalence=0.0)
    assert not np.any([case["label"] for case in healthy])
    assert healthy[0]["image"] == "phantom:1100000?prevalence=0.0&region=head"


def test_the_gantry_is_tilted_now_and_then():
    tilts = np.array([draw_head_scan(seed).gantry_tilt_deg for seed in range(300)])
    assert np.mean(tilts != 0) == pytest.approx(0.3, abs=0.08)
    assert np.abs(tilts).max() <= 25
    seed = int(np.argmax(np.abs(tilts)))
    affine = make_case_phantom(f"phantom:{seed}?region=head").volume.affine
    lean = np.rad2deg(np.arcsin(affine[2, 1] / np.linalg.norm(affine[:, 1])))
    assert abs(lean) == pytest.approx(abs(tilts[seed]))


def test_chest_cases_are_named_as_before_there_were_regions():
    assert phantom_cases("train", num=2)[1]["image"] == "phantom:1"
    assert phantom_cases("train", num=1, prevalence=0.3)[0]["image"] == "phantom:0?prevalence=0.3"
    assert phantom_cases("train", num=3) == phantom_cases("train", num=3, region="chest")


def test_unknown_region_is_refused():
    with pytest.raises(
        InputError, match="region must be one of chest, abdomen, torso, head, got leg"
    ):
        phantom_cases("train", num=1, region="leg")
    with pytest.raises(InputError, match="image must name a region of chest, abdomen, torso, head"):
        make_case_phantom("phantom:1?region=leg")


def test_unknown_split_is_refused():
    with pytest.raises(InputError, match="split must be one of train, validation, test, example"):
        phantom_cases("valid", num=1)


@pytest.mark.parametrize("num", [0, -1, 100_001])
def test_number_is_within_the_split(num):
    with pytest.raises(InputError, match=f"num must be from 1 to 100000 for test, got {num}"):
        phantom_cases("test", num=num)


@pytest.mark.parametrize("image", ["phantom:", "phantom:x", "phantom:-1", "phantom:1?size=2"])
def test_name_of_another_form_is_refused(image):
    with pytest.raises(InputError, match="image must be phantom:<seed>"):
        make_case_phantom(image)


def test_a_patient_scanned_again_is_the_same_body_with_other_noise():
    first, second = (make_case_phantom(case["image"]) for case in retest_cases("test", num=1))
    assert retest_cases("test", num=1)[1]["case_id"] == "phantom_1100000_scan2"
    assert first.label_names == second.label_names
    assert first.patient.scale == second.patient.scale
    assert first.volume.spacing_mm != second.volume.spacing_mm
    assert first.patient.noise_hu != second.patient.noise_hu
    assert 0 < np.abs(np.subtract(first.patient.tilt_deg, second.patient.tilt_deg)).max() < 5
    volumes = [phantom.volume for phantom in (first, second)]
    litres = [
        (v.voxels[v.voxels > -300].size * abs(np.linalg.det(v.affine[:3, :3]))) / 1e6
        for v in volumes
    ]
    assert litres[0] == pytest.approx(litres[1], rel=0.05)


def test_the_first_scan_is_the_one_that_is_drawn_without_asking():
    first = retest_cases("test", num=1)[0]
    assert first["image"] == phantom_cases("test", num=1)[0]["image"]
    assert retest_cases("test", num=1, region="abdomen")[1]["image"].endswith("abdomen&scan=1")


def test_a_head_is_not_scanned_again():
    with pytest.raises(InputError, match=r"region must be one of chest, abdomen, torso, got head"):
        retest_cases("test", num=1, region="head")


def test_regions_take_turns_and_share_no_patient():
    cases = region_cases("test", num=4)
    regions = [case["case_id"].split("_")[2] for case in cases]
    assert regions == ["chest", "abdomen", "head", "chest"]
    assert len({case["patient_id"] for case in cases}) == 4

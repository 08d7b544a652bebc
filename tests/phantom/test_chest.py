"""Grids, seeds and anatomy of the synthetic chest."""

import pickle
from itertools import pairwise

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.phantom import CT_RATE_LABELS, SEED_RANGES, make_chest
from common.phantom.anatomy import ORGAN_IDS
from common.phantom.grids import AXIS_DIRECTIONS, ORIENTATIONS, make_grid
from common.phantom.patient import draw_patient

COARSE = {"spacing_mm": (4.0, 4.0, 6.0)}


def test_same_seed_gives_the_same_voxels():
    first, again = make_chest(seed=3, **COARSE), make_chest(seed=3, **COARSE)
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert first.findings == again.findings


def test_same_seed_is_the_same_patient_on_another_grid():
    coarse = make_chest(seed=3, spacing_mm=(4, 4, 6))
    fine = make_chest(seed=3, spacing_mm=(3, 3, 3), axcodes="SLP")
    assert coarse.patient == fine.patient
    assert coarse.findings == fine.findings
    assert coarse.report == fine.report


def test_grid_runs_as_asked_in_all_48_orientations():
    patient = draw_patient(3, ())
    assert len(set(ORIENTATIONS)) == 48
    middles = []
    for axcodes in ORIENTATIONS:
        grid = make_grid(patient, (1.0, 2.0, 3.0), (50, 60, 70), axcodes, None)
        assert "".join(nib.aff2axcodes(grid.matrix)) == axcodes
        assert np.linalg.norm(grid.matrix[:3, :3], axis=0).tolist() == [1, 2, 3]
        middles.append(grid.matrix @ [24.5, 29.5, 34.5, 1])
    assert np.ptp(middles, axis=0).max() < 1e-9


@pytest.mark.parametrize("axcodes", ["LPS", "SLP", "IAR", "PIL"])
def test_any_orientation_shows_the_same_anatomy(axcodes):
    cube = {"seed": 3, "spacing_mm": (7, 7, 7), "shape": (52, 52, 52), "findings": []}
    wanted, phantom = make_chest(axcodes="RAS", **cube), make_chest(axcodes=axcodes, **cube)
    rows, signs = zip(*(AXIS_DIRECTIONS[letter] for letter in axcodes), strict=True)
    flipped = phantom.volume.voxels[tuple(slice(None, None, sign) for sign in signs)]
    change = flipped.transpose(np.argsort(rows)).astype(int) - wanted.volume.voxels
    # only the noise and the coarse points differ
    assert np.percentile(np.abs(change), 90) < 5 * phantom.patient.noise_hu
    assert abs(change.mean()) < 2


def test_oblique_sheared_affine_shows_the_same_patient():
    plain = make_chest(seed=4, spacing_mm=(4, 4, 4), findings=[])
    turn = np.deg2rad(20)
    affine = np.array(
        [
            [4 * np.cos(turn), -3 * np.sin(turn), 0.4, -150],
            [4 * np.sin(turn), 3 * np.cos(turn), 0.8, -150],
            [0, 0, 5, -150],
            [0, 0, 0, 1],
        ]
    )
    oblique = make_chest(seed=4, shape=(80, 100, 60), affine=affine, findings=[])
    assert np.array_equal(oblique.volume.affine, affine)
    # a point in the heart, in the liver and in the right lung
    for name, low, high in (("heart", 0, 400), ("liver", 0, 200)):
        inside = np.argwhere(oblique.organs == ORGAN_IDS[name])
        place = affine[:3, :3] @ inside.mean(axis=0) + affine[:3, 3]
        back = np.linalg.inv(plain.volume.affine)
        i, j, k = np.rint(back[:3, :3] @ place + back[:3, 3]).astype(int)
        assert plain.organs[i, j, k] == ORGAN_IDS[name]
        assert low < plain.volume.voxels[i - 1 : i + 2, j - 1 : j + 2, k].mean() < high


def test_organs_have_the_density_of_what_they_are(chest):
    phantom = chest(5)
    voxels, organs, blood = phantom.volume.voxels, phantom.organs, phantom.patient.blood_hu
    median = {
        name: np.median(voxels[organs == number])
        for name, number in ORGAN_IDS.items()
        if (organs == number).any()
    }
    assert abs(median["aorta"] - blood) < 15
    assert -900 < median["lung_lower_lobe_left"] < -740
    assert median["trachea"] < -900
    assert 40 < median["liver"] < 110
    assert median["rib_left_1"] > 120
    assert median["sternum"] > 100


def test_all_five_lobes_and_twelve_ribs_a_side_are_named(chest):
    numbers = set(np.unique(chest(5).organs).tolist())
    assert set(range(10, 15)) <= numbers
    assert {ORGAN_IDS["vertebrae_T12"] + n for n in range(11)} <= numbers
    assert {first + n for first in (92, 104) for n in range(10)} <= numbers


def test_left_lung_is_at_lower_right_coordinates(chest, world):
    phantom = chest(5)
    x = world(phantom)[0]
    assert x[phantom.organs == 11].mean() < -40
    assert x[phantom.organs == 14].mean() > 40
    assert x[phantom.organs == ORGAN_IDS["liver"]].mean() > 20


def test_phantoms_can_be_pickled():
    phantom = make_chest(seed=2, **COARSE)
    again = pickle.loads(pickle.dumps(phantom))
    assert np.array_equal(again.volume.voxels, phantom.volume.voxels)
    assert again.findings == phantom.findings


def test_seed_ranges_do_not_meet():
    seeds = sorted(SEED_RANGES.values(), key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in pairwise(seeds))


@pytest.mark.parametrize("label", CT_RATE_LABELS)
def test_each_label_can_be_asked_for_alone(label):
    phantom = make_chest(seed=5, findings=[label.lower()], **COARSE)
    assert phantom.label_names == (label,)
    assert phantom.labels.tolist() == [float(name == label) for name in CT_RATE_LABELS]
    assert phantom.volume.voxels.dtype == np.int16


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"findings": ["Nodules"]}, "findings must be CT-RATE label names, got 'Nodules'"),
        ({"prevalence": 1.5}, "prevalence of 'Medical material' must be within 0 and 1, got 1.5"),
        ({"spacing_mm": (1, 1)}, "spacing_mm must be three numbers of at least 0.2"),
        ({"spacing_mm": (1, 1, 0)}, "spacing_mm must be three numbers of at least 0.2"),
        ({"axcodes": "LPX"}, "axcodes must have one letter each"),
        ({"axcodes": "LRS"}, "axcodes must have one letter each"),
        ({"shape": (10, 10)}, "shape must be three whole numbers"),
        ({"shape": (10, 10, 0)}, "shape must be three whole numbers"),
        ({"shape": (9999, 9999, 9999)}, "with at most 2\\^31 voxels"),
        ({"affine": np.eye(4)}, "shape must be given with affine"),
        ({"affine": np.zeros((4, 4)), "shape": (4, 4, 4)}, "affine must be an invertible 4 x 4"),
        ({"seed": -1}, "seed must be a whole number from 0 on, got -1"),
    ],
)
def test_wrong_argument_is_refused_in_one_line(wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        make_chest(**({"seed": 0} | wrong))
    assert "\n" not in str(caught.value)

"""Abdomen and pelvis: what is drawn, where it lies, and that its masks are what was drawn."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, label

from common.errors import InputError
from common.phantom import make_chest, make_torso
from common.phantom.anatomy import ORGAN_IDS
from common.phantom.painting import UNNAMED
from common.phantom.patient import TRUNK_REGIONS
from common.vocabulary.totalsegmentator import MANY_PIECES, STRUCTURES

MAN, OTHER_MAN, WOMAN = 1, 10, 0  # with contrast agent, without, with
NEVER_DRAWN = {"brain", "skull", *(f"vertebrae_C{n}" for n in range(1, 7))}
NOT_IN_ALL = {"gallbladder", "prostate", "kidney_cyst_left", "kidney_cyst_right", "vertebrae_C7"}
GAS = ("lung_", "trachea", "stomach", "small_bowel", "colon")


def mask(phantom, name):
    return phantom.organs == ORGAN_IDS[name]


def median_hu(phantom, name):
    return float(np.median(phantom.volume.voxels[mask(phantom, name)]))


def centre(phantom, name):
    """World mm of the middle of a structure."""
    affine = phantom.volume.affine
    return affine[:3, :3] @ np.argwhere(mask(phantom, name)).mean(axis=0) + affine[:3, 3]


@pytest.mark.parametrize("grid", [{"seed": 3}, {"seed": 8, "axcodes": "SLP"}])
def test_a_chest_is_the_region_of_that_name(grid):
    chest = make_chest(spacing_mm=(5, 5, 6), **grid)
    same = make_torso(spacing_mm=(5, 5, 6), region="chest", **grid)
    assert np.array_equal(chest.volume.voxels, same.volume.voxels)
    assert np.array_equal(chest.volume.affine, same.volume.affine)
    assert np.array_equal(chest.organs, same.organs)
    assert chest.findings == same.findings
    assert chest.painted is None


@pytest.mark.parametrize(
    ("seed", "means"),
    [
        (3, [-427.5, -557.3, -400.3, -531.7, -408.4, -561.5, -418.1, -510.5]),
        (8, [-271.1, -373.3, -216.7, -371.2, -318.1, -384.7, -214.4, -344.2]),
    ],
)
def test_a_chest_is_drawn_as_it_was_before_there_was_an_abdomen(seed, means):
    voxels = make_chest(seed=seed, spacing_mm=(8, 8, 8), shape=(46, 40, 40)).volume.voxels
    octants = voxels.reshape(2, 23, 2, 20, 2, 20).mean(axis=(1, 3, 5))
    assert octants.ravel() == pytest.approx(means, abs=0.1)


def test_a_seed_is_the_same_patient_in_every_region():
    chest, abdomen, torso = (
        make_torso(seed=5, spacing_mm=(6, 6, 6), region=region) for region in TRUNK_REGIONS
    )
    assert chest.findings == abdomen.findings == torso.findings
    assert abdomen.patient.scan_mm[0] == torso.patient.scan_mm[0] < chest.patient.scan_mm[0]
    assert abdomen.patient.scan_mm[1] < torso.patient.scan_mm[1] == chest.patient.scan_mm[1]
    again = make_torso(
        seed=5, affine=torso.volume.affine, shape=torso.volume.voxels.shape, region="abdomen"
    )
    assert np.array_equal(again.volume.voxels, torso.volume.voxels)
    assert np.array_equal(again.organs, torso.organs)


@pytest.mark.parametrize("seed", [MAN, OTHER_MAN, WOMAN])
def test_every_structure_from_neck_to_thighs_is_there(torso, seed):
    present = {STRUCTURES[n] for n in np.unique(torso(seed).organs)}
    assert set(STRUCTURES) - NEVER_DRAWN - NOT_IN_ALL <= present
    assert ("prostate" in present) == (seed != WOMAN)


@pytest.mark.parametrize("seed", [MAN, OTHER_MAN, WOMAN])
def test_what_is_one_piece_in_a_patient_is_one_piece(torso, seed):
    organs = torso(seed).organs
    for name in set(STRUCTURES[1:]) - MANY_PIECES:
        _, pieces = label(organs == ORGAN_IDS[name], np.ones((3, 3, 3)))
        assert pieces <= 1, name


@pytest.mark.parametrize("seed", [MAN, OTHER_MAN, WOMAN])
def test_hardly_anything_that_was_painted_loses_its_name(torso, seed):
    phantom = torso(seed)
    assert phantom.painted is not None
    for number in set(np.unique(phantom.painted).tolist()) - {0, UNNAMED}:
        painted = phantom.painted == number
        assert (phantom.organs == number)[painted].mean() > 0.9, STRUCTURES[number]


def test_left_and_right_are_the_patients(torso):
    phantom = torso(MAN)
    for name in STRUCTURES:
        other = name.replace("left", "right")
        if other != name and other in ORGAN_IDS and "cyst" not in name:
            assert centre(phantom, name)[0] < centre(phantom, other)[0], name
    x = {name: centre(phantom, name)[0] for name in ("liver", "gallbladder", "spleen", "stomach")}
    assert x["spleen"] < x["stomach"] < 0 < x["gallbladder"] < x["liver"] + 30
    assert centre(phantom, "inferior_vena_cava")[0] > centre(phantom, "aorta")[0]


def test_the_spine_is_in_order_and_evenly_spaced(torso):
    names = [f"vertebrae_T{n}" for n in range(2, 13)] + [f"vertebrae_L{n}" for n in range(1, 6)]
    heights = [centre(torso(MAN), name)[2] for name in [*names, "vertebrae_S1", "sacrum"]]
    gaps = -np.diff(heights)
    assert gaps[:10] == pytest.approx(gaps[:10].mean(), rel=0.1)
    assert gaps[10:15] == pytest.approx(gaps[10:15].mean(), rel=0.1)
    assert (gaps > 15).all()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("liver", 45, 66), ("spleen", 40, 60), ("kidney_left", 24, 44), ("gallbladder", 0, 30),
        ("urinary_bladder", 0, 20), ("pancreas", 30, 54), ("aorta", 30, 52), ("colon", -300, 60),
        ("small_bowel", 10, 60), ("iliopsoas_right", 48, 64), ("gluteus_maximus_left", 48, 64),
        ("vertebrae_L3", 150, 520), ("hip_right", 150, 520), ("femur_left", 150, 520),
        ("spinal_cord", 20, 50), ("kidney_cyst_left", -5, 20), ("prostate", 35, 55),
    ],
)  # fmt: skip
def test_structures_have_the_density_of_what_they_are(torso, name, low, high):
    assert low < median_hu(torso(OTHER_MAN), name) < high


def test_contrast_agent_is_where_the_portal_venous_phase_has_it(torso):
    phantom = torso(MAN)
    assert phantom.patient.contrast
    hu = {n: median_hu(phantom, n) for n in ("liver", "spleen", "kidney_left", "gallbladder")}
    assert 85 < hu["liver"] < 120
    assert hu["liver"] < hu["spleen"] < hu["kidney_left"] < 210
    assert hu["gallbladder"] < 35
    assert 120 < median_hu(phantom, "portal_vein_and_splenic_vein") < 190
    assert abs(median_hu(phantom, "aorta") - phantom.patient.blood_hu) < 15


@pytest.mark.parametrize("seed", [MAN, OTHER_MAN, WOMAN])
def test_only_what_holds_gas_is_dark(torso, seed):
    phantom = torso(seed)
    airy = [number for name, number in ORGAN_IDS.items() if name.startswith(GAS)]
    solid = (phantom.organs > 0) & ~np.isin(phantom.organs, airy)
    within = binary_erosion(solid)
    assert (phantom.volume.voxels[within] < -200).mean() < 0.002


def test_masks_fill_what_was_drawn_to_its_edge(torso):
    phantom = torso(OTHER_MAN)
    for name in ("hip_left", "vertebrae_L2", "urinary_bladder"):
        inside = mask(phantom, name)
        rim = inside & ~binary_erosion(inside)
        shell = ~inside & binary_erosion(~inside) & (phantom.organs == 0)
        assert np.median(phantom.volume.voxels[rim]) > -20
        assert np.median(phantom.volume.voxels[shell]) < -20


def test_an_oblique_grid_shows_the_same_organs(torso):
    plain, turn = torso(OTHER_MAN), np.deg2rad(15)
    affine = np.array(
        [
            [4 * np.cos(turn), -4 * np.sin(turn), 0.5, -190],
            [4 * np.sin(turn), 4 * np.cos(turn), 0.0, -190],
            [0, 0.3, 5, -530],
            [0, 0, 0, 1],
        ]
    )
    oblique = make_torso(seed=OTHER_MAN, shape=(110, 90, 100), affine=affine, findings=[])
    for name in ("liver", "spleen", "kidney_right", "urinary_bladder", "hip_left"):
        assert centre(oblique, name) == pytest.approx(centre(plain, name), abs=4), name


def test_a_chest_names_cord_and_long_muscles_too(chest):
    organs = chest(5).organs
    for name in ("spinal_cord", "autochthon_left", "autochthon_right"):
        assert (organs == ORGAN_IDS[name]).sum() > 500
    assert not (organs == ORGAN_IDS["colon"]).any()


def test_a_torso_can_be_pickled_with_its_masks():
    phantom = make_torso(seed=2, spacing_mm=(7, 7, 7), findings=[])
    again = pickle.loads(pickle.dumps(phantom))
    assert np.array_equal(again.organs, phantom.organs)


def test_unknown_region_is_refused():
    with pytest.raises(InputError, match="region must be one of chest, abdomen, torso, got 'leg'"):
        make_torso(seed=0, region="leg")

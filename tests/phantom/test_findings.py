"""Each finding's truth against its voxels.

A patient with and without a finding differs by that finding alone, so their difference shows it.
"""

import numpy as np
import pytest

from common.phantom.anatomy import ORGAN_IDS

LUNGS = tuple(range(10, 15))
MOVES_ANATOMY = ("Cardiomegaly", "Atelectasis")


def changed(chest, seed, label):
    plain, sick = chest(seed), chest(seed, label)
    return plain, sick, sick.volume.voxels.astype(int) - plain.volume.voxels


def ml(phantom, mask):
    return float(mask.sum() * np.prod(phantom.volume.spacing_mm) / 1000)


@pytest.mark.parametrize("seed", [6, 8])
def test_nodule_is_a_sphere_of_the_recorded_size_at_the_recorded_place(chest, world, seed):
    plain, sick, change = changed(chest, seed, "Lung nodule")
    place = world(sick)
    for nodule in sick.findings:
        away = np.linalg.norm(place - np.reshape(nodule.centre_world_mm, (3, 1, 1, 1)), axis=0)
        near = (away < nodule.size_mm / 2 + 4) & (plain.volume.voxels < -500)
        # the share of tissue in each voxel adds up to the volume
        share = np.clip(change[near] / (45.0 - plain.volume.voxels[near]), 0, 1)
        assert share.sum() * np.prod(sick.volume.spacing_mm) / 1000 == pytest.approx(
            nodule.volume_ml, rel=0.3
        )
        assert nodule.volume_ml == pytest.approx(np.pi / 6 * nodule.size_mm**3 / 1000)
        assert nodule.lobe.startswith(nodule.side)
        assert np.sign(nodule.centre_world_mm[0]) == (1 if nodule.side == "right" else -1)
    everywhere = np.min(
        [
            np.linalg.norm(place - np.reshape(f.centre_world_mm, (3, 1, 1, 1)), axis=0)
            - f.size_mm / 2
            for f in sick.findings
        ],
        axis=0,
    )
    assert np.abs(change[everywhere > 8]).max() == 0


def heart_to_chest(phantom):
    """Widest heart over widest lungs, from the masks alone."""
    organs, step = phantom.organs, phantom.volume.spacing_mm[0]

    def width(mask):
        columns = np.flatnonzero(mask.any(axis=(1, 2)))
        return (columns[-1] - columns[0] + 1) * step

    return width(organs == ORGAN_IDS["heart"]) / width(np.isin(organs, LUNGS))


@pytest.mark.parametrize("seed", range(3))
def test_cardiothoracic_ratio_measured_on_masks_tells_cardiomegaly(chest, seed):
    assert heart_to_chest(chest(seed)) < 0.49
    large = chest(seed, "Cardiomegaly")
    assert heart_to_chest(large) > 0.51
    assert large.patient.cardiothoracic_ratio > 0.5


@pytest.mark.parametrize("seed", [1, 2])
def test_pleural_effusion_is_fluid_in_the_back_of_the_recorded_volume(chest, world, seed):
    plain, sick, change = changed(chest, seed, "Pleural effusion")
    fluid = (change > 400) & np.isin(plain.organs, LUNGS)
    total = sum(finding.volume_ml for finding in sick.findings)
    assert ml(sick, fluid) == pytest.approx(total, rel=0.2)
    assert -10 < np.median(sick.volume.voxels[fluid & ~np.isin(sick.organs, LUNGS)]) < 30
    y = world(sick)[1]
    assert y[fluid].mean() < y[np.isin(plain.organs, LUNGS)].mean() - 20
    sides = {finding.side for finding in sick.findings}
    x = world(sick)[0]
    assert ("right" in sides) == bool(fluid[x > 20].any())
    assert ("left" in sides) == bool(fluid[x < -20].any())


def test_effusion_lies_outside_the_lobes(chest):
    plain, sick, change = changed(chest, 1, "Pleural effusion")
    fluid = (change > 700) & np.isin(plain.organs, LUNGS)
    assert np.isin(sick.organs[fluid], LUNGS).mean() < 0.1


def test_emphysema_is_below_950_hu_in_the_upper_lobes(chest):
    plain, sick, change = changed(chest, 6, "Emphysema")
    holes = change < -60
    upper, lower = np.isin(plain.organs, (10, 12)), np.isin(plain.organs, (11, 14))
    assert holes[upper].mean() > 0.03
    assert holes[lower].mean() < 0.01
    assert np.median(sick.volume.voxels[holes]) < -950


def test_atelectasis_raises_the_diaphragm_and_fills_the_base(chest):
    plain, sick = chest(7), chest(7, "Atelectasis")
    assert sum(sick.patient.dome_raise_mm) > sum(plain.patient.dome_raise_mm) + 5
    lung = np.isin(sick.organs, LUNGS)
    dense = lung & (sick.volume.voxels > -100)
    assert ml(sick, dense) > ml(plain, np.isin(plain.organs, LUNGS) & (plain.volume.voxels > -100))
    assert all(finding.volume_ml > 1 for finding in sick.findings)


@pytest.mark.parametrize("seed", [9])
def test_opacity_is_hazy_and_not_dense(chest, seed):
    _, sick, change = changed(chest, seed, "Lung opacity")
    hazy = change > 120
    assert -680 < np.median(sick.volume.voxels[hazy]) < -350
    total = sum(f.volume_ml for f in sick.findings)
    assert 0.2 * total < ml(sick, hazy) < 1.6 * total


def test_consolidation_is_dense_with_air_left_in_the_bronchi(chest):
    _, sick, change = changed(chest, 9, "Consolidation")
    dense = change > 600
    assert 10 < np.median(sick.volume.voxels[dense]) < 70
    assert ml(sick, dense) == pytest.approx(sum(f.volume_ml for f in sick.findings), rel=0.25)


def test_mosaic_is_both_brighter_and_darker_in_both_lungs(chest, world):
    plain, sick, change = changed(chest, 6, "Mosaic attenuation pattern")
    lung = np.isin(plain.organs, LUNGS)
    x = world(sick)[0]
    for side in (lung & (x > 0), lung & (x < 0)):
        assert (change[side] > 40).mean() > 0.15
        assert (change[side] < -40).mean() > 0.15
    assert np.percentile(sick.volume.voxels[lung], 5) > -1000


def test_septa_are_thin_dense_and_near_the_ribs(chest):
    plain, _, change = changed(chest, 6, "Interlobular septal thickening")
    lines = change > 100
    lung = np.isin(plain.organs, LUNGS)
    assert 0.01 < lines[lung].mean() < 0.3
    assert not lines[~lung].mean() > 0.01


def test_sequelae_are_in_the_upper_third(chest, world):
    plain, sick, change = changed(chest, 6, "Pulmonary fibrotic sequela")
    z = world(sick)[2]
    lung_z = z[np.isin(plain.organs, LUNGS)]
    assert z[change > 300].mean() > np.percentile(lung_z, 66)


def test_thickened_walls_are_soft_tissue_around_open_bronchi(chest):
    _, sick, change = changed(chest, 6, "Peribronchial thickening")
    assert ml(sick, change > 150) > 8
    assert (change < -150).mean() < 1e-4


def test_bronchiectasis_opens_air_in_the_recorded_region(chest, world):
    _, sick, change = changed(chest, 6, "Bronchiectasis")
    air = (change < -80) & (sick.volume.voxels < -880)
    place = world(sick)
    gaps = [
        np.linalg.norm(place - np.reshape(f.centre_world_mm, (3, 1, 1, 1)), axis=0)
        for f in sick.findings
    ]
    assert (np.min(gaps, axis=0)[air] < 75).mean() > 0.95
    assert ml(sick, air) > 0.5


def test_pericardial_fluid_surrounds_the_heart(chest):
    _, sick, change = changed(chest, 6, "Pericardial effusion")
    finding = sick.findings[0]
    assert 7 < finding.size_mm < 22
    assert 80 < finding.volume_ml < 700
    assert ml(sick, np.abs(change) > 50) > 0.4 * finding.volume_ml
    heart = sick.organs == ORGAN_IDS["heart"]
    assert np.abs(change[heart]).mean() < 12


def test_hiatal_hernia_has_air_over_fluid_behind_the_heart(chest, world):
    _, sick, change = changed(chest, 6, "Hiatal hernia")
    place = world(sick)
    air = (change < -600) & (sick.volume.voxels < -850)
    fluid = (np.abs(change) > 30) & (np.abs(sick.volume.voxels - 10) < 25)
    assert ml(sick, air) > 3
    assert place[1][air].mean() > place[1][fluid].mean()
    heart = sick.organs == ORGAN_IDS["heart"]
    assert place[1][air].mean() < place[1][heart].mean()


def test_enlarged_nodes_are_over_10_mm_and_where_recorded(chest):
    sick = chest(6, "Lymphadenopathy")
    assert len(sick.findings) >= 3
    inverse = np.linalg.inv(sick.volume.affine)
    for node in sick.findings:
        assert node.size_mm > 10
        i, j, k = np.rint(inverse[:3, :3] @ node.centre_world_mm + inverse[:3, 3]).astype(int)
        around = sick.volume.voxels[i - 1 : i + 2, j - 1 : j + 2, k]
        assert -20 < np.median(around) < 350


@pytest.mark.parametrize(
    "label", ["Arterial wall calcification", "Coronary artery wall calcification"]
)
def test_calcium_is_brighter_than_any_blood_and_near_its_vessel(chest, world, label):
    _, sick, change = changed(chest, 6, label)
    bright = (change > 150) & (sick.volume.voxels > 350)
    assert bright.sum() >= 8
    name = "aorta" if label.startswith("Arterial") else "heart"
    vessel = world(sick)[:, sick.organs == ORGAN_IDS[name]].T[::5]
    gaps = [np.linalg.norm(vessel - p, axis=1).min() for p in world(sick)[:, bright].T[:60]]
    assert np.median(gaps) < 8
    assert sick.findings[0].volume_ml > 0.1


@pytest.mark.parametrize("seed", range(5))
def test_medical_material_is_metal_and_leaves_the_lungs_alone(chest, seed):
    plain, sick, change = changed(chest, seed, "Medical material")
    assert (sick.volume.voxels > 1100).sum() > 5
    assert (change[np.isin(plain.organs, LUNGS)] > 200).mean() < 1e-3


def test_labels_do_not_change_the_rest_of_the_patient(chest):
    both = chest(6, "Lung nodule", "Emphysema")
    alone = chest(6, "Lung nodule")
    nodules = [f for f in both.findings if f.label == "Lung nodule"]
    assert nodules == list(alone.findings)

"""Each finding of the head: its truth against its voxels.

A head with and without a finding has the same noise, so their difference shows the finding.
"""

import numpy as np
import pytest

from common.phantom import HEAD_FINDINGS, make_head
from common.phantom.anatomy import ORGAN_IDS
from common.phantom.head.build import draw_head
from common.phantom.head.make import make_head_scene

BLEEDS = HEAD_FINDINGS[:2] + HEAD_FINDINGS[4:6]
PLACED = ("Epidural haemorrhage", "Acute subdural haemorrhage", "Chronic subdural haemorrhage",
          "Intraparenchymal haemorrhage", "Acute infarct", "Old infarct", "Mass")  # fmt: skip
SEED = 16


def change(head, seed, name):
    plain, sick = head(seed), head(seed, name)
    return plain, sick, sick.volume.voxels.astype(int) - plain.volume.voxels


def ml(phantom, mask):
    return float(mask.sum() * np.prod(phantom.volume.spacing_mm) / 1000)


def own(phantom, name):
    """Where a label's findings fill voxels."""
    numbers = [n for n, f in enumerate(phantom.scene.findings, 1) if f.label == name]
    return np.isin(phantom.lesions, numbers)


@pytest.mark.parametrize("name", PLACED)
@pytest.mark.parametrize("seed", [5, SEED])
def test_recorded_volume_and_place_are_those_of_the_voxels(head, world, name, seed):
    sick = head(seed, name)
    for number, finding in enumerate(sick.findings, 1):
        if finding.label != name:
            continue
        mask = sick.lesions == number
        assert ml(sick, mask) == pytest.approx(finding.volume_ml, rel=0.2, abs=0.4)
        middle = world(sick)[:, mask].mean(axis=1)
        assert np.linalg.norm(middle - finding.centre_world_mm) < 8
        assert np.sign(middle[0]) == (1 if finding.side == "right" else -1)


@pytest.mark.parametrize("name", BLEEDS)
def test_fresh_blood_is_bright_where_it_is_recorded(head, name):
    _, sick, difference = change(head, SEED, name)
    mask = own(sick, name)
    assert mask.any()
    assert 50 < np.median(sick.volume.voxels[mask]) < 76
    assert np.median(difference[mask]) > 15


@pytest.mark.parametrize("name", HEAD_FINDINGS[:9])
def test_a_finding_changes_its_voxels_more_than_the_rest(head, name):
    _, sick, difference = change(head, SEED, name)
    mask = own(sick, name)
    outside = (sick.organs == ORGAN_IDS["brain"]) & ~mask
    assert np.abs(difference[mask]).mean() > 2 * np.abs(difference[outside]).mean()


@pytest.mark.parametrize("name", HEAD_FINDINGS)
def test_what_is_far_from_the_skull_stays_as_it_was(head, name):
    plain, _, difference = change(head, SEED, name)
    face = (plain.organs == 0) | np.isin(plain.organs, [ORGAN_IDS["vertebrae_C1"]])
    assert (np.abs(difference[face]) > 10).mean() < 0.02


def test_an_epidural_bleed_is_a_lens_and_a_subdural_one_a_crescent(head, world):
    spans = {}
    for name in HEAD_FINDINGS[:2]:
        sick = head(SEED, name)
        points = world(sick)[:, own(sick, name)]
        spans[name] = np.ptp(points[1])
        finding = sick.findings[0]
        assert 4 < finding.size_mm < 31
    assert spans["Epidural haemorrhage"] < 80 < spans["Acute subdural haemorrhage"]


def test_blood_around_the_brain_is_within_the_inner_table_and_on_one_side(head, world):
    sick = head(SEED, "Acute subdural haemorrhage")
    mask = own(sick, "Acute subdural haemorrhage")
    assert (sick.organs[mask] == ORGAN_IDS["brain"]).mean() > 0.97
    x = world(sick)[0][mask] * (1 if sick.findings[0].side == "right" else -1)
    assert x.min() > -12


def test_subarachnoid_blood_replaces_fluid(head):
    plain, sick, difference = change(head, SEED, "Subarachnoid haemorrhage")
    risen = difference > 15
    assert ml(sick, risen) > 3
    assert np.median(plain.volume.voxels[risen]) < plain.patient.white_hu
    assert sick.findings[0].volume_ml > 2


def test_a_clot_has_a_dark_rim(head, world):
    _, sick, difference = change(head, 5, "Intraparenchymal haemorrhage")
    finding = sick.findings[0]
    away = np.linalg.norm(world(sick) - np.reshape(finding.centre_world_mm, (3, 1, 1, 1)), axis=0)
    near = (away < 0.5 * finding.size_mm + 4) & ~own(sick, finding.label)
    assert (difference[near] < -6).sum() > 20


@pytest.mark.parametrize("seed", [5, SEED])
def test_an_acute_infarct_is_dark_and_without_a_border_of_grey_and_white(head, seed):
    plain, sick, difference = change(head, seed, "Acute infarct")
    mask = own(sick, "Acute infarct")
    assert ml(sick, mask) > 2
    assert np.median(difference[mask]) < -4
    assert sick.volume.voxels[mask].std() < 1.1 * plain.volume.voxels[mask].std()
    assert np.median(sick.volume.voxels[mask]) < sick.patient.white_hu - 2


def test_an_old_infarct_is_as_dark_as_fluid(head):
    sick = head(SEED, "Old infarct")
    mask = own(sick, "Old infarct")
    assert np.median(sick.volume.voxels[mask]) < 0.5 * (sick.patient.csf_hu + sick.patient.white_hu)


def test_hydrocephalus_widens_the_ventricles_and_shuts_the_sulci(head, world):
    plain, sick, difference = change(head, 46, "Hydrocephalus")
    inside = sick.organs == ORGAN_IDS["brain"]
    x, y, z = world(sick)
    central = inside & (np.abs(x) < 35) & (np.abs(y + 10) < 50) & (z > -15) & (z < 35)
    crown = inside & (z > 52)
    assert ml(sick, central & (difference < -12)) > 20
    assert difference[crown].mean() > 0.5
    assert plain.findings == ()
    assert sick.findings[0].size_mm > 35


def test_a_fracture_opens_the_vault_under_a_bruise(head, world):
    plain, sick, difference = change(head, SEED, "Fracture")
    finding = sick.findings[0]
    away = np.linalg.norm(world(sick) - np.reshape(finding.centre_world_mm, (3, 1, 1, 1)), axis=0)
    bone = plain.organs == ORGAN_IDS["skull"]
    gap = bone & (difference < -150)
    assert gap.sum() > 15
    assert away[gap].max() < 0.5 * finding.size_mm + 8
    bruise = (difference > 60) & (plain.organs == 0)
    assert ml(sick, bruise) > 2
    assert finding.volume_ml is None


def test_a_depressed_fracture_pushes_bone_inwards():
    seed = next(s for s in range(60) if make_head_scene(draw_head(s), ["Fracture"]).dents)
    plain, sick = (
        make_head(seed=seed, spacing_mm=(2, 2, 3), findings=names) for names in ([], ["Fracture"])
    )
    brain = ORGAN_IDS["brain"]
    assert ml(sick, (plain.organs == brain) & (sick.organs != brain)) > 1


def shifted_seed(names, at_least):
    for seed in range(80):
        scene = make_head_scene(draw_head(seed), names)
        for finding in scene.findings:
            if finding.label == "Midline shift" and finding.size_mm > at_least:
                return seed, finding
    raise AssertionError


@pytest.mark.parametrize("name", ["Acute subdural haemorrhage", "Chronic subdural haemorrhage"])
def test_the_recorded_midline_shift_is_that_of_the_voxels(name):
    seed, finding = shifted_seed([name], 6)
    affine = np.array([[0.5, 0, 0, -30], [0, 1, 0, 10], [0, 0, 1, 5], [0, 0, 0, 1]])
    grids = {}
    for names in ([], [name]):
        phantom = make_head(seed=seed, shape=(121, 10, 7), affine=affine, findings=names)
        hu = phantom.volume.voxels.astype(float).mean(axis=(1, 2))
        fluid = hu < 0.5 * (phantom.patient.white_hu + phantom.patient.csf_hu) + 2
        grids[bool(names)] = np.flatnonzero(fluid).mean() * 0.5 - 30
    moved = grids[True] - grids[False]
    assert np.sign(moved) == (1 if finding.side == "right" else -1)
    assert abs(moved) == pytest.approx(finding.size_mm, abs=2.5)


def test_the_midline_moves_away_from_what_takes_room():
    for seed in range(30):
        scene = make_head_scene(draw_head(seed), ["Acute subdural haemorrhage"])
        by_label = {finding.label: finding for finding in scene.findings}
        if "Midline shift" in by_label:
            assert by_label["Midline shift"].side != by_label["Acute subdural haemorrhage"].side
            assert by_label["Mass effect"].side == by_label["Acute subdural haemorrhage"].side


def test_findings_do_not_change_each_other(head):
    both, alone = head(SEED, "Mass", "Fracture"), head(SEED, "Mass")
    assert [f for f in both.findings if f.label == "Mass"] == [
        f for f in alone.findings if f.label == "Mass"
    ]


def test_sentences_say_what_was_found(head):
    sick = head(SEED, "Acute subdural haemorrhage", "Fracture")
    side = sick.findings[0].side
    assert f"An acute {side} subdural haematoma up to" in sick.report
    assert "No infarct is seen." in sick.report
    assert "No intracranial haemorrhage" not in sick.report
    assert "{" not in make_head(seed=2, spacing_mm=(6, 6, 8), prevalence=1.0).report

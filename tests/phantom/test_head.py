"""A healthy head: what is drawn, how dense it is, where it lies, whatever the grid."""

import pickle

import numpy as np
import pytest
from scipy.ndimage import binary_erosion, label

from common.errors import InputError
from common.phantom import HEAD_FINDINGS, HEAD_LABELS, make_head, make_phantom
from common.phantom.anatomy import ORGAN_IDS
from common.phantom.head.build import draw_head
from common.phantom.head.labels import HEAD_PREVALENCE
from common.phantom.head.make import draw_head_findings
from common.phantom.head.tissue import CAUDATE, PUTAMEN, THALAMUS
from common.phantom.head.ventricles import FOURTH, FRONT, usual_ventricles
from common.phantom.patient import draw_patient
from common.phantom.prevalence import draw_labels

SEEDS = (3, 16, 46)  # 35, 53 and 83 years old


def at(phantom, *places_mm):
    """Mean HU of the 3 x 3 voxels in slice around places given in the head's reference mm."""
    values = []
    for place in places_mm:
        world = phantom.scene.world(place)
        index = np.linalg.solve(phantom.volume.affine, [*world, 1])[:3]
        i, j, k = np.rint(index).astype(int)
        values.append(phantom.volume.voxels[i - 1 : i + 2, j - 1 : j + 2, k].mean())
    return float(np.mean(values))


def both(place):
    return place, (-place[0], *place[1:])


def brain(phantom):
    return phantom.organs == ORGAN_IDS["brain"]


@pytest.mark.parametrize("seed", SEEDS)
def test_tissues_have_the_density_of_a_head_ct(head, seed):
    phantom = head(seed)
    build = phantom.patient
    assert 36 <= build.grey_hu <= 41
    assert 25 <= build.white_hu <= 33
    grey = at(phantom, *both(THALAMUS.centre), *both(PUTAMEN.centre))
    white = at(phantom, *both((28.0, 8.0, 32.0)), *both((28.0, -20.0, 34.0)))
    assert grey == pytest.approx(build.grey_hu, abs=2.5)
    assert white == pytest.approx(build.white_hu, abs=2.5)
    assert grey - white > 5
    assert at(phantom, *both((10.5, -14.0, 21.0))) == pytest.approx(build.csf_hu, abs=10)
    hu = phantom.volume.voxels
    assert 25 < np.median(hu[brain(phantom)]) < 40
    assert 500 < np.median(hu[phantom.organs == ORGAN_IDS["skull"]]) < 1200
    assert (hu[phantom.organs == 0] < -150).mean() > 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_is_that_of_a_head_ct(seed):
    affine = np.array([[1.0, 0, 0, 20], [0, 1, 0, -30], [0, 0, 1, 26], [0, 0, 0, 1]])
    deep = make_head(seed=seed, shape=(14, 34, 12), affine=affine, findings=[])
    assert 3 <= deep.patient.noise_hu <= 6
    assert deep.volume.voxels.std() == pytest.approx(deep.patient.noise_hu, rel=0.35)


def test_a_head_is_as_large_as_a_head(head):
    phantom = head(16)
    cell_ml = np.prod(phantom.volume.spacing_mm) / 1000
    assert 1100 < brain(phantom).sum() * cell_ml < 1800
    x, y = (np.ptp(v) for v in np.nonzero(phantom.organs == ORGAN_IDS["skull"])[:2])
    i, j, _ = phantom.volume.spacing_mm
    assert 130 < x * i < 165
    assert 165 < y * j < 215


def test_masks_name_skull_brain_and_what_else_is_in_view(head):
    phantom = head(min(range(40), key=lambda seed: draw_head(seed).scan_mm[0]))
    present = set(np.unique(phantom.organs).tolist()) - {0}
    wanted = ("skull", "brain", "spinal_cord", "vertebrae_C1", "vertebrae_C2")
    assert {ORGAN_IDS["skull"], ORGAN_IDS["brain"]} == {91, 90}
    assert present <= {ORGAN_IDS[name] for name in wanted}
    assert {90, 91, ORGAN_IDS["vertebrae_C1"]} <= present
    _, pieces = label(brain(phantom))
    assert pieces == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_within_the_skull_is_air_or_fat(head, seed):
    phantom = head(seed)
    within = phantom.volume.voxels[binary_erosion(brain(phantom), iterations=2)]
    assert within.min() > -40


def test_a_normal_head_is_symmetric(head):
    phantom = head(16)
    build = phantom.patient
    ventricles = usual_ventricles(build)
    rng = np.random.default_rng(0)
    x, y, z = rng.uniform((2, -80, -20), (40, 40, 35), (4000, 3)).T.astype(np.float32)
    right, left = (ventricles.lateral(s * x, y, z) for s in (1, -1))
    near = np.minimum(right, left) < 6
    assert np.abs(right - left)[near].max() <= abs(build.variants.asymmetry_mm) + 0.1
    for shape in (CAUDATE, PUTAMEN, THALAMUS):
        middles = np.asarray(shape.bounds()).mean(axis=0)
        assert at(phantom, middles) == pytest.approx(at(phantom, middles * (-1, 1, 1)), abs=5)
    assert not phantom.scene.pushes


def test_old_brains_have_more_fluid(head):
    shares = []
    for seed in (3, 46):
        phantom = head(seed)
        build = phantom.patient
        fluid = phantom.volume.voxels < 0.5 * (build.csf_hu + build.white_hu)
        shares.append(fluid[brain(phantom)].mean())
    assert draw_head(3).age < 40 < 75 < draw_head(46).age
    assert shares[1] > 1.4 * shares[0]


def test_variants_of_normal_leave_a_head_normal():
    builds = [draw_head(seed) for seed in range(300)]
    for name in ("septum_mm", "cisterna_mm", "pineal_mm", "plexus_mm", "falx_mm", "swelling_mm"):
        seeds = [b.seed for b in builds if getattr(b.variants, name)]
        share = len(seeds) / len(builds)
        assert 0.01 < share < 0.8, name
    seed = next(b.seed for b in builds if b.variants.plexus_mm > 2 and b.variants.pineal_mm)
    phantom = make_head(seed=seed, spacing_mm=(1.5, 1.5, 3), findings=[])
    bright = (phantom.volume.voxels > 100) & binary_erosion(brain(phantom), iterations=3)
    assert bright.any()
    assert not phantom.abnormal
    assert phantom.findings == ()
    assert "No intracranial haemorrhage is seen." in phantom.report


def test_a_cavum_parts_the_frontal_horns():
    seed = next(s for s in range(100) if draw_head(s).variants.septum_mm > 4)
    affine = np.array([[1.0, 0, 0, -14], [0, 1, 0, 10], [0, 0, 1, 4], [0, 0, 0, 1]])
    phantom = make_head(seed=seed, shape=(29, 8, 8), affine=affine, findings=[])
    assert at(phantom, (0.0, 14.0, 9.0)) < 20


def test_seeds_are_patients_and_reproducible():
    first, again = (make_head(seed=8, spacing_mm=(4, 4, 6)) for _ in range(2))
    other = make_head(seed=9, spacing_mm=(4, 4, 6))
    assert np.array_equal(first.volume.voxels, again.volume.voxels)
    assert np.array_equal(first.organs, again.organs)
    assert first.findings == again.findings
    assert not np.array_equal(
        first.volume.voxels[:40, :40, :20], other.volume.voxels[:40, :40, :20]
    )


def test_a_seed_is_the_same_person_in_head_and_trunk():
    for seed in range(5):
        head, trunk = draw_head(seed), draw_patient(seed, ())
        assert (head.sex, head.age) == (trunk.sex, trunk.age)


@pytest.mark.parametrize("axcodes", ["RAS", "SLP", "AIR"])
def test_orientation_changes_the_order_of_voxels_alone(axcodes):
    plain = make_head(seed=12, spacing_mm=(3, 3, 3), shape=(70, 80, 60), findings=["Mass"])
    shape = tuple({"R": 70, "L": 70, "A": 80, "P": 80, "S": 60, "I": 60}[a] for a in axcodes)
    turned = make_head(
        seed=12, spacing_mm=(3, 3, 3), shape=shape, axcodes=axcodes, findings=["Mass"]
    )
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    to_plain = np.linalg.inv(plain.volume.affine) @ turned.volume.affine
    i, j, k = np.rint(index @ to_plain[:3, :3].T + to_plain[:3, 3]).astype(int).T
    assert (plain.organs[i, j, k] == turned.organs.ravel()).mean() > 0.999
    assert (plain.lesions[i, j, k] == turned.lesions.ravel()).mean() > 0.999
    difference = plain.volume.voxels[i, j, k] - turned.volume.voxels.ravel().astype(int)
    assert np.quantile(np.abs(difference), 0.99) < 8 * plain.patient.noise_hu
    assert plain.findings == turned.findings


def test_a_tilted_gantry_shows_the_same_head():
    plain = make_head(seed=16, spacing_mm=(2, 2, 3), findings=[])
    tilted = make_head(seed=16, spacing_mm=(2, 2, 3), findings=[], gantry_tilt_deg=18)
    along, across = tilted.volume.affine[:3, 1], tilted.volume.affine[:3, 2]
    assert np.rad2deg(np.arctan2(along[2], along[1])) == pytest.approx(-162)
    assert across == pytest.approx([0, 0, 3])
    assert tilted.volume.spacing_mm == pytest.approx((2, 2, 3))
    for place in (THALAMUS.centre, FRONT[2], FOURTH):
        assert at(tilted, *both(place)) == pytest.approx(at(plain, *both(place)), abs=9)


def test_thick_slices_show_the_mean_of_what_they_cut():
    affine = np.diag([2.0, 2, 2.5, 1])
    affine[:3, 3] = (-80, -110, -40)
    thin = make_head(seed=5, shape=(80, 96, 52), affine=affine, findings=[]).volume.voxels
    affine[:3, 2], affine[2, 3] = (0, 0, 5), -38.75
    thick = make_head(seed=5, shape=(80, 96, 26), affine=affine, findings=[]).volume.voxels
    mean = thin.reshape(80, 96, 26, 2).mean(axis=-1)
    assert np.abs(mean - thick).mean() < 8


def test_half_of_all_heads_are_abnormal():
    assert tuple(HEAD_PREVALENCE) == HEAD_FINDINGS
    drawn = [draw_head_findings(seed) for seed in range(4000)]
    assert np.mean([bool(names) for names in drawn]) == pytest.approx(0.5, abs=0.03)
    for name, model in HEAD_PREVALENCE.items():
        share = np.mean([name in names for names in drawn])
        assert share == pytest.approx(model.prevalence, abs=0.015), name
    assert sum(len(names) > 1 for names in drawn) > 500


def test_prevalence_works_as_for_chests():
    assert draw_head_findings(4, 0.0) == ()
    assert draw_head_findings(4, 1.0) == HEAD_FINDINGS
    assert (
        draw_head_findings(4, {"mass": 1.0, **dict.fromkeys(HEAD_FINDINGS[:8], 0.0)})[0] == "Mass"
    )
    with pytest.raises(InputError, match="findings must be head finding names, got 'Nodule'"):
        draw_head_findings(4, {"Nodule": 0.5})
    chest = draw_labels(np.random.default_rng(0), 0.0)
    assert chest == ()


def test_labels_say_abnormal_first(head):
    assert ("Abnormal", *HEAD_FINDINGS) == HEAD_LABELS
    sick = head(16, "Fracture", "Mass")
    names = {name for name, value in zip(HEAD_LABELS, sick.labels, strict=True) if value}
    assert names == {"Abnormal", "Fracture", "Mass"}
    assert not head(16).labels.any()


def test_all_findings_fit_into_one_head():
    phantom = make_head(seed=2, spacing_mm=(3, 3, 5), prevalence=1.0)
    assert phantom.labels.all()
    assert set(HEAD_FINDINGS) <= set(phantom.label_names)
    assert phantom.report


def test_a_head_can_be_pickled_with_its_truth():
    phantom = make_phantom(seed=2, spacing_mm=(5, 5, 6), region="head", findings=["Mass"])
    again = pickle.loads(pickle.dumps(phantom))
    assert again.findings == phantom.findings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"seed": -1}, "seed must be a whole number from 0 on, got -1"),
        ({"gantry_tilt_deg": 40}, "gantry_tilt_deg must be within -30 and 30, got 40"),
        ({"findings": ["Lung nodule"]}, "findings must be head finding names, got 'Lung nodule'"),
        ({"findings": ["Midline shift"]}, "findings must be head finding names"),
        ({"spacing_mm": (0.1, 1, 1)}, "spacing_mm must be three numbers of at least 0.2"),
    ],
)
def test_wrong_arguments_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        make_head(**{"seed": 0, **wrong})

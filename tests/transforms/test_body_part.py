"""A scan of another part of the body than a network is for is refused."""

import json
from functools import lru_cache

import numpy as np
import pytest

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from common.phantom import make_phantom
from common.transforms.body_part import (
    ANATOMIES,
    CheckBodyPartd,
    doubt_chest,
    doubt_head,
    look_at,
)
from common.volumes.volume import Volume
from common.weights.card import read_card
from tests.conftest import REPOSITORY

AIRLESS = ("Pleural effusion", "Consolidation", "Lung opacity", "Atelectasis")


def judged(volume, doubt=doubt_chest):
    found = doubt(look_at(volume))
    return "passes" if found is None else "refused" if found.refused else "warned"


@lru_cache
def phantom(region, seed=11, findings=()):
    spacing_mm = (3.0, 3.0, 5.0)
    return make_phantom(seed=seed, region=region, spacing_mm=spacing_mm, findings=findings).volume


@pytest.fixture(scope="module")
def chest():
    return phantom("chest")


@pytest.fixture(scope="module")
def lungs(chest):
    """Where the lungs are: dark, and in the body."""
    dark = (chest.voxels < -600) & (chest.voxels > -930)
    dark[:4] = dark[-4:] = False
    return dark


def with_lungs(chest, where, hu):
    """The chest with one value in a part of the lungs, and noise."""
    voxels = chest.voxels.copy()
    voxels[where] = hu
    noise = np.random.default_rng(0).normal(0, 15, voxels.shape)
    return Volume((voxels + noise).round().astype(np.int16), chest.affine)


def part(volume, first, last):
    """Slices of a scan, from and to a share of its height."""
    first, last = (round(share * volume.voxels.shape[2]) for share in (first, last))
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 2] * first
    return Volume(volume.voxels[:, :, first:last], affine)


def block(hu, radius_mm, length_mm=120, spacing_mm=3.0):
    """An upright cylinder in air."""
    half = round(1.4 * radius_mm / spacing_mm)
    x = np.arange(-half, half + 1) * spacing_mm
    plane = np.where(np.hypot(x[:, None], x) < radius_mm, hu, -1000)
    voxels = np.repeat(plane[:, :, None], round(length_mm / spacing_mm), 2)
    noise = np.random.default_rng(0).normal(0, 12, voxels.shape)
    return Volume((voxels + noise).astype(np.int16), np.diag([-spacing_mm, -spacing_mm, 3, 1]))


@pytest.mark.parametrize(("region", "findings"), [("chest", AIRLESS), ("torso", ())])
@pytest.mark.parametrize("seed", [3, 11])
def test_a_chest_passes(region, findings, seed):
    assert judged(phantom(region, seed, findings)) == "passes"


def test_one_white_lung_is_a_chest(chest, lungs):
    lungs = lungs.copy()
    lungs[: lungs.shape[0] // 2] = False
    assert judged(with_lungs(chest, lungs, 40)) == "passes"


@pytest.mark.parametrize("hu", [-950, -350])
def test_lungs_of_other_density_are_lungs(chest, lungs, hu):
    assert judged(with_lungs(chest, lungs, hu)) == "passes"


@pytest.mark.parametrize("left", [0.15, 0.05])
def test_a_rest_of_air_in_white_lungs_is_enough(chest, lungs, left):
    white = lungs.copy()
    across = np.flatnonzero(lungs.any(axis=(0, 2)))
    share = np.cumsum(lungs.sum(axis=(0, 2))) / lungs.sum()
    white[:, across[0] : int((share < left).sum())] = False
    assert judged(with_lungs(chest, white, 30)) == "warned"


@pytest.mark.parametrize("scale", [0.2, 0.5])
def test_a_child_is_measured_as_an_adult_is(chest, scale):
    affine = chest.affine.copy()
    affine[:3, :3] *= scale
    assert judged(Volume(chest.voxels, affine)) == "passes"


@pytest.mark.parametrize("padding", [-1000, -1024, -3024])
def test_a_small_round_field_of_view_cuts_the_lungs_and_passes(chest, padding):
    i, j, _ = (slice(n // 2 - 30, n // 2 + 30) for n in chest.voxels.shape)
    x = np.arange(-29.5, 30)
    within = np.hypot(x[:, None], x)[:, :, None] < 30  # 180 mm across
    voxels = np.where(within, chest.voxels[i, j], padding).astype(np.int16)
    assert judged(Volume(voxels, chest.affine)) == "passes"


@pytest.mark.parametrize("seed", [3, 11])
def test_a_chest_that_is_white_throughout_is_told_by_its_ribs(seed):
    chest = phantom("chest", seed)
    dark = (chest.voxels < -600) & (chest.voxels > -930)
    white = with_lungs(chest, dark, 40)
    assert judged(white) == "warned"
    assert look_at(white).lung_share < 0.01


def test_a_field_of_view_within_the_body_could_be_anywhere_and_is_refused(chest):
    middle = tuple(slice(n // 2 - 10, n // 2 + 10) for n in chest.voxels.shape[:2])
    heart = Volume(chest.voxels[middle].clip(-100), chest.affine)  # no lung at all
    assert judged(heart) == "refused"
    assert judged(heart, doubt_head) == "refused"


def thighs(between_mm, foam_hu):
    """A field of view that cuts two thighs off; foam lies below and, so wide, between them."""
    x = np.arange(-90.0, 91, 3)
    row, column = x[:, None], x[None]
    plane = np.where(np.hypot(row, np.abs(column) - 60) < 13, 900, 50)  # two shafts of bone
    gap = np.abs(column) < between_mm / 2
    plane = np.where((row > 40) | (gap & (row > -60)), foam_hu, plane)
    voxels = np.repeat(plane.T[:, :, None], 50, 2)
    noise = np.random.default_rng(0).normal(0, 12, voxels.shape)
    return Volume((voxels + noise).astype(np.int16), np.diag([-3, -3, 3, 1]))


@pytest.mark.parametrize("foam_hu", [-920, -800, -600])
@pytest.mark.parametrize("between_mm", [0, 36])
def test_foam_around_thighs_is_no_lung(between_mm, foam_hu):
    assert judged(thighs(between_mm, foam_hu)) == "refused"


@pytest.mark.parametrize("tilt", ["oblique", "sheared"])
def test_axes_do_not_matter(chest, tilt):
    affine = chest.affine.copy()
    if tilt == "sheared":
        affine[1, 2] += affine[2, 2] * np.tan(np.radians(20))
    else:
        turn = np.eye(4)
        turn[1:3, 1:3] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
        affine = turn @ affine
    turned = Volume(chest.voxels.transpose(2, 0, 1), affine[:, [2, 0, 1, 3]])
    assert judged(turned) == "passes"


def test_a_short_piece_of_a_chest_is_said_to_be_one(chest):
    piece = part(chest, 0.5, 0.6)
    assert judged(piece) == "warned"
    assert "lung is seen over 3" in doubt_chest(look_at(piece)).found


@pytest.mark.parametrize("seed", [3, 11])
def test_what_is_no_chest_is_refused(seed):
    assert judged(phantom("head", seed)) == "refused"
    abdomen = phantom("abdomen", seed)
    assert judged(part(abdomen, 0, 0.33)) == "refused"
    assert judged(part(abdomen, 0.33, 0.5)) == "refused"
    assert judged(abdomen) in ("warned", "passes")  # the lungs' bases are in it


@pytest.mark.parametrize(
    "volume", [block(0, 100), block(60, 50), block(-990, 10)], ids=["water", "limb", "nothing"]
)
def test_what_has_no_anatomy_is_neither_chest_nor_head(volume):
    assert judged(volume) == "refused"
    assert judged(volume, doubt_head) == "refused"


@pytest.mark.parametrize("seed", [3, 11])
def test_a_head_passes_and_nothing_else_does(seed):
    head = phantom("head", seed)
    assert judged(head, doubt_head) == "passes"
    assert judged(part(head, 0.5, 0.8), doubt_head) == "passes"
    for region in ("chest", "abdomen"):
        assert judged(phantom(region, seed), doubt_head) == "refused"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_a_few_slices_of_a_head_with_gantry_tilt_are_a_head(order):
    slab = part(phantom("head"), 0.5, 0.65)
    affine = slab.affine.copy()
    affine[:3, 1] = affine[1, 1] * np.array([0, np.cos(0.32), np.sin(0.32)])  # stacked along z
    tilted = Volume(slab.voxels.transpose(order), affine[:, [*order, 3]])
    assert judged(tilted, doubt_head) == "passes"


def test_a_head_without_half_of_its_vault_is_a_head():
    head = phantom("head")
    voxels = head.voxels.copy()
    open_side = voxels[: int(0.42 * voxels.shape[0]), :, int(0.35 * voxels.shape[2]) :]
    open_side[open_side > 150] = 40
    assert judged(Volume(voxels, head.affine), doubt_head) == "passes"


REAL = {
    "data/ct/chest_1p1mm_3mm.nii.gz": "passes",
    "data/ct/cardiac_cta_1p5mm.nii.gz": "passes",
    "data/ct/abdomen_3mm.nii.gz": "warned",  # the lungs' bases
    "data/ct/abdomen_dicom_jpeg2000": "warned",  # ribs and a sliver of lung
    "failing_inputs/real/example_ct_sm.nii.gz": "warned",  # the lungs' bases
    "data/ct/head_phantom_dicom_5mm": "refused",
    "failing_inputs/real/ge_two_thicknesses": "refused",  # a head, tilted by 18.5 degrees
    "data/ct_tumour/sts_002_ct.nii.gz": "refused",  # thigh on foam
    "data/ct_tumour/sts_003_ct.nii.gz": "refused",  # thighs, clothes between them
    "data/ct_tumour/sts_004_ct.nii.gz": "refused",  # thigh
    "data/ct_tumour/sts_005_ct.nii.gz": "warned",  # an arm, and the lung beside it
    "data/ct_tumour/sts_010_ct.nii.gz": "refused",  # lower legs
    "data/ct_tumour/sts_018_ct.nii.gz": "refused",  # buttock on foam
    "data/ct_tumour/sts_019_ct.nii.gz": "refused",  # foot
    "data/ct_tumour/sts_028_ct.nii.gz": "refused",  # lower leg
    "data/ct_tumour/sts_036_ct.nii.gz": "refused",  # pelvis, gas in the bowel
}
HEADS = {"data/ct/head_phantom_dicom_5mm", "failing_inputs/real/ge_two_thicknesses"}


@pytest.mark.parametrize(("path", "wanted"), REAL.items())
def test_real_scans(shared, path, wanted):
    (case,) = find_cases(shared / path)
    assert judged(read_volume(case)) == wanted
    is_head = judged(read_volume(case), doubt_head) == "passes"
    assert is_head == (path in HEADS)


def test_a_refusal_says_what_was_measured_and_how_to_go_on():
    check = CheckBodyPartd("volume", anatomy="chest")
    with pytest.raises(InputError, match=r"must show a chest, got a body of 1\d\d x 2\d\d x 1\d\d"):
        check({"volume": phantom("head")})
    with pytest.raises(
        InputError, match=r"0 pieces of bone \(a chest: 20% or more, or 9 pieces, as"
    ):
        check({"volume": block(0, 100)})
    with pytest.raises(InputError, match="run it all the same with `--any_body_part True`"):
        check({"volume": block(0, 100)})


def test_any_body_part_turns_a_refusal_into_a_warning():
    volume = block(0, 100)
    found = CheckBodyPartd("volume", anatomy="chest", any_body_part=True)({"volume": volume})
    (warning,) = found["volume"].facts["warnings"]
    assert "for a chest, of which the scan seems to show nothing" in warning
    assert found["volume"].facts["body_part"]["lung_share"] == 0
    assert "warnings" not in volume.facts


def test_what_passes_is_noted_with_its_numbers(chest):
    facts = CheckBodyPartd("volume", anatomy="chest")({"volume": chest})["volume"].facts
    assert facts["body_part"]["lung_share"] > 0.25
    assert "warnings" not in facts


def test_a_network_for_any_ct_looks_at_nothing():
    data = {"volume": block(0, 100)}
    assert CheckBodyPartd("volume", anatomy="any")(data) == data


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"anatomy": "foot"}, "card's anatomy must be one of any, chest, head, got 'foot'"),
        ({"anatomy": "any", "any_body_part": 1}, "any_body_part must be True or False, got 1"),
    ],
)
def test_a_wrong_option_is_refused(options, rule):
    with pytest.raises(InputError, match=rule):
        CheckBodyPartd("volume", **options)


@pytest.mark.parametrize("bundle", sorted(p.name for p in (REPOSITORY / "bundles").iterdir()))
def test_every_card_says_what_it_is_for(bundle):
    folder = REPOSITORY / "bundles" / bundle
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    for name in ("demo", "published"):
        assert read_card(folder / "models" / f"{name}.json").anatomy == metadata["anatomy"]
    assert metadata["anatomy"] in ANATOMIES

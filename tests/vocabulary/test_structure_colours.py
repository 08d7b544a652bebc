import itertools

import numpy as np
from highdicom.color import CIELabColor

from common.vocabulary.structure_colours import structure_colour
from common.vocabulary.totalsegmentator import STRUCTURES

NAMES = STRUCTURES[1:]
TOUCHING = [
    ("liver", "stomach"), ("liver", "kidney_right"), ("spleen", "kidney_left"),
    ("stomach", "spleen"), ("pancreas", "duodenum"), ("small_bowel", "colon"),
    ("heart", "aorta"), ("aorta", "inferior_vena_cava"), ("femur_left", "hip_left"),
    ("sacrum", "hip_right"), ("sacrum", "vertebrae_S1"), ("trachea", "esophagus"),
    ("urinary_bladder", "prostate"), ("kidney_left", "kidney_cyst_left"),
    ("lung_upper_lobe_left", "lung_lower_lobe_left"), ("skull", "brain"),
    ("lung_upper_lobe_right", "lung_middle_lobe_right"), ("iliac_artery_left", "iliac_vena_left"),
    ("lung_middle_lobe_right", "lung_lower_lobe_right"), ("spinal_cord", "vertebrae_T8"),
    ("gluteus_maximus_left", "gluteus_medius_left"), ("sternum", "costal_cartilages"),
    ("gluteus_medius_right", "gluteus_minimus_right"), ("scapula_left", "humerus_left"),
]  # fmt: skip


def difference(first: str, second: str) -> float:
    """Distance of two structures' colours in CIELab; about 2 can just be seen side by side."""
    labs = [CIELabColor.from_rgb(*structure_colour(name)) for name in (first, second)]
    values = [(lab.l_star, lab.a_star, lab.b_star) for lab in labs]
    return float(np.linalg.norm(np.subtract(*values)))


def test_every_structure_has_a_colour_of_its_own() -> None:
    colours = {structure_colour(name) for name in NAMES}
    assert len(colours) == 117
    assert all(0 <= part <= 255 for colour in colours for part in colour)
    assert min(difference(*pair) for pair in itertools.combinations(NAMES, 2)) > 3.5


def test_left_and_right_can_be_told_apart() -> None:
    for name in NAMES:
        other = name.replace("left", "right")
        if "left" in name and other in NAMES:
            assert difference(name, other) > 7, name


def test_neighbouring_vertebrae_and_ribs_can_be_told_apart() -> None:
    spine = [name for name in NAMES if name.startswith("vertebrae_")]
    rows = [spine] + [
        [f"rib_{side}_{number}" for number in range(1, 13)] for side in ("left", "right")
    ]
    for row in rows:
        for pair in itertools.pairwise(row):
            assert difference(*pair) > 15, pair


def test_structures_that_touch_can_be_told_apart() -> None:
    for pair in TOUCHING:
        assert difference(*pair) > 10, pair


def test_arteries_are_red_and_veins_blue() -> None:
    for name in NAMES:
        red, _, blue = structure_colour(name)
        if "artery" in name or name in ("aorta", "brachiocephalic_trunk"):
            assert red > 2 * blue, name
        elif ("vena" in name or "vein" in name) and name != "pulmonary_vein":
            assert blue > 1.7 * red, name


def test_other_labels_have_colours_of_their_own_always_the_same():
    others = ("heart_myocardium", "face", "tumour", "lesion", "background")
    colours = [structure_colour(name) for name in others]
    assert len(set(colours)) == len(others)
    assert colours == [structure_colour(name) for name in others]
    assert all(0 <= part <= 255 for colour in colours for part in colour)

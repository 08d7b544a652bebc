"""TotalSegmentator's class maps."""

import json

from common.vocabulary.totalsegmentator import GROUPS, MANY_PIECES, STRUCTURES, STRUCTURES_V1


def test_117_and_104_structures_each_once():
    assert len(STRUCTURES) == len(set(STRUCTURES)) == 118
    assert len(STRUCTURES_V1) == len(set(STRUCTURES_V1)) == 105


def test_only_the_first_six_numbers_agree_between_the_versions():
    same = [n for n in range(1, 105) if STRUCTURES[n] == STRUCTURES_V1[n]]
    assert same == [1, 2, 3, 4, 5, 6]


def test_known_numbers():
    assert STRUCTURES.index("pancreas") == 7
    assert STRUCTURES.index("heart") == 51
    assert STRUCTURES.index("aorta") == 52
    assert STRUCTURES.index("costal_cartilages") == 117


def test_what_may_lie_apart_is_a_structure():
    assert set(STRUCTURES) >= MANY_PIECES


def test_names_are_the_published_ones(shared):
    published = json.loads((shared / "manifests" / "totalseg_labels.json").read_text())
    assert list(STRUCTURES) == [published["labels"][str(n)] for n in range(118)]
    first = published["totalsegmentator_v1_104"]
    assert list(STRUCTURES_V1) == [first[str(n)] for n in range(105)]
    groups = published["groups_sorted_then_reindexed_from_1"]
    spelled = {"vertebrae_v1": "vertebra_v1", "merlin": "merlin_v2"}
    for name, members in GROUPS.items():
        assert list(members) == groups[spelled.get(name, name)]["names"], name

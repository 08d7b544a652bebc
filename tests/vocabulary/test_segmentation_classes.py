"""Names and versions of structures."""

import pytest

from common.errors import InputError
from common.vocabulary.segmentation_classes import (
    check_version,
    choose_classes,
    comparable,
    names_by_number,
    shared_names,
    version_of,
)
from common.vocabulary.totalsegmentator import GROUPS, STRUCTURES, STRUCTURES_V1

V1, V2 = (list(names_by_number(version).values()) for version in ("v1", "v2"))


def test_all_of_version_2_are_the_network_s_117_channels():
    assert choose_classes("all", V2, version="v2") == list(STRUCTURES[1:])


def test_classes_keep_the_order_in_which_they_are_given():
    assert choose_classes(["spleen", "aorta"], V2, version="v2") == ["spleen", "aorta"]
    assert choose_classes("aorta, spleen", V2, version="v2") == ["aorta", "spleen"]


def test_a_group_is_its_published_names_in_order():
    assert choose_classes("ribs_v1", V2, version="v2") == list(GROUPS["ribs_v1"])
    assert choose_classes("cardiac_v1", V1, version="v1") == list(GROUPS["cardiac_v1"])


def test_a_group_of_the_other_version_names_what_does_not_fit():
    with pytest.raises(InputError, match=r"version v2, got heart_myocardium, .* use data of"):
        choose_classes("cardiac_v1", V2, version="v2")


def test_the_sacrum_is_not_the_same_in_both_versions():
    with pytest.raises(InputError, match="got sacrum, which v2 does not have or means otherwise"):
        choose_classes("muscles_v1", V2, version="v2")
    assert "sacrum" not in shared_names()
    assert comparable(["sacrum", "liver"], "v1", V2, "v2") == ["liver"]
    assert comparable(["sacrum", "liver"], "v2", V2, "v2") == ["sacrum", "liver"]


def test_shared_structures_are_in_both_tables():
    shared = choose_classes("shared", V1, version="v1")
    assert set(shared) <= set(STRUCTURES) & set(STRUCTURES_V1)
    assert len(shared) == 96


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(InputError, match="got pancreass; did you mean pancreas"):
        choose_classes(["pancreass"], V2, version="v2")


@pytest.mark.parametrize("wanted", [["liver", "liver"], [], ["background"]])
def test_doubles_nothing_and_background_are_refused(wanted):
    with pytest.raises(InputError, match="classes must be"):
        choose_classes(wanted, ["background", "liver"])


def test_names_give_their_version_away():
    assert version_of(["liver", "face"], source="x") == "v1"
    assert version_of(["liver", "heart"], source="x") == "v2"
    assert version_of(["liver", "cancer"], source="x") == ""


def test_names_of_two_versions_are_refused():
    with pytest.raises(InputError, match=r"got face of version 1 and heart of version 2"):
        version_of(["face", "heart"], source="x")


def test_names_of_the_version_not_stated_are_named():
    with pytest.raises(InputError, match=r"version v2, got face, pulmonary_artery, which only v1"):
        check_version(["face", "pulmonary_artery", "liver"], "v2", source="x")
    with pytest.raises(InputError, match=r"version v1, got heart, which only v2"):
        check_version(["heart"], "v1", source="x")
    assert check_version(["liver"], "v1", source="x") == "v1"

"""Rows of the legend."""

import pytest

from common.figures.page import Page
from common.figures.structure_legend import (
    OTHERS,
    SYSTEMS,
    draw_structure_legend,
    legend_rows,
    volume_text,
)
from common.vocabulary.totalsegmentator import STRUCTURES


def test_every_structure_has_one_place():
    systems = legend_rows(STRUCTURES[1:])
    names = [name for rows in systems.values() for row in rows for name in row.members.values()]
    assert sorted(names) == sorted(STRUCTURES[1:])
    assert OTHERS not in systems
    assert list(systems) == list(SYSTEMS)


def test_every_row_of_the_systems_is_used():
    rows = [row.title for found in legend_rows(STRUCTURES[1:]).values() for row in found]
    assert len(rows) == len(set(rows)) == sum(len(keys) for keys in SYSTEMS.values())


def test_a_pair_shares_a_row_and_ribs_are_a_series():
    systems = legend_rows(["kidney_left", "kidney_right", "rib_left_3", "rib_left_12"])
    (kidney,), (ribs,) = systems["Organs"], systems["Bones"]
    assert kidney.members == {"left": "kidney_left", "right": "kidney_right"}
    assert not kidney.is_series
    assert ribs.members == {"3": "rib_left_3", "12": "rib_left_12"}
    assert ribs.is_series


def test_an_unknown_name_is_listed_among_others():
    assert [row.title for row in legend_rows(["lesion"])[OTHERS]] == ["lesion"]


@pytest.mark.parametrize(
    ("volume_ml", "at_border", "text"),
    [
        (1234.4, False, "1,234"),
        (10.0, False, "10"),
        (9.96, True, "≥ 10.0"),
        (0.06, False, "0.1"),
        (0.001, False, "<0.1"),
    ],
)
def test_volumes_are_short(volume_ml, at_border, text):
    assert volume_text({"volume_ml": volume_ml, "touches_border": at_border}) == text


def found(names):
    return {
        name: {"volume_ml": float(number), "touches_border": False}
        for number, name in enumerate(names)
    }


def draw(names, shown, high):
    page = Page(400, 1000)
    return draw_structure_legend(
        page, (0, 0, 352, high), structures=found(names), shown=shown, window_name="soft tissue"
    )


def test_all_117_fit_beside_the_pictures():
    assert draw(STRUCTURES[1:], set(STRUCTURES[1:]), 880) == 0


def test_what_does_not_fit_is_counted():
    assert draw(STRUCTURES[1:], set(STRUCTURES[1:]), 300) > 50
    assert draw([], set(), 300) == 0

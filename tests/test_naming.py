"""Case names are unique, readable and safe as file names."""

import pytest

from common.naming import safe_name, shown, unique_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scan 1", "scan_1"),
        ("Müller, Jörg", "Mueller_Joerg"),
        ("Mu\u0308ller", "Mueller"),  # as macOS writes it
        ("Renée/../x", "Renee_.._x"),
        ("..", "case"),
        ("Łódź", "Lodz"),
        ("scan_1.5mm-b", "scan_1.5mm-b"),
        ("a__b_", "a_b"),
    ],
)
def test_names_are_spelled_with_safe_letters(text: str, expected: str):
    assert safe_name(text) == expected


def test_shortest_name_that_is_alone_wins():
    assert unique_names([["a", "x_a"], ["b", "x_b"], ["a", "y_a"]]) == ["x_a", "b", "y_a"]


def test_names_that_stay_equal_are_numbered():
    assert unique_names([["a"], ["A"], ["a"], ["a_2"]]) == ["a", "A_3", "a_4", "a_2"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("胸部", "腹部"),
        ("p胸1", "p腹1"),
        ("a" * 300, "a" * 299),
        ("a\udcff", "a\udcfe"),  # two bytes that are not UTF-8
        ("\ud800", "\ud801"),
    ],
)
def test_names_that_lose_letters_stay_apart(one: str, other: str):
    names = [safe_name(one), safe_name(other)]
    assert names[0] != names[1]
    assert names == [safe_name(one), safe_name(other)]
    assert all(len(name) <= 100 and name.isascii() for name in names)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/Müller 1.nii", "/data/Müller 1.nii"),
        ("a\nb\r\x1b[31m\u2028c", r"a\nb\r\x1b[31m\u2028c"),
        ("a\udcffb", r"a\xffb"),
        ("\ud800", r"\ud800"),
    ],
)
def test_paths_are_shown_in_one_printable_line(text: str, expected: str):
    assert shown(text) == expected
    assert shown(expected) == expected


def test_many_equal_names_are_numbered_quickly():
    names = unique_names([["a"]] * 20_000)
    assert len(set(names)) == 20_000
    assert names[:2] == ["a", "a_2"]

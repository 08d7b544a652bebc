"""Case names are unique, readable and safe as file names."""

import pytest

from common.naming import safe_name, unique_names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("scan 1", "scan_1"),
        ("Müller, Jörg", "Mueller_Joerg"),
        ("Mu\u0308ller", "Mueller"),  # as macOS writes it
        ("Renée/../x", "Renee_.._x"),
        ("..", "case"),
        ("胸部", "case"),
        ("a" * 300, "a" * 100),
    ],
)
def test_names_are_spelled_with_safe_letters(text: str, expected: str):
    assert safe_name(text) == expected


def test_shortest_name_that_is_alone_wins():
    assert unique_names([["a", "x_a"], ["b", "x_b"], ["a", "y_a"]]) == ["x_a", "b", "y_a"]


def test_names_that_stay_equal_are_numbered():
    assert unique_names([["a"], ["A"], ["a"], ["a_2"]]) == ["a", "A_3", "a_4", "a_2"]

from typing import Any

import numpy as np

from common.figures.slice_choice import (
    HU_WINDOWS,
    SliceChoice,
    choose_slices,
    evenly_spaced,
    pictures_by_label,
    window_of,
)
from common.vocabulary.chest_findings import CT_RATE_LABELS
from common.vocabulary.head_findings import HEAD_LABELS

LABELS = ["Lung nodule", "Emphysema", "Cardiomegaly"]


def relevance(*peaks: int, num_triplets: int = 40) -> np.ndarray:
    """One row per label, 1 at its peak and 0 elsewhere."""
    return np.eye(num_triplets)[list(peaks)]


def choose(probabilities: list[float], rows: np.ndarray, **change: Any) -> list[SliceChoice]:
    given: dict[str, Any] = {
        "labels": LABELS,
        "probabilities": probabilities,
        "thresholds": [0.5] * 3,
        "relevance": rows,
        "inside": np.ones(rows.shape[1], bool),
    }
    return choose_slices(**{**given, **change})


def test_the_most_probable_positive_finding_leads_at_its_peak() -> None:
    chosen = choose([0.6, 0.1, 0.9], relevance(5, 20, 30))
    assert chosen[0] == SliceChoice(30, "mediastinal", [2])
    assert chosen[1] == SliceChoice(5, "lung", [0])


def test_two_findings_in_one_place_share_a_picture() -> None:
    chosen = choose([0.9, 0.8, 0.1], relevance(5, 7, 30))
    assert chosen[0] == SliceChoice(5, "lung", [0, 1])


def test_a_lone_finding_is_shown_in_both_windows() -> None:
    chosen = choose([0.9, 0.1, 0.2], relevance(5, 20, 30))
    assert chosen[:2] == [SliceChoice(5, "lung", [0]), SliceChoice(5, "mediastinal", [0])]


def test_left_over_pictures_go_to_the_findings_nearest_their_thresholds() -> None:
    chosen = choose([0.9, 0.1, 0.4], relevance(5, 20, 30))
    assert [choice.labels for choice in chosen[2:]] == [[2], [1]]


def test_a_negative_finding_does_not_share_a_positive_findings_picture() -> None:
    chosen = choose([0.9, 0.4, 0.1], relevance(5, 6, 30))
    assert chosen[0].labels == [0]


def test_a_second_place_is_shown_where_it_matters() -> None:
    rows = relevance(5, 20, 30)
    rows[0, 15], rows[0, 35] = 0.5, 0.01
    chosen = choose([0.9, 0.1, 0.1], rows)
    assert chosen[2] == SliceChoice(15, "lung", [0])
    assert all(choice.triplet != 35 for choice in chosen)


def test_padding_is_never_shown() -> None:
    inside = np.arange(40) < 10
    chosen = choose([0.9, 0.9, 0.9], relevance(5, 20, 30), inside=inside)
    assert chosen
    assert all(choice.triplet < 10 for choice in chosen)
    assert choose([0.9, 0.9, 0.9], relevance(5, 20, 30), inside=np.zeros(40, bool)) == []


def test_without_a_positive_finding_the_nearest_one_is_shown() -> None:
    assert choose([0.1, 0.4, 0.2], relevance(5, 20, 30))[0] == SliceChoice(20, "lung", [1])


def test_never_more_pictures_than_asked_for() -> None:
    rows = np.ones((3, 40))
    assert len(choose([0.9, 0.9, 0.9], rows)) == 4
    assert len(choose([0.9, 0.9, 0.9], rows, num_slices=2)) == 2


def test_without_relevance_slices_are_spread_from_head_to_foot() -> None:
    triplets = [choice.triplet for choice in evenly_spaced(np.arange(40) >= 20)]
    assert triplets == [37, 32, 27, 22]
    assert evenly_spaced([False]) == []
    assert {choice.window for choice in evenly_spaced([True] * 8, LABELS)} == {
        "lung",
        "mediastinal",
    }
    assert {choice.window for choice in evenly_spaced([True] * 8, ["Abnormal"])} == {"brain"}
    assert len(evenly_spaced([True, True])) == 2


def test_every_finding_has_a_window() -> None:
    assert {window_of(label) for label in (*CT_RATE_LABELS, *HEAD_LABELS)} == set(HU_WINDOWS)


def test_pictures_are_listed_by_label() -> None:
    choices = [SliceChoice(1, "lung", [4, 2]), SliceChoice(9, "lung", [4])]
    assert pictures_by_label(choices) == {4: [0, 1], 2: [0]}

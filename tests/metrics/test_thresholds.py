"""Thresholds and the decision rule. Run alone: pytest tests/metrics/test_thresholds.py"""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from common.errors import InputError
from common.metrics.thresholds import f1_thresholds
from common.weights.decision import decide, ordered_thresholds


def thresholds_of(truth, probabilities):
    truth, probabilities = np.array(truth, dtype=float), np.array(probabilities)
    (chosen,) = f1_thresholds(
        truth=truth[:, None], probabilities=probabilities[:, None], labels=["nodule"]
    )
    return chosen


def test_a_probability_equal_to_the_threshold_is_positive():
    assert decide(np.array([0.49, 0.5, 0.51]), [0.5, 0.5, 0.5]).tolist() == [False, True, True]


def test_each_label_has_its_own_threshold():
    decisions = decide(np.array([[0.3, 0.3], [0.7, 0.7]]), [0.2, 0.6])
    assert decisions.tolist() == [[True, False], [True, True]]


def test_threshold_lies_midway_between_the_classes_where_they_part():
    chosen = thresholds_of([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])
    assert chosen.threshold == pytest.approx(0.4)
    assert chosen.f1 == 1.0
    assert chosen.reason == ""


def test_no_other_cut_has_a_higher_f1(cohort):
    chosen = f1_thresholds(
        truth=cohort.truth, probabilities=cohort.probabilities, labels=cohort.labels
    )
    for index, entry in enumerate(chosen):
        known = ~np.isnan(cohort.truth[:, index])
        truth, probabilities = cohort.truth[known, index], cohort.probabilities[known, index]
        best = max(f1_score(truth, probabilities >= cut) for cut in probabilities)
        assert entry.f1 == pytest.approx(best)
        assert f1_score(truth, decide(probabilities, [entry.threshold])) == pytest.approx(best)


def test_of_equally_good_cuts_the_highest_wins():
    # Cut above 0.2: TP 2, FP 2, F1 2/3. Cut above 0.6: TP 1, FP 0, F1 2/3.
    chosen = thresholds_of([1, 0, 0, 1, 0], [0.9, 0.5, 0.4, 0.3, 0.1])
    assert chosen.f1 == pytest.approx(2 / 3)
    assert chosen.threshold == pytest.approx(0.7)


def test_tied_probabilities_are_never_parted():
    chosen = thresholds_of([0, 1, 1], [0.5, 0.5, 0.8])
    assert chosen.threshold == pytest.approx(0.25)  # all three: F1 4/5; only 0.8: 2/3


def test_no_threshold_lies_on_a_prediction(cohort):
    chosen = f1_thresholds(
        truth=cohort.truth, probabilities=cohort.probabilities, labels=cohort.labels
    )
    for index, entry in enumerate(chosen):
        assert entry.threshold not in cohort.probabilities[:, index]


def test_neighbouring_floats_still_part():
    upper = np.nextafter(0.5, 1)
    chosen = thresholds_of([0, 1], [0.5, upper])
    assert chosen.threshold == upper


def test_a_prediction_of_zero_can_still_be_called_positive():
    assert decide(np.array([0.0]), [thresholds_of([1, 0], [0.0, 0.0]).threshold])[0]


@pytest.mark.parametrize(("value", "what"), [(0, "no positive"), (1, "no negative")])
def test_a_label_with_one_class_falls_back_to_one_half_and_says_so(value, what):
    chosen = thresholds_of([value, value, np.nan], [0.1, 0.9, 0.2])
    assert chosen.threshold == 0.5
    assert np.isnan(chosen.f1)
    assert chosen.reason == f"{what} case to choose by"


def test_unknown_truth_does_not_choose():
    known = thresholds_of([0, 1], [0.2, 0.8])
    assert thresholds_of([0, 1, np.nan], [0.2, 0.8, 0.79]) == known


def test_thresholds_are_found_by_name_not_by_position():
    assert ordered_thresholds({"b": 0.2, "a": 0.1, "c": 0.3}, ["a", "b"]) == [0.1, 0.2]


def test_a_label_without_threshold_is_an_error_that_names_it():
    with pytest.raises(InputError, match="thresholds must name every label, got none for b"):
        ordered_thresholds({"a": 0.5}, ["a", "b"])


@pytest.mark.parametrize("value", [-0.5, 1.2, float("nan")])
def test_a_threshold_that_is_no_probability_is_an_error(value):
    with pytest.raises(InputError, match=r"threshold of 'a' must be in \[0, 1\], got"):
        ordered_thresholds({"a": value}, ["a"])

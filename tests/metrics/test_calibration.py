"""Calibration bins and error. Run alone: pytest tests/metrics/test_calibration.py"""

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.calibration import (
    calibration_bins,
    expected_calibration_error,
    reliability_curve,
)

ASCENDING = np.array([0.05, 0.1, 0.2, 0.3, 0.6, 0.9])


def test_equal_mass_bins_hold_as_many_cases_each():
    assert calibration_bins(ASCENDING, num_bins=3).tolist() == [0, 0, 1, 1, 2, 2]


def test_equal_width_bins_lie_on_a_ruler():
    bins = calibration_bins(np.array([0.0, 0.24, 0.25, 0.5, 1.0]), num_bins=4, kind="equal_width")
    assert bins.tolist() == [0, 0, 1, 2, 3]


def test_equal_probabilities_share_a_bin():
    bins = calibration_bins(np.array([0.2, 0.2, 0.2, 0.2, 0.8]), num_bins=5)
    assert len(set(bins[:4].tolist())) == 1
    assert bins[4] > bins[0]


def test_copying_every_case_moves_no_bin():
    once = calibration_bins(ASCENDING, num_bins=4)
    assert calibration_bins(np.repeat(ASCENDING, 3), num_bins=4)[::3].tolist() == once.tolist()


def test_reliability_compares_the_mean_prediction_with_what_happened():
    curve = reliability_curve(np.array([0, 1, 1, 1.0]), np.array([0.1, 0.3, 0.7, 0.9]), num_bins=2)
    assert curve.predicted == pytest.approx([0.2, 0.8])
    assert curve.observed == pytest.approx([0.5, 1.0])
    assert curve.num_cases.tolist() == [2, 2]


def test_error_is_the_mean_distance_over_cases():
    truth, probabilities = np.array([0, 1, 1, 1.0]), np.array([0.1, 0.3, 0.7, 0.9])
    error = expected_calibration_error(truth, probabilities, num_bins=2)
    assert error == pytest.approx((2 * 0.3 + 2 * 0.2) / 4)


@pytest.mark.parametrize("kind", ["equal_mass", "equal_width"])
def test_error_equals_a_loop_over_cases_and_bins(kind):
    probabilities = (np.arange(101) * 37 % 101) / 101
    truth = (np.arange(101) * 53 % 101 < 40).astype(float)
    bins = calibration_bins(probabilities, kind=kind)
    expected = 0.0
    for wanted in set(bins.tolist()):
        inside = [i for i in range(101) if bins[i] == wanted]
        gap = sum(probabilities[i] - truth[i] for i in inside)
        expected += abs(gap) / 101
    assert expected_calibration_error(truth, probabilities, kind=kind) == pytest.approx(expected)


def test_cases_of_unknown_truth_do_not_count():
    truth, probabilities = np.array([0, 1, np.nan]), np.array([0.2, 0.6, 1.0])
    assert expected_calibration_error(truth, probabilities) == expected_calibration_error(
        truth[:2], probabilities[:2]
    )


def test_without_a_case_the_error_is_nan():
    assert np.isnan(expected_calibration_error(np.array([np.nan]), np.array([0.5])))


def test_no_bins_at_all_is_an_error():
    with pytest.raises(InputError, match="num_bins must be at least 1, got 0"):
        calibration_bins(ASCENDING, num_bins=0)


def test_unknown_kind_of_bins_is_an_error():
    with pytest.raises(InputError, match="kind must be equal_mass or equal_width, got 'log'"):
        calibration_bins(ASCENDING, kind="log")

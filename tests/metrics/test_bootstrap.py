"""Bootstrap clustered by patient. Run alone: pytest tests/metrics/test_bootstrap.py"""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from common.errors import InputError
from common.metrics.bootstrap import RESAMPLED, bootstrap_intervals, weighted_scores
from common.metrics.classification import score_classification


def intervals_of(cohort, **options):
    options = {"patient_ids": cohort.patient_ids, "num_resamples": 300} | options
    return bootstrap_intervals(
        truth=cohort.truth,
        probabilities=cohort.probabilities,
        decisions=cohort.decisions,
        **options,
    )


def repeat(cohort, times):
    return cohort._replace(
        truth=np.repeat(cohort.truth, times, axis=0),
        probabilities=np.repeat(cohort.probabilities, times, axis=0),
        decisions=np.repeat(cohort.decisions, times, axis=0),
    )


def test_weights_of_one_give_the_plain_scores(cohort):
    weighted = weighted_scores(
        truth=cohort.truth,
        probabilities=cohort.probabilities,
        decisions=cohort.decisions,
        weights=np.ones((120, 1)),
    )
    plain = score_classification(
        truth=cohort.truth,
        probabilities=cohort.probabilities,
        decisions=cohort.decisions,
        labels=cohort.labels,
    )
    for metric in RESAMPLED:
        expected = [entry.values[metric] for entry in plain.labels]
        assert weighted[metric][0] == pytest.approx(expected, abs=1e-12)


def test_a_weight_is_a_number_of_copies(cohort):
    copies = np.arange(120) * 5 % 4
    weighted = weighted_scores(
        truth=cohort.truth,
        probabilities=cohort.probabilities,
        decisions=cohort.decisions,
        weights=copies[:, None].astype(float),
    )
    for index in range(5):
        known = ~np.isnan(cohort.truth[:, index])
        truth = np.repeat(cohort.truth[known, index], copies[known])
        probabilities = np.repeat(cohort.probabilities[known, index], copies[known])
        assert weighted["auroc"][0, index] == pytest.approx(roc_auc_score(truth, probabilities))
        assert weighted["average_precision"][0, index] == pytest.approx(
            average_precision_score(truth, probabilities)
        )
        assert weighted["brier"][0, index] == pytest.approx(np.mean((truth - probabilities) ** 2))


def test_resamples_without_a_class_are_undefined_as_in_the_plain_scores():
    weighted = weighted_scores(
        truth=np.array([[1.0], [0.0]]),
        probabilities=np.array([[0.8], [0.3]]),
        decisions=np.array([[True], [False]]),
        weights=np.array([[1.0, 0.0, 2.0], [1.0, 2.0, 0.0]]),
    )
    assert weighted["auroc"][:, 0] == pytest.approx([1, np.nan, np.nan], nan_ok=True)
    assert weighted["average_precision"][:, 0] == pytest.approx([1, np.nan, np.nan], nan_ok=True)
    assert weighted["f1"][:, 0] == pytest.approx([1, np.nan, 1], nan_ok=True)
    assert weighted["specificity"][:, 0] == pytest.approx([1, 1, np.nan], nan_ok=True)


def test_copies_of_a_patients_scan_change_no_interval(cohort):
    single = intervals_of(cohort, patient_ids=range(120))
    triple = intervals_of(repeat(cohort, 3), patient_ids=np.repeat(np.arange(120), 3).tolist())
    for metric in RESAMPLED:
        assert triple.labels[metric] == pytest.approx(single.labels[metric], nan_ok=True)
        assert triple.macro[metric] == pytest.approx(single.macro[metric])


def test_ignoring_the_patient_gives_an_interval_that_is_too_narrow(cohort):
    copied = repeat(cohort, 4)
    clustered = intervals_of(copied, patient_ids=np.repeat(np.arange(120), 4).tolist())
    naive = intervals_of(copied, patient_ids=range(480))
    ratio = np.ptp(clustered.macro["auroc"]) / np.ptp(naive.macro["auroc"])
    assert ratio == pytest.approx(2, rel=0.2)  # sqrt(4) copies


def test_interval_equals_a_loop_that_copies_cases(cohort):
    """The same draws, each resample put together case by case and scored by scikit-learn."""
    draws = np.random.default_rng(3).multinomial(60, np.full(60, 1 / 60), size=100)
    values = []
    for draw in draws:
        rows = [row for row in range(120) for _ in range(draw[row // 2])]
        values.append(roc_auc_score(cohort.truth[rows, 0], cohort.probabilities[rows, 0]))
    found = intervals_of(cohort, num_resamples=100, seed=3).labels["auroc"][0]
    assert found == pytest.approx(np.quantile(values, [0.025, 0.975]))


def test_intervals_hold_the_score_and_are_seeded(cohort):
    first, again, other = (intervals_of(cohort, seed=seed) for seed in (1, 1, 2))
    scores = score_classification(
        truth=cohort.truth,
        probabilities=cohort.probabilities,
        decisions=cohort.decisions,
        labels=cohort.labels,
    )
    lower, upper = first.macro["auroc"]
    assert lower < scores.macro["auroc"] < upper
    assert first.macro == again.macro
    assert first.macro != other.macro
    assert first.num_patients == 60


def test_interval_covers_the_truth_about_as_often_as_it_says():
    """Two scans per patient share a score; d' = 1.2 gives a true AUROC of 0.802."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(60):
        truth = (np.arange(100) < 40).astype(float).repeat(2)
        shared = rng.normal(size=100).repeat(2) + 0.3 * rng.normal(size=200)
        probabilities = 1 / (1 + np.exp(-(shared / np.sqrt(1.09) + 1.2 * truth)))
        found = bootstrap_intervals(
            truth=truth[:, None],
            probabilities=probabilities[:, None],
            decisions=probabilities[:, None] > 0.5,
            patient_ids=np.arange(100).repeat(2).tolist(),
            num_resamples=200,
        ).labels["auroc"][0]
        covered += found[0] <= 0.80193 <= found[1]
    assert 52 <= covered <= 60  # 57 expected of 60


def test_an_average_counts_only_resamples_that_have_every_label(cohort):
    truth = cohort.truth.copy()
    truth[:, 3] = 0
    truth[0, 3] = 1  # one positive patient: absent from 37 % of the resamples
    found = intervals_of(cohort._replace(truth=truth))
    assert 160 < found.num_used_macro["auroc"] < 220
    assert found.num_used_macro["accuracy"] == 300
    assert not np.isnan(found.macro["auroc"]).any()


def test_a_label_that_the_data_leave_undefined_is_no_part_of_the_average(cohort):
    truth = cohort.truth.copy()
    truth[:, 3] = 0
    found = intervals_of(cohort._replace(truth=truth))
    assert np.isnan(found.labels["auroc"][3]).all()
    assert found.num_used_macro["auroc"] == 300


def test_an_interval_of_few_usable_resamples_is_not_given(cohort):
    truth = np.zeros_like(cohort.truth)
    truth[[0, 2, 4, 6, 8], [0, 1, 2, 3, 4]] = 1  # defined in 0.63 ** 5 of the resamples
    found = intervals_of(cohort._replace(truth=truth))
    assert np.isnan(found.macro["auroc"]).all()
    assert not np.isnan(found.labels["auroc"]).any()


def test_labels_of_unknown_truth_give_no_interval(cohort):
    found = intervals_of(cohort._replace(truth=np.full_like(cohort.truth, np.nan)))
    assert np.isnan(found.macro["brier"]).all()


def test_no_resamples_is_an_error(cohort):
    with pytest.raises(InputError, match="num_resamples must be at least 1, got 0"):
        intervals_of(cohort, num_resamples=0)


def test_certainty_is_an_error(cohort):
    with pytest.raises(InputError, match="confidence must be between 0 and 1, got 1"):
        intervals_of(cohort, confidence=1)


def test_a_patient_per_case_is_needed(cohort):
    with pytest.raises(InputError, match="one patient per case, got 3 for 120 cases"):
        intervals_of(cohort, patient_ids=["a", "b", "c"])


def test_the_calibration_error_gets_no_interval(cohort):
    assert "calibration_error" not in intervals_of(cohort).labels

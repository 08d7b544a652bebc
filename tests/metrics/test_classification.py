"""Scores per label and averages. Run alone: pytest tests/metrics/test_classification.py"""

import numpy as np
import pytest
from sklearn import metrics as sk

from common.errors import InputError
from common.metrics.classification import METRICS, score_classification


def naive_auroc(truth, probabilities):
    """Share of (positive, negative) pairs in the right order; a tie is half right."""
    wins, pairs = 0.0, 0
    for positive in probabilities[truth == 1]:
        for negative in probabilities[truth == 0]:
            wins += 1.0 if positive > negative else 0.5 if positive == negative else 0.0
            pairs += 1
    return wins / pairs


def naive_average_precision(truth, probabilities):
    """Sum over distinct thresholds of precision times the recall gained."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(probabilities.tolist()), reverse=True):
        called = probabilities >= threshold
        hits = sum(1 for c, t in zip(called, truth, strict=True) if c and t == 1)
        recall = hits / (truth == 1).sum()
        total += hits / called.sum() * (recall - recall_before)
        recall_before = recall
    return total


def naive_scores(truth, probabilities, decisions):
    cells = {(t, d): 0 for t in (0, 1) for d in (0, 1)}
    for t, d in zip(truth, decisions, strict=True):
        cells[int(t), int(d)] += 1
    tp, fn, fp, tn = cells[1, 1], cells[1, 0], cells[0, 1], cells[0, 0]
    f1, f1_absent = 2 * tp / (2 * tp + fp + fn), 2 * tn / (2 * tn + fp + fn)
    return {
        "auroc": naive_auroc(truth, probabilities),
        "average_precision": naive_average_precision(truth, probabilities),
        "f1": f1,
        "f1_both_classes": ((tp + fn) * f1 + (fp + tn) * f1_absent) / len(truth),
        "accuracy": (tp + tn) / len(truth),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "brier": sum((p - t) ** 2 for p, t in zip(probabilities, truth, strict=True)) / len(truth),
    }


def scores_of(cohort, **changes):
    parts = cohort._replace(**changes)
    return score_classification(
        truth=parts.truth,
        probabilities=parts.probabilities,
        decisions=parts.decisions,
        labels=parts.labels,
    )


def test_every_score_equals_its_naive_definition(cohort):
    for index, scores in enumerate(scores_of(cohort).labels):
        known = ~np.isnan(cohort.truth[:, index])
        expected = naive_scores(
            cohort.truth[known, index],
            cohort.probabilities[known, index],
            cohort.decisions[known, index],
        )
        found = {name: scores.values[name] for name in expected}
        assert found == pytest.approx(expected, abs=1e-12)
        assert set(scores.values) == set(METRICS)


def test_four_cases_by_hand():
    scores = score_classification(
        truth=np.array([[1], [1], [0], [0.0]]),
        probabilities=np.array([[0.9], [0.4], [0.6], [0.1]]),
        decisions=np.array([[True], [False], [True], [False]]),
        labels=["nodule"],
    ).labels[0]
    assert scores.values["auroc"] == 0.75
    assert scores.values["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores.values["f1"] == scores.values["accuracy"] == 0.5
    assert scores.prevalence == 0.5


def test_averages_equal_those_of_scikit_learn(cohort):
    truth = np.nan_to_num(cohort.truth)
    macro = scores_of(cohort, truth=truth).macro
    assert macro["auroc"] == pytest.approx(
        sk.roc_auc_score(truth, cohort.probabilities, average="macro")
    )
    assert macro["f1"] == pytest.approx(sk.f1_score(truth, cohort.decisions, average="macro"))
    assert macro["weighted_f1"] == pytest.approx(
        sk.f1_score(truth, cohort.decisions, average="weighted")
    )


def test_unknown_truth_leaves_the_case_out_for_that_label_alone(cohort):
    scores = scores_of(cohort)
    assert [entry.num_cases for entry in scores.labels] == [120, 120, 102, 120, 120]


def test_a_label_with_one_class_has_no_auroc_and_says_why(cohort):
    truth = cohort.truth.copy()
    truth[:, 3] = 0
    scores = scores_of(cohort, truth=truth)
    absent = scores.labels[3]
    assert np.isnan(absent.values["auroc"])
    assert absent.reasons["auroc"] == "no positive case"
    assert np.isnan(absent.values["f1"])
    assert absent.values["specificity"] == np.mean(~cohort.decisions[:, 3])
    assert scores.num_macro_labels["auroc"] == 4
    assert scores.num_macro_labels["accuracy"] == 5
    assert scores.macro["auroc"] == np.mean(
        [scores.labels[index].values["auroc"] for index in (0, 1, 2, 4)]
    )


def test_a_label_that_is_always_present_has_sensitivity_but_no_specificity(cohort):
    truth = cohort.truth.copy()
    truth[:, 0] = 1
    always = scores_of(cohort, truth=truth).labels[0]
    assert always.values["sensitivity"] == np.mean(cohort.decisions[:, 0])
    assert always.reasons["specificity"] == "no negative case"


def test_a_label_nobody_knows_is_nan_throughout(cohort):
    truth = np.full_like(cohort.truth, np.nan)
    scores = scores_of(cohort, truth=truth)
    assert all(np.isnan(value) for value in scores.macro.values())
    assert set(scores.labels[0].reasons.values()) == {"truth unknown in every case"}
    assert np.isnan(scores.labels[0].prevalence)


def test_calling_nothing_present_gives_f1_zero_not_nan(cohort):
    scores = scores_of(cohort, decisions=np.zeros_like(cohort.decisions))
    assert scores.macro["f1"] == 0.0


def test_shapes_that_differ_are_an_error(cohort):
    with pytest.raises(InputError, match=r"must both be \(cases, 5 labels\), got \(120, 5\)"):
        scores_of(cohort, probabilities=cohort.probabilities[:, :4])


def test_no_case_is_an_error(cohort):
    with pytest.raises(InputError, match="cases must hold at least one case"):
        scores_of(cohort, truth=cohort.truth[:0], probabilities=cohort.probabilities[:0])


def test_a_label_named_twice_is_an_error(cohort):
    with pytest.raises(InputError, match="labels must be distinct"):
        scores_of(cohort, labels=["a", "b", "c", "d", "a"])


def test_truth_other_than_zero_one_or_nan_is_an_error_that_names_it(cohort):
    truth = cohort.truth.copy()
    truth[3, 1] = -1
    with pytest.raises(InputError, match="truth must be 0, 1 or NaN, got -1 for 'b' in case num"):
        scores_of(cohort, truth=truth)


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_probabilities_outside_zero_to_one_are_an_error(cohort, value):
    probabilities = cohort.probabilities.copy()
    probabilities[5, 4] = value
    with pytest.raises(InputError, match=r"probabilities must be in \[0, 1\], got .* for 'e'"):
        scores_of(cohort, probabilities=probabilities)

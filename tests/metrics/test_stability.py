"""Test against retest. The ratings are those of Shrout & Fleiss 1979, table 2."""

import numpy as np
import pytest

from common.embeddings.table import EmbeddingTable
from common.errors import InputError
from common.metrics.stability import icc_3_1, retest_pairs, score_stability, stability_of_table

RATINGS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
)


def patients(num=12, length=8):
    """Each patient a direction of its own, by formula."""
    return np.sin(np.outer(np.arange(1, num + 1), np.arange(1, length + 1)) ** 1.3)


def test_icc_is_that_of_shrout_and_fleiss():
    assert icc_3_1(RATINGS).round(2).tolist() == [0.71]


def test_icc_is_that_of_an_analysis_of_variance_written_out():
    values = patients(7, 3)[:, :, None]
    num, k = 7, 3
    mean = values.mean()
    bms = sum(k * (values[p].mean() - mean) ** 2 for p in range(num)) / (num - 1)
    ems = sum(
        (values[p, j, 0] - values[p].mean() - values[:, j].mean() + mean) ** 2
        for p in range(num)
        for j in range(k)
    ) / ((num - 1) * (k - 1))
    np.testing.assert_allclose(icc_3_1(values), (bms - ems) / (bms + (k - 1) * ems))


def test_a_shift_of_all_retests_does_not_lower_icc():
    test = patients(9, 4)
    np.testing.assert_allclose(icc_3_1(np.stack([test, test + 5], axis=1)), 1)


def test_a_number_that_never_changes_has_no_icc():
    test = patients(5, 2)
    test[:, 1] = 0.1
    found = score_stability(test=test, retest=test, num_bootstrap=0)
    assert np.isnan(found.icc).tolist() == [False, True]
    assert found.values["icc_constant"] == 0.5
    assert found.values["icc_excellent"] == 0.5


def test_the_same_scan_twice_is_fully_stable():
    found = score_stability(test=patients(), retest=3 * patients(), num_bootstrap=20)
    assert found.values["cosine"] == pytest.approx(1)
    assert found.values["rank_1"] == 1
    assert found.values["between_patients"] < 0.9
    assert found.intervals["rank_1"] == (1, 1)
    assert found.num_patients == 12


def test_retests_that_belong_to_others_are_no_nearer_than_chance():
    found = score_stability(test=patients(), retest=np.roll(patients(), 1, axis=0))
    assert found.values["rank_1"] == 0
    assert found.values["gap"] < 0.2
    low, high = found.intervals["gap"]
    assert low < found.values["gap"] < high


def test_between_is_the_mean_over_the_other_patients():
    test, retest = patients(4), patients(4)[::-1]
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (test, retest)]
    by_hand = [np.mean([units[0][i] @ units[1][j] for j in range(4) if j != i]) for i in range(4)]
    found = score_stability(test=test, retest=retest, num_bootstrap=0)
    np.testing.assert_allclose(found.between, by_hand)


def test_pairs_are_the_first_two_scans_of_a_patient():
    cases = ["a_10", "a_2", "b_1", "a_1", "c_1", "c_0", "d"]
    owners = ["a", "a", "b", "a", "c", "c", None]
    table = EmbeddingTable(cases, owners, patients(7).astype(np.float32))
    assert retest_pairs(table) == (["a_1", "c_0"], ["a_2", "c_1"], ["a_10", "b_1", "d"])


def test_a_table_is_scored_by_its_pairs():
    vectors = np.repeat(patients(4), 2, axis=0).astype(np.float32)
    owners = [f"p{row // 2}" for row in range(8)]
    table = EmbeddingTable([f"s{row}" for row in range(8)], owners, vectors)
    assert stability_of_table(table, num_bootstrap=0).values["rank_1"] == 1
    named = stability_of_table(table, tests=["s0", "s2", "s4"], retests=["s3", "s5", "s1"])
    assert named.as_json()["scores"]["rank_1"] == {"value": 0.0, "interval": [0.0, 0.0]}


def test_single_scans_are_refused():
    table = EmbeddingTable(["a", "b"], ["p", "q"], patients(2).astype(np.float32))
    with pytest.raises(InputError, match=r"got none among 2 cases; give a list .* patient_id"):
        retest_pairs(table)


def test_other_patients_or_too_few_are_refused():
    for test, retest in ((patients(4), patients(5)), (patients(2), patients(2))):
        with pytest.raises(InputError, match="must hold the same 3 or more patients"):
            score_stability(test=test, retest=retest)
    with pytest.raises(InputError, match="ratings must be"):
        icc_3_1(np.zeros((5, 1)))

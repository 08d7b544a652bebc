"""Are the nearest of the query's kind? Numbers small enough to check by eye."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from common.embeddings.table import EmbeddingTable
from common.errors import InputError
from common.metrics.patient_bootstrap import mean_intervals
from common.metrics.retrieval import pool_retrievals, score_hits, score_retrieval


def table(embeddings, patients=None, prefix="g"):
    ids = [f"{prefix}{row}" for row in range(len(embeddings))]
    return EmbeddingTable(ids, patients or [None] * len(ids), np.asarray(embeddings, np.float32))


def around(degrees):
    """Directions in the plane."""
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def score(query_degrees, query_labels, gallery_degrees, gallery_labels, **options):
    return score_retrieval(
        queries=table(around(query_degrees), prefix="q"), query_labels=query_labels,
        gallery=table(around(gallery_degrees)), gallery_labels=gallery_labels,
        **{"num_bootstrap": 0, **options},
    )  # fmt: skip


def test_scores_of_one_query_are_those_counted_by_hand():
    hits = np.array([[True, False, True, False, False]])
    scores = score_hits(hits, np.array([4]), (1, 3, 5))
    value = {name: float(each[0]) for name, each in scores.items()}
    assert value["precision@1"] == 1
    assert value["precision@5"] == pytest.approx(2 / 5)
    assert value["hit_rate@3"] == 1
    assert value["average_precision@3"] == pytest.approx((1 + 2 / 3) / 2)
    assert value["full_average_precision@3"] == pytest.approx((1 + 2 / 3) / 3)
    assert value["full_average_precision@5"] == pytest.approx((1 + 2 / 3) / 4)
    assert value["f1@3"] == pytest.approx(2 * (5 / 6) / (5 / 6 + 1))


def test_a_query_without_a_hit_scores_nothing():
    scores = score_hits(np.zeros((1, 3), bool), np.array([0]), (3,))
    assert {float(each[0]) for each in scores.values()} == {0.0}


def test_average_precision_is_that_of_scikit_learn_with_scores_by_rank():
    bits = np.arange(1, 64)[:, None] >> np.arange(6) & 1 == 1
    ours = score_hits(bits, np.full(63, 6), (6,))["average_precision@6"]
    theirs = [average_precision_score(row, 1 / np.arange(1, 7)) for row in bits]
    np.testing.assert_allclose(ours, theirs)


def test_the_nearest_by_direction_come_first():
    found = score([0], ["a"], [1, 2, 3, 90], ["a", "b", "a", "a"], at=(1, 2, 3))
    assert found.values["precision@1"] == 1
    assert found.values["precision@2"] == 0.5
    assert found.values["average_precision@3"] == pytest.approx((1 + 2 / 3) / 2)


def test_length_counts_for_euclidean_distance_alone():
    queries = table([[1.0, 0.0]], prefix="q")
    gallery = table([[10.0, 0.0], [0.5, 0.5]])
    for metric, wanted in (("cosine", 1.0), ("euclidean", 0.0)):
        found = score_retrieval(
            queries=queries, query_labels=["a"], gallery=gallery, gallery_labels=["a", "b"],
            at=(1,), metric=metric, num_bootstrap=0,
        )  # fmt: skip
        assert found.values["precision@1"] == wanted


def leave_out(exclude, at=(1,)):
    """Two scans each of three patients; a patient's scans are nearly alike, kinds are not."""
    cases = table(around([0, 1, 10, 11, 50, 51]), ["p", "p", "r", "r", None, None])
    labels = ["a", "b", "a", "b", "a", "b"]
    return score_retrieval(
        queries=cases, query_labels=labels, gallery=cases, gallery_labels=labels,
        at=at, exclude=exclude, num_bootstrap=0,
    )  # fmt: skip


def test_a_query_that_may_meet_itself_always_hits():
    assert leave_out("nobody").values["precision@1"] == 1


def test_without_itself_its_neighbour_is_the_patients_other_scan():
    assert leave_out("self").values["precision@1"] == 0


def test_without_its_patient_it_finds_other_patients():
    found = leave_out("patient").per_query["precision@1"]
    # 0 -> 10 a, 1 -> 10 b, 10 -> 1 b, 11 -> 1 b; of unknown patients: 50 -> 51 b, 51 -> 50 a
    assert found.tolist() == [1, 0, 0, 1, 0, 0]


def test_a_kind_that_only_the_left_out_have_is_counted():
    cases = table(around([0, 1, 2]), ["p", "p", "r"])
    found = score_retrieval(
        queries=cases, query_labels=["a", "a", "b"], gallery=cases, gallery_labels=["a", "a", "b"],
        at=(1,), exclude="patient", num_bootstrap=0,
    )  # fmt: skip
    assert found.num_without_relevant == 3


def test_equal_distances_keep_the_order_of_the_gallery():
    found = score([0], ["b"], [5, 5, 5, 5], ["a", "b", "b", "b"], at=(1, 2))
    assert found.values["precision@1"] == 0
    assert found.values["precision@2"] == 0.5


def test_intervals_hold_the_value_and_are_wider_by_patient():
    rows = np.tile([0.0, 1.0], 40)
    alone = mean_intervals({"x": rows}, range(80))["x"]
    together = mean_intervals({"x": np.sort(rows)}, [row // 8 for row in range(80)])["x"]
    assert alone[0] < 0.5 < alone[1]
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    assert mean_intervals({"x": rows}, range(80))["x"] == alone


def test_scores_have_intervals_and_a_plain_form():
    found = score([0, 90], ["a", "b"], [1, 89, 2, 88], ["a", "b", "b", "b"], at=(2,),
                  num_bootstrap=50)  # fmt: skip
    assert found.values["precision@2"] == 0.75
    low, high = found.intervals["precision@2"]
    assert (low, high) == (0.5, 1.0)
    plain = found.as_json()
    assert plain["num_queries"] == 2
    assert plain["scores"]["precision@2"] == {"value": 0.75, "interval": [0.5, 1.0]}


def test_pooled_retrievals_count_every_query_once():
    one = score([0], ["a"], [1, 2], ["a", "b"], at=(1,))
    three = score([0, 0, 0], ["b"] * 3, [1, 2], ["a", "b"], at=(1,))
    pooled = pool_retrievals([one, three], num_bootstrap=10)
    assert pooled.values["precision@1"] == 0.25
    assert len(pooled.owners) == 4
    with pytest.raises(InputError, match="must share their k and metric"):
        pool_retrievals([one, score([0], ["a"], [1, 2], ["a", "b"], at=(2,))])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": (0,)}, "at must be one or more numbers from 1 on"),
        ({"at": (3,)}, "must hold at least 3 cases for every query .at., got 2"),
        ({"exclude": "them"}, "exclude must be one of nobody, self, patient, got 'them'"),
        ({"metric": "manhattan"}, "metric must be one of cosine, euclidean, got 'manhattan'"),
        ({"query_labels": []}, "query_labels must be one per case .1., got 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    options = {"query_labels": ["a"], "at": (1,), **options}
    with pytest.raises(InputError, match=message):
        score([0], options.pop("query_labels"), [1, 2], ["a", "b"], **options)

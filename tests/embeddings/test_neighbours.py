import numpy as np
import pytest

from common.embeddings.neighbours import NOBODY, distances_of_pairs, nearest, same_owners
from common.errors import InputError

GALLERY = np.array([[3.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 2.0]])


def test_cosine_ranks_by_direction():
    found = nearest(np.array([[0.0, 5.0]]), GALLERY)
    assert found.rows.tolist() == [[1, 3, 2, 0]]
    np.testing.assert_allclose(found.distances, [[0, 0, 1 - 0.5**0.5, 1]], atol=1e-12)


def test_euclidean_ranks_by_distance():
    found = nearest(np.array([[0.0, 5.0]]), GALLERY, metric="euclidean", top=2)
    assert found.rows.tolist() == [[3, 1]]
    np.testing.assert_allclose(found.distances, [[3, 4]])


def test_the_first_few_are_those_of_the_whole_order():
    grid = np.stack([np.sin(np.arange(200.0)), np.cos(3 * np.arange(200.0))], axis=1).round(1) + 2
    whole = nearest(grid, grid, metric="euclidean")
    for top in (1, 7, 199):
        few = nearest(grid, grid, metric="euclidean", top=top)
        assert np.array_equal(few.rows, whole.rows[:, :top])


def test_blocks_change_nothing(monkeypatch):
    monkeypatch.setattr("common.embeddings.neighbours._AT_ONCE", 8)
    queries = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 2.0]])
    owners = same_owners("abc", "aacd")
    found = nearest(queries, GALLERY, query_owners=owners[0], gallery_owners=owners[1])
    assert found.rows.tolist() == [[3, 2, NOBODY, NOBODY], [0, 2, 1, 3], [1, 3, 0, NOBODY]]
    assert np.isinf(found.distances[0, 2:]).all()


def test_pairs_have_the_distances_of_the_ranking():
    second = GALLERY[::-1]
    for metric in ("cosine", "euclidean"):
        pairs = distances_of_pairs(GALLERY, second, metric)
        table = nearest(GALLERY, second, metric=metric)
        own = [table.distances[row][table.rows[row] == row].item() for row in range(4)]
        np.testing.assert_allclose(pairs, own, atol=1e-12)


@pytest.mark.parametrize(
    ("queries", "options", "message"),
    [
        ([[1.0, 0.0, 0.0]], {}, "queries must be as long as the gallery's embeddings .2., got 3"),
        ([[0.0, 0.0]], {}, "queries must be finite numbers that are not all zero, got 1 .* row 0"),
        ([[np.nan, 1.0]], {"metric": "euclidean"}, "must be finite numbers"),
        ([1.0, 2.0], {}, r"queries must be \(embeddings, numbers\), got shape \(2,\)"),
        ([[1.0, 0.0]], {"top": 0}, "top must be 1 or more, got 0"),
    ],
)
def test_what_cannot_be_ranked_is_refused(queries, options, message):
    with pytest.raises(InputError, match=message):
        nearest(np.array(queries), GALLERY, **options)

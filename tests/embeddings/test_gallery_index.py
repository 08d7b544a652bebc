"""Asking a gallery for the nearest scans."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest

from common.embeddings.gallery_index import GalleryIndex
from common.embeddings.table import EmbeddingTable
from common.errors import InputError

needs_voyager = pytest.mark.skipif(
    importlib.util.find_spec("voyager") is None, reason="needs the extra `index`"
)


def clusters(num=600, length=16, seed=0):
    """Vectors around thirty middles, as scans of thirty kinds."""
    random = np.random.default_rng(seed)
    middles = random.standard_normal((30, length))
    vectors = middles[np.arange(num) % 30] + 0.5 * random.standard_normal((num, length))
    return vectors.astype(np.float32)


@pytest.fixture
def gallery():
    vectors = clusters()
    names = [f"scan_{row}" for row in range(len(vectors))]
    return EmbeddingTable(
        names, [f"p{row // 3}" for row in range(len(vectors))], vectors,
        paths=[f"in/{name}.nii" for name in names],
        made_by={"weights": {"name": "a", "sha256": "1"}, "pooling": "mean"},
    )  # fmt: skip


both = pytest.mark.parametrize("approximate", [False, pytest.param(True, marks=needs_voyager)])


@both
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_scan_of_the_gallery_finds_itself_first(gallery, approximate, metric):
    index = GalleryIndex(gallery, metric=metric, approximate=approximate)
    (matches,) = index.query(gallery.select(["scan_7"]), top=3)
    assert [match.rank for match in matches] == [1, 2, 3]
    assert (matches[0].case_id, matches[0].patient_id, matches[0].row) == ("scan_7", "p2", 7)
    assert matches[0].path == "in/scan_7.nii"
    assert matches[0].distance == pytest.approx(0, abs=1e-6)
    assert matches[1].distance <= matches[2].distance


@both
def test_itself_or_its_patient_is_left_out_on_request(gallery, approximate):
    index = GalleryIndex(gallery, approximate=approximate)
    queries = gallery.select(["scan_7", "scan_8"])
    for matches in index.query(queries, top=5, exclude="patient"):
        assert len(matches) == 5
        assert "p2" not in {match.patient_id for match in matches}
    (matches, _) = index.query(queries, top=5, exclude="self")
    assert "scan_7" not in {match.case_id for match in matches}


@needs_voyager
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_an_approximate_index_finds_nearly_all_with_exact_distances(gallery, metric):
    exact = GalleryIndex(gallery, metric=metric)
    index = GalleryIndex(gallery, metric=metric, approximate=True)
    queries = clusters(40, seed=1)
    assert exact.recall(queries) == 1
    assert index.recall(queries) > 0.98
    found, wanted = (each.neighbours(queries, top=1) for each in (index, exact))
    same = found.rows == wanted.rows
    np.testing.assert_allclose(found.distances[same], wanted.distances[same], atol=1e-6)


@needs_voyager
def test_a_graph_is_kept_and_taken_up_again(gallery, tmp_path):
    path = tmp_path / "gallery.voy"
    first = GalleryIndex(gallery, approximate=True, graph=path)
    kept = path.read_bytes()
    again = GalleryIndex(gallery, approximate=True, graph=path)
    queries = clusters(5, seed=1)
    assert np.array_equal(first.neighbours(queries).rows, again.neighbours(queries).rows)
    path.unlink()
    GalleryIndex(gallery, approximate=True, graph=path)
    assert path.read_bytes() == kept


@needs_voyager
def test_a_graph_of_another_gallery_is_refused(gallery, tmp_path):
    path = tmp_path / "gallery.voy"
    GalleryIndex(gallery, approximate=True, graph=path)
    others = replace(gallery, embeddings=clusters(seed=2))
    for table, metric in ((others, "cosine"), (gallery, "euclidean")):
        with pytest.raises(InputError, match="graph must be of this gallery"):
            GalleryIndex(table, metric=metric, approximate=True, graph=path)
    path.write_text("no graph")
    with pytest.raises(InputError, match="graph must be an index of voyager"):
        GalleryIndex(gallery, approximate=True, graph=path)


def test_without_the_package_only_exact_search_works(gallery, monkeypatch):
    monkeypatch.setattr("common.embeddings.gallery_index.importlib.util.find_spec", lambda _: None)
    assert len(GalleryIndex(gallery)) == 600
    with pytest.raises(InputError, match=r"package voyager, got none; install it with .*index"):
        GalleryIndex(gallery, approximate=True)


def test_a_small_gallery_gives_what_it_has(gallery):
    index = GalleryIndex(gallery.select(["scan_0", "scan_1", "scan_2"]))
    (matches,) = index.query(gallery.select(["scan_0"]), top=10, exclude="self")
    assert len(matches) == 2


def test_embeddings_of_other_weights_are_never_compared(gallery):
    others = replace(gallery, made_by={**gallery.made_by, "weights": {"name": "b"}})
    with pytest.raises(InputError, match="embedded as the gallery was, got another weights"):
        GalleryIndex(gallery).query(others)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"metric": "dot"}, "metric must be one of"), ({"effort": 0}, "effort must be 1 or more")],
)
def test_arguments_out_of_range_are_refused(gallery, options, message):
    with pytest.raises(InputError, match=message):
        GalleryIndex(gallery, **options)
    with pytest.raises(InputError, match="exclude must be one of nobody, self, patient"):
        GalleryIndex(gallery).query(gallery, exclude="them")

"""CT-FM's encoder at work: every config that searches, probes and compares, with tiny weights."""

import csv
import json

import numpy as np
import pytest

from common.results.embedding_table import read_embeddings

from .conftest import CT_FM_ENCODER

CONFIGS = CT_FM_ENCODER / "configs"


@pytest.fixture
def run(run_bundle, tiny_encoder, tmp_path):
    """Run inference.json and what lies over it with tiny weights, results to `tmp_path/<out>`."""

    def run(*names, options=(), out="out"):
        return run_bundle("inference", *names, configs=CONFIGS)(
            "--weights", tiny_encoder.path, "--output_dir", tmp_path / out, *options
        )

    return run


@pytest.fixture(scope="session")
def labels(tmp_path_factory):
    """Labels of the five scans."""
    path = tmp_path_factory.mktemp("labels") / "labels.csv"
    path.write_text("case_id,kind\none,a\ntwo,b\nthree,a\nfour,b\nfive,a\n")
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def content(path):
    return json.loads(path.read_text())


def test_a_scan_finds_its_likes_in_a_gallery_of_scans(run, scans, labels, tmp_path):
    assert run(options=("--input", scans), out="gallery").code == 0
    ended = run("retrieve", options=(
        "--gallery", tmp_path / "gallery" / "embeddings.parquet", "--input", scans / "two.nii.gz",
        "--labels_file", labels, "--label_column", "kind", "--top", "4", "--at", "[3,5]",
    ))  # fmt: skip
    assert ended.code == 0, ended.err
    found = rows(tmp_path / "out" / "matches.csv")
    assert [row["rank"] for row in found] == ["1", "2", "3", "4"]
    assert (found[0]["case_id"], found[0]["label"]) == ("two", "b")
    assert float(found[0]["distance"]) == pytest.approx(0, abs=1e-6)
    assert found[0]["path"] == str(scans / "two.nii.gz")
    scores = content(tmp_path / "out" / "scores.json")["scores"]
    assert scores["hit_rate@3"]["value"] == 1
    assert scores["precision@5"]["value"] == pytest.approx(2 / 5)
    assert (tmp_path / "out" / "matches.png").stat().st_size > 10_000


def test_embedded_queries_are_not_embedded_again_and_do_not_meet_themselves(run, scans, tmp_path):
    run(options=("--input", scans), out="gallery")
    ended = run("retrieve", options=(
        "--gallery", tmp_path / "gallery", "--queries", tmp_path / "gallery", "--exclude", "self",
        "--metric", "euclidean", "--figure_queries", "0",
    ))  # fmt: skip
    assert ended.code == 0, ended.err
    found = rows(tmp_path / "out" / "matches.csv")
    assert len(found) == 5 * 4
    assert all(row["query"] != row["case_id"] for row in found)
    assert not list((tmp_path / "out").glob("*/result.json"))
    assert not (tmp_path / "out" / "matches.png").exists()


def test_without_a_gallery_phantoms_of_every_region_are_searched(run, tmp_path):
    ended = run("retrieve", options=("--num_gallery", "4", "--at", "[1,3]", "--top", "3"))
    assert ended.code == 0, ended.err
    found = rows(tmp_path / "out" / "matches.csv")
    kinds = {"chest", "abdomen", "torso", "head"}
    assert {row["label"] for row in found} <= kinds
    assert {row["query_label"] for row in found} == kinds
    assert content(tmp_path / "out" / "scores.json")["num_queries"] == 4


def test_a_labels_file_of_other_scans_is_refused(run, scans, labels, tmp_path):
    run(options=("--input", scans / "one.nii.gz"), out="gallery")
    other = tmp_path / "other.csv"
    other.write_text(labels.read_text().replace("\n", "\nx_").removesuffix("x_"))
    ended = run("retrieve", options=(
        "--gallery", tmp_path / "gallery", "--input", scans / "two.nii.gz",
        "--labels_file", other, "--label_column", "kind",
    ))  # fmt: skip
    assert "labels_file must label scans of the gallery, got x_one, x_two" in ended.error


def test_random_weights_are_named_so_and_are_the_same_for_the_same_seed(run, scans, tmp_path):
    scan = ("--input", scans / "one.nii.gz")
    for out, seed in (("a", 1), ("b", 1), ("c", 2)):
        ended = run("random", options=(*scan, "--weights_seed", seed), out=out)
        assert ended.code == 0, ended.err
        assert f"RANDOM, drawn from seed {seed}" in ended.out
    a, b, c = (read_embeddings(tmp_path / out) for out in "abc")
    assert a.made_by["weights"]["name"] == "RANDOM weights, seed 1, in place of tiny"
    assert a.made_by["weights"] == b.made_by["weights"]
    assert a.made_by["weights"]["sha256"] != c.made_by["weights"]["sha256"]
    np.testing.assert_array_equal(a.embeddings, b.embeddings)
    assert not np.allclose(a.embeddings, c.embeddings)


def test_random_embeddings_are_not_mixed_with_others(run, scans):
    assert run(options=("--input", scans / "one.nii.gz")).code == 0
    ended = run("random", options=("--input", scans / "two.nii.gz"))
    assert "embeddings of one table must be made alike, got another weights" in ended.error


def test_random_embeddings_do_not_search_anothers_gallery(run, scans, tmp_path):
    run(options=("--input", scans), out="gallery")
    ended = run("random", "retrieve", options=(
        "--input", scans / "one.nii.gz", "--gallery", tmp_path / "gallery"
    ))  # fmt: skip
    assert "queries must be embedded as the gallery was, got another weights" in ended.error


def test_organs_of_phantoms_are_probed_and_compared_with_random_weights(run, tmp_path):
    options = ("--task", "organs", "--num_probe", "2", "--num_bootstrap", "20")
    ended = run("probe", "random", options=options, out="random")
    assert ended.code == 0, ended.err
    ended = run("probe", options=(*options, "--baseline", tmp_path / "random"))
    assert ended.code == 0, ended.err
    probed = content(tmp_path / "out" / "probe.json")
    linear = probed["embeddings"]["probes"]["linear"]
    assert (linear["task"], linear["num_cases"], linear["num_patients"]) == ("multi_class", 22, 2)
    assert set(linear["labels"]) >= {"liver", "kidney-right", "lung-left"}
    assert probed["baseline"]["made_by"]["weights"]["name"].startswith("RANDOM weights")
    ours, theirs = (
        probed[side]["probes"]["knn"]["scores"]["auroc"]["value"]
        for side in ("embeddings", "baseline")
    )
    difference = probed["difference"]["knn"]["auroc"]
    assert difference["value"] == pytest.approx(ours - theirs)
    assert difference["interval"][0] <= difference["value"] <= difference["interval"][1]
    assert probed["embeddings"]["retrieval"]["num_queries"] == 22
    found = rows(tmp_path / "out" / "probe.csv")
    assert len(found) == 2 * 2 * 2 * 12  # encoders, probes, scores, labels and their mean
    assert (tmp_path / "out" / "probe.png").stat().st_size > 10_000


def test_a_table_is_probed_for_any_column(run, scans, labels, tmp_path):
    run(options=("--input", scans), out="gallery")
    ended = run("probe", options=(
        "--embeddings", tmp_path / "gallery", "--labels_file", labels, "--label_columns", "kind",
        "--num_bootstrap", "0",
    ))  # fmt: skip
    assert ended.code == 0, ended.err
    linear = content(tmp_path / "out" / "probe.json")["embeddings"]["probes"]["linear"]
    assert (linear["task"], linear["num_patients"]) == ("binary", 5)
    assert linear["scores"]["auroc"]["interval"] is None


def test_a_probe_without_labels_says_what_it_needs(run, scans, tmp_path):
    run(options=("--input", scans / "one.nii.gz"), out="gallery")
    ended = run("probe", options=("--embeddings", tmp_path / "gallery"))
    assert "labels_file and label_columns must be given, got '' and []" in ended.error


def test_the_same_weights_are_no_baseline(run, scans, labels, tmp_path):
    run(options=("--input", scans), out="gallery")
    table = tmp_path / "gallery" / "embeddings.parquet"
    ended = run("probe", options=(
        "--embeddings", table, "--baseline", table,
        "--labels_file", labels, "--label_columns", "kind",
    ))  # fmt: skip
    assert "baseline must be of other weights" in ended.error

"""CT-FM's encoder at work: every config that searches, probes and compares, with tiny weights."""

import csv
import json

import numpy as np
import pytest

from common.embeddings.table import read_embeddings
from tests import data_sets

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
    ended = run("evaluate", "random", options=options, out="random")
    assert ended.code == 0, ended.err
    ended = run("evaluate", options=(*options, "--baseline", tmp_path / "random"))
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
    ended = run("evaluate", options=(
        "--embeddings", tmp_path / "gallery", "--labels_file", labels, "--label_columns", "kind",
        "--num_bootstrap", "0",
    ))  # fmt: skip
    assert ended.code == 0, ended.err
    linear = content(tmp_path / "out" / "probe.json")["embeddings"]["probes"]["linear"]
    assert (linear["task"], linear["num_patients"]) == ("binary", 5)
    assert linear["scores"]["auroc"]["interval"] is None


def test_a_probe_without_labels_says_what_it_needs(run, scans, tmp_path):
    run(options=("--input", scans / "one.nii.gz"), out="gallery")
    ended = run("evaluate", options=("--embeddings", tmp_path / "gallery"))
    assert "labels_file and label_columns must be given, got '' and []" in ended.error


def test_the_same_weights_are_no_baseline(run, scans, labels, tmp_path):
    run(options=("--input", scans), out="gallery")
    table = tmp_path / "gallery" / "embeddings.parquet"
    ended = run("evaluate", options=(
        "--embeddings", table, "--baseline", table,
        "--labels_file", labels, "--label_columns", "kind",
    ))  # fmt: skip
    assert "baseline must be of other weights" in ended.error


@pytest.fixture
def organ_mnist(tmp_path, monkeypatch):
    return data_sets.organ_mnist(tmp_path, monkeypatch)["dataset_dir"]


@pytest.mark.parametrize(
    ("protocol", "metric"), [("published", "euclidean"), ("corrected", "cosine")]
)
def test_organ_mnist_is_scored_by_either_protocol(run, organ_mnist, tmp_path, protocol, metric):
    options = ("--dataset_dir", organ_mnist, "--protocol", protocol, "--at", "[1,3]")
    ended = run("organ_mnist", options=options)
    assert ended.code == 0, ended.err
    scores = content(tmp_path / "out" / "scores.json")
    assert (scores["protocol"], scores["metric"]) == (protocol, metric)
    assert scores["num_queries"] == 11
    assert scores["scores"]["hit_rate@1"]["value"] == 1
    assert scores["published"]["scores"]["average_precision@3"] == 0.932
    before = (tmp_path / "out" / "gallery.parquet").stat().st_mtime_ns
    assert run("organ_mnist", options=options).code == 0
    assert (tmp_path / "out" / "gallery.parquet").stat().st_mtime_ns == before


def test_organ_mnist_says_what_to_download(run, tmp_path):
    ended = run("organ_mnist", options=("--dataset_dir", tmp_path))
    assert "organmnist3d_64.npz; download https://zenodo" in ended.error


def test_an_unknown_protocol_names_the_known(run, organ_mnist):
    ended = run("organ_mnist", options=("--dataset_dir", organ_mnist, "--protocol", "other"))
    assert "protocol must be one of published, corrected, got other" in ended.error


@pytest.fixture
def mir(tmp_path):
    options = {**data_sets.mir(tmp_path), "num_bootstrap": 10}
    return [text for name, value in options.items() for text in (f"--{name}", value)]


@pytest.mark.parametrize(("protocol", "pooling"), [("published", "min"), ("corrected", "mean")])
def test_3d_mir_is_scored_by_either_protocol(run, mir, tmp_path, protocol, pooling):
    ended = run("mir", options=(*mir, "--protocol", protocol))
    assert ended.code == 0, ended.err
    scores = content(tmp_path / "out" / "scores.json")
    assert scores["made_by"]["pooling"] == pooling
    flag = scores["cancer_flag"]
    assert flag["pooled"]["num_queries"] == flag["organs"]["liver"]["num_queries"] == 2
    assert flag["published"]["pooled"]["precision@3"] == 0.916
    assert "published 0.842" not in ended.out  # precision@1 has no published number
    again = run("mir", options=(*mir, "--embeddings", tmp_path / "out"), out="again")
    assert again.code == 0, again.err
    assert content(tmp_path / "again" / "scores.json")["cancer_flag"] == flag


def test_3d_mir_names_the_tasks_to_download(run, mir, tmp_path):
    (tmp_path / "msd" / "Task03_Liver" / "imagesTr" / "lung_5.nii.gz").unlink()
    ended = run("mir", options=mir)
    assert "Task06_Lung 1 (such as lung_5); download these tasks from" in ended.error
    allowed = run("mir", options=(*mir, "--allow_missing", "True", "--at", "[1]"))
    assert allowed.code == 0, allowed.err


def test_phantoms_scanned_twice_are_compared(run, tmp_path):
    ended = run("stability", options=("--num_patients", "3", "--num_bootstrap", "10"))
    assert ended.code == 0, ended.err
    found = content(tmp_path / "out" / "stability.json")
    assert found["num_patients"] == 3
    assert {(p["test"][-6:], p["retest"][-6:]) for p in found["pairs"]} == {("_scan1", "_scan2")}
    scores = {name: score["value"] for name, score in found["scores"].items()}
    assert scores["gap"] == pytest.approx(scores["cosine"] - scores["between_patients"])
    assert 0 <= scores["rank_1"] <= 1
    assert (tmp_path / "out" / "stability.png").stat().st_size > 10_000


def test_pairs_are_those_of_a_list(run, scans, tmp_path):
    run(options=("--input", scans), out="gallery")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("test,retest\none.nii.gz,one\ntwo,two\nthree,three\n")
    ended = run("stability", options=(
        "--embeddings", tmp_path / "gallery", "--pairs_file", pairs,
    ))  # fmt: skip
    assert ended.code == 0, ended.err
    found = content(tmp_path / "out" / "stability.json")
    assert found["scores"]["cosine"]["value"] == pytest.approx(1)
    assert found["scores"]["rank_1"]["value"] == 1
    assert found["notes"] == ["scans that are in no pair, left out: 2"]


def test_scans_of_unknown_patients_have_no_pairs(run, scans, tmp_path):
    run(options=("--input", scans), out="gallery")
    ended = run("stability", options=("--embeddings", tmp_path / "gallery"))
    assert "embeddings must hold patients with two scans, got none among 5 cases" in ended.error


@pytest.mark.parametrize("method", ["tsne", "umap"])
def test_a_table_becomes_a_map(run, scans, labels, tmp_path, method):
    pytest.importorskip("umap")
    run(options=("--input", scans), out="gallery")
    ended = run("clusters", options=(
        "--embeddings", tmp_path / "gallery", "--method", method, "--num_neighbours", "2",
        "--labels_file", labels, "--colour_by", "kind",
    ))  # fmt: skip
    assert ended.code == 0, ended.err
    found = rows(tmp_path / "out" / "clusters.csv")
    assert [(row["case_id"], row["kind"]) for row in found][:2] == [("five", "a"), ("four", "b")]
    assert np.isfinite([[float(row["x"]), float(row["y"])] for row in found]).all()
    assert (tmp_path / "out" / "clusters.png").stat().st_size > 5_000


def test_phantoms_are_mapped_by_organ(run, tmp_path):
    ended = run("clusters", options=("--num_phantoms", "1"))
    assert ended.code == 0, ended.err
    assert len({row["organ"] for row in rows(tmp_path / "out" / "clusters.csv")}) == 11


def test_a_column_that_is_not_there_is_refused(run, scans, tmp_path):
    run(options=("--input", scans), out="gallery")
    ended = run("clusters", options=("--embeddings", tmp_path / "gallery", "--colour_by", "sex"))
    assert "colour_by must be a column of labels_file or one of patient_id" in ended.error

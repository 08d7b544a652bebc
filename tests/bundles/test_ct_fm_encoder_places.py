"""What the encoder bundle says about places in a scan, every config, with tiny weights."""

import csv
import json

import nibabel as nib
import numpy as np
import pytest

from common.search.markups import read_markup, write_markup

from .conftest import CT_FM_ENCODER

CONFIGS = CT_FM_ENCODER / "configs"


@pytest.fixture
def search(run_bundle, tiny_encoder, tmp_path):
    """Search with tiny weights, results to `tmp_path/out`."""

    def run(*options):
        return run_bundle("inference", "semantic_search", configs=CONFIGS)(
            "--weights", tiny_encoder.path, "--output_dir", tmp_path / "out", *options
        )

    return run


def result(folder):
    return json.loads((folder / "result.json").read_text())


def middle(path):
    """World mm of a scan's middle, as a user types it."""
    image = nib.load(path)
    x, y, z = nib.affines.apply_affine(image.affine, (np.array(image.shape) - 1) / 2)
    return f"[{x:.1f},{y:.1f},{z:.1f}]"


@pytest.mark.parametrize("way", ["dense", "windows"])
def test_a_search_leaves_the_place_and_how_alike_every_other_is(search, scans, tmp_path, way):
    point = middle(scans / "one.nii.gz")
    ended = search(
        "--query_scan", scans / "one.nii.gz", "--point", point,
        "--input", f"['{scans / 'one.nii.gz'}','{scans / 'two.nii.gz'}']", "--way", way,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    folder = tmp_path / "out" / "one"
    assert {path.name for path in folder.iterdir()} == {
        "figure.png", "found.mrk.json", "heatmap.nii.gz", "result.json",
    }  # fmt: skip
    outputs = result(folder)["outputs"]
    assert outputs["way"] == way
    assert outputs["cosine"] > outputs["cosine_median"]
    scan, heat = nib.load(scans / "one.nii.gz"), nib.load(folder / "heatmap.nii.gz")
    assert heat.shape == scan.shape
    assert heat.get_data_dtype() == np.float32
    assert np.array_equal(heat.affine, scan.affine)
    at = nib.affines.apply_affine(heat.affine, outputs["found_voxel"])
    np.testing.assert_allclose(at, outputs["found_world_mm"], atol=0.02)
    found, _ = read_markup(folder / "found.mrk.json")
    np.testing.assert_allclose(found, outputs["found_world_mm"], atol=1e-3)
    assert np.isfinite(heat.get_fdata()).all()
    assert result(tmp_path / "out" / "two")["outputs"]["cosine"] <= 1


def test_without_data_the_phantoms_heart_is_looked_for(search, tmp_path):
    ended = search("--figures", "False")
    assert ended.code == 0, ended.err
    assert ended.out.count("SYNTHETIC") == 1
    (path,) = (tmp_path / "out").glob("*/result.json")
    query = result(path.parent)["outputs"]["query"]
    assert query["given_as"] == "heart"
    assert query["case_id"] not in path.parent.name


def test_another_point_is_another_run(search, scans, tmp_path):
    markup = write_markup(tmp_path / "F.mrk.json", {"F": json.loads(middle(scans / "two.nii.gz"))})
    options = ["--query_scan", scans / "two.nii.gz", "--input", scans / "one.nii.gz"]
    options += ["--figures", "False"]
    assert search(*options, "--markup", markup).code == 0
    assert "1 cases were finished before" in search(*options, "--markup", markup).out
    write_markup(markup, {"F": np.add(json.loads(middle(scans / "two.nii.gz")), 5)})
    again = search(*options, "--markup", markup)
    assert "finished before" not in again.out
    assert result(tmp_path / "out" / "one")["outputs"]["query"]["given_as"] == "F"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "point must be given for a scan, got none"),
        (("--point", "[0,0,9000]"), "point must lie in the query scan"),
        (("--point", "[0,0,9000]", "--markup", "F.json"), "point must be given once"),
        (("--markup", "F.json"), "markup must exist, got F.json"),
        (("--way", "best"), "way must be one of windows, dense, got 'best'"),
    ],
)
def test_a_search_that_cannot_be_meant_ends_in_one_line(search, scans, options, message):
    where = ["--query_scan", scans / "one.nii.gz", "--input", scans / "two.nii.gz"]
    if "--way" in options:
        where += ["--point", middle(scans / "one.nii.gz")]
    assert message in search(*where, *options).error


def test_searches_are_scored_against_what_costs_nothing(run_bundle, tiny_encoder, tmp_path):
    names = ("inference", "semantic_search", "semantic_search_evaluate")
    ended = run_bundle(*names, configs=CONFIGS)(
        "--weights", tiny_encoder.path, "--output_dir", tmp_path / "out", "--num_test", "3",
        "--num_queries", "1", "--num_bootstrap", "20", "--organs", "['heart','urinary_bladder']",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "56.1 +- 54.4" in ended.out
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert list(metrics["scores"]) == [
        "windows", "dense", "windows, random weights", "dense, random weights",
        "same share of the body", "chance",
    ]  # fmt: skip
    for scores in metrics["scores"].values():
        assert list(scores) == ["all", "heart", "urinary_bladder"]
        assert scores["all"]["num_pairs"] == 4
    chance, share = (
        metrics["scores"][name]["all"]["mean_mm"] for name in list(metrics["scores"])[:3:-1]
    )
    assert share < 60 < 150 < chance
    with (tmp_path / "out" / "pairs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 6 * 4
    assert {"error.png", "scores.csv"} < {path.name for path in (tmp_path / "out").iterdir()}


def test_saliency_lies_on_the_scans_own_grid(run_bundle, tiny_encoder, scans, tmp_path):
    ended = run_bundle("inference", "saliency", configs=CONFIGS)(
        "--weights", tiny_encoder.path, "--output_dir", tmp_path / "out",
        "--input", scans / "one.nii.gz", "--mask_size", "16", "--windows_at_once", "2",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    folder = tmp_path / "out" / "one"
    assert {path.name for path in folder.iterdir()} == {
        "figure.png", "result.json", "saliency.nii.gz",
    }  # fmt: skip
    scan, heat = nib.load(scans / "one.nii.gz"), nib.load(folder / "saliency.nii.gz")
    assert heat.shape == scan.shape
    assert np.array_equal(heat.affine, scan.affine)
    outputs = result(folder)["outputs"]
    assert 0 < outputs["mean"] < outputs["highest"] <= 2
    assert 0 <= heat.get_fdata().min() <= heat.get_fdata().max() <= outputs["highest"] * 1.001

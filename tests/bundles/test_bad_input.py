"""What users get wrong: one clear line, a non-zero exit, nothing half-written."""

import gzip
import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.atomic import PARTIAL
from common.results.rejections import read_rejections


@pytest.fixture
def refused(run_bundle, quick, tmp_path):
    """Run inference that must fail; gives its line, and checks that nothing is left half-done."""

    def run(*options):
        line = run_bundle("inference")(*quick, *options).error
        left = [path.name for path in tmp_path.rglob("*")]
        assert not [name for name in left if name.startswith(PARTIAL) or name == "result.json"]
        return line

    return run


def write(path, voxels, *, spacing_mm=(5, 5, 8)):
    nib.save(nib.Nifti1Image(voxels, np.diag([*spacing_mm, 1])), path)
    return path


@pytest.fixture
def scan(five_scans):
    return five_scans / "one.nii.gz"


def test_truncated_gzip(refused, scan):
    content = scan.read_bytes()
    scan.write_bytes(content[: len(content) // 2])
    assert "one.nii.gz" in refused("--input", scan)


def test_gzip_that_is_none(refused, scan):
    scan.write_bytes(b"not a gzip file at all" * 50)
    assert "one.nii.gz" in refused("--input", scan)


def test_empty_file(refused, scan):
    scan.write_bytes(b"")
    assert "one.nii.gz" in refused("--input", scan)


def test_empty_folder(refused, tmp_path):
    (tmp_path / "nothing").mkdir()
    line = refused("--input", tmp_path / "nothing")
    assert "must hold at least one CT, got an empty folder" in line


def test_folder_without_ct_leaves_a_table_of_reasons(refused, tmp_path):
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("a.mha", "b.mha"):
        (folder / name).write_bytes(b"ObjectType = Image\n")
    line = refused("--input", folder)
    assert "must hold at least one CT, got none of the 2 found (a.mha and 1 more: MetaImage" in line
    rows = read_rejections(tmp_path / "out")
    assert [(Path(row["path"]).name, row["status"]) for row in rows] == [
        ("a.mha", "rejected"),
        ("b.mha", "rejected"),
    ]
    assert (tmp_path / "out" / "summary.csv").is_file()


def test_folder_without_ct_is_told_where_no_table_can_be_written(refused, tmp_path):
    (tmp_path / "taken").write_text("a file")
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "a.mha").write_bytes(b"ObjectType = Image\n")
    line = refused("--input", tmp_path / "study", "--output_dir", tmp_path / "taken")
    assert "must hold at least one CT, got none of the 1 found" in line


def test_list_without_a_volume_leaves_a_table_of_reasons(refused, tmp_path):
    (tmp_path / "list.csv").write_text("image\ngone.nii.gz\n")
    assert "must list at least one volume" in refused("--input", tmp_path / "list.csv")
    (row,) = read_rejections(tmp_path / "out")
    assert (row["case_id"], row["status"]) == ("gone", "failed")


def test_8_bit_image(refused, tmp_path):
    ramp = np.arange(64 * 64 * 30, dtype=np.int64).reshape(64, 64, 30) % 256
    assert "CT" in refused("--input", write(tmp_path / "grey.nii.gz", ramp.astype(np.uint8)))


def test_mr(refused, tmp_path):
    signal = np.zeros((64, 64, 30), np.int16)
    signal[16:48, 16:48] = np.arange(32 * 32 * 30).reshape(32, 32, 30) % 900
    assert "CT" in refused("--input", write(tmp_path / "t1.nii.gz", signal))


def test_nan(refused, scan, tmp_path):
    voxels = np.asarray(nib.load(scan).dataobj, np.float32)
    voxels[3:6] = np.nan
    assert "NaN" in refused("--input", write(tmp_path / "holes.nii.gz", voxels))


def test_one_slice(refused, scan, tmp_path):
    voxels = np.asarray(nib.load(scan).dataobj)[:, :, :1]
    assert "slice" in refused("--input", write(tmp_path / "flat.nii.gz", voxels))


def test_wrong_suffix(refused, tmp_path):
    (tmp_path / "scan.mha").write_bytes(b"ObjectType = Image\n")
    assert "MetaImage (.mha) is not accepted" in refused("--input", tmp_path / "scan.mha")


def test_missing_path_names_what_is_near(refused, five_scans):
    line = refused("--input", five_scans / "oen.nii.gz")
    assert "input must exist" in line
    assert "did you mean one.nii.gz" in line


def test_a_number_as_input_is_a_path(refused):
    assert "input must exist, got 12" in refused("--input", "12")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is denied to root")
def test_file_without_permission(refused, scan):
    scan.chmod(0)
    assert "permission denied" in refused("--input", scan)


def test_denied_file(refused, scan, monkeypatch):
    monkeypatch.setattr("common.cases.find.os.access", lambda *_: False)
    assert "permission denied" in refused("--input", scan)


def test_path_with_spaces_and_umlauts_works(run_bundle, quick, scan, tmp_path):
    place = tmp_path / "Dr. Müller, Röntgen (1)"
    place.mkdir()
    scan.rename(place / "Thorax größer.nii.gz")
    assert run_bundle("inference")(*quick, "--input", place).code == 0
    assert (tmp_path / "out" / "Thorax_groesser" / "result.json").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "$__import__('os').system('touch run_as_code').nii.gz", "@at #1.nii.gz", "2024_05.nii.gz",
        "./%x.nii.gz",
    ],
)  # fmt: skip
def test_a_name_is_not_code(run_bundle, quick, scan, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    scan.rename(tmp_path / name)
    assert run_bundle("inference")(*quick, "--input", name).code == 0
    assert not (tmp_path / "run_as_code").exists()
    assert len(list((tmp_path / "out").glob("*/result.json"))) == 1


@pytest.mark.parametrize("name", ["$import run_as_code.nii.gz", "%run.json"])
def test_a_name_that_monai_would_run_is_refused_before(start_bundle, quick, tmp_path, name):
    (tmp_path / "run_as_code.py").write_text("open('was_run', 'w')")
    (tmp_path / "run.json").write_text(json.dumps({"x": "$import run_as_code"}))
    ended = start_bundle("inference")(*quick, "--input", name, cwd=tmp_path)
    assert f"--input must not begin with % or $import, got {name}, which" in ended.error
    assert not (tmp_path / "was_run").exists()
    assert not (tmp_path / "out").exists()


def test_a_name_with_percent_that_monai_looks_up_ends_before_anything_is_run(
    start_bundle, quick, tmp_path
):
    ended = start_bundle("inference")(*quick, "--input", "%x.nii.gz", cwd=tmp_path)
    assert ended.code != 0
    assert "KeyError: 'query key: x.nii.gz'" in ended.err  # MONAI's own, before any line of ours
    assert not (tmp_path / "out").exists()


def test_training_without_its_base_says_what_to_type(start_bundle):
    error = start_bundle("train")().error
    assert "config_file must begin with inference.json, got " in error
    assert "configs/inference.json', '" in error


@pytest.mark.parametrize("name", ["$dollar", "1,2", "None"])
def test_results_go_where_the_name_says(run_bundle, quick, scan, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert run_bundle("inference")(*quick, "--input", scan, "--output_dir", name).code == 0
    assert (tmp_path / name / "one" / "result.json").is_file()


def test_mistyped_override(refused, tmp_path):
    assert "did you mean --input?" in refused("--inptu", "phantom")
    assert not (tmp_path / "out").exists()


def test_weights_that_are_not_there(refused, scan):
    assert "weights must name a card" in refused("--input", scan, "--weights", "nowhere.json")


def test_weights_that_are_no_card(refused, scan):
    assert "card must be readable JSON" in refused("--input", scan, "--weights", scan)


def test_weights_of_another_hash(refused, scan, tiny_card):
    tiny_card.tensors.write_bytes(b"other")
    assert "match the card's sha256" in refused("--input", scan)


def test_file_in_the_way_of_the_output(refused, scan, tmp_path):
    (tmp_path / "taken").write_text("a file")
    line = refused("--input", scan, "--output_dir", tmp_path / "taken")
    assert "output must be a place that can be written" in line
    assert (tmp_path / "taken").read_text() == "a file"


def test_file_in_the_way_of_the_phantom(refused, tmp_path):
    (tmp_path / "taken").write_text("a file")
    assert "can be written" in refused("--output_dir", tmp_path / "taken")


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("--precision", "fp8", "precision must be one of auto, fp32, bf16, got fp8"),
        ("--backend", "tensorrt", "backend must be one of eager, compile, openvino, got tensorrt"),
        ("--device", "gpu", "device must be one that torch can use here, got gpu"),
        ("--device", "cuda:99", "device must be one that torch can use here, got cuda:99"),
        ("--device", "meta", "device must hold numbers, got meta"),
        ("--num_workers", "-1", "num_workers must be 0 or more, got -1"),
        ("--max_gb", "0", "max_gb must be a number above 0 or 'auto', got 0"),
        ("--max_gb", "8GB", "max_gb must be a number above 0 or 'auto', got 8GB"),
        ("--max_gb", "1e-6", "one.nii.gz must take at most 1e-06 GB of memory, got"),
    ],
)
def test_wrong_value(refused, scan, option, value, rule):
    assert rule in refused("--input", scan, option, value)


def test_gzip_of_something_else(refused, tmp_path):
    path = tmp_path / "text.nii.gz"
    path.write_bytes(gzip.compress(b"hello" * 200))
    assert "text.nii.gz" in refused("--input", path)


def test_a_mistyped_override_in_a_process_of_its_own(start_bundle, quick):
    ended = start_bundle("inference")(*quick, "--wieghts", "demo")
    assert "did you mean --weights?" in ended.error


def test_a_damaged_scan_in_a_process_of_its_own(start_bundle, quick, scan):
    scan.write_bytes(scan.read_bytes()[:-3000])
    assert "one.nii.gz" in start_bundle("inference")(*quick, "--input", scan).error

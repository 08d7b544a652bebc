"""CT-Scroll's bundle from end to end, every config, with tiny weights on phantoms."""

import csv
import json

import pytest
import torch

from common.phantom.export import write_collection
from common.weights.card import read_card
from common.weights.loading import read_tensors

from .conftest import CT_SCROLL, REPOSITORY


def rows(output_dir):
    with (output_dir / "summary.csv").open() as file:
        return {row["case_id"]: row for row in csv.DictReader(file)}


def result(output_dir, case_id):
    return json.loads((output_dir / case_id / "result.json").read_text())


def test_phantom_from_the_repository_root(start_bundle, tiny_card, tmp_path):
    run = start_bundle("inference", configs=CT_SCROLL.relative_to(REPOSITORY) / "configs")
    ended = run("--weights", tiny_card.path, "--output_dir", tmp_path / "out", cwd=REPOSITORY)
    assert ended.code == 0, ended.err
    assert ended.out.count("SYNTHETIC") == 1
    (name,) = rows(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out" / name).iterdir()} == {
        "figure.png",
        "result.json",
    }
    written = result(tmp_path / "out", name)
    assert written["weights"]["name"] == "tiny"
    assert len(written["outputs"]["probabilities"]) == 18


def test_scan_from_the_bundle_folder(start_bundle, quick, scans):
    run = start_bundle("inference", configs=CT_SCROLL.relative_to(CT_SCROLL) / "configs")
    ended = run(*quick, "--input", scans / "one.nii.gz", cwd=CT_SCROLL)
    assert ended.code == 0, ended.err


def test_demo_card_runs_the_phantom(run_bundle, tmp_path):
    ended = run_bundle("inference")("--output_dir", tmp_path / "out", "--figures", "False")
    assert ended.code == 0, ended.err
    assert [row["status"] for row in rows(tmp_path / "out").values()] == ["finished"]


def test_folder_gives_one_summary_and_a_rerun_skips_all(run_bundle, quick, scans, tmp_path):
    run = run_bundle("inference")
    assert run(*quick, "--input", scans).code == 0
    assert list(rows(tmp_path / "out")) == ["five", "four", "one", "three", "two"]
    before = (tmp_path / "out" / "one" / "result.json").stat().st_mtime_ns
    again = run(*quick, "--input", scans)
    assert "5 cases were finished before" in again.out
    assert (tmp_path / "out" / "one" / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    "change", [("--precision", "bf16"), ("--relevance", "False"), ("--attention_maps", "True")]
)
def test_other_settings_run_finished_cases_again(run_bundle, quick, scans, tmp_path, change):
    run = run_bundle("inference")
    scan = ("--input", scans / "one.nii.gz", "--precision", "fp32")
    assert run(*quick, *scan).code == 0
    assert "finished before" not in run(*quick, *scan, *change).out
    left = {path.name for path in (tmp_path / "out" / "one").iterdir()}
    assert ("attention.npz" in left or len(left) > 1) == (change[0] == "--attention_maps")


@pytest.mark.parametrize("lost_bytes", [9, 150_000])  # found in reading, found in discovery
def test_one_broken_scan_of_five_does_not_stop_the_others(
    run_bundle, quick, five_scans, tmp_path, lost_bytes
):
    broken = five_scans / "three.nii.gz"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-lost_bytes])
    run = run_bundle("inference")
    first = run(*quick, "--input", five_scans)
    assert "1 of 5 cases failed: three" in first.error
    states = {name.partition(".")[0]: row["status"] for name, row in rows(tmp_path / "out").items()}
    assert states.pop("three") == "failed"
    assert list(states.values()) == ["finished"] * 4
    again = run(*quick, "--input", five_scans)
    assert "4 cases were finished before" in again.out
    assert "1 of 5 cases failed: three" in again.error
    broken.write_bytes(whole)
    assert run(*quick, "--input", five_scans).code == 0
    assert {row["status"] for row in rows(tmp_path / "out").values()} == {"finished"}


def test_missing_volume_of_a_list_fails_the_run_unless_it_may_be_left_out(
    run_bundle, quick, five_scans, tmp_path
):
    (five_scans / "list.csv").write_text("image\none.nii.gz\ngone.nii.gz\n")
    run, scans = run_bundle("inference"), ("--input", five_scans / "list.csv")
    assert "1 of 2 cases failed: gone: listed, but no such volume" in run(*quick, *scans).error
    assert [row["status"] for row in rows(tmp_path / "out").values()] == ["failed", "finished"]
    assert run(*quick, *scans, "--missing", "leave_out").code == 0
    assert [row["status"] for row in rows(tmp_path / "out").values()] == ["rejected", "finished"]
    error = run(*quick, *scans, "--missing", "ignore").error
    assert "missing must be fail or leave_out, got 'ignore'; choose one of them" in error


def test_dicom_series_leaves_a_structured_report(run_bundle, quick, tmp_path):
    write_collection(
        tmp_path / "made", num=1, seed=1_200_000, file_format="dicom", spacing_mm=(6, 6, 10)
    )
    ended = run_bundle("inference")(*quick, "--input", tmp_path / "made" / "dicom")
    assert ended.code == 0, ended.err
    (name,) = rows(tmp_path / "out")
    assert "report_sr.dcm" in result(tmp_path / "out", name)["files"]


def test_reading_without_threads_gives_the_same(run_bundle, quick, scans, tmp_path):
    scan = ("--input", scans / "one.nii.gz")
    run_bundle("inference")(*quick, *scan)
    ahead = result(tmp_path / "out", "one")["outputs"]
    run_bundle("inference")(*quick, *scan, "--num_workers", "0", "--output_dir", tmp_path / "b")
    assert result(tmp_path / "b", "one")["outputs"] == ahead


def test_device_can_be_named(run_bundle, quick, scans, tmp_path):
    ended = run_bundle("inference")(*quick, "--input", scans / "one.nii.gz", "--device", "cpu")
    assert ended.code == 0, ended.err
    assert result(tmp_path / "out", "one")["device"] == "cpu"


def test_another_part_of_the_body_is_refused_until_told_otherwise(run_bundle, tmp_path):
    write_collection(tmp_path / "heads", num=1, seed=0, region="head", spacing_mm=(4, 4, 6))
    scan = ("--input", tmp_path / "heads", "--output_dir", tmp_path / "out", "--figures", "False")
    ended = run_bundle("inference")(*scan)
    assert "image must show a chest, got a body of" in ended.error
    assert not list((tmp_path / "out").glob("*/result.json"))
    ended = run_bundle("inference")(*scan, "--any_body_part", "True")
    assert ended.code == 0, ended.err
    (name,) = rows(tmp_path / "out")
    written = result(tmp_path / "out", name)
    assert "of which the scan seems to show nothing" in written["case"]["warnings"][0]
    assert '"any_body_part": true' in json.dumps(written["settings"])
    assert (
        "image must show a chest" in run_bundle("inference")(*scan).error
    )  # not taken as finished


def test_a_short_scan_is_read_from_its_own_slices(run_bundle, shared, tmp_path):
    scan = shared / "failing_inputs" / "real" / "example_ct_sm.nii.gz"
    out = tmp_path / "out"
    ended = run_bundle("inference")("--input", scan, "--output_dir", out, "--figures", "False")
    assert ended.code == 0, ended.err
    written = result(out, "example_ct_sm")
    assert "seems to show not all" in written["case"]["warnings"][0]
    for row in written["outputs"]["relevance"].values():
        assert sum(row["per_triplet"]) == pytest.approx(0, abs=1e-3)
        assert sum(value != 0 for value in row["per_triplet"]) == 10  # 90 mm in triplets of 9
        assert all(0 <= top["slices_voxel"][0] <= 29 for top in row["top_triplets"])


def test_evaluation_scores_phantoms(run_bundle, quick, tmp_path):
    ended = run_bundle("inference", "evaluate")(*quick, "--num_test", 4, "--num_bootstrap", 20)
    assert ended.code == 0, ended.err
    assert "AUROC" in ended.out
    made = {path.name for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert made == {
        "metrics.json",
        "metrics.csv",
        "roc.png",
        "reliability.png",
        "summary.csv",
        ".bundle",
    }
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["num_cases"] == 4


def test_training_leaves_weights_that_inference_takes(run_bundle, quick_training, scans, tmp_path):
    ended = run_bundle("inference", "train")(*quick_training, "--num_validation", 4)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.is_synthetic
    assert set(card.content["thresholds"]) == set(card.labels)
    assert card.content["training"]["data"] == "synthetic phantoms"
    ended = run_bundle("inference")(
        "--weights", tmp_path / "run", "--input", scans / "one.nii.gz",
        "--output_dir", tmp_path / "out",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert result(tmp_path / "out", "one")["weights"]["sha256"] == card.sha256


def test_a_classifier_is_tuned_to_labels_of_ones_own(
    run_bundle, quick, quick_training, tiny_card, scans, tmp_path
):
    ended = run_bundle("inference", "train")(
        *quick_training, "--initial_weights", tiny_card.path,
        "--labels", "['Emphysema','Lung nodule']",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.labels == ["Emphysema", "Lung nodule"]
    assert card.architecture["num_classes"] == 2
    started = card.content["training"]["initial_weights"]
    assert (started["new_heads"], started["kept_heads"]) == ([], card.labels)
    ended = run_bundle("inference")(*quick, "--weights", card.path, "--input", scans / "one.nii.gz")
    assert ended.code == 0, ended.err
    assert list(result(tmp_path / "out", "one")["outputs"]["probabilities"]) == card.labels


def test_training_with_averaged_weights_and_accumulation(run_bundle, quick_training, tmp_path):
    options = (*quick_training, "--ema_momentum", 0.1, "--accumulation_steps", 2)
    ended = run_bundle("inference", "train")(*options, "--batch_size", 1)
    assert ended.code == 0, ended.err
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    kept = read_tensors(tmp_path / "run" / "model.pt")
    assert all(torch.equal(kept[key], state["ema"][key]) for key in kept)
    latest = list(state["network"].values())
    assert not all(torch.equal(*pair) for pair in zip(kept.values(), latest, strict=False))


def test_encoder_is_trained_on_triplets_and_the_network_starts_from_it(
    run_bundle, quick_training, tmp_path
):
    small = ("--steps_per_epoch", 3, "--batch_size", 4, "--triplets::buffer_size", 8)
    ended = run_bundle("inference", "train", "pretrain")(*quick_training, *small)
    assert ended.code == 0, ended.err
    source = ("--initial_weights", tmp_path / "run" / "model.json", "--output_dir", tmp_path / "b")
    ended = run_bundle("inference", "train")(*quick_training, *source)
    assert ended.code == 0, ended.err


def test_an_overlay_of_older_commands_is_said_to_be_empty(run_bundle, quick_training, tmp_path):
    ended = run_bundle("inference", "train", "multi_gpu")(*quick_training)
    assert ended.code == 0, ended.err
    assert ended.out.count("multi_gpu.json is empty: torchrun decides how many") == 1
    assert (tmp_path / "run" / "model.json").is_file()


def test_head_only_trains_the_head_and_encodes_once(
    run_bundle, quick_training, tiny_card, tmp_path
):
    run = run_bundle("inference", "train", "head_only")
    options = (*quick_training, "--initial_weights", tiny_card.path)
    first = run(*options)
    assert first.code == 0, first.err
    before = read_tensors(tiny_card.tensors)
    after = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["network"]
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert not any(key.startswith("encoder.") for key in changed)
    cached = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("features/*/*.pt")}
    assert len(cached) == 4
    elsewhere = ("--output_dir", tmp_path / "b", "--features_dir::root", tmp_path / "run/features")
    second = run(*options, *elsewhere)
    assert second.code == 0, second.err
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("features/*/*.pt")}
    assert {path: again[path] for path in cached} == cached


def test_head_only_needs_an_encoder(run_bundle, quick_training):
    ended = run_bundle("inference", "train", "head_only")(*quick_training)
    assert "initial_weights must be given where the encoder is not trained" in ended.error


@pytest.fixture
def ct_rate(tmp_path):
    """A folder as CT-RATE is published: four training patients, two for validation."""
    for split, num, seed in (("train", 4, 0), ("valid", 2, 1_000_000)):
        write_collection(tmp_path / "made", num=num, seed=seed, split=split, spacing_mm=(6, 6, 10))
    return tmp_path / "made" / "dataset"


def test_ct_rate_is_trained_on_and_evaluated(run_bundle, quick, quick_training, ct_rate, tmp_path):
    options = (*quick_training, "--dataset_dir", ct_rate, "--initial_weights", "")
    ended = run_bundle("inference", "train", "ct_rate")(*options, "--validation_fraction", 0.5)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.is_synthetic  # phantoms remain phantoms where they are laid out as CT-RATE
    assert card.content["training"]["data"] == "synthetic phantoms"
    assert card.name == "CT-Scroll trained on CT-RATE"
    ended = run_bundle("inference", "evaluate")(
        *quick, "--dataset_dir", ct_rate, "--num_bootstrap", 0, "--label_set", "ct_rate"
    )
    assert ended.code == 0, ended.err
    assert sorted(rows(tmp_path / "out")) == ["valid_1_a_1", "valid_2_a_1"]

"""CT-FM's triage bundle from end to end, every config, with tiny weights on phantom heads."""

import json

import pytest
import torch

from common.networks.ct_fm_triage import CTFMTriage
from common.phantom.dicom_series import write_dicom
from common.phantom.export import write_collection
from common.phantom.head import make_head
from common.weights.card import read_card
from common.weights.loading import read_tensors
from tests import contract

from .conftest import CT_FM_TRIAGE

CONFIGS = CT_FM_TRIAGE / "configs"
COARSE_MM = (4.0, 4.0, 6.0)


@pytest.fixture
def quick(tiny_triage, tmp_path):
    """Options for inference with tiny weights, results to `tmp_path/out`, without figures."""
    return ["--weights", tiny_triage.path, "--output_dir", tmp_path / "out", "--figures", "False"]


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """A folder of ten coarse heads with `labels.csv`; the column `Abnormal` has both classes."""
    folder = tmp_path_factory.mktemp("heads")
    write_collection(folder, num=10, seed=0, region="head", spacing_mm=COARSE_MM)
    return folder


@pytest.fixture
def sinoct(tmp_path):
    """Twenty directories laid out as SinoCT is guessed to be."""
    for number in range(20):
        scan = tmp_path / "SinoCT" / f"scan{number:02d}"
        write_collection(
            scan, num=1, seed=number, region="head", spacing_mm=(8.0, 8.0, 8.0),
            findings=["Mass"] if number % 2 else [],
        )  # fmt: skip
        for path in scan.rglob("*.csv"):
            path.unlink()
        (scan / "label.txt").write_text(f"0,{number % 2}")
    return tmp_path / "SinoCT"


@pytest.fixture
def cq500(tmp_path):
    """Two scans as CQ500 is published, one of them abnormal."""
    lines = ["name,Category,R1:ICH,R2:ICH,R3:ICH", "CQ500-CT-0,B1,0,1,0", "CQ500-CT-7,B2,0,0,0"]
    for number, findings in ((0, ["Epidural haemorrhage"]), (7, [])):
        head = make_head(seed=number, spacing_mm=COARSE_MM, findings=findings)
        write_dicom(head, tmp_path / "CQ500" / f"CQ500CT{number} CQ500CT{number}" / "CT Plain")
    (tmp_path / "CQ500" / "reads.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "CQ500"


def result(output_dir, case_id):
    return json.loads((output_dir / case_id / "result.json").read_text())


def metrics(output_dir):
    return json.loads((output_dir / "metrics.json").read_text())


both_arrangements = pytest.mark.parametrize("tiny_triage", ["channels", "depth"], indirect=True)


@both_arrangements
def test_phantom_leaves_a_probability_and_a_figure(run_bundle, tiny_triage, tmp_path):
    ended = run_bundle("inference", configs=CONFIGS)(
        "--weights", tiny_triage.path, "--output_dir", tmp_path / "out"
    )
    assert ended.code == 0, ended.err
    assert ended.out.count("SYNTHETIC") == 1
    (folder,) = (path.parent for path in (tmp_path / "out").glob("*/result.json"))
    assert {path.name for path in folder.iterdir()} == {"figure.png", "result.json"}
    found = result(tmp_path / "out", folder.name)["outputs"]["findings"]
    assert list(found) == ["Abnormal"]
    assert 0 < found["Abnormal"]["probability"] < 1


def test_demo_card_runs_the_phantom(run_bundle, tmp_path):
    ended = run_bundle("inference", configs=CONFIGS)(
        "--output_dir", tmp_path / "out", "--figures", "False"
    )
    assert ended.code == 0, ended.err


def test_dicom_series_leaves_a_structured_report(run_bundle, quick, tmp_path):
    pydicom = pytest.importorskip("pydicom")
    write_dicom(make_head(seed=5, spacing_mm=COARSE_MM), tmp_path / "series")
    ended = run_bundle("inference", configs=CONFIGS)(*quick, "--input", tmp_path / "series")
    assert ended.code == 0, ended.err
    (report,) = (tmp_path / "out").glob("*/report_sr.dcm")
    assert pydicom.dcmread(report).Modality == "SR"


def test_real_dicom_is_read(run_bundle, quick, shared, tmp_path):
    scan = shared / "data" / "ct" / "head_phantom_dicom_5mm"
    ended = run_bundle("inference", configs=CONFIGS)(*quick, "--input", scan)
    assert ended.code == 0, ended.err


def test_a_scan_of_another_part_of_the_body_is_refused(run_bundle, tmp_path):
    write_collection(tmp_path / "chests", num=1, seed=0, spacing_mm=(4.0, 4.0, 6.0))
    options = ["--input", tmp_path / "chests", "--output_dir", tmp_path / "out"]
    ended = run_bundle("inference", configs=CONFIGS)(*options, "--figures", "False")
    assert ended.code == 1
    assert "must fit into the 160 x 216 x 168 mm that the network sees" in ended.err
    allowed = run_bundle("inference", configs=CONFIGS)(
        *options, "--figures", "False", "--max_outside", 1
    )
    assert allowed.code == 0, allowed.err
    (found,) = (tmp_path / "out").glob("*/result.json")
    assert "lies outside" in json.loads(found.read_text())["case"]["warnings"][0]


def test_evaluation_prints_and_saves_what_all_abnormal_would_reach(run_bundle, quick, tmp_path):
    ended = run_bundle("inference", "evaluate", configs=CONFIGS)(
        *quick, "--num_test", 6, "--num_bootstrap", 20
    )
    assert ended.code == 0, ended.err
    assert "F1 if all were called positive" in ended.out
    scores = metrics(tmp_path / "out")["labels"]["Abnormal"]
    positive = scores["num_positive"]
    assert scores["f1_all_positive"]["value"] == pytest.approx(2 * positive / (positive + 6))
    assert {"auroc", "f1", "sensitivity", "specificity"} <= set(scores)


def test_training_leaves_weights_that_inference_takes(
    run_bundle, quick_triage_training, heads, tmp_path
):
    ended = run_bundle("inference", "train", configs=CONFIGS)(*quick_triage_training)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.is_synthetic
    assert set(card.content["thresholds"]) == {"Abnormal"}
    kept = [torch.load(path)["item"] for path in (tmp_path / "run" / "cache").glob("*/*.pt")]
    assert len(kept) == 8
    assert sum(case["image"].shape == (1, 16, 24, 24) for case in kept) >= 4  # before windows
    scan = next((heads / "scans").glob("*.nii.gz"))
    ended = run_bundle("inference", configs=CONFIGS)(
        "--weights", tmp_path / "run", "--input", scan, "--output_dir", tmp_path / "out",
        "--figures", "False",
    )  # fmt: skip
    assert ended.code == 0, ended.err


def test_places_of_lesions_help_and_leave_no_trace_in_the_weights(
    run_bundle, quick_triage_training, tiny_triage, tmp_path
):
    ended = run_bundle("inference", "train", "locate", configs=CONFIGS)(*quick_triage_training)
    assert ended.code == 0, ended.err
    assert set(read_tensors(tmp_path / "run" / "model.pt")) == set(
        read_tensors(tiny_triage.tensors)
    )


def test_places_are_known_of_phantoms_alone(run_bundle, quick_triage_training, heads):
    ended = run_bundle("inference", "train", "locate", configs=CONFIGS)(
        *quick_triage_training, "--dataset_dir", heads, "--labels_file", "labels.csv",
        "--validation_fraction", 0.4,
    )  # fmt: skip
    assert ended.code == 1
    assert "got: locate.json must have phantom heads, got " in ended.error


def test_a_list_of_heads_trains_and_is_scored(
    run_bundle, quick, quick_triage_training, heads, tmp_path
):
    listed = ("--dataset_dir", heads, "--labels_file", "labels.csv")
    ended = run_bundle("inference", "train", configs=CONFIGS)(
        *quick_triage_training, *listed, "--validation_fraction", 0.4, "--training_share", 0.5
    )
    assert ended.code == 0, ended.err
    assert read_card(tmp_path / "run" / "model.json").is_synthetic  # heads that `export` wrote
    ended = run_bundle("inference", "evaluate", configs=CONFIGS)(
        *quick, *listed, "--num_bootstrap", 10
    )
    assert ended.code == 0, ended.err
    assert "10 volumes of 10 patients" in ended.out


@both_arrangements
def test_fine_tuning_on_sinoct_starts_from_the_published_encoder(
    run_bundle, quick, quick_triage_training, sinoct, tiny_triage, tmp_path
):
    channels = CTFMTriage(**contract.conf_of(CT_FM_TRIAGE)["card"]["network"]["arguments"])
    torch.save(channels.encoder.state_dict(), tmp_path / "encoder.pt")
    options = (
        *quick_triage_training, "--dataset_dir", sinoct, "--num_epochs", "1",
        "--initial_weights", tmp_path / "encoder.pt",
    )  # fmt: skip
    run = run_bundle("inference", "train", "sinoct", configs=CONFIGS)
    if tiny_triage.preprocessing["arrangement"] == "channels":
        assert "must have 4 input channels for the encoder, got 1" in run(*options).error
        options = (*options, "--repeat_first", "True")
    ended = run(*options)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.is_synthetic  # no other scans are at hand
    assert card.content["training"]["num_cases"] == 16
    ended = run_bundle("inference", "evaluate", configs=CONFIGS)(
        *quick, "--dataset_dir", sinoct, "--num_bootstrap", 10
    )
    assert ended.code == 0, ended.err
    assert metrics(tmp_path / "out")["num_cases"] == 2


def test_cq500_is_scored_whole(run_bundle, quick, cq500, tmp_path):
    ended = run_bundle("inference", "evaluate", "cq500", configs=CONFIGS)(
        *quick, "--dataset_dir", cq500, "--num_bootstrap", 0
    )
    assert ended.code == 0, ended.err
    scores = metrics(tmp_path / "out")["labels"]["Abnormal"]
    assert (scores["num_cases"], scores["num_positive"]) == (2, 1)


def test_a_frozen_encoder_stays_as_it_was(run_bundle, quick_triage_training, tiny_triage, tmp_path):
    ended = run_bundle("inference", "train", configs=CONFIGS)(
        *quick_triage_training, "--initial_weights", tiny_triage.path, "--frozen_encoder", "True"
    )
    assert ended.code == 0, ended.err
    before = read_tensors(tiny_triage.tensors)
    after = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["network"]
    learned = {key for key in before if not torch.equal(before[key], after[key])}
    assert any(key.startswith("head.") for key in learned)
    assert all("running" in k or "num_batches" in k for k in learned if k.startswith("encoder."))


def test_a_run_goes_on_where_it_ended(run_bundle, quick_triage_training, tmp_path):
    run = run_bundle("inference", "train", configs=CONFIGS)
    assert run(*quick_triage_training).code == 0
    before = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    ended = run(*quick_triage_training, "--num_epochs", "2")
    assert ended.code == 0, ended.err
    after = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert (before["trainer"]["iteration"], after["trainer"]["iteration"]) == (2, 4)
    steps = [next(iter(each["optimizer"]["state"].values()))["step"] for each in (before, after)]
    assert [int(step) for step in steps] == [2, 4]  # the second run made two, not four

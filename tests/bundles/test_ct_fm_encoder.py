"""CT-FM's encoder from end to end: embedding and pre-training, with tiny weights."""

import json

import numpy as np
import pytest
import torch

from common.embeddings.table import read_embeddings
from common.engines.scan_dataset import read_left_out
from common.networks.ct_fm_encoder import CTFMEncoder
from common.weights.card import read_card
from common.weights.loading import read_key_map, read_tensors, rename_keys

from .conftest import CT_FM_ENCODER

CONFIGS = CT_FM_ENCODER / "configs"


@pytest.fixture
def embed(run_bundle, tiny_encoder, tmp_path):
    """Run inference with tiny weights, results to `tmp_path/out` where nothing else is said."""

    def run(*options, output_dir=tmp_path / "out"):
        return run_bundle("inference", configs=CONFIGS)(
            "--weights", tiny_encoder.path, "--output_dir", output_dir, *options
        )

    return run


def result(folder):
    (path,) = folder.glob("*/result.json")
    return json.loads(path.read_text())


def test_a_folder_becomes_a_table_of_one_vector_per_scan(embed, scans, tmp_path):
    ended = embed("--input", scans)
    assert ended.code == 0, ended.err
    table = read_embeddings(tmp_path / "out" / "embeddings.parquet")
    assert list(table.case_ids) == ["five", "four", "one", "three", "two"]
    assert table.embeddings.shape == (5, 16)
    assert len(np.unique(table.embeddings, axis=0)) == 5
    assert table.made_by["bundle"]["name"] == "ct_fm_encoder"
    again = embed("--input", scans)
    assert "5 cases were finished before" in again.err + again.out


def test_the_phantom_is_embedded_and_its_windows_have_a_place(embed, tmp_path):
    ended = embed("--keep_windows", "True")
    assert ended.code == 0, ended.err
    found = result(tmp_path / "out")
    assert "synthetic" in found["note"].lower()
    assert found["outputs"]["num_dimensions"] == len(found["outputs"]["embedding"]) == 16
    (path,) = (tmp_path / "out").glob("*/windows.npz")
    windows = np.load(path)
    ran = found["outputs"]["num_windows"] - found["outputs"]["num_empty_windows"]
    assert windows["embedding"].shape == (ran, 16)
    assert windows["centre_world_mm"].shape == (ran, 3)
    np.testing.assert_allclose(
        windows["embedding"].mean(axis=0), found["outputs"]["embedding"], rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("preset", ["published", "hub_card", "3d_mir"])
def test_every_published_way_to_embed_runs_and_differs(embed, scans, tmp_path, preset):
    one = ("--input", scans / "one.nii.gz")
    assert embed(*one).code == 0
    ended = embed(*one, "--preset", preset, output_dir=tmp_path / preset)
    assert ended.code == 0, ended.err
    ours, theirs = result(tmp_path / "out"), result(tmp_path / preset)
    assert theirs["settings"]["preset"] == preset
    assert theirs["outputs"]["pooling"] == ("min" if preset == "3d_mir" else "mean")
    assert ours["outputs"]["embedding"] != theirs["outputs"]["embedding"]


def test_two_ways_do_not_share_a_table(embed, scans, tmp_path):
    assert embed("--input", scans / "one.nii.gz").code == 0
    ended = embed("--input", scans / "two.nii.gz", "--pooling", "max")
    assert "embeddings of one table must be made alike" in ended.error


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--preset", "native"), "preset must be one of corrected, published, hub_card, 3d_mir"),
        (("--pooling", "median"), "pooling must be one of mean, max, min, got 'median'"),
        (("--overlap", "1"), "overlap must be from 0 up to but below 1, got 1"),
    ],
)
def test_what_there_is_not_is_refused(embed, scans, option, message):
    assert message in embed("--input", scans, *option).error


@pytest.mark.parametrize("layout", ["ct_fm_feature_extractor", "ct_fm_segresnet_pretrained"])
def test_every_tensor_of_the_published_encoder_has_its_place(shared, layout):
    manifest = json.loads((shared / "manifests" / f"{layout}.json").read_text())
    tensors = manifest.get("tensors", manifest)
    state = {
        name: torch.zeros(entry["shape"] if isinstance(entry, dict) else entry)
        for name, entry in tensors.items()
    }
    renamed = rename_keys(
        state, read_key_map(CT_FM_ENCODER / "models" / "key_map.json", "published")
    )
    with torch.device("meta"):
        network = CTFMEncoder()
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in renamed.items()} == wanted
    assert len(wanted) == 161


def test_pre_training_writes_weights_that_embed(
    run_bundle, quick_encoder_training, embed, scans, tmp_path
):
    ended = run_bundle("inference", "train", configs=CONFIGS)(*quick_encoder_training)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.is_synthetic
    assert card.num_features == 16
    assert "probe_auroc" in card.content["score"]
    assert not [key for key in read_tensors(card.tensors) if "projection" in key]
    ended = embed("--input", scans / "one.nii.gz", "--weights", card.path)
    assert ended.code == 0, ended.err


def test_a_damaged_scan_is_left_out_by_name(
    run_bundle, quick_encoder_training, five_scans, tmp_path
):
    whole = (five_scans / "two.nii.gz").read_bytes()
    (five_scans / "two.nii.gz").write_bytes(whole[:-8] + bytes(8))  # its checksum is another
    ended = run_bundle("inference", "train", configs=CONFIGS)(
        *quick_encoder_training, "--dataset_dir", five_scans, "--batch_size", "1"
    )
    assert ended.code == 0, ended.err
    (path,) = read_left_out(tmp_path / "run" / "left_out.jsonl")
    assert path.endswith("two.nii.gz")


def test_pre_training_goes_on_from_the_published_file(
    run_bundle, quick_encoder_training, tiny_encoder, tmp_path
):
    state = {
        f"model.backbone.{name.removeprefix('encoder.')}": tensor
        for name, tensor in read_tensors(tiny_encoder.tensors).items()
    }
    torch.save(state, tmp_path / "published.pt")
    options = ("--initial_weights", tmp_path / "published.pt", "--learning_rate", "0")
    ended = run_bundle("inference", "train", configs=CONFIGS)(*quick_encoder_training, *options)
    assert ended.code == 0, ended.err
    trained = read_tensors(read_card(tmp_path / "run" / "model.json").tensors)
    assert torch.equal(
        trained["encoder.conv_init.weight"].float(),
        state["model.backbone.conv_init.weight"].float(),
    )

"""Published weights: fetched from a hub of our own, renamed, installed, run."""

import io
import json
import re
import runpy
import shutil
import sys

import numpy as np
import pytest
import torch
from monai.networks.nets import SegResNetDS
from monai.networks.nets.segresnet_ds import SegResEncoder

from common.errors import InputError
from common.networks.ct_fm_encoder import CTFMEncoder
from common.networks.ct_scroll import ScrollClassifier
from common.vocabulary.chest_findings import CT_RATE_LABELS
from common.weights.loading import choose_card, load_weights
from common.weights.published import fetch_weights, install_weights
from common.weights.sources import read_source

TO_PUBLISHED = (
    (r"^encoder\.conv1\.", "features.0."),
    (r"^encoder\.bn1\.", "features.1."),
    (r"^encoder\.layer1\.", "features.4."),
    (r"^encoder\.layer2\.", "features.5."),
    (r"^encoder\.layer3\.", "features.6."),
    (r"^encoder\.layer4\.", "features.7."),
    (r"^projection\.", "projection_gap."),
    (r"\.whole_scan\.", ".global_block."),
    (r"\.caudal_cranial\.", ".caudal_cranial_block."),
    (r"\.cranial_caudal\.", ".cranial_caudal_block."),
    (r"\.norm_attention\.", ".norm_in."),
    (r"\.norm_gate\.", ".norm_out."),
    (r"\.gate\.value_and_gate\.", ".mlp.mlp.gated_layers."),
    (r"^norm\.", "layer_norm_out."),
    (r"^head\.", "classifier."),
)
THRESHOLDS = {label: 0.01 * number for number, label in enumerate(CT_RATE_LABELS, start=1)}
NAME = "theodpzz/ct-scroll/weights.pth"


@pytest.fixture
def root(tiny_bundle, tiny_content):
    """The bundle, with a published architecture that takes no time."""
    card = tiny_bundle / "models" / "published.json"
    content = {**json.loads(card.read_text()), "network": tiny_content["network"]}
    card.write_text(json.dumps(content))
    return tiny_bundle


@pytest.fixture
def state(make_tiny_network):
    """A network's weights under the publisher's names."""
    published = {}
    for key, tensor in make_tiny_network(seed=3).state_dict().items():
        for pattern, name in TO_PUBLISHED:
            key = re.sub(pattern, name, key)
        published[key] = tensor
    return published


def saved(state):
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


@pytest.fixture
def published(hub, state):
    """The publisher's repository on the hub."""
    hub.files[NAME] = saved(state)
    hub.files["theodpzz/ct-scroll/thresholds.json"] = json.dumps(
        {"thresholds": THRESHOLDS}
    ).encode()
    return hub


def test_fetched_weights_are_the_published_ones_and_are_preferred(
    root, published, make_tiny_network
):
    card = fetch_weights(root)
    assert card.path == root / "models" / "model.json"
    assert choose_card("auto", bundle_root=root).sha256 == card.sha256
    network = load_weights(ScrollClassifier(**card.architecture), card=card)
    for key, tensor in make_tiny_network(seed=3).state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor)


def test_the_card_has_the_thresholds_and_says_where_all_came_from(root, published):
    card = fetch_weights(root)
    assert card.thresholds == pytest.approx(THRESHOLDS)
    assert not card.is_synthetic
    assert card.content["origin"]["url"] == read_source(root).url
    assert card.content["origin"]["file"] == "weights.pth"
    assert re.fullmatch("[0-9a-f]{64}", card.content["origin"]["sha256"])


def test_other_weights_under_the_same_name_are_refused(root, published, state, hub_cache):
    before = fetch_weights(root)
    state["classifier.0.bias"] += 1
    published.files[NAME] = saved(state)
    shutil.rmtree(hub_cache)
    with pytest.raises(InputError, match="must still have the weights of sha256"):
        fetch_weights(root)
    assert choose_card("auto", bundle_root=root).sha256 == before.sha256
    (root / "models" / "model.json").unlink()
    assert fetch_weights(root).sha256 != before.sha256


def test_a_checkpoint_at_hand_needs_no_network(root, state, tmp_path):
    (tmp_path / "mine.pt").write_bytes(saved({"state_dict": state}))
    card = install_weights(root, tmp_path / "mine.pt")
    assert card.content["origin"]["file"] == "mine.pt"
    assert set(card.thresholds.values()) == {0.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("classifier.0.bias"), r"missing head.0.bias \[8\]"),
        (lambda s: s.update(extra=torch.zeros(2)), r"unexpected extra \[2\]"),
        (
            lambda s: s.update({"classifier.0.bias": torch.zeros(9)}),
            r"head.0.bias has shape \[9\], expected \[8\]",
        ),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_key(root, published, state, change, message):
    change(state)
    published.files[NAME] = saved(state)
    with pytest.raises(InputError, match=message):
        fetch_weights(root)
    assert not (root / "models" / "model.json").exists()
    assert not (root / "models" / "model.pt").exists()


def test_a_pickle_of_something_else_is_refused(root, published):
    published.files[NAME] = saved({"weights": CT_RATE_LABELS, "of": object})
    with pytest.raises(InputError, match="weights must be a state dict of tensors"):
        fetch_weights(root)


def test_a_bundle_without_a_source_says_so(root):
    (root / "large_files.yml").unlink()
    with pytest.raises(InputError, match="bundle must name where its weights are published"):
        fetch_weights(root)


def test_a_missing_checkpoint_is_named(root, tmp_path):
    with pytest.raises(InputError, match=r"checkpoint must be a file, got .*none.pt"):
        install_weights(root, tmp_path / "none.pt")


def run_script(monkeypatch, repository, *arguments):
    monkeypatch.setattr(sys, "argv", ["fetch_weights.py", *map(str, arguments)])
    runpy.run_path(str(repository / "scripts" / "fetch_weights.py"), run_name="__main__")


def test_the_command_prints_what_it_installed(root, published, repository, monkeypatch, capsys):
    run_script(monkeypatch, repository, root)
    assert re.search(
        r"model.json: CT-Scroll as published, sha256 [0-9a-f]{64}", capsys.readouterr().out
    )


def test_the_commands_errors_are_one_line(root, hub, repository, monkeypatch):
    with pytest.raises(SystemExit, match=r"^error: theodpzz/ct-scroll must be on the hub"):
        run_script(monkeypatch, repository, root)


def test_weights_of_which_a_part_is_published_are_to_be_trained(repository):
    bundle = repository / "bundles" / "ct_fm_triage"
    wanted = "got those of its encoder alone; train with --initial_weights hf://project-lighter/"
    with pytest.raises(InputError, match=wanted):
        fetch_weights(bundle)
    with pytest.raises(InputError, match=wanted):
        install_weights(bundle, bundle / "none.pt")


@pytest.mark.parametrize(
    ("save", "notes"),
    [
        (lambda s: {f"module.{k}": v for k, v in s.items()}, {"prefix": "module."}),
        (
            lambda s: {"state_dict": {f"model._orig_mod.{k}": v for k, v in s.items()}},
            {"prefix": "model._orig_mod."},
        ),
        (lambda s: {"model_state_dict": s, "best": np.float64(0.8)}, {}),
        (
            lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
            {"cast": {"float16": "float32"}},
        ),
    ],
    ids=["several GPUs", "Lightning and compiled", "script", "halved"],
)
def test_a_checkpoint_as_people_save_it_is_installed_and_the_card_says_what_was_done(
    root, state, tmp_path, save, notes
):
    (tmp_path / "mine.pt").write_bytes(saved(save(state)))
    origin = install_weights(root, tmp_path / "mine.pt").content["origin"]
    assert {k: v for k, v in origin.items() if k not in ("file", "sha256")} == notes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.fill_(torch.nan), "NaN or infinity in head.0.bias"),
        (lambda t: t.to(torch.int8), "int8 in place of float32 in head.0.bias"),
        (lambda t: t.to(torch.complex64), "complex64 in place of float32 in head.0.bias"),
    ],
)
def test_numbers_that_are_none_are_not_installed(root, state, tmp_path, change, message):
    state["classifier.0.bias"] = change(state["classifier.0.bias"].clone())
    (tmp_path / "mine.pt").write_bytes(saved(state))
    with pytest.raises(InputError, match=message):
        install_weights(root, tmp_path / "mine.pt")
    assert not (root / "models" / "model.json").exists()


def test_all_zeros_are_not_installed(root, state, tmp_path):
    (tmp_path / "mine.pt").write_bytes(saved({k: torch.zeros_like(v) for k, v in state.items()}))
    with pytest.raises(InputError, match=r"nothing but 0 in encoder\.conv1\.weight"):
        install_weights(root, tmp_path / "mine.pt")


def test_a_folder_is_no_checkpoint(root, tmp_path):
    with pytest.raises(InputError, match=r"must be a file, got the folder .*; name the file in it"):
        install_weights(root, tmp_path)


@pytest.mark.parametrize("text", ["[0.5]", "3", '{"thresholds": [1]}'])
def test_thresholds_of_another_form_are_refused(root, state, tmp_path, text):
    (tmp_path / "mine.pt").write_bytes(saved(state))
    (tmp_path / "thresholds.json").write_text(text)
    with pytest.raises(InputError, match=r"thresholds must be label and probability, got .*json"):
        install_weights(root, tmp_path / "mine.pt", thresholds=tmp_path / "thresholds.json")


SMALL = {"init_filters": 4, "blocks_down": [1, 1, 1]}


@pytest.fixture
def encoder_root(repository, tmp_path):
    """CT-FM's encoder bundle, with a published architecture that takes no time."""
    root = tmp_path / "ct_fm_encoder"
    shutil.copytree(repository / "bundles" / "ct_fm_encoder", root)
    card = root / "models" / "published.json"
    content = json.loads(card.read_text())
    content["network"]["arguments"] = SMALL
    card.write_text(json.dumps(content))
    return root


@pytest.mark.parametrize("prefix", ["", "model.backbone."])
def test_the_encoder_of_pre_training_is_the_published_one(encoder_root, tmp_path, prefix):
    encoder = SegResEncoder(spatial_dims=3, in_channels=1, **SMALL)
    state = {prefix + key: value for key, value in encoder.state_dict().items()}
    state |= {"projection_head.0.weight": torch.ones(2, 2)}
    (tmp_path / "encoder.ckpt").write_bytes(saved({"state_dict": state}))
    card = install_weights(encoder_root, tmp_path / "encoder.ckpt")
    assert card.name == "CT-FM encoder as published"
    assert card.content["origin"]["left_out"] == {"projection_head": 1}


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_segmenters_encoder_is_taken_and_its_card_does_not_call_it_published(
    encoder_root, tmp_path, prefix, caplog
):
    segmenter = SegResNetDS(spatial_dims=3, in_channels=1, out_channels=3, dsdepth=2, **SMALL)
    state = {prefix + key: value for key, value in segmenter.state_dict().items()}
    (tmp_path / "body.pt").write_bytes(saved(state))
    card = install_weights(encoder_root, tmp_path / "body.pt")
    assert card.name == "ct_fm_encoder: part of body.pt, not as published"
    assert "not known" in card.content["training"]["data"]
    assert "score" not in card.content
    assert card.content["origin"]["left_out"].keys() == {"up_layers"}
    assert "body.pt is no published checkpoint of ct_fm_encoder but a network ar" in caplog.text
    network = load_weights(CTFMEncoder(**SMALL), card=card)
    for key, tensor in segmenter.encoder.state_dict().items():
        assert torch.equal(network.encoder.state_dict()[key], tensor)

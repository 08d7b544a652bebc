"""Published weights: fetched from a hub of our own, renamed, installed, run."""

import io
import json
import re
import runpy
import shutil
import sys

import pytest
import torch

from common.errors import InputError
from common.networks.ct_scroll import ScrollClassifier
from common.published import fetch_weights, install_weights, read_source
from common.tables.ct_rate import CT_RATE_LABELS
from common.weights import choose_card, load_weights

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

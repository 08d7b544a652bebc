import logging

import pytest
import torch

from common.card import read_card
from common.errors import InputError
from common.weights import choose_card, file_sha256, load_weights, read_tensors, save_weights


@pytest.fixture
def bundle_root(tmp_path, make_tiny_network, tiny_content):
    """A bundle with demo weights and nothing else."""
    save_weights(make_tiny_network(), tiny_content, tmp_path / "bundle" / "models" / "demo.json")
    return tmp_path / "bundle"


def test_weights_come_back_bit_for_bit(tiny_card, make_tiny_network):
    network = load_weights(make_tiny_network(seed=1), card=tiny_card)
    for key, tensor in make_tiny_network(seed=0).state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor)
    assert not network.training


def test_demo_weights_are_safetensors_and_others_pt(tmp_path, make_tiny_network, tiny_content):
    demo = save_weights(make_tiny_network(), tiny_content, tmp_path / "demo.json")
    own = save_weights(make_tiny_network(), tiny_content, tmp_path / "model.json")
    assert demo.tensors == tmp_path / "demo.safetensors"
    assert own.tensors == tmp_path / "model.pt"
    assert own.sha256 == file_sha256(tmp_path / "model.pt")
    read = [read_tensors(card.tensors) for card in (demo, own)]
    assert read[0].keys() == read[1].keys()
    assert all(torch.equal(read[0][key], read[1][key]) for key in read[0])


def test_the_same_weights_have_the_same_hash(tmp_path, make_tiny_network, tiny_content):
    for name in ("model.json", "demo.json"):
        first, second = (
            save_weights(make_tiny_network(), tiny_content, tmp_path / folder / name)
            for folder in ("a", "b")
        )
        assert first.sha256 == second.sha256


def test_auto_prefers_installed_weights_to_the_demo(bundle_root, make_tiny_network, tiny_content):
    assert choose_card("auto", bundle_root=bundle_root).path.name == "demo.json"
    content = {**tiny_content, "synthetic": False}
    save_weights(make_tiny_network(), content, bundle_root / "models" / "model.json")
    assert choose_card("auto", bundle_root=bundle_root).path.name == "model.json"
    assert choose_card("demo", bundle_root=bundle_root).path.name == "demo.json"


@pytest.mark.parametrize("name", ["", "model.json", "model.pt"])
def test_weights_are_named_by_folder_card_or_tensors(tiny_card, name):
    chosen = choose_card(str(tiny_card.path.parent / name), bundle_root="nowhere")
    assert chosen.path == tiny_card.path


def test_synthetic_weights_warn_once_and_others_do_not(bundle_root, tiny_card, caplog, rewrite):
    with caplog.at_level(logging.WARNING):
        choose_card("demo", bundle_root=bundle_root)
    assert [record.message for record in caplog.records if "SYNTHETIC" in record.message]
    caplog.clear()
    rewrite(tiny_card, synthetic=False)
    choose_card(str(tiny_card.path), bundle_root=bundle_root)
    assert not caplog.records


def test_only_the_first_process_warns(bundle_root, caplog, monkeypatch):
    monkeypatch.setattr("common.weights.is_first_process", lambda: False)
    choose_card("demo", bundle_root=bundle_root)
    assert not caplog.records


def test_weights_of_another_network_are_refused(tiny_card):
    with pytest.raises(InputError, match=r"network must be a ScrollClassifier .*, got Linear"):
        load_weights(torch.nn.Linear(1, 1), card=tiny_card)


def test_bare_card_is_refused(tiny_card, make_tiny_network, rewrite):
    card = read_card(rewrite(tiny_card, tensors=None))
    with pytest.raises(InputError, match=r"card must come with its tensors, got .* without any"):
        load_weights(make_tiny_network(), card=card)


def test_lost_tensors_are_named(tiny_card, make_tiny_network):
    tiny_card.tensors.unlink()
    with pytest.raises(InputError, match=r"without .*model\.pt; fetch, convert or train them"):
        load_weights(make_tiny_network(), card=tiny_card)


def test_changed_tensors_are_refused(tiny_card, make_tiny_network):
    with tiny_card.tensors.open("ab") as file:
        file.write(b"!")
    with pytest.raises(InputError, match="must match the card's sha256"):
        load_weights(make_tiny_network(), card=tiny_card)

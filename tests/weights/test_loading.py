import errno
import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest
import torch

from common.errors import InputError
from common.weights.card import read_card
from common.weights.loading import (
    card_beside,
    choose_card,
    file_sha256,
    load_weights,
    read_tensors,
    save_state,
    save_weights,
)


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


def test_a_checkpoint_without_a_card_says_how_to_install_it(tmp_path):
    save_state({"weight": torch.ones(1)}, {}, tmp_path / "mine.json")
    (tmp_path / "mine.json").unlink()
    with pytest.raises(InputError, match=r"without mine\.json; install .* --from .*mine\.pt"):
        choose_card(str(tmp_path / "mine.pt"), bundle_root="nowhere")


def test_a_card_without_a_hash_gets_that_of_its_tensors(tiny_card, rewrite):
    rewrite(tiny_card, sha256=None)
    assert choose_card(str(tiny_card.path), bundle_root="nowhere").sha256 == tiny_card.sha256


def test_synthetic_weights_warn_once_and_others_do_not(bundle_root, tiny_card, caplog, rewrite):
    with caplog.at_level(logging.WARNING):
        choose_card("demo", bundle_root=bundle_root)
    assert [record.message for record in caplog.records if "SYNTHETIC" in record.message]
    caplog.clear()
    rewrite(tiny_card, synthetic=False)
    choose_card(str(tiny_card.path), bundle_root=bundle_root)
    assert not caplog.records


def test_only_the_first_process_warns(bundle_root, caplog, monkeypatch):
    monkeypatch.setattr("common.weights.loading.is_first_process", lambda: False)
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


def test_numbers_that_are_none_are_refused_when_weights_are_loaded(
    tmp_path, make_tiny_network, tiny_content
):
    network = make_tiny_network()
    network.head[0].bias.data[0] = float("nan")
    card = save_weights(network, tiny_content, tmp_path / "model.json")
    with pytest.raises(
        InputError, match=r"checkpoint .*model\.pt must hold finite numbers.* head\."
    ):
        load_weights(make_tiny_network(), card=card)


def test_a_card_finds_its_tensors_and_another_json_is_no_card(tiny_card, tmp_path):
    assert card_beside(tiny_card.tensors) == tiny_card.path
    assert card_beside(tiny_card.path.parent) == tiny_card.path
    assert card_beside(tmp_path / "none.pt") is None
    assert card_beside(tiny_card.path) is None
    for text in ('{"tensors": "other.pt"}', "[1]", "{"):
        (tmp_path / "other.json").write_text(text)
        assert card_beside(tmp_path / "other.safetensors") is None


def agree(path):
    """Whether a card stands beside the tensors that it describes."""
    card = read_card(path)
    return file_sha256(card.tensors) == card.sha256


class Killed(BaseException):
    pass


def counted(operation, steps, last):
    """Count calls; end the process, as it were, before the call number `last`."""

    def call(*arguments, **options):
        if last is not None and len(steps) >= last:
            raise Killed
        steps.append(operation)
        return operation(*arguments, **options)

    return call


@pytest.mark.parametrize("name", ["model.json", "demo.json"])
@pytest.mark.parametrize("before", [True, False])
def test_whenever_saving_is_cut_off_card_and_tensors_agree(
    tmp_path, make_tiny_network, tiny_content, monkeypatch, name, before
):
    """As a kill would have it, each step that changes the folder is once the last."""
    for last in range(9):
        path, steps = tmp_path / str(last) / name, []
        if before:
            save_weights(make_tiny_network(seed=0), tiny_content, path)
        with monkeypatch.context() as patch:
            for owner, step in ((Path, "replace"), (os, "link"), (Path, "unlink")):
                patch.setattr(owner, step, counted(getattr(owner, step), steps, last=last))
            try:
                new = save_weights(make_tiny_network(seed=1), tiny_content, path)
            except Killed:
                new = None
        assert path.exists() or not before
        assert not path.exists() or agree(path)
        if new:
            break
        again = save_weights(make_tiny_network(seed=2), tiny_content, path)
        left = {p for p in path.parent.iterdir() if not p.name.endswith(f"-{name}")}
        assert left == {path, again.tensors}
    assert last > 3
    assert new is not None


def save_again_and_again(path, seeds, tensors, content):
    for seed in seeds:
        save_state({"weight": tensors + seed}, content, path)


def test_two_that_save_at_once_leave_one_pair(tmp_path, tiny_content):
    path = tmp_path / "model.json"
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(
            target=save_again_and_again, args=(path, seeds, torch.ones(1000), tiny_content)
        )
        for seeds in (range(30), range(100, 130))
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert agree(path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "model.pt"}


def test_a_killed_writer_leaves_a_pair_that_agrees(tmp_path, tiny_content):
    path = tmp_path / "model.json"
    save_state({"weight": torch.ones(3)}, tiny_content, path)
    for wait_s in (0.01, 0.02, 0.03, 0.05, 0.08):
        writer = multiprocessing.get_context("fork").Process(
            target=save_again_and_again, args=(path, range(9999), torch.ones(9), tiny_content)
        )
        writer.start()
        time.sleep(wait_s)
        writer.kill()
        writer.join()
        assert agree(path)
    save_state({"weight": torch.ones(3)}, tiny_content, path)
    assert agree(path)


@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_leaves_a_pair_that_agrees(tiny_card, tiny_content, monkeypatch, room):
    """Room for nothing, for the tensors alone, for the first card too."""
    whole, written = Path.write_bytes, []

    def full(self, content):
        if len(written) == room:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(self)
        return whole(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="must be a place that can be written"):
        save_state({"weight": torch.ones(3)}, tiny_content, tiny_card.path)
    monkeypatch.undo()
    assert agree(tiny_card.path)
    named = {"model.json", "model.pt", read_card(tiny_card.path).tensors.name}
    assert {p.name for p in tiny_card.path.parent.iterdir()} == named
    assert (read_card(tiny_card.path).sha256 == tiny_card.sha256) == (room < 2)


def test_a_file_system_without_links_gets_a_copy(tmp_path, tiny_content, monkeypatch):
    def none(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    save_state({"weight": torch.ones(3)}, tiny_content, tmp_path / "model.json")
    assert agree(tmp_path / "model.json")

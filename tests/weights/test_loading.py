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
    file_of,
    file_sha256,
    files_of,
    load_state,
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
    rewrite(tiny_card, files=None)
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


@pytest.fixture
def with_files(tmp_path, make_tiny_network, tiny_content):
    """A card, `weights/model.json`, of tensors, a tokenizer's two files and a table."""
    sources = {"tokenizer/vocab.json": "{}", "tokenizer/merges.txt": "a b", "order.json": "[1]"}
    for name, text in sources.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_text(text)
    files = {name: tmp_path / "source" / name for name in sources}
    path = tmp_path / "weights" / "model.json"
    save_weights(make_tiny_network(), tiny_content, path, files=files)
    return read_card(path)


def test_files_are_saved_in_a_folder_of_the_cards_name_with_a_hash_each(with_files):
    folder = with_files.path.parent
    assert list(with_files.content["files"]) == [
        "model.pt", "model/tokenizer/vocab.json", "model/tokenizer/merges.txt", "model/order.json"
    ]  # fmt: skip
    assert all(file_sha256(folder / k) == v for k, v in with_files.content["files"].items())
    assert file_of(with_files, "tokenizer/merges.txt").read_text() == "a b"
    assert file_of(with_files, "tokenizer/vocab.json").parent == folder / "model" / "tokenizer"
    assert with_files.sha256 == file_sha256(with_files.tensors)


def test_a_file_that_no_card_lists_is_refused(with_files):
    with pytest.raises(
        InputError, match=r"must list the file vocab\.json, got .* with tokenizer/voc"
    ):
        file_of(with_files, "vocab.json")


def test_a_lost_file_keeps_the_weights_from_loading(with_files, make_tiny_network):
    (with_files.path.parent / "model" / "order.json").unlink()
    with pytest.raises(InputError, match=r"must come with its files, got .* without .*order\.json"):
        load_weights(make_tiny_network(), card=with_files)


def test_a_changed_file_keeps_the_weights_from_loading(with_files, make_tiny_network):
    (with_files.path.parent / "model" / "order.json").write_text("[2]")
    with pytest.raises(InputError, match=r"must match the card's sha256, got .*order\.json"):
        load_weights(make_tiny_network(), card=with_files)


def test_files_of_the_old_weights_go_with_them_and_others_stay(with_files, make_tiny_network):
    own = with_files.path.parent / "model" / "notes.txt"
    own.write_text("mine")
    files = {"order.json": file_of(with_files, "order.json")}
    card = save_weights(make_tiny_network(), with_files.content, with_files.path, files=files)
    assert files_of(read_card(card.path)) == files
    found = {p.name for p in card.path.parent.rglob("*") if p.is_file()}
    assert found == {"model.json", "model.pt", "order.json", "notes.txt"}


def test_a_demo_and_a_model_keep_their_files_apart(with_files, make_tiny_network, tmp_path):
    (tmp_path / "order.json").write_text("[3]")
    path, files = with_files.path.with_stem("demo"), {"order.json": tmp_path / "order.json"}
    demo = save_weights(make_tiny_network(), with_files.content, path, files=files)
    assert file_of(demo, "order.json").read_text() == "[3]"
    assert file_of(with_files, "order.json").read_text() == "[1]"


def test_a_card_written_by_hand_may_have_its_files_beside_it(with_files, rewrite):
    folder = with_files.path.parent
    (folder / "vocab.json").write_text("{}")
    listed = {"model.pt": with_files.sha256, "vocab.json": file_sha256(folder / "vocab.json")}
    card = read_card(rewrite(with_files, files=listed))
    assert file_of(card, "vocab.json") == folder / "vocab.json"


def test_a_file_that_lies_beside_two_cards_stays_when_one_is_saved_again(
    with_files, rewrite, make_tiny_network
):
    shared = with_files.path.parent / "vocab.json"
    shared.write_text("{}")
    listed = {"model.pt": with_files.sha256, "vocab.json": file_sha256(shared)}
    rewrite(with_files, files=listed)
    save_weights(make_tiny_network(), with_files.content, with_files.path)
    assert shared.is_file()


def test_tied_tensors_come_back_from_both_kinds_of_file(tmp_path):
    network = torch.nn.ModuleDict({"a": torch.nn.Linear(2, 2), "b": torch.nn.Linear(2, 2)})
    network["b"].weight = network["a"].weight
    for name in ("demo.json", "model.json"):
        card = save_weights(network, {}, tmp_path / name)
        assert load_state(network, read_tensors(card.tensors)) == {}


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
    """Whether a card stands beside the files that it describes."""
    card = read_card(path)
    files_of(card)
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
def test_whenever_saving_is_cut_off_card_and_files_agree(
    tmp_path, make_tiny_network, tiny_content, monkeypatch, name, before
):
    """As a kill would have it, each step that changes the folder is once the last."""
    texts = []
    for text in "ABC":
        texts.append(tmp_path / f"{text}.txt")
        texts[-1].write_text(text)
    for last in range(16):
        path, steps = tmp_path / str(last) / name, []
        if before:
            save_weights(make_tiny_network(seed=0), tiny_content, path, files={"text": texts[0]})
        with monkeypatch.context() as patch:
            for owner, step in ((Path, "replace"), (os, "link"), (Path, "unlink")):
                patch.setattr(owner, step, counted(getattr(owner, step), steps, last=last))
            try:
                network, files = make_tiny_network(seed=1), {"text": texts[1]}
                new = save_weights(network, tiny_content, path, files=files)
            except Killed:
                new = None
        assert path.exists() or not before
        assert not path.exists() or agree(path)
        if new:
            break
        again = save_weights(
            make_tiny_network(seed=2), tiny_content, path, files={"text": texts[2]}
        )
        assert agree(path)
        files = [p for p in path.parent.rglob("*") if p.is_file()]
        left = {p for p in files if not p.name.endswith(f"-{name}")}
        assert left == {path, again.tensors, path.with_suffix("") / "text"}
    assert last > 6
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

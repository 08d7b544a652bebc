"""Weights of several files and of several sources, from a hub of our own."""

import io
import json
import runpy
import shutil
import sys

import pytest
import torch
import yaml

from common.errors import InputError
from common.weights.card import read_card
from common.weights.loading import file_of, file_sha256
from common.weights.published import fetch_weights, install_weights
from common.weights.sources import read_sources

VOCABULARY, MERGES = b'{"a": 0}', b"a b"
FILES = {
    "tokenizer/vocab.json": {"url": "https://huggingface.co/words/gpt", "file": "vocab.json"},
    "tokenizer/merges.txt": {"file": "merges.txt"},
}
ENTRY = {
    "path": "models/model.pt", "url": "https://huggingface.co/ann/net", "file": "*.pth",
    "layout": "own",
}  # fmt: skip


@pytest.fixture
def say(tiny_bundle, tiny_content):
    """Write the bundle's large_files.yml; its published network is tiny, under its own keys."""
    models = tiny_bundle / "models"
    for name in ("published", "small"):
        content = {**tiny_content, "name": name, "synthetic": False}
        (models / f"{name}.json").write_text(json.dumps(content))
    (models / "key_map.json").write_text(json.dumps({"own": []}))

    def write(*entries):
        text = yaml.safe_dump({"large_files": [{**ENTRY, **entry} for entry in entries]})
        (tiny_bundle / "large_files.yml").write_text(text)
        return tiny_bundle

    return write


def saved(network):
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    return file.getvalue()


@pytest.fixture
def published(hub, make_tiny_network):
    """Two repositories: a network with its merges, and a vocabulary."""
    hub.files["ann/net/weights.pth"] = saved(make_tiny_network(seed=3))
    hub.files["ann/net/merges.txt"] = MERGES
    hub.files["words/gpt/vocab.json"] = VOCABULARY
    hub.files["words/gpt/model.bin"] = b"much"
    return hub


def installed(root):
    """Names of what is installed as the bundle's model."""
    models = root / "models"
    return {p.relative_to(models).as_posix() for p in models.rglob("model*") if p.is_file()} | {
        p.relative_to(models).as_posix() for p in models.glob("model*/**/*") if p.is_file()
    }


def test_all_files_of_a_source_come_together_each_with_its_hash(say, published):
    root = say({"files": FILES})
    fetch_weights(root)
    card = read_card(root / "models" / "model.json")
    assert file_of(card, "tokenizer/vocab.json").read_bytes() == VOCABULARY
    assert file_of(card, "tokenizer/merges.txt").read_bytes() == MERGES
    assert card.files_beside.keys() == {f"model/{name}" for name in FILES}
    assert card.content["origin"]["files"] == {
        "tokenizer/vocab.json": {
            "url": "https://huggingface.co/words/gpt", "revision": "main", "file": "vocab.json",
        },
        "tokenizer/merges.txt": {
            "url": "https://huggingface.co/ann/net", "revision": "main", "file": "merges.txt",
        },
    }  # fmt: skip
    assert published.sent < 10_000_000  # model.bin of the vocabulary's repository stays there


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("lost", ["ann/net/merges.txt", "words/gpt/vocab.json"])
def test_where_one_file_is_missing_nothing_is_installed(say, published, lost, before):
    root = say({})
    if before:
        fetch_weights(root)
    names = installed(root)
    say({"files": FILES})
    del published.files[lost]
    with pytest.raises(InputError, match=r"must (hold .*(merges\.txt|vocab\.json)|be on the hub)"):
        fetch_weights(root)
    assert installed(root) == names == ({"model.json", "model.pt"} if before else set())


def test_another_file_than_the_named_hash_is_not_installed(say, published):
    named = {**FILES["tokenizer/merges.txt"], "sha256": "0" * 64}
    root = say({"files": {"tokenizer/merges.txt": named}})
    with pytest.raises(InputError, match=r"merges\.txt must have sha256 0{64}, got"):
        fetch_weights(root)
    assert installed(root) == set()


def test_a_file_that_was_replaced_since_is_refused(say, published, hub_cache):
    root = say({"files": FILES})
    before = fetch_weights(root)
    published.files["words/gpt/vocab.json"] = b'{"b": 0}'
    shutil.rmtree(hub_cache)
    with pytest.raises(InputError, match=r"must still have .*\(tokenizer/vocab\.json\); if the"):
        fetch_weights(root)
    assert read_card(before.path).content == before.content


def test_the_first_source_is_the_default_and_others_are_picked_by_name(
    say, published, make_tiny_network
):
    published.files["ann/net/small.pt"] = saved(make_tiny_network(seed=4))
    root = say({"name": "large"}, {"name": "small", "file": "small.pt", "card": "small.json"})
    assert [source.name for source in read_sources(root)] == ["large", "small"]
    assert fetch_weights(root).name == "published"
    assert fetch_weights(root, source="small").name == "small"  # in place of the first
    assert read_card(root / "models" / "model.json").content["origin"]["source"] == "small"
    with pytest.raises(InputError, match="source must be one of large, small, got tiny; see"):
        fetch_weights(root, source="tiny")


def run_script(monkeypatch, repository, *arguments):
    monkeypatch.setattr(sys, "argv", ["fetch_weights.py", *map(str, arguments)])
    runpy.run_path(str(repository / "scripts" / "fetch_weights.py"), run_name="__main__")


def test_the_command_takes_a_source_and_names_every_file(
    say, published, repository, monkeypatch, capsys
):
    root = say({"name": "large"}, {"name": "worded", "files": FILES})
    run_script(monkeypatch, repository, root, "--source", "worded")
    told = capsys.readouterr().out.splitlines()
    assert set(told[1:]) == {str(root / "models" / "model" / name) for name in FILES}
    with pytest.raises(SystemExit, match="error: source must be one of large, worded, got x"):
        run_script(monkeypatch, repository, root, "--source", "x")


@pytest.fixture
def at_hand(tmp_path, make_tiny_network):
    """A folder with what a publisher gave out."""
    folder = tmp_path / "at_hand"
    folder.mkdir()
    (folder / "weights.pth").write_bytes(saved(make_tiny_network(seed=3)))
    (folder / "vocab.json").write_bytes(VOCABULARY)
    (folder / "merges.txt").write_bytes(MERGES)
    return folder


@pytest.mark.parametrize("name", ["", "weights.pth"])
def test_a_folder_at_hand_installs_all_of_it(say, at_hand, repository, monkeypatch, name):
    root = say({"files": FILES})
    run_script(monkeypatch, repository, root, "--from", at_hand / name)
    card = read_card(root / "models" / "model.json")
    assert file_of(card, "tokenizer/vocab.json").read_bytes() == VOCABULARY
    assert card.content["origin"]["sha256"] == file_sha256(at_hand / "weights.pth")


def test_a_folder_at_hand_gives_its_thresholds_and_without_any_it_is_said(say, at_hand, caplog):
    root = say({"thresholds": "*thresholds.json"})
    card = install_weights(root, at_hand)
    assert "every label counts as positive from 0.5" in caplog.text
    values = dict.fromkeys(card.labels, 0.25)
    (at_hand / "best_thresholds.json").write_text(json.dumps(values))
    assert install_weights(root, at_hand).thresholds == values


def test_a_folder_at_hand_that_lacks_a_file_installs_nothing(say, at_hand):
    root = say({"files": FILES})
    (at_hand / "merges.txt").unlink()
    with pytest.raises(InputError, match=r"must come with one merges\.txt, got none in .*at_hand"):
        install_weights(root, at_hand)
    named = {"tokenizer/vocab.json": {"file": "vocab.json", "sha256": "0" * 64}}
    with pytest.raises(InputError, match=r"vocab\.json must have sha256 0{64}, got another"):
        install_weights(say({"files": named}), at_hand)
    (at_hand / "weights.pth").unlink()
    with pytest.raises(
        InputError, match=r"got the folder .*at_hand with no file \*\.pth; name the"
    ):
        install_weights(root, at_hand)
    assert installed(root) == set()


def test_weights_that_nobody_has_published_are_said_to_be_and_own_ones_installed(say, at_hand):
    root = say({"url": ""})
    with pytest.raises(InputError, match="must have published weights to fetch, got none: nobody"):
        fetch_weights(root)
    assert install_weights(root, at_hand).path.is_file()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "must name where its weights are published, got no entry in"),
        ([{"file": 3}], r"large_files\[0\]\.file must be text, got 3"),
        ([{"treshold": "t.json"}], r"large_files\[0\] must have no keys but .*, got treshold"),
        (
            [{"files": {"a": {"file": "a", "sha": ""}}}],
            r"files\.a must have no keys but .*, got sha",
        ),
        ([{"files": {"../a": {"file": "a"}}}], r"files\[.\.\./a.\] must be a path below"),
        ([{"files": {"a": {}}}], r"large_files\[0\]\.files\.a\.file must be given, got nothing"),
        ([{}, {}], r"large_files\[1\]\.name must differ from the others', got published"),
    ],
)
def test_a_source_that_is_wrong_is_one_line(say, entries, message):
    with pytest.raises(InputError, match=message) as caught:
        read_sources(say(*entries))
    assert len(str(caught.value).splitlines()) == 1

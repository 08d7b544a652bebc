"""A bundle as one zip that runs where the repository is not."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
from monai.bundle import ConfigParser, download, push_to_hf_hub

from common.bundle.catalog import list_bundles
from common.bundle.packing import pack_bundle
from common.errors import InputError
from common.networks.ct_scroll import ScrollClassifier
from common.weights.card import read_card
from common.weights.loading import choose_card, file_of, load_weights, save_weights


def content(archive):
    with zipfile.ZipFile(archive) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_everything_lies_in_one_folder_of_the_bundles_name(tiny_bundle, tmp_path):
    archive = pack_bundle(tiny_bundle, output_dir=tmp_path / "dist")
    assert archive.name == "ct_scroll_v0.1.0.zip"
    names = content(archive).keys()
    assert all(name.startswith("ct_scroll/") for name in names)
    inside = {name.removeprefix("ct_scroll/") for name in names}
    assert {"LICENSE", "SHA256SUMS", "configs/inference.json", "docs/README.md"} <= inside
    assert {"models/model.json", "models/model.pt", "models/published.json"} <= inside
    assert "_ct_scroll_common/networks/ct_scroll.py" in inside
    assert not [name for name in inside if "__pycache__" in name or "demo.s" in name]


def test_configs_name_the_packed_code_only(tiny_bundle, tmp_path):
    files = content(pack_bundle(tiny_bundle, output_dir=tmp_path))
    configs = [name for name in files if "/configs/" in name and name.endswith(".json")]
    assert len(configs) > 5
    for name in configs:
        text = files[name].decode()
        assert '"common.' not in text
        assert "from common." not in text
    assert b"_ct_scroll_common.networks.ct_scroll" in files["ct_scroll/configs/inference.json"]


def test_the_sums_are_those_of_all_other_files(tiny_bundle, tmp_path):
    files = content(pack_bundle(tiny_bundle, output_dir=tmp_path))
    lines = files.pop("ct_scroll/SHA256SUMS").decode().splitlines()
    sums = {f"ct_scroll/{name}": digest for digest, name in (line.split("  ") for line in lines)}
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def test_the_same_bundle_is_the_same_zip(tiny_bundle, tmp_path):
    first, second = (pack_bundle(tiny_bundle, output_dir=tmp_path / part) for part in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", [entry.name for entry in list_bundles()])
def test_the_packed_cards_links_hold_and_its_commands_are_for_its_folder(
    repository, tmp_path, name
):
    archive = pack_bundle(repository / "bundles" / name, output_dir=tmp_path, weights="none")
    files = content(archive)
    card = files[f"{name}/docs/README.md"].decode()
    links = [link for link in re.findall(r"\]\(([^)]*)\)", card) if not link.startswith("http")]
    assert [link for link in links if f"{name}/docs/{link}" not in files] == []
    for there in (
        "scripts/",
        "benchmarks",
        "tests/",
        "bundles/",
        "common/",
        "pip install -e",
    ):
        assert there not in card
    commands = [line for line in card.splitlines() if "--config_file" in line]
    configs = {
        file for line in commands for file in re.findall(r"(?:\$C|configs)/(\w+\.json)", line)
    }
    assert len(configs) > 3
    assert [file for file in configs if f"{name}/configs/{file}" not in files] == []
    assert "`C=configs`" in card


@pytest.mark.parametrize("stage", ["train", "evaluate"])
def test_a_packed_stage_runs_alone_and_over_inference_alike(tiny_bundle, tmp_path, stage):
    with zipfile.ZipFile(pack_bundle(tiny_bundle, output_dir=tmp_path)) as packed:
        packed.extractall(tmp_path / "packed")
    configs = tmp_path / "packed" / "ct_scroll" / "configs"
    inference, alone = str(configs / "inference.json"), str(configs / f"{stage}.json")
    whole = ConfigParser.load_config_files([alone])
    assert ConfigParser.load_config_files([inference, alone]) == whole
    assert (
        whole["network_def"]["_target_"] == "_ct_scroll_common.networks.ct_scroll.ScrollClassifier"
    )
    assert whole.get("train_as", "model") == "model"


def test_load_with_its_defaults_gives_the_packed_network(tiny_bundle, tmp_path):
    with zipfile.ZipFile(pack_bundle(tiny_bundle, output_dir=tmp_path)) as packed:
        packed.extractall(tmp_path / "packed")
    code = f"""
import sys, torch
sys.path.insert(0, r"{tmp_path / "packed" / "ct_scroll"}")
from monai.bundle import load
network = load("ct_scroll", bundle_dir=r"{tmp_path / "packed"}")
packed = torch.load(r"{tmp_path / "packed" / "ct_scroll" / "models" / "model.pt"}")
assert all((packed[key] == value).all() for key, value in network.state_dict().items())
"""
    (tmp_path / "elsewhere").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "elsewhere", check=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_weights_can_be_left_out(tiny_bundle, tmp_path):
    names = content(pack_bundle(tiny_bundle, output_dir=tmp_path, weights="none"))
    assert [name for name in names if name.startswith("ct_scroll/models/model.")] == []


def test_installed_weights_can_be_packed(tiny_bundle, tmp_path, make_tiny_network, tiny_content):
    own = {**tiny_content, "name": "own"}
    save_weights(make_tiny_network(seed=2), own, tiny_bundle / "models" / "model.json")
    files = content(pack_bundle(tiny_bundle, output_dir=tmp_path, weights="installed"))
    assert json.loads(files["ct_scroll/models/model.json"])["name"] == "own"


@pytest.fixture
def worded(tiny_bundle, tmp_path, make_tiny_network, tiny_content):
    """A bundle whose demo and installed weights come with a vocabulary each."""
    for name in ("demo", "model"):
        (tmp_path / f"{name}.txt").write_text(name)
        save_weights(
            make_tiny_network(), {**tiny_content, "landmarks": ["C4"]},
            tiny_bundle / "models" / f"{name}.json", files={"vocab.txt": tmp_path / f"{name}.txt"},
        )  # fmt: skip
    return tiny_bundle


@pytest.mark.parametrize(
    ("weights", "packed", "vocabularies"),
    [
        ("demo", {"model.json": "demo", "demo.json": "demo"}, 1),
        ("installed", {"model.json": "model", "demo.json": "demo"}, 2),
        ("none", {"demo.json": "demo"}, 1),
    ],
)
def test_what_belongs_to_weights_is_packed_with_them(
    worded, tmp_path, weights, packed, vocabularies
):
    archive = pack_bundle(worded, output_dir=tmp_path, weights=weights)
    inside = content(archive)
    assert len([name for name in inside if name.endswith("vocab.txt")]) == vocabularies
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "packed")
    models = tmp_path / "packed" / "ct_scroll" / "models"
    for name, vocabulary in packed.items():
        card = read_card(models / name)
        assert file_of(card, "vocab.txt").read_text() == vocabulary
        assert card.section("landmarks") == ["C4"]
    if weights != "none":
        card = read_card(models / "model.json")
        assert load_weights(ScrollClassifier(**card.architecture), card=card)


def test_files_that_have_changed_are_not_packed(worded, tmp_path):
    (worded / "models" / "demo" / "vocab.txt").write_text("other")
    with pytest.raises(InputError, match=r"must match the card's sha256, got .*vocab\.txt"):
        pack_bundle(worded, output_dir=tmp_path)


def test_weights_that_are_not_there_are_an_error(tiny_bundle, tmp_path):
    with pytest.raises(InputError, match=r"must name a card that exists, got .*model.json"):
        pack_bundle(tiny_bundle, output_dir=tmp_path / "dist", weights="installed")
    assert not list((tmp_path / "dist").iterdir())


def test_what_is_no_bundle_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"metadata must be readable JSON, got .*metadata.json"):
        pack_bundle(tmp_path, output_dir=tmp_path)


def test_it_runs_from_elsewhere_without_the_repository(tiny_bundle, tmp_path):
    archive = pack_bundle(tiny_bundle, output_dir=tmp_path / "dist")
    bundles, hidden = tmp_path / "downloaded", tmp_path / "hidden"
    download(name="ct_scroll", url=archive.as_uri(), bundle_dir=bundles, progress=False)
    hidden.mkdir()
    (hidden / "common.py").write_text("raise ImportError('the repository is not here')")
    config = bundles / "ct_scroll" / "configs" / "inference.json"
    ended = subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(config),
         "--output_dir", str(tmp_path / "out"), "--figures", "False"],
        cwd="/", env={**os.environ, "PYTHONPATH": str(hidden), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (result,) = (tmp_path / "out").glob("*/result.json")
    assert json.loads(result.read_text())["weights"]["name"] == "tiny"


@pytest.mark.parametrize("weights", ["demo", "installed"])
def test_the_demo_runs_by_name_where_it_was_packed_and_is_missed_by_name_where_not(
    tiny_bundle, tmp_path, make_tiny_network, tiny_content, weights
):
    own = {**tiny_content, "name": "own"}
    save_weights(make_tiny_network(seed=2), own, tiny_bundle / "models" / "model.json")
    with zipfile.ZipFile(pack_bundle(tiny_bundle, output_dir=tmp_path, weights=weights)) as packed:
        packed.extractall(tmp_path / "packed")
    root = tmp_path / "packed" / "ct_scroll"
    card = choose_card("demo", bundle_root=root)
    if weights == "demo":
        assert card.name == "tiny"
        assert load_weights(make_tiny_network(), card=card)
        assert choose_card("auto", bundle_root=root).sha256 == card.sha256
    else:
        with pytest.raises(
            InputError, match=r"got .*demo\.json without any; fetch, convert or tra"
        ):
            load_weights(make_tiny_network(), card=card)
        assert choose_card("auto", bundle_root=root).name == "own"


def test_two_bundles_live_in_one_process(tiny_bundle, tmp_path, make_tiny_network, tiny_content):
    other = shutil.copytree(tiny_bundle, tiny_bundle.with_name("ct_other"))
    save_weights(make_tiny_network(seed=5), tiny_content, other / "models" / "demo.json")
    for folder in (tiny_bundle, other):
        with zipfile.ZipFile(pack_bundle(folder, output_dir=tmp_path)) as packed:
            packed.extractall(tmp_path / "packed")
    code = f"""
import sys
from monai.bundle import load
made = []
for name in ("ct_scroll", "ct_other"):
    sys.path.insert(0, r"{tmp_path / "packed"}/" + name)
    made.append(load(name, bundle_dir=r"{tmp_path / "packed"}", workflow_type="inference"))
assert [type(network).__module__ for network in made] == [
    "_ct_scroll_common.networks.ct_scroll", "_ct_other_common.networks.ct_scroll"
]
assert (made[0].head[0].weight != made[1].head[0].weight).any()
"""
    subprocess.run([sys.executable, "-c", code], cwd="/", check=True)


def test_what_the_code_needs_is_said(tiny_bundle, tmp_path, repository):
    files = content(pack_bundle(tiny_bundle, output_dir=tmp_path))
    lines = files["ct_scroll/requirements.txt"].decode().splitlines()
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert lines == project["dependencies"]
    assert any(line.startswith("monai") for line in lines)


def test_it_goes_to_the_hub_and_comes_back(tiny_bundle, tmp_path, hub):
    with zipfile.ZipFile(pack_bundle(tiny_bundle, output_dir=tmp_path)) as packed:
        packed.extractall(tmp_path / "packed")
    hub.token = "hf_own"
    push_to_hf_hub(
        repo="me/ct_scroll", name="ct_scroll", bundle_dir=str(tmp_path / "packed"),
        token="hf_own", version="0.1.0", tag_as_latest_version=True,
    )  # fmt: skip
    assert hub.tags == ["0.1.0", "latest_version"]
    assert b"license: apache-2.0" in hub.files["me/ct_scroll/README.md"]
    hub.token = ""
    back = tmp_path / "back"
    download("ct_scroll", source="huggingface_hub", repo="me/ct_scroll", bundle_dir=back)
    sums = (back / "ct_scroll" / "SHA256SUMS").read_text().splitlines()
    for digest, name in (line.split("  ") for line in sums):
        assert hashlib.sha256((back / "ct_scroll" / name).read_bytes()).hexdigest() == digest

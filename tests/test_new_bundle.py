"""CONTRIBUTING's steps, walked once: a toy bundle in a copy of the repository."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

NETWORK = '''"""A toy: the mean of each of a few filters, read out linearly."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Toy(nn.Module):
    """`(B, 1, D, H, W)` to logits `(B, L)`."""

    def __init__(self, *, num_classes: int, num_filters: int) -> None:
        super().__init__()
        self.filters = nn.Conv3d(1, num_filters, 3, stride=2)
        self.head = nn.Linear(num_filters, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Logits."""
        return self.head(torch.relu(self.filters(image)).mean(dim=(2, 3, 4)))
'''
SMALL = ("--num_epochs", "1", "--num_training", "4", "--num_validation", "2", "--batch_size", "2",
         "--num_workers", "0")  # fmt: skip
INFERENCE, TRAIN, EVALUATE = (
    f"bundles/toy/configs/{name}.json" for name in ("inference", "train", "evaluate")
)


@pytest.fixture
def copied(tmp_path):
    """The repository without what was trained, fetched or drawn, and a command to run in it."""
    unwanted = shutil.ignore_patterns("__pycache__", ".*", "docs", "model.*")
    for name in ("common", "scripts", "tests", "bundles"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=unwanted)
    shutil.copytree(
        REPOSITORY / "bundles" / "ct_scroll" / "docs", tmp_path / "bundles/ct_scroll/docs"
    )
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    return tmp_path, run


def contents(folder):
    """Every file that a commit would hold, by its hash."""
    skipped = {"__pycache__", ".pytest_cache", "results", "runs"}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not skipped & set(path.parts)
    }


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content, indent=4))


def test_a_seventh_bundle_is_a_network_a_key_map_a_card_and_a_few_short_configs(copied):
    root, run = copied
    before = contents(root)
    told = run("scripts/new_bundle.py", "toy", "--like", "ct_scroll", "--title", "Toy")
    assert "bundles/toy is there" in told
    toy = root / "bundles" / "toy"

    (root / "common" / "networks" / "toy.py").write_text(NETWORK)
    network = {"class": "Toy", "arguments": {"num_filters": 2}}
    change(toy / "models" / "demo.json", lambda card: card.update(network=network))
    change(
        toy / "models" / "demo.json", lambda card: card["preprocessing"].update(size=[30, 64, 64])
    )

    def use_the_toy(config):
        config["network_def"] = {
            "_target_": "common.networks.toy.Toy",
            "num_classes": "$len(@card.labels)",
            "num_filters": "$@card.architecture['num_filters']",
        }
        config["inferer"]["_target_"] = "common.inferers.whole_scan.WholeScanInferer"
        for option in ("relevance", "attention_maps"):
            del config[option], config["inferer"][option]

    change(root / INFERENCE, use_the_toy)
    change(root / EVALUATE, lambda config: config.pop("relevance"))
    change(root / TRAIN, lambda config: config.update(dropout=None))  # the toy has none
    conf = root / "tests" / "conf" / "toy.json"
    change(conf, lambda content: content["card"].update(network={"arguments": {"num_filters": 2}}))

    train, evaluate = (str([INFERENCE, overlay]) for overlay in (TRAIN, EVALUATE))
    run("-m", "monai.bundle", "run", "--config_file", train, *SMALL)
    run("-m", "monai.bundle", "run", "--config_file", evaluate, "--num_test", "4",
        "--num_bootstrap", "20", "--weights", "runs/toy/model.json")  # fmt: skip
    metrics = "results/toy_evaluation/metrics.json"
    run("scripts/keep_demo.py", "toy", "runs/toy/model.json", metrics)

    tests = run("-m", "pytest", "-q", "tests/bundles/test_contract.py", "-k", "toy")
    assert "13 passed" in tests
    after = contents(root)
    assert {path for path in before if after.get(path) != before[path]} == set()
    assert sorted(after.keys() - before.keys()) == [
        "bundles/toy/LICENSE",
        "bundles/toy/configs/evaluate.json",
        "bundles/toy/configs/inference.json",
        "bundles/toy/configs/logging.conf",
        "bundles/toy/configs/metadata.json",
        "bundles/toy/configs/train.json",
        "bundles/toy/docs/README.md",
        "bundles/toy/docs/data_license.txt",
        "bundles/toy/models/demo.json",
        "bundles/toy/models/demo.safetensors",
        "bundles/toy/models/key_map.json",
        "common/networks/toy.py",
        "tests/conf/toy.json",
    ]


@pytest.mark.parametrize("name", ["Toy", "../toy", "7up", ""])
def test_a_name_must_do_for_a_folder_and_a_module(name):
    done = subprocess.run(
        [sys.executable, "scripts/new_bundle.py", name],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"name must be lower case letters, digits and _, got {name!r}" in done.stderr


def test_a_bundle_that_is_there_is_not_written_over():
    done = subprocess.run(
        [sys.executable, "scripts/new_bundle.py", "ct_scroll"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "name must be free, got ct_scroll, which is there" in done.stderr

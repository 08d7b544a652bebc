"""Every option that a config has is explained, and nothing else is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from common.bundle.catalog import list_bundles
from common.bundle.options import MEANINGS, TEXT, list_options
from common.errors import InputError

BUNDLES = {bundle.name: Path(bundle.path) for bundle in list_bundles()}
MACHINERY = {"imports", "run", "merge", "prediction_head"}
EXPLAINED = [name for kind in MEANINGS.values() for name in kind]


def configs():
    for folder in BUNDLES.values():
        for path in sorted((folder / "configs").glob("*.json")):
            if path.name != "metadata.json":
                yield path, json.loads(path.read_text(encoding="utf-8"))


def is_plain(value):
    made = isinstance(value, str) and value.startswith(("$", "@", "%"))
    return not made and not (isinstance(value, dict) and value)


def test_every_plain_key_of_a_config_has_a_meaning():
    for path, config in configs():
        plain = [key for key, value in config.items() if is_plain(value) and key.isidentifier()]
        assert set(plain) - MACHINERY - set(EXPLAINED) == set(), path


def test_every_meaning_is_of_an_option_that_there_is():
    assert set(EXPLAINED) <= {key for _, config in configs() for key in config}
    assert len(EXPLAINED) == len(set(EXPLAINED))


def test_every_path_is_text():
    endings = ("_dir", "_file", "input", "weights")
    paths = {key for _, config in configs() for key in config if key.endswith(endings)}
    assert {key for key in paths if key.isidentifier()} <= TEXT


def test_a_stage_over_inference_has_its_own_defaults():
    options = {option.name: option for option in list_options(BUNDLES["ct_scroll"], ["train"])}
    assert options["output_dir"].default == "runs/ct_scroll"
    assert options["weights"].default == "auto"
    assert options["num_epochs"].meaning == "epochs of the whole training"


def test_a_stage_that_there_is_not():
    with pytest.raises(InputError, match=r"config must be one of ct_rate, evaluate, .*, got trian"):
        list_options(BUNDLES["ct_scroll"], ["trian"])


def test_the_command_prints_default_and_meaning(repository):
    shown = subprocess.run(
        [sys.executable, "scripts/show_options.py", "ct_fm_wholebody"],
        cwd=repository, env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "--preset accurate\n    how the network is applied" in shown
    assert "--smallest_piece_ml 0\n" in shown

"""What every bundle keeps, whichever it is. Bundles are found by glob; none is left out."""

import json
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow

from common.bundle.catalog import list_bundles
from common.bundle.checks import CHECKS, check_bundle
from common.bundle.packing import pack_bundle

BUNDLES = [Path(bundle.path) for bundle in list_bundles()]
# What each overlay is laid over; every other file is laid over inference.json alone.
BELOW = {
    "multi_gpu": ["train"],
    "ct_rate": ["train"],
    "head_only": ["train"],
    "pretrain": ["train"],
    "rad_chestct": ["evaluate"],
    "totalsegmentator": ["train"],
    "msd": ["train"],
    "simclr": ["train"],
    "vicreg": ["train"],
    "simsiam": ["train"],
    "semantic_search_evaluate": ["semantic_search"],
    "sinoct": ["train"],
    "locate": ["train"],
    "cq500": ["evaluate"],
}

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


def overlays(bundle):
    names = {path.stem for path in (bundle / "configs").glob("*.json")}
    return sorted(names - {"inference", "metadata"})


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"keys twice: {sorted(keys)}"
    return dict(pairs)


def test_json_has_no_key_twice(bundle):
    for path in bundle.rglob("*.json"):
        json.loads(path.read_text(), object_pairs_hook=no_duplicates)


def test_overlays_change_only_what_is_there(bundle):
    for name in overlays(bundle):
        files = [bundle / "configs" / f"{n}.json" for n in ["inference", *BELOW.get(name, [])]]
        base = ConfigParser(ConfigParser.load_config_files([str(file) for file in files]))
        overlay = json.loads((bundle / "configs" / f"{name}.json").read_text())
        nested = [key.lstrip("+") for key in overlay if "::" in key or key.startswith("+")]
        assert [key for key in nested if key not in base] == [], name


def test_every_config_that_runs_has_our_first_look_first(bundle):
    """Or MONAI's own error comes before: it looks for the parents of nested keys first of all."""
    for path in (bundle / "configs").glob("*.json"):
        config = json.loads(path.read_text())
        if "run" in config and not any(key.count("::") > 1 for key in config):
            assert config["imports"][0] == "$import common.bundle.first", path.name
            assert not [key for key in config if "::" in key and key[0] != "+"], path.name


def test_no_absolute_path_in_a_config(bundle):
    for path in (bundle / "configs").glob("*.json"):
        assert not re.search(r'"(/|~|[A-Z]:\\)', path.read_text()), path.name


def test_every_config_is_named_by_a_test_that_runs_it(bundle):
    files = set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)}
    tests = "\n".join(path.read_text() for path in files)
    for name in ["inference", *overlays(bundle)]:
        assert re.search(rf'"{name}(\.json)?"', tests), f"no test runs {name}.json"


def test_folder_metadata_and_cards_give_one_name(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["bundle"] == bundle.name
    for path in (bundle / "models").glob("*.json"):
        if path.name != "key_map.json":
            assert json.loads(path.read_text())["bundle"] == bundle.name


@pytest.mark.parametrize("kind", ["infer", "train"])
def test_looking_at_a_bundle_writes_nothing(bundle, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"infer": ["inference"], "train": ["inference", "train"]}[kind]
    files = [str(bundle / "configs" / f"{name}.json") for name in names]
    workflow = ConfigWorkflow(
        files, workflow_type=kind, bundle_root=str(bundle), logging_file=False
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert list(tmp_path.iterdir()) == []


def test_the_model_zoo_would_take_it(bundle, tmp_path):
    checks = list(check_bundle(pack_bundle(bundle, output_dir=tmp_path)))
    assert [check for check in checks if not check.passed] == []
    assert [check.name for check in checks] == list(CHECKS)

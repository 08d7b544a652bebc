"""The list of bundles, told without loading any."""

import json
import subprocess
import sys

import pytest

from common.bundle.catalog import find_bundle, list_bundles
from common.errors import InputError
from common.weights.loading import save_weights


@pytest.fixture
def bundles(tiny_bundle):
    """A folder with one bundle that has tiny demo weights, and something that is none."""
    (tiny_bundle.parent / "notes").mkdir()
    return tiny_bundle.parent


def test_every_bundle_is_listed_with_its_weights(bundles):
    (entry,) = list_bundles(bundles)
    assert (entry.name, entry.title, entry.version) == ("ct_scroll", "CT-Scroll", "0.1.0")
    assert entry.stages["train"].configs == ["configs/inference.json", "configs/train.json"]
    assert list(entry.weights) == ["demo", "published"]
    assert entry.weights["demo"].present
    assert entry.weights["demo"].synthetic
    assert not entry.weights["published"].present
    assert entry.runs_with == "demo"


def test_installed_weights_are_those_that_run(bundles, make_tiny_network, tiny_content):
    path = bundles / "ct_scroll" / "models" / "model.json"
    save_weights(make_tiny_network(), {**tiny_content, "name": "own"}, path)
    (entry,) = list_bundles(bundles)
    assert entry.runs_with == "installed"
    assert entry.weights["installed"].name == "own"
    assert entry.weights["installed"].size_mb == pytest.approx(
        path.with_suffix(".pt").stat().st_size / 1e6
    )


def test_a_bundle_without_weights_runs_with_none(bundles):
    for path in (bundles / "ct_scroll" / "models").glob("demo.*"):
        path.unlink()
    (entry,) = list_bundles(bundles)
    assert entry.runs_with is None


def test_code_that_was_installed_alone_says_what_is_missing(tmp_path):
    with pytest.raises(InputError, match=r"bundles must lie in .*, got none; run from the repo"):
        list_bundles(tmp_path / "bundles")


def test_a_bundle_is_found_by_name_and_by_path(repository, bundles, monkeypatch):
    assert find_bundle("ct_scroll") == repository / "bundles" / "ct_scroll"
    monkeypatch.chdir(bundles)
    assert find_bundle("ct_scroll/") == bundles / "ct_scroll"
    assert find_bundle(str(bundles / "ct_scroll")) == bundles / "ct_scroll"


def test_an_unknown_bundle_is_answered_with_those_that_are_known():
    with pytest.raises(InputError, match=r"got ct_strol; known by name: .*ct_scroll"):
        find_bundle("ct_strol")


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "x"}'])
def test_damaged_metadata_is_named(bundles, text):
    (bundles / "ct_scroll" / "configs" / "metadata.json").write_text(text)
    with pytest.raises(InputError, match=r"metadata must be .*metadata\.json"):
        list_bundles(bundles)


def test_the_command_answers_without_torch(repository):
    code = (
        "import runpy, sys; sys.argv = ['list_bundles', '--json'];"
        "runpy.run_path('scripts/list_bundles.py', run_name='__main__');"
        "assert not {'torch', 'monai'} & set(sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert "ct_scroll" in [entry["name"] for entry in json.loads(ended.stdout)]

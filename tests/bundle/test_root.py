"""The folder of the running bundle, from wherever it runs."""

import json
import sys

import pytest

from common.bundle import root
from common.bundle.root import find_bundle_root


@pytest.fixture
def make_bundle(tmp_path, monkeypatch):
    """A folder with a bundle's metadata; the working directory has none, and none has run yet."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", [sys.path[0], str(tmp_path / "elsewhere"), *sys.path])

    def make(path, name="ct_scroll"):
        (tmp_path / path / "configs").mkdir(parents=True)
        metadata = json.dumps({"bundle": name})
        (tmp_path / path / "configs" / "metadata.json").write_text(metadata)
        return tmp_path / path

    return make


def test_in_the_repository_it_is_beside_the_code(repository, make_bundle):
    assert find_bundle_root("ct_scroll") == str(repository / "bundles" / "ct_scroll")


def test_the_working_directory_comes_before_it(make_bundle, monkeypatch):
    monkeypatch.chdir(make_bundle("copy"))
    assert find_bundle_root("ct_scroll") == "."


def test_the_config_that_runs_comes_before_both(make_bundle, monkeypatch):
    monkeypatch.chdir(make_bundle("copy"))
    running = str(make_bundle("running"))
    monkeypatch.setattr(sys, "path", [sys.path[0], running, *sys.path])
    assert find_bundle_root("ct_scroll") == running


def test_a_packed_bundle_holds_the_code_and_is_found_by_it(make_bundle, monkeypatch):
    packed = make_bundle("packed", "x")
    monkeypatch.chdir(make_bundle("copy"))
    monkeypatch.setattr(root, "__file__", str(packed / "_x_common" / "bundle" / "root.py"))
    assert find_bundle_root("x") == str(packed)


def test_another_bundle_that_ran_before_is_not_it(make_bundle, monkeypatch, repository):
    other = str(make_bundle("other", "ct_agrg"))
    monkeypatch.setattr(sys, "path", [sys.path[0], other, *sys.path])
    assert find_bundle_root("ct_scroll") == str(repository / "bundles" / "ct_scroll")
    assert find_bundle_root("ct_agrg") == other


def test_damaged_metadata_is_no_bundle(make_bundle, monkeypatch, repository):
    damaged = make_bundle("damaged")
    (damaged / "configs" / "metadata.json").write_text("{")
    monkeypatch.chdir(damaged)
    assert find_bundle_root("ct_scroll") == str(repository / "bundles" / "ct_scroll")

"""What every bundle keeps, whichever it is. Bundles are found by glob; none is left out."""

import json
from pathlib import Path

import pytest

from common.bundle.catalog import list_bundles
from common.bundle.checks import CHECKS, check_bundle
from common.bundle.packing import pack_bundle
from tests import contract

BUNDLES = [Path(bundle.path) for bundle in list_bundles()]
STAGES = [(Path(bundle.path), name) for bundle in list_bundles() for name in bundle.stages]

every_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"keys twice: {sorted(keys)}"
    return dict(pairs)


@every_bundle
def test_json_has_no_key_twice(bundle):
    for path in bundle.rglob("*.json"):
        json.loads(path.read_text(), object_pairs_hook=no_duplicates)


@every_bundle
def test_every_stage_has_a_file_an_entry_and_a_test_configuration(bundle):
    assert contract.stage_problems(bundle, contract.conf_of(bundle)) == []


@every_bundle
def test_overlays_change_only_what_is_there(bundle):
    assert list(contract.overlay_problems(bundle)) == []


@every_bundle
def test_labels_stand_once(bundle):
    assert list(contract.label_problems(bundle)) == []


@every_bundle
def test_an_overlay_alone_says_what_to_type(bundle):
    assert list(contract.first_look_problems(bundle)) == []


@every_bundle
def test_no_absolute_path_in_a_config(bundle):
    assert contract.absolute_paths(bundle) == []


@every_bundle
def test_folder_metadata_and_cards_give_one_name(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["bundle"] == bundle.name
    for path in (bundle / "models").glob("*.json"):
        if path.name != "key_map.json":
            assert json.loads(path.read_text())["bundle"] == bundle.name


@every_bundle
@pytest.mark.parametrize("kind", ["infer", "train"])
def test_looking_at_a_bundle_writes_nothing(bundle, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert contract.property_problems(bundle, kind) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bundle", "stage"), STAGES, ids=[f"{bundle.name}-{stage}" for bundle, stage in STAGES]
)
def test_every_stage_runs(bundle, stage, run_stage):
    assert run_stage(bundle, stage, contract.conf_of(bundle)) == []


@every_bundle
def test_the_model_zoo_would_take_it(bundle, tmp_path):
    checks = list(check_bundle(pack_bundle(bundle, output_dir=tmp_path)))
    assert [check for check in checks if not check.passed] == []
    assert [check.name for check in checks] == list(CHECKS)

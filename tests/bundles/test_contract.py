"""What every bundle keeps, whichever it is. Bundles are found by glob; none is left out."""

import json
import os
import re
from pathlib import Path

import pytest
from monai.bundle import ConfigParser, create_workflow, verify_net_in_out

REPOSITORY = Path(__file__).resolve().parents[2]
BUNDLES = [path.parents[1] for path in sorted(REPOSITORY.glob("bundles/*/configs/metadata.json"))]
# What each overlay is laid over; every other file is laid over inference.json alone.
BELOW = {
    "multi_gpu": ["train"],
    "ct_rate": ["train"],
    "head_only": ["train"],
    "pretrain": ["train"],
    "rad_chestct": ["evaluate"],
}

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.name)


def overlays(bundle):
    names = {path.stem for path in (bundle / "configs").glob("*.json")}
    return sorted(names - {"inference", "metadata"})


def no_duplicates(pairs):
    keys = [key for key, _ in pairs]
    assert len(keys) == len(set(keys)), f"keys twice: {sorted(keys)}"
    return dict(pairs)


@pytest.fixture
def workflow(bundle, tiny_card, tmp_path, monkeypatch):
    """An initialized workflow of a bundle, its weights tiny: `workflow("train", "train")`."""
    monkeypatch.setenv("MONAI_FAIL_ON_DUPLICATE_CONFIG", "1")
    monkeypatch.syspath_prepend("")

    def make(kind, *names):
        files = [str(bundle / "configs" / f"{name}.json") for name in ("inference", *names)]
        weights = {"preset": str(tiny_card.path.with_suffix(""))} if names else {}
        made = create_workflow(
            config_file=files,
            workflow_type=kind,
            bundle_root=str(bundle),
            output_dir=str(tmp_path / "out"),
            weights=str(tiny_card.path),
            num_workers=0,
            **weights,
        )
        made.initialize()
        return made

    return make


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


def test_metadata_version_is_in_its_changelog_and_the_newest(bundle):
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] == next(iter(metadata["changelog"]))
    assert re.fullmatch(r"\d+\.\d+\.\d+", metadata["version"])


def test_no_absolute_path_in_a_config(bundle):
    for path in (bundle / "configs").glob("*.json"):
        assert not re.search(r'"(/|~|[A-Z]:\\)', path.read_text()), path.name


def test_every_config_is_named_by_a_test_that_runs_it(bundle):
    files = set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)}
    tests = "\n".join(path.read_text() for path in files)
    for name in ["inference", *overlays(bundle)]:
        assert re.search(rf'"{name}(\.json)?"', tests), f"no test runs {name}.json"


def test_inference_has_the_properties_that_tools_ask_for(workflow):
    made = workflow("infer")
    assert made.check_properties() == []
    assert made.bundle_root is not None


def test_training_has_the_properties_that_tools_ask_for(workflow):
    made = workflow("train", "train")
    assert made.check_properties() == []


def test_metadata_tells_the_networks_shapes(bundle, tiny_card, monkeypatch):
    monkeypatch.chdir(bundle)
    verify_net_in_out(
        net_id="network_def",
        meta_file="configs/metadata.json",
        config_file="configs/inference.json",
        device="cpu",
        n=1,
        p=1,
        any=1,
        weights=str(tiny_card.path),
        bundle_root=os.curdir,
    )


def test_packed_bundle_names_are_the_folders(bundle):
    assert re.fullmatch(r"[a-z0-9_]+", bundle.name)
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    assert {"name", "task", "description", "authors", "copyright", "intended_use"} <= set(metadata)

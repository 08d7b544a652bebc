"""What a bundle says that it needs is all that it needs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from common.bundle.catalog import list_bundles
from common.bundle.packing import OWN_VERSIONS, requirements, write_required_versions
from common.phantom.export import write_collection

from .conftest import ENVIRONMENT, REPOSITORY

METADATA = {entry.name: Path(entry.path, "configs", "metadata.json") for entry in list_bundles()}

# Refuses to import what is neither Python's own nor required, then runs each bundle.
ONLY_WHAT_IS_REQUIRED = """
import json, re, sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires

waiting, runs = map(json.loads, sys.argv[1:])
same = lambda name: re.sub("[-_.]+", "-", name).lower()
allowed = set()
while waiting:
    name = same(re.split(r"[^\\w.-]", waiting.pop())[0])
    if name not in allowed:
        allowed.add(name)
        try:
            waiting += [each for each in requires(name) or [] if "extra ==" not in each]
        except PackageNotFoundError:  # of another platform
            pass
found = packages_distributions()
modules = {"common", *sys.stdlib_module_names}
modules |= {name for name, owners in found.items() if allowed & set(map(same, owners))}

class NothingElse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in found.keys() - modules:
            raise ModuleNotFoundError(f"{name} is not required")

sys.meta_path.insert(0, NothingElse())
from monai.bundle import run
for options in runs:
    run(**options)
"""


def told(metadata):
    own = {name: metadata[key] for name, key in OWN_VERSIONS.items()}
    return {**metadata["required_packages_version"], **own}


@pytest.mark.parametrize("path", METADATA.values(), ids=METADATA)
def test_metadata_names_what_the_project_names_in_versions_that_it_allows(path):
    versions = told(json.loads(path.read_text(encoding="utf-8")))
    needed = {each.name: each.specifier for each in map(Requirement, requirements())}
    assert versions.keys() == needed.keys(), "run scripts/write_requirements.py"
    assert [name for name in needed if versions[name] not in needed[name]] == []


def test_writing_the_versions_changes_nothing_else(tmp_path):
    old = json.loads(METADATA["ct_scroll"].read_text(encoding="utf-8"))
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({**old, "required_packages_version": {}, "monai_version": "0"}))
    write_required_versions(path)
    new = json.loads(path.read_text(encoding="utf-8"))
    assert told(new).keys() == told(old).keys()
    assert {**new, **dict.fromkeys(OWN_VERSIONS.values())}.keys() == old.keys()
    assert new["network_data_format"] == old["network_data_format"]
    assert new["monai_version"] != "0"


def test_bundles_run_with_only_that_importable(
    tmp_path, tiny_card, tiny_segmenter, tiny_encoder, tiny_triage
):
    write_collection(tmp_path, num=1, spacing_mm=(6.0, 6.0, 8.0), file_format="both")
    cards = {
        "ct_scroll": tiny_card, "ct_fm_wholebody": tiny_segmenter, "ct_fm_encoder": tiny_encoder,
        "ct_fm_triage": tiny_triage,
    }  # fmt: skip
    needed = set.union(*(set(told(json.loads(path.read_text()))) for path in METADATA.values()))
    runs = [
        {
            "config_file": str(METADATA[name].with_name("inference.json")),
            "input": str(tmp_path), "weights": str(card.path), "output_dir": str(tmp_path / name),
            **({"max_outside": 1} if name == "ct_fm_triage" else {}),
        }
        for name, card in cards.items()
    ]  # fmt: skip
    assert cards.keys() == METADATA.keys()
    ended = subprocess.run(
        [sys.executable, "-c", ONLY_WHAT_IS_REQUIRED, json.dumps(sorted(needed)), json.dumps(runs)],
        cwd=REPOSITORY, env=ENVIRONMENT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert all(len(list((tmp_path / name).glob("*/result.json"))) == 2 for name in cards)

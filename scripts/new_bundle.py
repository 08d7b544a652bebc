"""Make a bundle's skeleton: `python scripts/new_bundle.py NAME --like ct_scroll`.

It runs as the other one does until you change it: the other's network, inference, evaluation and
training, an untrained card, and a test configuration. What to fill in is printed. Nothing else of
the repository is touched.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from common.atomic import write_json, write_text
from common.bundle.catalog import BUNDLES, METADATA, find_bundle, read_metadata
from common.errors import InputError
from common.weights.card import read_card

CONF = Path(__file__).resolve().parents[1] / "tests" / "conf"
STAGES = ("inference", "evaluate", "train")
OF_ITS_WEIGHTS = ("tensors", "sha256", "files", "score", "training", "thresholds", "origin")
UNTOLD = ("references", "description", "authors", "copyright", "data_source")
STEPS = """
Next, each with its own test. What is missing: pytest tests/bundles/test_contract.py -k {name}
  1. common/networks/{name}.py           the network; name it in configs/inference.json
  2. {root}/models/demo.json    its architecture, preprocessing and labels
  3. {root}/models/key_map.json published keys to this network's, if weights are published
  4. {root}/configs/            what differs in inference, evaluate, train; metadata.json
  5. tests/conf/{name}.json              how small each stage is run by the contract
  6. train.json, then scripts/keep_demo.py: the demo weights
  7. {root}/docs/README.md      the model card; a row in the README, a line in the CHANGELOG
"""


def make(name: str, like: str, title: str) -> Path:
    """The skeleton's folder.

    Raises:
        InputError: If the name is none for a folder and a module, or is taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        msg = f"name must be lower case letters, digits and _, got {name!r}; such as my_network"
        raise InputError(msg)
    root, source = BUNDLES / name, find_bundle(like)
    if root.exists() or (CONF / f"{name}.json").exists():
        msg = f"name must be free, got {name}, which is there; choose another"
        raise InputError(msg)
    partial = root.with_name(f".{name}")
    shutil.rmtree(partial, ignore_errors=True)
    _fill(partial, source, name=name, title=title)
    partial.rename(root)
    conf = json.loads((CONF / f"{source.name}.json").read_text(encoding="utf-8"))
    stages = {stage: conf["stages"][stage] for stage in STAGES}
    write_json(CONF / f"{name}.json", {**conf, "stages": stages})
    return root


def _fill(root: Path, source: Path, *, name: str, title: str) -> None:
    for folder in ("configs", "models", "docs"):
        (root / folder).mkdir(parents=True)
    metadata = read_metadata(source)
    for stage in STAGES:
        text = (source / "configs" / f"{stage}.json").read_text(encoding="utf-8")
        text = re.sub(rf'(?<=[/"]){source.name}(?=[_/"])', name, text)
        text = text.replace(metadata["name"], title)
        write_text(root / "configs" / f"{stage}.json", text)
    shutil.copy(source / "configs" / "logging.conf", root / "configs")
    write_json(root / METADATA, _metadata(metadata, name=name, title=title))
    card = read_card(source / "models" / "demo.json").content
    content = {key: value for key, value in card.items() if key not in OF_ITS_WEIGHTS}
    untrained = {"name": f"{title}, untrained", "bundle": name, "source": "not trained yet"}
    write_json(root / "models" / "demo.json", {**content, **untrained})
    write_json(root / "models" / "key_map.json", {"published": []})
    shutil.copy(source / "LICENSE", root)
    write_text(root / "docs" / "README.md", _card_page(source, title=title))
    write_text(root / "docs" / "data_license.txt", "Third Party Licenses\n--------------------\n")


def _metadata(metadata: dict[str, Any], *, name: str, title: str) -> dict[str, Any]:
    told = {key: "to be told" for key in UNTOLD if key in metadata}
    if "references" in told:
        told["references"] = []  # type: ignore[assignment]
    return {
        **metadata,
        **told,
        "bundle": name,
        "version": "0.1.0",
        "changelog": {"0.1.0": "first version"},
        "name": title,
        "stages": {stage: metadata["stages"][stage] for stage in STAGES},
    }


def _card_page(source: Path, *, title: str) -> str:
    """The other card's headings, to be filled."""
    text = (source / "docs" / "README.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## .*$", text, flags=re.MULTILINE)
    return "\n\n".join([f"# {title}", *headings]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the folder under bundles/, such as my_network")
    parser.add_argument("--like", default="ct_scroll", help="the bundle to begin from")
    parser.add_argument("--title", help="for people; by default the name")
    arguments = parser.parse_args()
    try:
        root = make(arguments.name, arguments.like, arguments.title or arguments.name)
    except InputError as error:
        sys.exit(f"error: {error}")
    shown = root.relative_to(Path.cwd()) if root.is_relative_to(Path.cwd()) else root
    print(f"{shown} is there.{STEPS.format(name=arguments.name, root=shown)}", end="")


if __name__ == "__main__":
    main()

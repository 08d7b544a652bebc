"""What every bundle keeps, as checks that any newcomer gets for free.

A bundle says in `metadata.json` which stages it has and what each lies over; `tests/conf/<bundle>.
json` says how small each is to be run. Nothing here knows a bundle by its name.

    card     laid over the published card (the demo's where none is published): a network that
             takes seconds
    stages   name to `options` of the command line, over those of the overlays below it ("{card}" is
             the small card, "{scan}" a coarse phantom on the disk), `leaves`, what must be there
             afterwards, and `data`, one of `tests.data_sets`, where phantoms will not do
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from common.bundle.catalog import read_metadata, read_stages
from common.weights.card import Card, read_card
from common.weights.loading import files_of, save_weights

CONF = Path(__file__).with_name("conf")
NO_STAGES = {"inference", "metadata"}
OWN_SECTION = {"house_rule": {"never": "lost by training"}}  # no code knows it


def conf_of(bundle: Path, folder: Path = CONF) -> dict[str, Any]:
    """How small the stages of a bundle are run; empty where nobody says."""
    path = folder / f"{bundle.name}.json"
    return json.loads(path.read_text()) if path.is_file() else {"card": {}, "stages": {}}


def stage_problems(bundle: Path, conf: Mapping[str, Any]) -> list[str]:
    """Stages, configs and test configurations that do not tell the same story.

    An empty config, kept for old commands that name it, is no stage.
    """
    stages = read_stages(read_metadata(bundle))
    configs = (bundle / "configs").glob("*.json")
    files = {path.stem for path in configs if json.loads(path.read_text())} - {"metadata"}
    kinds = {"a file": files, "an entry of metadata.json": set(stages)}
    kinds["a test configuration"] = set(conf["stages"])
    return [
        f"stage {name} must have {what}, got none"
        for name in sorted(set().union(*kinds.values()))
        for what, having in kinds.items()
        if name not in having
    ]


def overlay_problems(bundle: Path) -> Iterator[str]:
    """Keys that an overlay reaches into or adds to, and that are not in what it lies over."""
    for name, stage in read_stages(read_metadata(bundle)).items():
        *below, own = [bundle / config for config in stage.configs]
        if not below or not own.is_file():
            continue
        base = ConfigParser(ConfigParser.load_config_files([str(file) for file in below]))
        keys = json.loads(own.read_text())
        nested = [key.lstrip("+") for key in keys if "::" in key or key.startswith("+")]
        yield from (
            f"{name}: {key} must be in what it lies over" for key in nested if key not in base
        )


def label_problems(bundle: Path) -> Iterator[str]:
    """Channels that metadata and cards call differently."""
    channels = read_metadata(bundle)["network_data_format"]["outputs"]["pred"]["channel_def"]
    for name in ("published", "demo"):
        path = bundle / "models" / f"{name}.json"
        labels = read_card(path).content.get("labels", []) if path.is_file() else []
        if labels and name == "published" and list(channels.values()) != list(labels):
            yield f"metadata's channel_def must be the labels of {path.name}, got others"
        if set(labels) - set(channels.values()):
            yield f"labels of {path.name} must be in metadata's channel_def, got others"


def first_look_problems(bundle: Path) -> Iterator[str]:
    """Configs at which MONAI's own error would come first, if they were run alone.

    MONAI looks for the parents of nested keys before anything of ours is imported.
    """
    for path in (bundle / "configs").glob("*.json"):
        config = json.loads(path.read_text())
        if path.stem in ("inference", "train", "evaluate"):
            if config.get("imports", [""])[0] != "$import common.bundle.first":
                yield f"{path.name} must import common.bundle.first first"
            nested = [key for key in config if "::" in key and key[0] != "+"]
            yield from (
                f"{path.name}: {key} must be written with + and an object" for key in nested
            )


def absolute_paths(bundle: Path) -> list[str]:
    """Configs with a path of somebody's machine."""
    configs = (bundle / "configs").glob("*.json")
    return [path.name for path in configs if re.search(r'"(/|~|[A-Z]:\\)', path.read_text())]


def property_problems(bundle: Path, kind: str) -> list[str]:
    """What MONAI's workflow of a kind, `infer` or `train`, misses."""
    names = {"infer": ["inference"], "train": ["inference", "train"]}[kind]
    files = [str(bundle / "configs" / f"{name}.json") for name in names]
    workflow = ConfigWorkflow(
        files, workflow_type=kind, bundle_root=str(bundle), logging_file=False
    )
    workflow.initialize()
    return list(workflow.check_properties() or [])


def small_card(bundle: Path, conf: Mapping[str, Any], folder: Path) -> Card:
    """The bundle's card with a small network of random weights, and a section of its own."""
    models = bundle / "models"
    source = next(
        path for path in (models / "published.json", models / "demo.json") if path.is_file()
    )
    published = read_card(source)
    of_files = ("tensors", "sha256", "files")
    content = {k: v for k, v in published.content.items() if k not in of_files}
    laid = _merged(content, {**conf["card"], "name": "tiny", "source": "made for a test"})
    bare = folder / "bare.json"
    bare.write_text(json.dumps({**laid, "synthetic": True, **OWN_SECTION}))
    config = ConfigParser(ConfigParser.load_config_file(str(bundle / "configs" / "inference.json")))
    config["bundle_root"], config["weights"] = str(bundle), bare
    torch.manual_seed(0)
    network = config.get_parsed_content("network_def")
    path, files = folder / "model.json", files_of(published)
    return save_weights(network, read_card(bare).content, path, files=files)


def stage_options(
    bundle: Path, conf: Mapping[str, Any], stage: str, *, card: Card, scan: Path = Path()
) -> list[str]:
    """The command line of a stage, with the small card where the stage takes one."""
    configs = [bundle / config for config in read_stages(read_metadata(bundle))[stage].configs]
    config = ConfigParser.load_config_files([str(path) for path in configs])
    trains = "train_as" in config
    options = {"train_as": card.path.with_suffix("")} if trains else {"weights": card.path}
    for below in [path.stem for path in configs[1:-1]] + [stage]:
        options |= conf["stages"][below].get("options", {})
    places = {"{card}": str(card.path), "{scan}": str(scan)}
    texts = {key: places.get(str(value), str(value)) for key, value in options.items()}
    return [text for key, value in texts.items() for text in (f"--{key}", value)]


def leaving_problems(output_dir: Path, wanted: list[str]) -> Iterator[str]:
    """Files that a stage was to leave and has not, or that are empty."""
    for pattern in wanted:
        found = [path for path in output_dir.glob(pattern) if path.stat().st_size]
        if not found:
            yield f"{pattern} must be left, got none"


def section_problems(trained: Path) -> Iterator[str]:
    """Sections of the card that training lost."""
    content = read_card(trained).content
    for name, value in OWN_SECTION.items():
        if content.get(name) != value:
            yield f"training must keep the card's section {name}, got {content.get(name)}"


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`, objects deep down too; None takes a key away."""
    merged = {**below}
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merged(merged[key], value)
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged

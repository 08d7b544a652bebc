"""Published weights of a bundle: where they live, and how they become this bundle's own.

`large_files.yml` says where; the keys are renamed by `models/key_map.json`; the card is
`models/published.json`. What comes out is `models/model.pt` and `models/model.json`, which
`--weights auto` prefers.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from monai.bundle import ConfigParser
from torch import Tensor, nn

from ..errors import InputError
from ..weights.decision import ordered_thresholds
from .card import Card, read_card
from .hub import fetch_file
from .loading import file_sha256, load_state, read_key_map, read_tensors, save_weights, unwrap

logger = logging.getLogger("common.weights")


@dataclass(frozen=True)
class Source:
    """Where a checkpoint is published, as `large_files.yml` has it.

    Attributes:
        path: Where it goes, below the bundle.
        url: The repository's page on the hub.
        file: Name of the checkpoint there, or a pattern that fits it alone.
        layout: Which of the key map's layouts it has.
        revision: Branch, tag or commit.
        part: The submodule that the checkpoint fills; empty where it is the whole network. A part
            is no weights to run: training starts from it.
        thresholds: Name or pattern of a JSON with a threshold per label; empty if there is none.
        hash_type: `sha256`.
        hash_val: Of the checkpoint; `unpublished` if the publisher names none. MONAI's
            `download_large_files` then refuses whatever it gets, such as a web page.
    """

    path: str
    url: str
    file: str
    layout: str
    revision: str = "main"
    part: str = ""
    thresholds: str = ""
    hash_type: str = "sha256"
    hash_val: str = "unpublished"

    @property
    def sha256(self) -> str:
        """Of the checkpoint; empty if it is not known."""
        return "" if self.hash_val == "unpublished" else self.hash_val

    @property
    def repository(self) -> str:
        """`<owner>/<name>` on the hub."""
        return urlparse(self.url).path.strip("/")


def read_source(bundle_root: str | Path) -> Source:
    """Where a bundle's published weights live.

    Raises:
        InputError: If the bundle names no source.
    """
    path = Path(bundle_root) / "large_files.yml"
    if not path.is_file():
        msg = f"bundle must name where its weights are published, got no {path}; see bundles/"
        raise InputError(msg)
    (entry,) = ConfigParser.load_config_file(path)["large_files"]
    return Source(**entry)


def fetch_weights(bundle_root: str | Path) -> Card:
    """Download a bundle's published weights and install them.

    Raises:
        InputError: If they cannot be had (see `fetch_file`), are not those that were installed
            before, or do not fit (see `install_weights`).
    """
    source = read_source(bundle_root)
    _check_whole(source)
    checkpoint = fetch_file(
        source.repository, source.file, revision=source.revision, sha256=source.sha256
    )
    digest = file_sha256(checkpoint)
    installed = Path(bundle_root) / "models" / "model.json"
    if installed.is_file():
        before = read_card(installed).content.get("origin", {})
        known = before.get("sha256")
        if before.get("url") == source.url and known != digest:
            msg = (
                f"{source.repository} must still have the weights of sha256 {known}, "
                f"got {digest}; if the publisher has replaced them, delete {installed} first"
            )
            raise InputError(msg)
    thresholds = None
    if source.thresholds:
        thresholds = fetch_file(source.repository, source.thresholds, revision=source.revision)
    origin = {"url": source.url, "revision": source.revision, "file": checkpoint.name}
    return install_weights(
        bundle_root, checkpoint, thresholds=thresholds, origin={**origin, "sha256": digest}
    )


def install_weights(
    bundle_root: str | Path,
    checkpoint: Path,
    *,
    thresholds: Path | None = None,
    origin: Mapping[str, Any] | None = None,
) -> Card:
    """Make a published checkpoint the bundle's own weights.

    Args:
        bundle_root: Folder with `configs` and `models`.
        checkpoint: State dict in the published layout, `.pt`, `.pth` or `.safetensors`, with the
            prefix of any wrapper. Where the bundle's network is part of another (an encoder in a
            segmenter), that one's checkpoint too: the card then says so, and no more what the
            published weights were trained on.
        thresholds: JSON of label to probability, bare or under `thresholds`; 0.5 if not given.
        origin: What the card says about where the file came from.

    Returns:
        The card, `models/model.json`.

    Raises:
        InputError: If a file is missing or damaged, any key, shape or number does not fit (see
            `load_state`), or the thresholds are not those of the card's labels.
    """
    root = Path(bundle_root)
    models = root / "models"
    source = read_source(root)
    _check_whole(source)
    if not checkpoint.is_file():
        is_folder = checkpoint.is_dir()
        got, advice = (
            ("the folder ", "name the file in it") if is_folder else ("", "check the path")
        )
        msg = f"checkpoint must be a file, got {got}{checkpoint}; {advice}"
        raise InputError(msg)
    config = ConfigParser(ConfigParser.load_config_file(root / "configs" / "inference.json"))
    config["weights"] = str(models / "published.json")
    config["bundle_root"] = str(root)
    card, network = (config.get_parsed_content(key) for key in ("card", "network_def"))
    state = read_tensors(checkpoint)
    layout = _layout(state, network, models / "key_map.json", published=source.layout)
    key_map = read_key_map(models / "key_map.json", layout)
    notes = load_state(network, state, key_map=key_map, source=f"checkpoint {checkpoint}")
    content = dict(card.content)
    if layout != source.layout:
        content = _of_another_network(content, checkpoint)
    if thresholds is not None:
        content["thresholds"] = _thresholds(thresholds, card.labels)
    origin = origin or {"file": checkpoint.name, "sha256": file_sha256(checkpoint)}
    content["origin"] = {**origin, **notes}
    return save_weights(network, content, models / "model.json")


def _layout(
    state: Mapping[str, Tensor], network: nn.Module, key_map: Path, *, published: str
) -> str:
    """The published layout, or another one of the key map where a checkpoint fits that alone."""
    wanted = network.state_dict().keys()
    layouts: list[str] = [published, *json.loads(key_map.read_text(encoding="utf-8"))]
    for layout in layouts:
        found = unwrap(state, wanted, key_map=read_key_map(key_map, layout))
        if found.state.keys() == wanted:
            return layout
    return published


def _of_another_network(content: dict[str, Any], checkpoint: Path) -> dict[str, Any]:
    """The card of weights that are part of a network which was trained for something else."""
    logger.warning(
        "%s is no published checkpoint of %s but a network around one: that part of it is taken. "
        "What it was trained on since is not known, and its card says so.",
        checkpoint, content["bundle"],
    )  # fmt: skip
    kept = {key: value for key, value in content.items() if key != "score"}
    return {
        **kept,
        "name": f"{content['bundle']}: part of {checkpoint.name}, not as published",
        "training": {"data": f"not known: {checkpoint.name} holds a network around this one"},
        "source": f"part of {checkpoint.name}",
        "licence": "that of the checkpoint",
    }


def _check_whole(source: Source) -> None:
    if source.part:
        msg = (
            f"bundle must have published weights to install, got those of its {source.part} alone; "
            f"train with --initial_weights hf://{source.repository}/{source.file}"
        )
        raise InputError(msg)


def _thresholds(path: Path, labels: list[str]) -> dict[str, float]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"thresholds must be a JSON file, got {path} ({error}); check it"
        raise InputError(msg) from error
    bare = given.get("thresholds", given) if isinstance(given, dict) else given
    if not isinstance(bare, dict):
        msg = f"thresholds must be label and probability, got {path} with a {type(bare).__name__}"
        raise InputError(msg)
    values = ordered_thresholds(bare, labels)
    return dict(zip(labels, values, strict=True))

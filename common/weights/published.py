"""Published weights of a bundle: fetched, and made this bundle's own.

`large_files.yml` says where they live; the keys are renamed by `models/key_map.json`; the card is
`models/published.json`, or the one that their source names. What comes out is `models/model.pt` and
`models/model.json`, which `--weights auto` prefers, with further files in `models/model`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import Tensor, nn

from ..errors import InputError
from .card import Card, read_card
from .decision import ordered_thresholds
from .fitting import tied_keys
from .hub import fetch_files, fitting_files
from .loading import file_sha256, load_state, read_key_map, read_tensors, save_weights, unwrap
from .sources import PublishedFile, Source, read_source

logger = logging.getLogger("common.weights")


@dataclass(frozen=True)
class Found:
    """A source's files on this machine.

    Attributes:
        checkpoint: State dict in the published layout.
        thresholds: JSON of label to probability, bare or under `thresholds`.
        files: What else belongs to the weights, by its name beside them.
    """

    checkpoint: Path
    thresholds: Path | None = None
    files: Mapping[str, Path] = field(default_factory=dict)


def fetch_weights(bundle_root: str | Path, *, source: str = "") -> Card:
    """Download a bundle's published weights and install them: all of their files or none.

    Args:
        bundle_root: Folder with `configs` and `models`.
        source: Name of one of the sources in `large_files.yml`; the first if empty.

    Raises:
        InputError: If they cannot be had (see `fetch_files`), are not those that were installed
            before, or do not fit (see `install_weights`).
    """
    chosen = read_source(bundle_root, source)
    _check_whole(chosen)
    if not chosen.url:
        msg = (
            f"{Path(bundle_root).name} must have published weights to fetch, got none: nobody has "
            "published any; train them with train.json, or install yours with --from"
        )
        raise InputError(msg)
    further, thresholds = chosen.further_files, chosen.thresholds_file
    wanted = [chosen.checkpoint, *([thresholds] if thresholds else []), *further.values()]
    on_disk = _fetch(wanted)
    found = Found(
        checkpoint=on_disk[chosen.checkpoint],
        thresholds=on_disk[thresholds] if thresholds else None,
        files={name: on_disk[file] for name, file in further.items()},
    )
    origin: dict[str, Any] = {
        "source": chosen.name,
        **_where(chosen.checkpoint, found.checkpoint),
        "sha256": file_sha256(found.checkpoint),
    }
    if further:
        origin["files"] = {name: _where(file, on_disk[file]) for name, file in further.items()}
    _check_same(Path(bundle_root) / "models" / "model.json", chosen, found, origin)
    return _install(Path(bundle_root), chosen, found, origin)


def install_weights(
    bundle_root: str | Path,
    checkpoint: Path,
    *,
    source: str = "",
    thresholds: Path | None = None,
) -> Card:
    """Make a checkpoint that is at hand the bundle's own weights.

    Args:
        bundle_root: Folder with `configs` and `models`.
        checkpoint: State dict in the published layout, `.pt`, `.pth` or `.safetensors`, with the
            prefix of any wrapper; or a folder that holds it under its published name. What else
            belongs to the weights lies beside it, under its published name too. Where the bundle's
            network is part of another (an encoder in a segmenter), that one's checkpoint will do:
            the card then says so, and no more what the published weights were trained on.
        source: Name of one of the sources in `large_files.yml`, whose layout and card are taken;
            the first if empty.
        thresholds: JSON of label to probability, bare or under `thresholds`. If not given, that of
            the folder, or 0.5 for every label.

    Returns:
        The card, `models/model.json`.

    Raises:
        InputError: If a file is missing or damaged, any key, shape or number does not fit (see
            `load_state`), or the thresholds are not those of the card's labels.
    """
    root = Path(bundle_root)
    chosen = read_source(root, source)
    _check_whole(chosen)
    found = _at_hand(chosen, checkpoint, thresholds)
    origin: dict[str, Any] = {
        "file": found.checkpoint.name,
        "sha256": file_sha256(found.checkpoint),
    }
    return _install(root, chosen, found, origin)


def _fetch(wanted: Collection[PublishedFile]) -> dict[PublishedFile, Path]:
    """Files of several repositories, each at one commit."""
    found: dict[PublishedFile, Path] = {}
    for place in dict.fromkeys((file.repository, file.revision) for file in wanted):
        here = [file for file in wanted if (file.repository, file.revision) == place]
        hashes = {file.file: file.sha256 for file in here}
        paths = fetch_files(place[0], hashes, revision=place[1])
        found |= {file: paths[file.file] for file in here}
    return found


def _at_hand(source: Source, given: Path, thresholds: Path | None) -> Found:
    """A source's files in a folder, or beside a checkpoint."""
    folder = given if given.is_dir() else given.parent
    checkpoint = given
    if given.is_dir():
        fitting = fitting_files(given, source.file)
        if len(fitting) != 1:
            got = f"{len(fitting)} files {source.file}" if fitting else f"no file {source.file}"
            msg = (
                f"checkpoint must be a file, got the folder {given} with {got}; name the file in it"
            )
            raise InputError(msg)
        checkpoint = fitting[0]
        if thresholds is None and source.thresholds:
            thresholds = next(iter(fitting_files(given, source.thresholds)), None)
    if not checkpoint.is_file():
        msg = f"checkpoint must be a file, got {given}; check the path"
        raise InputError(msg)
    files = {}
    for name, file in source.further_files.items():
        fitting = fitting_files(folder, file.file)
        if len(fitting) != 1:
            got = "several" if fitting else "none"
            msg = f"{checkpoint.name} must come with one {file.file}, got {got} in {folder}; add it"
            raise InputError(msg)
        if file.sha256 and file_sha256(fitting[0]) != file.sha256:
            msg = f"{fitting[0]} must have sha256 {file.sha256}, got another; fetch it again"
            raise InputError(msg)
        files[name] = fitting[0]
    return Found(checkpoint, thresholds, files)


def _where(file: PublishedFile, path: Path) -> dict[str, str]:
    return {"url": file.url, "revision": file.revision, "file": path.name}


def _check_same(installed: Path, source: Source, found: Found, origin: Mapping[str, Any]) -> None:
    """Refuse what was replaced under a name that was installed before."""
    if not installed.is_file():
        return
    card = read_card(installed)
    before = card.content.get("origin", {})
    if (before.get("url"), before.get("source", source.name)) != (source.url, source.name):
        return
    known = {source.file: (before.get("sha256"), origin["sha256"])}
    for name, path in found.files.items():
        listed = card.files_beside.get(f"{installed.stem}/{name}")
        if listed:
            known[name] = (listed, file_sha256(path))
    for name, (old, new) in known.items():
        if old != new:
            msg = (
                f"{source.repository} must still have the weights of sha256 {old}, got {new} "
                f"({name}); if the publisher has replaced them, delete {installed} first"
            )
            raise InputError(msg)


def _install(root: Path, source: Source, found: Found, origin: Mapping[str, Any]) -> Card:
    models = root / "models"
    config = ConfigParser(ConfigParser.load_config_file(root / "configs" / "inference.json"))
    config["weights"] = str(models / source.card)
    config["bundle_root"] = str(root)
    card, network = (config.get_parsed_content(key) for key in ("card", "network_def"))
    state = read_tensors(found.checkpoint)
    layout = _layout(state, network, models / "key_map.json", published=source.layout)
    key_map = read_key_map(models / "key_map.json", layout)
    notes = load_state(network, state, key_map=key_map, source=f"checkpoint {found.checkpoint}")
    content = dict(card.content)
    if layout != source.layout:
        content = _of_another_network(content, found.checkpoint)
    if found.thresholds is not None:
        content["thresholds"] = _thresholds(found.thresholds, card.labels)
    elif source.thresholds:
        logger.warning("No thresholds were given: every label counts as positive from 0.5.")
    content["origin"] = {**origin, **notes}
    return save_weights(network, content, models / "model.json", files=found.files)


def _layout(
    state: Mapping[str, Tensor], network: nn.Module, key_map: Path, *, published: str
) -> str:
    """The published layout, or another one of the key map where a checkpoint fits that alone."""
    wanted = network.state_dict().keys()
    tied = tied_keys(network)
    layouts: list[str] = [published, *json.loads(key_map.read_text(encoding="utf-8"))]
    for layout in layouts:
        found = unwrap(state, wanted, key_map=read_key_map(key_map, layout))
        if {tied.get(key, key) for key in found.state} == wanted - tied.keys():
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

"""A bundle as one zip that runs anywhere: its folder, its weights, and the code it needs.

The packed code has a name of its own, `_<bundle>_common`, and the configs say so: two bundles of
different versions can live in one process, which one `common` for both could not.

    <bundle>/configs, docs, LICENSE     as in the repository, with the code's new name; train.json
                                        and evaluate.json run alone, the card's links hold
    <bundle>/models/model.{json,pt}     the chosen weights, with what belongs to them in model/;
                                        beside them cards without weights, to train as, of which
                                        demo.json shares the demo's if chosen
    <bundle>/models/golden.safetensors  what the weights make of a made-up input, see `golden`
    <bundle>/_<bundle>_common           the code
    <bundle>/requirements.txt           what the code needs
    <bundle>/SHA256SUMS                 for `sha256sum --check`
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from monai.bundle import ConfigParser

from ..atomic import replacing, write_json
from ..errors import InputError
from ..weights.card import Card, read_card
from ..weights.loading import file_sha256, files_of, read_tensors, save_state, tensors_of
from .catalog import METADATA, read_metadata
from .golden import write_golden
from .packed_card import write_packed_card

Choice = Literal["demo", "installed", "none"]

SUMS = "SHA256SUMS"
PACKAGE = Path(__file__).resolve().parents[1]
PROJECT = PACKAGE.parent / "pyproject.toml"
OWN_VERSIONS = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
_OF_TENSORS = ("tensors", "sha256", "score")
_CODE = re.compile(r"(?<![\w.])common\.(?=\w)")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same bundle is the same zip
_NOT_PACKED = shutil.ignore_patterns("__pycache__", "*.pyc", "models", "large_files.yml", ".*")


def pack_bundle(root: Path, *, output_dir: Path, weights: Choice = "demo") -> Path:
    """Make `<name>_v<version>.zip` of a bundle.

    Args:
        root: Folder with `configs` and `models`.
        output_dir: Where the zip goes; made if not there.
        weights: `demo` packs the demo weights, `installed` the published or trained ones of
            `models/model.json`, `none` only says how the network is built.

    Returns:
        The zip. Its top folder is the bundle's name.

    Raises:
        InputError: If it has no metadata or lacks the weights, or this code is itself packed.
    """
    project = _project()
    name, version = root.name, read_metadata(root)["version"]
    output_dir.mkdir(parents=True, exist_ok=True)
    archive = output_dir / f"{name}_v{version}.zip"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / name
        shutil.copytree(root, folder, ignore=_NOT_PACKED)
        _copy_weights(root / "models", folder / "models", weights)
        _complete_configs(folder / "configs", trained=weights != "none")
        write_packed_card(folder / "docs" / "README.md", name, project["optional-dependencies"])
        _copy_code(folder, f"_{name}_common")
        if weights != "none":
            write_golden(folder, config=root / "configs" / "inference.json")
        lines = [f"{needed}\n" for needed in requirements()]
        (folder / "requirements.txt").write_text("".join(lines), encoding="utf-8")
        _write_sums(folder)
        with replacing(archive) as partial:
            _zip(folder, partial)
    return archive


def _copy_weights(source: Path, target: Path, weights: Choice) -> None:
    target.mkdir()
    if weights != "demo" and (source / "demo.json").is_file():
        _write_bare(read_card(source / "demo.json"), target)  # train.json may build as it says
    for name in ("published.json", "key_map.json"):
        if (source / name).is_file():
            shutil.copy(source / name, target)
    if weights == "none":
        return
    card = read_card(source / ("demo.json" if weights == "demo" else "model.json"))
    if card.tensors is None or not card.tensors.is_file():
        msg = f"bundle must have {weights} weights, got none at {card.path}; fetch or train them"
        raise InputError(msg)
    packed = save_state(
        read_tensors(tensors_of(card)), card.content, target / "model.json", files=files_of(card)
    )
    if weights == "demo":  # known by both names, stored once
        write_json(target / "demo.json", packed.content)
    if "num_features" in card.content:
        _say_num_features(target.parent, int(card.content["num_features"]))


def _write_bare(card: Card, target: Path) -> None:
    """A card without its tensors, with what belongs to them: a network is built and fed by it."""
    content = {k: v for k, v in card.content.items() if k not in (*_OF_TENSORS, "files")}
    for path, file in zip(card.files_beside, files_of(card).values(), strict=True):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target / path)
    beside = {"files": card.files_beside} if card.files_beside else {}
    write_json(target / card.path.name, {**content, **beside})


def _say_num_features(bundle: Path, number: int) -> None:
    """What the packed encoder gives, where `metadata.json` tells of the published one."""
    metadata = read_metadata(bundle)
    metadata["network_data_format"]["outputs"]["pred"]["num_channels"] = number
    write_json(bundle / METADATA, metadata)


def _complete_configs(configs: Path, *, trained: bool) -> None:
    """Let `train.json` and `evaluate.json` run alone, as `monai.bundle.load` takes the first.

    In the repository they lie over `inference.json`; laid over it, these give the same. What is
    trained is by default built as the packed weights are.
    """
    for name in ("train", "evaluate"):
        path = configs / f"{name}.json"
        if path.is_file():
            files = [str(configs / "inference.json"), str(path)]
            whole = ConfigParser.load_config_files(files)
            if trained and "train_as" in whole:
                whole["train_as"] = "model"
            write_json(path, whole)


def _copy_code(folder: Path, name: str) -> None:
    shutil.copytree(PACKAGE, folder / name, ignore=_NOT_PACKED)
    for config in (folder / "configs").glob("*.json"):
        if config.name != "metadata.json":
            text = config.read_text(encoding="utf-8")
            config.write_text(_CODE.sub(f"{name}.", text), encoding="utf-8")


def _project() -> dict[str, Any]:
    if not PROJECT.is_file():
        msg = (
            f"bundles must be packed from the repository, got {PACKAGE}; "
            "clone it and install it with `pip install -e .`"
        )
        raise InputError(msg)
    content: dict[str, Any] = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    return dict(content["project"])


def requirements() -> list[str]:
    """What the code needs, such as `nibabel>=5.2`, as the project says."""
    return list(_project()["dependencies"])


def required_versions() -> dict[str, str]:
    """What the code needs, with the versions that are installed here: `required_packages_version`.

    MONAI, torch and numpy have entries of their own in a bundle's metadata.
    """
    names = [re.split(r"[^\w.-]", needed)[0] for needed in requirements()]
    return {name: version(name) for name in names if name not in OWN_VERSIONS}


def write_required_versions(metadata: Path) -> None:
    """Bring a `metadata.json` up to the versions that are installed here; the rest stays."""
    text = metadata.read_text(encoding="utf-8")
    for name, key in OWN_VERSIONS.items():
        text = re.sub(rf'("{key}": )"[^"]*"', rf'\1"{version(name).split("+")[0]}"', text)
    lines = json.dumps(required_versions(), indent=4).replace("\n", "\n    ")
    text = re.sub(r'("required_packages_version": )\{[^}]*\}', lambda m: m[1] + lines, text)
    metadata.write_text(text, encoding="utf-8")


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{file_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def _zip(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, path.read_bytes())

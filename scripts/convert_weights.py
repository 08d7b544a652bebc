"""Bring a published checkpoint into a bundle: `python scripts/convert_weights.py ct_scroll FILE`.

The checkpoint's keys go through the bundle's key map; every key must fit. The weights and their
card are installed as `models/model.pt` and `models/model.json`, where `--weights auto` finds them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from monai.bundle import ConfigParser

from common.errors import InputError
from common.metrics.thresholds import ordered_thresholds
from common.weights import (
    load_state,
    read_key_map,
    read_tensors,
    rename_keys,
    save_weights,
)

REPOSITORY = Path(__file__).resolve().parents[1]


def convert(bundle: str, checkpoint: Path, thresholds: Path | None) -> Path:
    root = REPOSITORY / "bundles" / bundle
    models = root / "models"
    if not (models / "key_map.json").is_file():
        msg = f"bundle must be one with published weights, got {bundle}; see bundles/"
        raise InputError(msg)
    config = ConfigParser(ConfigParser.load_config_file(root / "configs" / "inference.json"))
    config["weights"] = str(models / "published.json")
    config["bundle_root"] = str(root)
    card, network = (config.get_parsed_content(key) for key in ("card", "network_def"))
    if not checkpoint.is_file():
        msg = f"checkpoint must be a file, got {checkpoint}; check the path"
        raise InputError(msg)
    state = rename_keys(
        read_tensors(checkpoint), read_key_map(models / "key_map.json", "published")
    )
    load_state(network, state)
    content = dict(card.content)
    if thresholds is not None:
        given = json.loads(thresholds.read_text(encoding="utf-8"))
        values = ordered_thresholds(given.get("thresholds", given), card.labels)
        content["thresholds"] = dict(zip(card.labels, values, strict=True))
    return save_weights(network, content, models / "model.json").path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, such as ct_scroll")
    parser.add_argument("checkpoint", type=Path, help="published state dict, .pt or .safetensors")
    parser.add_argument("--thresholds", type=Path, help="published JSON of label thresholds")
    arguments = parser.parse_args()
    try:
        print(convert(arguments.bundle, arguments.checkpoint, arguments.thresholds))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

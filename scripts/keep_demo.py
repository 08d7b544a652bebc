"""Make trained weights a bundle's demo: `python scripts/keep_demo.py ct_scroll CARD METRICS`.

CARD is the `model.json` that train.json wrote, METRICS the `metrics.json` that evaluate.json wrote
with these weights on held-out phantoms; its scores go into the demo's card.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from common.card import read_card
from common.catalog import find_bundle, read_metadata
from common.errors import InputError
from common.weights import read_tensors, save_state


def keep(bundle: str, card_path: Path, metrics_path: Path) -> Path:
    card = read_card(card_path)
    if card.tensors is None or not card.is_synthetic:
        msg = f"card must have tensors trained on phantoms, got {card_path}; train with phantoms"
        raise InputError(msg)
    metrics = json.loads(metrics_path.read_text(encoding="utf-8"))
    root = find_bundle(bundle)
    demo = root / "models" / "demo.json"
    score = {"data": "held-out synthetic phantoms", **score_of(metrics)}
    name = f"{read_metadata(root)['name']} demo"
    content = {**card.content, "name": name, "score": score}
    return save_state(read_tensors(card.tensors), content, demo).path


def score_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """The part of `metrics.json` that a card repeats: macro and per-label AUROC."""
    macro = metrics["macro"]["auroc"]
    return {
        "num_cases": metrics["num_cases"],
        "macro_auroc": round(macro["value"], 4),
        "macro_auroc_interval": [round(end, 4) for end in macro["interval"]],
        "auroc": {
            label: round(scores["auroc"]["value"], 4) for label, scores in metrics["labels"].items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, such as ct_scroll")
    parser.add_argument("card", type=Path, help="model.json of a training run")
    parser.add_argument("metrics", type=Path, help="metrics.json of an evaluation")
    arguments = parser.parse_args()
    try:
        print(keep(arguments.bundle, arguments.card, arguments.metrics))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

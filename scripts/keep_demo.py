"""Make trained weights a bundle's demo: `python scripts/keep_demo.py ct_scroll CARD METRICS`.

CARD is the `model.json` that train.json wrote, METRICS the `metrics.json` (of an encoder
`probe.json`) that evaluate.json wrote with these weights on held-out phantoms; its scores go into
the demo's card. `--half` stores numbers
in half precision, for networks whose file would be too large for git.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from common.bundle.catalog import find_bundle, read_metadata
from common.errors import InputError
from common.weights.card import read_card
from common.weights.loading import files_of, read_tensors, save_state, tensors_of


def keep(bundle: str, card_path: Path, metrics_path: Path, *, half: bool) -> Path:
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
    state = read_tensors(tensors_of(card))
    if half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    return save_state(state, content, demo, files=files_of(card)).path


def score_of(metrics: dict[str, Any]) -> dict[str, Any]:
    """The part of `metrics.json` that a card repeats: a classifier's AUROC, a segmenter's Dice.

    An encoder's evaluation leaves `probe.json`: what probes of its embeddings reach.
    """
    if "embeddings" in metrics:
        return score_of_probes(metrics["embeddings"]["probes"])
    if "classes" in metrics:
        per, measure = "classes", "dice"
        means = {"mean_dice": "dice", "mean_dice_where_present": "dice_where_present"}
    else:
        per, measure = "labels", "auroc"
        means = {"macro_auroc": "auroc"}
    score: dict[str, Any] = {"num_cases": metrics["num_cases"]}
    for name, of in means.items():
        macro = metrics["macro"][of]
        score[name] = round(macro["value"], 4)
        if macro["interval"] is not None:  # too few cases have none
            score[f"{name}_interval"] = [round(end, 4) for end in macro["interval"]]
    found = {label: scores[measure]["value"] for label, scores in metrics[per].items()}
    score[measure] = {label: round(v, 4) for label, v in found.items() if v is not None}
    return score


def score_of_probes(probes: dict[str, Any]) -> dict[str, Any]:
    first = next(iter(probes.values()))
    score: dict[str, Any] = {name: first[name] for name in ("num_cases", "num_patients")}
    for kind, probed in probes.items():
        for name, found in probed["scores"].items():
            score[f"{kind}_{name}"] = round(found["value"], 4)
            score[f"{kind}_{name}_interval"] = [round(end, 4) for end in found["interval"]]
    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, such as ct_scroll")
    parser.add_argument("card", type=Path, help="model.json of a training run")
    parser.add_argument("metrics", type=Path, help="metrics.json of an evaluation")
    parser.add_argument("--half", action="store_true", help="store in half precision")
    arguments = parser.parse_args()
    try:
        print(keep(arguments.bundle, arguments.card, arguments.metrics, half=arguments.half))
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

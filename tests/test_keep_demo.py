"""Trained weights become a bundle's demo, with their held-out scores."""

import json
import subprocess
import sys

import torch

from common.weights.card import read_card
from common.weights.loading import file_of, load_weights, read_tensors, save_weights

CLASSIFIED = {
    "num_cases": 200,
    "macro": {"auroc": {"value": 0.98765, "interval": [0.97, 0.99]}},
    "labels": {"Emphysema": {"auroc": {"value": 1.0}}, "Atelectasis": {"auroc": {"value": None}}},
}
SEGMENTED = {
    "num_cases": 40,
    "macro": {
        "dice": {"value": 0.91234, "interval": [0.9, 0.92]},
        "dice_where_present": {"value": 0.93456, "interval": [0.92, 0.94]},
    },
    "classes": {"liver": {"dice": {"value": 0.97}}},
}


def keep(repository, tiny_bundle, card, metrics, *options):
    path = card.path.with_name("metrics.json")
    path.write_text(json.dumps(metrics))
    script = repository / "scripts" / "keep_demo.py"
    return subprocess.run(
        [sys.executable, script, tiny_bundle, card.path, path, *options],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_classifiers_scores_go_into_the_card(repository, tiny_bundle, tiny_card):
    assert keep(repository, tiny_bundle, tiny_card, CLASSIFIED).returncode == 0
    demo = read_card(tiny_bundle / "models" / "demo.json")
    assert demo.content["score"] == {
        "data": "held-out synthetic phantoms",
        "num_cases": 200,
        "macro_auroc": 0.9877,
        "macro_auroc_interval": [0.97, 0.99],
        "auroc": {"Emphysema": 1.0},
    }


def test_half_precision_halves_the_file_and_still_loads(
    repository, tiny_bundle, tiny_card, make_tiny_network
):
    assert keep(repository, tiny_bundle, tiny_card, SEGMENTED, "--half").returncode == 0
    demo = read_card(tiny_bundle / "models" / "demo.json")
    assert demo.content["score"]["mean_dice"] == 0.9123
    assert demo.content["score"]["mean_dice_where_present"] == 0.9346
    assert demo.content["score"]["mean_dice_where_present_interval"] == [0.92, 0.94]
    assert demo.content["score"]["dice"] == {"liver": 0.97}
    assert demo.tensors.stat().st_size < 0.7 * tiny_card.tensors.stat().st_size
    network = load_weights(make_tiny_network(seed=1), card=demo)
    for key, tensor in read_tensors(tiny_card.tensors).items():
        torch.testing.assert_close(
            network.state_dict()[key].float(), tensor.float(), rtol=1e-3, atol=1e-6
        )
    assert next(network.parameters()).dtype == torch.float32


def test_weights_trained_on_patients_are_no_demo(repository, tiny_bundle, tiny_card, rewrite):
    rewrite(tiny_card, synthetic=False)
    done = keep(repository, tiny_bundle, tiny_card, CLASSIFIED)
    assert done.returncode != 0
    assert "error: card must have tensors trained on phantoms" in done.stderr


def test_what_belongs_to_the_weights_and_sections_nobody_knows_come_along(
    repository, tiny_bundle, tmp_path, make_tiny_network, tiny_content
):
    (tmp_path / "vocab.txt").write_text("a b")
    card = save_weights(
        make_tiny_network(), {**tiny_content, "landmarks": ["C4"]}, tmp_path / "run" / "model.json",
        files={"vocab.txt": tmp_path / "vocab.txt"},
    )  # fmt: skip
    ended = keep(repository, tiny_bundle, card, CLASSIFIED)
    assert ended.returncode == 0, ended.stderr
    demo = read_card(tiny_bundle / "models" / "demo.json")
    assert demo.files_beside.keys() == {"demo/vocab.txt"}
    assert file_of(demo, "vocab.txt").read_text() == "a b"
    assert demo.section("landmarks") == ["C4"]

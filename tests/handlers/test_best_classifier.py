import json
import math

import pytest
import torch
from ignite.engine import Engine, Events

from common.handlers.best_classifier import BestClassifier
from common.phantom.cases import phantom_cases
from common.weights.card import read_card
from common.weights.loading import file_of, load_weights, save_weights

TRUTH = torch.tensor([[float(case % 2)] * 18 for case in range(6)])


@pytest.fixture
def best(tiny_card, make_tiny_network, tmp_path):
    return BestClassifier(
        network=make_tiny_network(seed=3),
        card=tiny_card,
        output_dir=tmp_path / "run",
        name="own",
        cases=phantom_cases("train", num=2),
        dataset_dir="somewhere",
        recipe={"seed": 3},
    )


def validate(best, macro, probabilities=None):
    """One validation of six cases whose key metric is `macro`."""
    probabilities = 0.2 + 0.5 * TRUTH if probabilities is None else probabilities
    pairs = [
        [{"pred": prediction, "label": truth}]
        for prediction, truth in zip(probabilities, TRUTH, strict=True)
    ]
    engine = Engine(lambda _, batch: batch)
    engine.state.key_metric_name = "macro_auroc"

    def measure(engine):
        engine.state.metrics["macro_auroc"] = macro

    engine.add_event_handler(Events.EPOCH_COMPLETED, measure)
    best.attach(engine)
    engine.run(pairs)
    return engine


def test_first_validation_writes_weights_that_load(best, make_tiny_network):
    validate(best, 0.7)
    card = read_card(best.path)
    network = load_weights(make_tiny_network(seed=1), card=card)
    for key, tensor in best.network.state_dict().items():
        assert torch.equal(network.state_dict()[key], tensor)
    assert card.name == "own"
    assert card.is_synthetic
    assert card.content["score"]["macro_auroc"] == 0.7
    assert card.content["score"]["num_cases"] == 6
    assert card.content["training"] == {"data": "synthetic phantoms", "num_cases": 2, "seed": 3}
    assert card.content["clinical_use"] is False


def test_weights_of_a_scan_of_unknown_origin_are_not_synthetic(best):
    best.cases = [*best.cases, {"case_id": "a", "image": "a.nrrd", "format": "nrrd"}]
    validate(best, 0.7)
    card = read_card(best.path)
    assert not card.is_synthetic
    assert card.content["licence"] == "as the training data allow"
    assert card.content["training"]["data"] == "somewhere"
    assert card.content["training"]["num_cases"] == 3


def test_thresholds_part_the_validation_cases(best):
    validate(best, 0.7)
    assert all(0.2 < limit <= 0.7 for limit in read_card(best.path).thresholds.values())


def test_labels_scores_are_handed_to_those_who_print(best):
    metrics = validate(best, 0.7).state.metrics
    assert metrics["auroc/Emphysema"] == 1.0
    assert len([name for name in metrics if name.startswith("auroc/")]) == 18


@pytest.mark.parametrize("later", [0.6, 0.7, math.nan])
def test_no_better_score_leaves_the_file_alone(best, later):
    validate(best, 0.7)
    before = best.path.read_bytes()
    validate(best, later)
    assert best.path.read_bytes() == before
    assert best.best == 0.7


def test_better_score_replaces_the_file(best):
    validate(best, 0.7)
    validate(best, 0.8)
    assert json.loads(best.path.read_text())["score"]["macro_auroc"] == 0.8


def test_score_that_is_undefined_is_never_the_best(best):
    validate(best, math.nan)
    assert not best.path.exists()
    validate(best, 0.3)
    assert best.path.exists()


def test_resumed_run_remembers_the_best(best):
    best.load_state_dict({"best": 0.9})
    validate(best, 0.8)
    assert not best.path.exists()
    assert best.state_dict() == {"best": 0.9}


def test_wrapped_network_is_saved_without_its_wrapper(best):
    class Wrapper(torch.nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

    plain = best.network.state_dict().keys()
    best.network = Wrapper(best.network)
    validate(best, 0.7)
    assert torch.load(best.path.with_suffix(".pt"), weights_only=True).keys() == plain


def test_only_the_first_process_writes(best, monkeypatch):
    monkeypatch.setattr("common.handlers.best_weights.is_first_process", lambda: False)
    validate(best, 0.7)
    assert not best.path.exists()
    assert best.best == 0.7


def test_sections_that_nobody_knows_and_files_survive_training(best, tmp_path, make_tiny_network):
    (tmp_path / "vocab.txt").write_text("a b")
    content = {**best.card.content, "landmarks": {"C4": 0}, "origin": {"url": "of the old"}}
    files = {"vocab.txt": tmp_path / "vocab.txt"}
    best.card = save_weights(make_tiny_network(), content, tmp_path / "old.json", files=files)
    validate(best, 0.7)
    validate(best, 0.8)
    card = read_card(best.path)
    assert card.section("landmarks") == {"C4": 0}
    assert file_of(card, "vocab.txt") == best.path.parent / "model" / "vocab.txt"
    assert "origin" not in card.content

"""What the contract is for: each mistake that a newcomer can make is named by one of its checks."""

import json
import shutil

import pytest

from common.handlers import best_weights
from common.weights.card import kept_by_training
from tests import contract

from .conftest import CT_SCROLL


@pytest.fixture
def copied(tmp_path):
    """A bundle to spoil."""
    copy = tmp_path / "copy" / "ct_scroll"
    shutil.copytree(CT_SCROLL, copy, ignore=shutil.ignore_patterns("*.safetensors"))
    return copy


def spoil(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_sound_copy_has_no_problem(copied):
    conf = contract.conf_of(copied)
    assert contract.stage_problems(copied, conf) == []
    assert [*contract.overlay_problems(copied), *contract.label_problems(copied)] == []


def test_a_stage_that_names_a_class_that_there_is_not(copied, run_stage):
    target = {"_target_": "common.evaluation.classification.Nowhere"}
    spoil(copied / "configs" / "evaluate.json", lambda config: config["evaluation"].update(target))
    (problem,) = run_stage(copied, "evaluate", contract.conf_of(copied))
    assert "common.evaluation.classification.Nowhere" in problem


def test_an_overlay_key_without_a_base(copied):
    spoil(copied / "configs" / "evaluate.json", lambda config: config.update({"evaluator::tea": 1}))
    (problem,) = contract.overlay_problems(copied)
    assert problem == "evaluate: evaluator::tea must be in what it lies over"


def test_a_stage_without_a_test_configuration(copied):
    conf = contract.conf_of(copied)
    del conf["stages"]["evaluate"]
    (problem,) = contract.stage_problems(copied, conf)
    assert problem == "stage evaluate must have a test configuration, got none"


def test_a_config_that_no_stage_names(copied):
    (copied / "configs" / "tea.json").write_text(json.dumps({"milk": True}))
    conf = contract.conf_of(copied)
    assert contract.stage_problems(copied, conf) == [
        "stage tea must have an entry of metadata.json, got none",
        "stage tea must have a test configuration, got none",
    ]


def test_labels_of_the_metadata_that_are_not_the_cards(copied):
    def rename(metadata):
        metadata["network_data_format"]["outputs"]["pred"]["channel_def"]["0"] = "Tea"

    spoil(copied / "configs" / "metadata.json", rename)
    assert next(contract.label_problems(copied)).startswith("metadata's channel_def must be the")


def test_a_stage_that_leaves_less_than_it_should(copied, run_stage):
    conf = contract.conf_of(copied)
    conf["stages"]["inference"]["leaves"].append("*/tea.txt")
    assert run_stage(copied, "inference", conf) == ["*/tea.txt must be left, got none"]


def test_a_section_of_the_card_that_training_loses(copied, run_stage, monkeypatch):
    def lossy(card):
        return {key: value for key, value in kept_by_training(card).items() if key != "house_rule"}

    monkeypatch.setattr(best_weights, "kept_by_training", lossy)
    (problem,) = run_stage(copied, "train", contract.conf_of(copied))
    assert problem == "training must keep the card's section house_rule, got None"

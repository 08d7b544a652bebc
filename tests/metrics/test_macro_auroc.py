"""Validation metric of training. Run alone: pytest tests/metrics/test_macro_auroc.py"""

import logging

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from sklearn.metrics import roc_auc_score

from common.metrics.macro_auroc import MacroAUROC

NAN = float("nan")


def test_batches_add_up_to_the_score_of_the_epoch(cohort):
    metric = MacroAUROC()
    truth = np.nan_to_num(cohort.truth)
    for start in range(0, 120, 50):
        metric(
            torch.tensor(cohort.probabilities[start : start + 50]),
            torch.tensor(truth[start : start + 50]),
        )
    assert metric.aggregate() == pytest.approx(roc_auc_score(truth, cohort.probabilities))


def test_only_the_order_of_the_scores_counts(cohort):
    probabilities, truth = torch.tensor(cohort.probabilities), torch.tensor(cohort.truth)
    first, second = MacroAUROC(), MacroAUROC()
    first(probabilities, truth)
    second(8 * probabilities - 4, truth)
    assert first.aggregate() == second.aggregate()


def test_unknown_truth_and_single_classes_are_left_out_and_named_once(caplog):
    metric = MacroAUROC(labels=["nodule", "effusion", "hernia"])
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.2, 0.2, 0.3], [0.7, 0.3, 0.1], [0.4, 0.4, 0.9]])
    truth = torch.tensor([[1, 0, NAN], [0, 0, 0], [NAN, 0, 0], [0, 0, 1]])
    for _ in range(2):
        metric(scores, truth)
        with caplog.at_level(logging.WARNING):
            assert metric.aggregate() == 1.0
        metric.reset()
    assert [record.getMessage() for record in caplog.records] == [
        "macro AUROC is over 2 of 3 labels; with a single class in the validation cases: effusion"
    ]


def test_without_any_label_the_score_is_zero_so_that_a_checkpoint_is_kept():
    metric = MacroAUROC()
    metric(torch.tensor([[0.3]]), torch.tensor([[1.0]]))
    assert metric.aggregate() == 0.0


def test_a_network_that_diverged_is_an_error():
    metric = MacroAUROC()
    metric(torch.tensor([[NAN], [0.2]]), torch.tensor([[1.0], [0.0]]))
    with pytest.raises(ValueError, match="pred must be finite, got 1 NaN or infinite values"):
        metric.aggregate()


def test_shapes_that_differ_are_an_error():
    metric = MacroAUROC()
    metric(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"must both be \(batch, labels\), got \(2, 3\)"):
        metric.aggregate()


def test_an_evaluator_written_in_json_reports_it():
    parser = ConfigParser(
        {
            "imports": ["$import torch", "$import monai"],
            "dataset": [
                {"image": torch.tensor([value]), "label": torch.tensor([float(value > 2)])}
                for value in (1.0, 2.0, 3.0, 4.0)
            ],
            "evaluator": {
                "_target_": "SupervisedEvaluator",
                "device": "$torch.device('cpu')",
                "val_data_loader": {
                    "_target_": "DataLoader",
                    "dataset": "@dataset",
                    "batch_size": 3,
                },
                "network": {"_target_": "torch.nn.Identity"},
                "key_val_metric": {
                    "val_macro_auroc": {
                        "_target_": "IgniteMetricHandler",
                        "metric_fn": {"_target_": "common.metrics.macro_auroc.MacroAUROC"},
                        "output_transform": "$monai.handlers.from_engine(['pred', 'label'])",
                    }
                },
            },
        }
    )
    evaluator = parser.get_parsed_content("evaluator")
    evaluator.run()
    assert evaluator.state.metrics == {"val_macro_auroc": 1.0}
    assert type(evaluator.state.best_metric) is float

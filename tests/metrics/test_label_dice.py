"""Dice between label volumes, counted."""

import pytest
import torch
from monai.metrics import compute_dice
from monai.networks.utils import one_hot

from common.metrics.label_dice import LabelDice

LABELS = ("background", "a", "b", "c", "d")


def volumes(seed, high=4):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, high, (3, 1, 6, 7, 8), generator=generator)


def test_it_is_monais_dice():
    found, truth = volumes(0), volumes(1)
    truth[0][truth[0] == 2] = 0
    metric = LabelDice(LABELS)
    metric(found, truth)
    wanted = compute_dice(
        one_hot(found, 5), one_hot(truth, 5), include_background=False, ignore_empty=True
    )
    torch.testing.assert_close(metric.get_buffer().float(), wanted, equal_nan=True)
    assert metric.aggregate() == pytest.approx(float(wanted.nanmean(dim=0).nanmean()), rel=1e-6)


def test_each_label_by_name_and_none_for_what_no_case_has():
    metric = LabelDice(LABELS)
    metric(volumes(1), volumes(1))
    assert metric.aggregate() == 1.0
    assert {k: v for k, v in metric.per_label.items() if v == v} == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_cases_without_any_label_give_0_so_that_a_checkpoint_is_kept():
    metric = LabelDice(LABELS)
    metric(volumes(1), torch.zeros(3, 1, 6, 7, 8))
    assert metric.aggregate() == 0.0


def test_other_shapes_and_unknown_numbers_are_refused():
    with pytest.raises(ValueError, match="pred must have the truth's shape"):
        LabelDice(LABELS)(volumes(1), volumes(1)[..., :3])
    with pytest.raises(ValueError, match="labels must be below 5, got 7"):
        LabelDice(LABELS)(volumes(1), volumes(1, high=8))

"""How often labels are drawn, and which come together."""

import numpy as np
import pytest

from common.errors import InputError
from common.phantom import CT_RATE_LABELS, PREVALENCE
from common.phantom.prevalence import TRAITS, draw_labels


def draws(prevalence=None, num=3000):
    rng = np.random.default_rng(0)
    rows = [draw_labels(rng, prevalence) for _ in range(num)]
    return np.array([[label in row for label in CT_RATE_LABELS] for row in rows], float)


def test_table_names_every_label_and_only_known_traits():
    assert tuple(PREVALENCE) == CT_RATE_LABELS
    for model in PREVALENCE.values():
        assert 0.05 < model.prevalence < 0.5
        assert set(model.loadings) <= set(TRAITS)
        assert sum(weight**2 for weight in model.loadings.values()) < 1


def test_labels_are_as_frequent_as_the_table_says():
    wanted = [PREVALENCE[label].prevalence for label in CT_RATE_LABELS]
    assert np.abs(draws().mean(axis=0) - wanted).max() < 0.03


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Cardiomegaly", "Pleural effusion"),
        ("Pericardial effusion", "Pleural effusion"),
        ("Arterial wall calcification", "Coronary artery wall calcification"),
        ("Atelectasis", "Pleural effusion"),
        ("Lung opacity", "Consolidation"),
    ],
)
def test_labels_that_share_a_cause_come_together(first, second):
    rows = draws()
    a, b = (rows[:, CT_RATE_LABELS.index(label)] for label in (first, second))
    assert b[a == 1].mean() > 1.5 * b.mean()


def test_one_share_for_all_labels_overrides_the_table():
    assert np.abs(draws(0.5).mean(axis=0) - 0.5).max() < 0.04
    assert draws(0.0, 20).sum() == 0
    assert draws(1.0, 20).all()


def test_shares_by_name_override_only_those():
    rows = draws({"lung nodule": 1.0, "Emphysema": 0.0}, 300)
    assert rows[:, CT_RATE_LABELS.index("Lung nodule")].all()
    assert not rows[:, CT_RATE_LABELS.index("Emphysema")].any()


def test_unknown_name_in_shares_is_refused():
    with pytest.raises(InputError, match="findings must be CT-RATE label names, got 'Nodule'"):
        draw_labels(np.random.default_rng(0), {"Nodule": 0.5})

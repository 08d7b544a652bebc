"""A small made-up cohort: five labels of different difficulty, ties and unknowns included."""

from typing import NamedTuple

import numpy as np
import pytest


class Cohort(NamedTuple):
    truth: np.ndarray
    probabilities: np.ndarray
    decisions: np.ndarray
    labels: list[str]
    patient_ids: list[str]


@pytest.fixture
def cohort() -> Cohort:
    rng = np.random.default_rng(7)
    truth = (rng.random((120, 5)) < [0.5, 0.3, 0.2, 0.1, 0.4]).astype(float)
    probabilities = 1 / (1 + np.exp(1 - rng.normal(size=(120, 5)) - 1.5 * truth))
    probabilities[:, 1] = probabilities[:, 1].round(1)  # many ties
    truth[::7, 2] = np.nan
    decisions = probabilities >= 0.4
    patient_ids = [f"patient_{index // 2}" for index in range(120)]
    return Cohort(truth, probabilities, decisions, list("abcde"), patient_ids)

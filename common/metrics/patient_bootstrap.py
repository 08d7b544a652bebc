"""Percentile intervals of means, patients drawn with replacement with all that is theirs.

As `bootstrap` does for a classifier's scores, here for any score that is a mean over rows: queries
of a retrieval, pairs of a test and its retest.

Shapes: N rows, S scores, R resamples.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .bootstrap import percentile_interval

Floats = NDArray[np.float64]


def patient_weights(owners: Sequence[Hashable], *, num_resamples: int, seed: int) -> Floats:
    """How often each row is drawn in each resample, `(R, N)`.

    Args:
        owners: Whose each row is, N; rows of one owner are drawn together.
        num_resamples: R, at least 1.
        seed: Same seed and same owners in the same order, same draws.

    Raises:
        InputError: If `num_resamples` is out of range.
    """
    if num_resamples < 1:
        msg = f"num_resamples must be at least 1, got {num_resamples}; 1000 is usual"
        raise InputError(msg)
    number: dict[Hashable, int] = {}
    owner = np.array([number.setdefault(name, len(number)) for name in owners])
    draws = np.random.default_rng(seed).multinomial(
        len(number), np.full(len(number), 1 / len(number)), size=num_resamples
    )
    return np.asarray(draws[:, owner], dtype=np.float64)


def mean_intervals(
    values: Mapping[str, Floats],
    owners: Sequence[Hashable],
    *,
    num_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """Lower and upper bound of the mean of each score.

    Args:
        values: By score, `(N,)`, no NaN.
        owners: Whose each row is, N.
        num_resamples: R.
        confidence: In (0, 1).
        seed: Of the draws.

    Raises:
        InputError: If an argument is out of range.
    """
    if not 0 < confidence < 1:
        msg = f"confidence must be between 0 and 1, got {confidence}; 0.95 is usual"
        raise InputError(msg)
    weights = patient_weights(owners, num_resamples=num_resamples, seed=seed)
    total = weights.sum(axis=1)
    return {
        name: percentile_interval(weights @ each / total, confidence)
        for name, each in values.items()
    }

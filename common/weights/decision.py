"""The one decision rule of this project: present if probability >= threshold.

Published codes differ here (`>=` in one, `>` in its successor).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

FALLBACK_THRESHOLD = 0.5
"""Used where validation data cannot choose; whoever chose says so."""


def decide(probabilities: NDArray[np.floating], thresholds: Sequence[float]) -> NDArray[np.bool_]:
    """Whether each label is present: `probability >= threshold`.

    Args:
        probabilities: `(N, L)` or `(L,)` in [0, 1].
        thresholds: One per label, or a single one for all values.

    Returns:
        Decisions, of the same shape.
    """
    return np.asarray(probabilities >= np.asarray(thresholds, dtype=np.float64))


def ordered_thresholds(thresholds: Mapping[str, float], labels: Sequence[str]) -> list[float]:
    """Thresholds in label order, looked up by name; the order of the mapping means nothing.

    Args:
        thresholds: Threshold in [0, 1] by label.
        labels: The labels wanted.

    Raises:
        InputError: If a label has no threshold, or one outside [0, 1].
    """
    missing = [label for label in labels if label not in thresholds]
    if missing:
        msg = (
            f"thresholds must name every label, got none for {', '.join(missing)}; "
            "give them in the weights' card or as a mapping"
        )
        raise InputError(msg)
    for label in labels:
        if not 0 <= thresholds[label] <= 1:
            msg = (
                f"threshold of {label!r} must be in [0, 1], got {thresholds[label]}; "
                "thresholds apply to probabilities, not to logits"
            )
            raise InputError(msg)
    return [float(thresholds[label]) for label in labels]

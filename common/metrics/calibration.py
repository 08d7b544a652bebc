"""Calibration: does a probability of 0.3 come true three times in ten?

Cases are sorted into bins by predicted probability. The expected calibration error (Guo et al.,
2017) is the mean over cases of the distance, per bin, between the mean prediction and the observed
frequency. It depends on the bins, so they are stated with every number:

- `equal_mass` (default): bin edges are quantiles, so each bin holds about as many cases. Right for
  rare findings, whose predictions crowd near 0. Equal probabilities always share a bin.
- `equal_width`: `[0, 1/B), [1/B, 2/B), ...`, the last bin closed. The older habit.

Shapes: N cases, B bins.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

BinKind = Literal["equal_mass", "equal_width"]
NUM_BINS = 15
"""Bins of every calibration error that this project reports."""


class ReliabilityCurve(NamedTuple):
    """What a reliability diagram draws; bins without a case are left out.

    Attributes:
        predicted: Mean predicted probability per bin, `(B,)` in [0, 1], ascending.
        observed: Share of cases with the finding per bin, `(B,)` in [0, 1].
        num_cases: Cases per bin, `(B,)`, integers >= 1.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    num_cases: NDArray[np.int64]


def calibration_bins(
    probabilities: NDArray[np.floating],
    *,
    num_bins: int = NUM_BINS,
    kind: BinKind = "equal_mass",
) -> NDArray[np.int64]:
    """Bin of each case.

    Args:
        probabilities: Predictions of one label, `(N,)` in [0, 1].
        num_bins: Bins at most; with few distinct probabilities there are fewer.
        kind: `equal_mass` or `equal_width`, see the module.

    Returns:
        Bin index per case, `(N,)` in [0, num_bins), growing with the probability.

    Raises:
        InputError: If `num_bins` is below 1 or `kind` is unknown.
    """
    if num_bins < 1:
        msg = f"num_bins must be at least 1, got {num_bins}; {NUM_BINS} is usual"
        raise InputError(msg)
    if kind not in get_args(BinKind):
        msg = f"kind must be equal_mass or equal_width, got {kind!r}; equal_mass suits rare labels"
        raise InputError(msg)
    inner = np.arange(1, num_bins) / num_bins
    if kind == "equal_mass" and len(probabilities):
        # inverted_cdf: an edge is a predicted value, and copying every case moves no edge.
        inner = np.unique(np.quantile(probabilities, inner, method="inverted_cdf"))
        return np.searchsorted(inner, probabilities, side="left").astype(np.int64)
    return np.searchsorted(inner, probabilities, side="right").astype(np.int64)


def reliability_curve(
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    num_bins: int = NUM_BINS,
    kind: BinKind = "equal_mass",
) -> ReliabilityCurve:
    """Predicted against observed frequency, bin by bin; cases of unknown truth do not count.

    Args:
        truth: 0, 1 or NaN (unknown), `(N,)`.
        probabilities: `(N,)` in [0, 1].
        num_bins: See `calibration_bins`.
        kind: See `calibration_bins`.
    """
    known = ~np.isnan(truth)
    truth, probabilities = truth[known], probabilities[known]
    bins = calibration_bins(probabilities, num_bins=num_bins, kind=kind)
    counts = np.bincount(bins, minlength=1)
    filled = counts > 0
    predicted = np.bincount(bins, weights=probabilities, minlength=1)[filled] / counts[filled]
    observed = np.bincount(bins, weights=truth, minlength=1)[filled] / counts[filled]
    return ReliabilityCurve(predicted, observed, counts[filled].astype(np.int64))


def expected_calibration_error(
    truth: NDArray[np.floating],
    probabilities: NDArray[np.floating],
    *,
    num_bins: int = NUM_BINS,
    kind: BinKind = "equal_mass",
) -> float:
    """Mean distance between predicted and observed frequency, in [0, 1]; NaN without a case.

    Args:
        truth: 0, 1 or NaN (unknown), `(N,)`.
        probabilities: `(N,)` in [0, 1].
        num_bins: See `calibration_bins`.
        kind: See `calibration_bins`.
    """
    predicted, observed, counts = reliability_curve(
        truth, probabilities, num_bins=num_bins, kind=kind
    )
    if not counts.sum():
        return float("nan")
    return float(np.average(np.abs(predicted - observed), weights=counts))

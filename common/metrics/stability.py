"""How much of an embedding stays the same when a patient is scanned twice.

- cosine of a patient's two scans, against the cosine of scans of different patients;
- re-identification: is a retest scan the nearest of all retest scans to its own test scan (rank 1)?
- ICC(3,1) of every number of the embedding (Shrout & Fleiss 1979: two-way mixed, one rating,
  consistency): the share of its variance that is between patients. A shift of all retests by the
  same amount does not lower it. From 0.75 on it is called good, from 0.9 on excellent (Koo & Li
  2016).

Shapes: P patients, k ratings, F numbers per embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embeddings.neighbours import Metric, checked_embeddings, nearest, unit_length
from ..embeddings.table import EmbeddingTable
from ..errors import InputError
from ..naming import natural_order
from .patient_bootstrap import mean_intervals

GOOD, EXCELLENT = 0.75, 0.9

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Stability:
    """Test against retest.

    Attributes:
        num_patients: P.
        cosine: Of each patient's pair, `(P,)`, in [-1, 1].
        between: Mean cosine of each patient's test to the other patients' retests, `(P,)`.
        rank_1: 1 where a patient's own retest is the nearest, mean of both directions, `(P,)`.
        icc: Of each number of the embedding, `(F,)`, at most 1; NaN where it never changes.
        values: Means: `cosine`, `between_patients`, `gap` (the first less the second), `rank_1`;
            `icc_median`, `icc_good` and `icc_excellent` (shares of the numbers from 0.75 and 0.9
            on), `icc_constant` (share that never changes).
        intervals: Of the four means, patients resampled; empty if not asked for.
    """

    num_patients: int
    cosine: Floats
    between: Floats
    rank_1: Floats
    icc: Floats
    values: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def as_json(self) -> dict[str, Any]:
        """Plain values: number of patients, and by score its value and interval."""
        return {
            "num_patients": self.num_patients,
            "scores": {
                name: {
                    "value": None if np.isnan(value) else value,
                    "interval": list(self.intervals.get(name, ())) or None,
                }
                for name, value in self.values.items()
            },
        }


def score_stability(
    *,
    test: NDArray[np.floating],
    retest: NDArray[np.floating],
    metric: Metric = "cosine",
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> Stability:
    """Compare the embeddings of patients who were scanned twice.

    Args:
        test: One scan per patient, `(P, F)`, P at least 3.
        retest: The other scan of the same patients in the same order, `(P, F)`.
        metric: By which the nearest is found; the cosines are reported either way.
        num_bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the bootstrap.

    Raises:
        InputError: If shapes differ, patients are too few or an embedding is broken.
    """
    test = checked_embeddings("test", test).astype(np.float64)
    retest = checked_embeddings("retest", retest).astype(np.float64)
    if test.shape != retest.shape or len(test) < 3:
        msg = (
            f"test and retest must hold the same 3 or more patients, got {test.shape} and "
            f"{retest.shape}; give one pair of scans per patient"
        )
        raise InputError(msg)
    cosines = unit_length(test) @ unit_length(retest).T
    num = len(test)
    cosine = np.diagonal(cosines).copy()
    between = (cosines.sum(axis=1) - cosine) / (num - 1)
    own = np.arange(num)
    rank_1 = np.mean(
        [
            nearest(first, second, metric=metric, top=1).rows[:, 0] == own
            for first, second in ((test, retest), (retest, test))
        ],
        axis=0,
    )
    means = {
        "cosine": cosine,
        "between_patients": between,
        "gap": cosine - between,
        "rank_1": rank_1,
    }
    icc = icc_3_1(np.stack([test, retest], axis=1))
    known = icc[~np.isnan(icc)]
    values = {name: float(each.mean()) for name, each in means.items()}
    values |= {
        "icc_median": float(np.median(known)) if len(known) else float("nan"),
        "icc_good": float((known >= GOOD).sum() / len(icc)),
        "icc_excellent": float((known >= EXCELLENT).sum() / len(icc)),
        "icc_constant": 1 - len(known) / len(icc),
    }
    return Stability(
        num_patients=num,
        cosine=cosine,
        between=between,
        rank_1=rank_1,
        icc=icc,
        values=values,
        intervals=(
            mean_intervals(means, range(num), num_resamples=num_bootstrap, seed=seed)
            if num_bootstrap
            else {}
        ),
    )


def icc_3_1(ratings: NDArray[np.floating]) -> Floats:
    """Intraclass correlation of single ratings, two-way mixed, consistency.

    `(BMS - EMS) / (BMS + (k - 1) EMS)`, with BMS the mean square between patients and EMS the
    residual's (Shrout & Fleiss 1979, Psychological Bulletin 86:420, page 423).

    Args:
        ratings: `(P, k)` or `(P, k, F)`; P and k at least 2.

    Returns:
        `(F,)`, from -1 / (k - 1) to 1 (`(1,)` where F was left out); NaN where nothing varies.

    Raises:
        InputError: If there are too few ratings.
    """
    values = np.asarray(ratings, dtype=np.float64)
    values = values[..., None] if values.ndim == 2 else values
    if values.ndim != 3 or min(values.shape[:2]) < 2:
        msg = f"ratings must be (patients, ratings), 2 or more of each, got {np.shape(ratings)}"
        raise InputError(msg + "; give every patient twice")
    patients, num = values.shape[:2]
    centred = values - values.mean(axis=(0, 1))
    of_patients, of_ratings = centred.mean(axis=1), centred.mean(axis=0)
    between = num * (of_patients**2).sum(axis=0) / (patients - 1)
    residual = centred - of_patients[:, None] - of_ratings[None]
    error = (residual**2).sum(axis=(0, 1)) / ((patients - 1) * (num - 1))
    whole = between + (num - 1) * error
    scale = np.finfo(np.float64).eps * (values**2).sum(axis=(0, 1))
    return np.where(whole > scale, (between - error) / np.maximum(whole, 1e-300), np.nan)


def retest_pairs(table: EmbeddingTable) -> tuple[list[str], list[str], list[str]]:
    """The first two scans of every patient who has two or more, in natural order of their names.

    Args:
        table: With `patient_id`.

    Returns:
        Case ids of the tests, of the retests, and of all scans that are in no pair.

    Raises:
        InputError: If no patient has two scans.
    """
    scans: dict[str, list[str]] = {}
    for case, patient in zip(table.case_ids, table.patient_ids, strict=True):
        if patient is not None:
            scans.setdefault(patient, []).append(case)
    pairs = [sorted(cases, key=natural_order)[:2] for cases in scans.values() if len(cases) > 1]
    if not pairs:
        msg = (
            f"embeddings must hold patients with two scans, got none among {len(table)} cases; "
            "give a list of scans with a column patient_id as the encoder's input"
        )
        raise InputError(msg)
    paired = {case for pair in pairs for case in pair}
    alone = [case for case in table.case_ids if case not in paired]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs], alone


def stability_of_table(
    table: EmbeddingTable,
    *,
    tests: Sequence[str] = (),
    retests: Sequence[str] = (),
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> Stability:
    """`score_stability` of cases by name; of `retest_pairs` where no names are given."""
    if not tests and not retests:
        tests, retests, _ = retest_pairs(table)
    return score_stability(
        test=table.select(tests).embeddings,
        retest=table.select(retests).embeddings,
        num_bootstrap=num_bootstrap,
        seed=seed,
    )

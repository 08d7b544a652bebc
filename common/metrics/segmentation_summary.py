"""Segmentation scores over cases: per structure, per region and over all structures.

The macro mean is the published one: the mean over cases per structure, then over structures, so a
structure counts the same however many cases show it. Two ways to count a structure that a case's
truth does not hold:

* `dice` and `surface_dice` count an invented structure as 0, so inventing costs;
* `dice_where_present` looks only at cases whose truth holds it, as MONAI's `ignore_empty` does.
  Published means are of this kind more often than not, and rarely say so.

The surface distance of a missed or invented structure would be infinite: it has none, and the
number of those cases stands beside it.

Intervals resample patients, each with all its cases, as `bootstrap` does and by its rules.

Shapes: N cases, L structures, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..vocabulary.totalsegmentator import STRUCTURES, STRUCTURES_V1
from .bootstrap import label_average, percentile_interval

MEASURES = ("dice", "dice_where_present", "surface_dice", "surface_distance_mm")
CONFIDENCE = 0.95
OTHER_REGION = "other structures"

_HEART_PARTS = tuple(name for name in STRUCTURES_V1 if name.startswith("heart_"))
REGIONS: Mapping[str, tuple[str, ...]] = {
    "organs": STRUCTURES[1:25],
    "vertebrae and sacrum": STRUCTURES[25:51],
    "heart and vessels": (*STRUCTURES[51:69], *_HEART_PARTS, "pulmonary_artery"),
    "ribs": STRUCTURES[92:116],
    "muscles, other bones, nerves": (*STRUCTURES[69:92], *STRUCTURES[116:], "face"),
}
"""TotalSegmentator's structures by where they belong, of both versions; published means are given
for `ribs` (24) and `vertebrae and sacrum` (26)."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SegmentationTable:
    """Scores of all cases.

    Attributes:
        case_ids: N names.
        classes: L names.
        patient_ids: Whose each case is, N entries.
        dice: `(N, L)`, NaN where not counted, as are the next two; see `segmentation`.
        surface_dice: `(N, L)`.
        surface_distance_mm: `(N, L)`.
        truth_ml: `(N, L)`, 0 where the truth does not hold the structure.
        prediction_ml: `(N, L)`.
    """

    case_ids: list[str]
    classes: list[str]
    patient_ids: list[str]
    dice: Floats
    surface_dice: Floats
    surface_distance_mm: Floats
    truth_ml: Floats
    prediction_ml: Floats

    @property
    def missed(self) -> Flags:
        """`(N, L)`: in the truth alone."""
        return np.asarray((self.truth_ml > 0) & (self.prediction_ml == 0))

    @property
    def invented(self) -> Flags:
        """`(N, L)`: in the prediction alone."""
        return np.asarray((self.truth_ml == 0) & (self.prediction_ml > 0))

    def values(self, measure: str) -> Floats:
        """`(N, L)` of one of `MEASURES`, NaN where not counted."""
        if measure == "dice_where_present":
            return np.where(self.truth_ml > 0, self.dice, np.nan)
        return np.asarray(getattr(self, measure), dtype=np.float64)


@dataclass(frozen=True)
class Average:
    """One mean and how sure it is.

    Attributes:
        value: NaN where nothing was counted.
        interval: Lower and upper, or None.
        num: How many cases (of a structure) or structures (of a region, of all) it is over.
        median: Over the same.
    """

    value: float
    interval: tuple[float, float] | None
    num: int
    median: float


@dataclass(frozen=True)
class SegmentationSummary:
    """Everything that is reported, by measure (`MEASURES`).

    Attributes:
        classes: Per structure, in the table's order.
        regions: Per region that has a structure among them.
        macro: Over all structures.
        region_of: Region of each structure.
        bootstrap: How the intervals were made, or None without.
    """

    classes: Mapping[str, list[Average]]
    regions: Mapping[str, Mapping[str, Average]]
    macro: Mapping[str, Average]
    region_of: list[str]
    bootstrap: Mapping[str, float | int] | None = field(default=None)


def summarise(
    table: SegmentationTable, *, num_resamples: int = 1000, seed: int = 0
) -> SegmentationSummary:
    """Means over cases, and over structures, with 95 % intervals.

    Args:
        table: Scores.
        num_resamples: R; 0 for no intervals.
        seed: Of the bootstrap.

    Raises:
        InputError: If there is no case or `num_resamples` is negative.
    """
    if not table.case_ids or num_resamples < 0:
        msg = (
            f"scores must be of at least one case, with num_resamples 0 or more, got "
            f"{len(table.case_ids)} cases and {num_resamples}; give cases, 1000 is usual"
        )
        raise InputError(msg)
    region_of = [region_name(name) for name in table.classes]
    regions = [name for name in (*REGIONS, OTHER_REGION) if name in region_of]
    members = {name: np.array([one == name for one in region_of]) for name in regions}
    resampled = resampled_means(table, num_resamples, seed) if num_resamples else {}
    classes, macro = {}, {}
    by_region: dict[str, dict[str, Average]] = {name: {} for name in regions}
    for measure in MEASURES:
        values, means = table.values(measure), resampled.get(measure)
        whole = _means(values, np.ones((len(values), 1)))
        classes[measure] = [
            _average_of(values[:, index], None if means is None else means[:, index])
            for index in range(values.shape[1])
        ]
        everything = np.ones(values.shape[1], dtype=bool)
        macro[measure] = _over_classes(whole, means, everything)
        for name, flags in members.items():
            by_region[name][measure] = _over_classes(whole, means, flags)
    note = {
        "confidence": CONFIDENCE,
        "num_resamples": num_resamples,
        "num_patients": len(set(table.patient_ids)),
    }
    return SegmentationSummary(classes, by_region, macro, region_of, note if resampled else None)


def resampled_means(table: SegmentationTable, num_resamples: int, seed: int) -> dict[str, Floats]:
    """Mean of every structure in every resample, by measure: `(R, L)`, NaN where none was drawn."""
    number: dict[str, int] = {}
    patient = np.array([number.setdefault(name, len(number)) for name in table.patient_ids])
    draws = np.random.default_rng(seed).multinomial(
        len(number), np.full(len(number), 1 / len(number)), size=num_resamples
    )
    weights = draws[:, patient].T.astype(np.float64)
    return {measure: _means(table.values(measure), weights) for measure in MEASURES}


def region_name(name: str) -> str:
    """The region of a structure; `OTHER_REGION` for what TotalSegmentator does not know."""
    return next((region for region, names in REGIONS.items() if name in names), OTHER_REGION)


def _means(values: Floats, weights: Floats) -> Floats:
    """Weighted mean over cases: values `(N, L)`, weights `(N, R)`, result `(R, L)`."""
    counted = ~np.isnan(values)
    total = weights.T @ np.where(counted, values, 0.0)
    count = weights.T @ counted.astype(np.float64)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _average_of(values: Floats, resampled: Floats | None) -> Average:
    """Of one structure over cases: values `(N,)`, resampled means `(R,)`."""
    counted = values[~np.isnan(values)]
    if not len(counted):
        return Average(float("nan"), None, 0, float("nan"))
    interval = None if resampled is None else _known(percentile_interval(resampled, CONFIDENCE))
    return Average(float(counted.mean()), interval, len(counted), float(np.median(counted)))


def _over_classes(whole: Floats, resampled: Floats | None, flags: Flags) -> Average:
    """Over structures: means `(1, L)`, resampled means `(R, L)`, which structures `(L,)`."""
    part = whole[:, flags]
    counted = part[~np.isnan(part)]
    if not len(counted):
        return Average(float("nan"), None, 0, float("nan"))
    interval = None
    if resampled is not None:
        interval = _known(percentile_interval(label_average(resampled[:, flags], part), CONFIDENCE))
    return Average(float(counted.mean()), interval, len(counted), float(np.median(counted)))


def _known(interval: Sequence[float]) -> tuple[float, float] | None:
    low, high = interval
    return None if np.isnan(low) else (float(low), float(high))

"""The series of a study that suits a network best, and why; what `--series best` takes."""

from __future__ import annotations

import logging
import math
import re
from collections import defaultdict
from collections.abc import Sequence

from .ct_series import Series

log = logging.getLogger(__name__)
THIN_MM = 3.0
WANTED_MM = 1.5
SHORT_SHARE = 0.5  # of the longest scan of the study: a part of it, such as a bolus test
SHARPEST_SOFT_NUMBER = 45  # of Siemens kernels, B30f, Br40, Hr38, ...
SOFT_KERNELS = ("SOFT", "STANDARD", "STND", "STD", "DETAIL", "BRAIN", "BODY")  # and GE's numbers
SHARP_KERNELS = ("LUNG", "BONE", "EDGE", "SHARP", "CHEST", "ULTRA")
PHILIPS_SOFT = ("A", "B", "C", "UA", "UB", "UC")
PHILIPS_SHARP = ("D", "E", "L", "YA", "YB", "YC", "YD")
LAST_SOFT_CANON = 29  # FC01 to FC29; FC30 and above are for bone and lung


def best_of_each_study(found: Sequence[Series]) -> list[Series]:
    """Choose one series of each study.

    In this order: original images before derived ones; axial slices; a stretch of the patient at
    least half as long as the longest of those; slices at most 3 mm apart; a soft kernel before an
    unknown one before a sharp one; slices nearest to 1.5 mm apart, as a ratio; more slices; the
    lower series number and part. Where several were there, the choice and the reason are logged
    and kept in the series' notes.

    Returns:
        One series per patient and study, in the order of the studies.
    """
    studies: dict[tuple[str, ...], list[Series]] = defaultdict(list)
    for series in found:
        studies[series.study].append(series)
    return [_best(study) for study in studies.values()]


def _best(study: list[Series]) -> Series:
    if len(study) == 1:
        return study[0]
    preferred = [one for one in study if one.original and one.axial]
    longest_mm = max(map(_extent_mm, preferred or study))
    best = min(study, key=lambda series: _rank(series, longest_mm))
    others = "; ".join(str(series) for series in study if series is not best)
    note = f"Chosen as the best of {len(study)} series: {best}, for {_describe(best)}."
    log.warning("%s Not taken: %s; choose another with `--series`", note, others)
    best.notes.append(f"{note} Not taken: {others}.")
    return best


def _rank(series: Series, longest_mm: float) -> tuple[float, ...]:
    distance = series.spacing_mm[2]
    return (
        not series.original,
        not series.axial,
        _extent_mm(series) < SHORT_SHARE * longest_mm,
        distance > THIN_MM,
        sharpness(series.kernel),
        round(abs(math.log(distance / WANTED_MM)), 3),
        -series.num_slices,
        math.inf if series.number is None else series.number,
        series.part,
    )


def _extent_mm(series: Series) -> float:
    return series.num_slices * series.spacing_mm[2]


def _describe(series: Series) -> str:
    kernel = ("a soft", "an unknown", "a sharp")[sharpness(series.kernel)]
    return (
        f"{'original' if series.original else 'derived'} images in "
        f"{'axial' if series.axial else 'other than axial'} planes, {series.num_slices} of them "
        f"{series.spacing_mm[2]:.3g} mm apart, {kernel} kernel {series.kernel or '(not stated)'}"
    )


def sharpness(kernel: str) -> int:
    """0 for a soft convolution kernel, 2 for a sharp one, 1 where its name says neither."""
    name = kernel.upper().strip("+ ")
    first = name.split(" ")[0].strip("+")
    if any(word in name for word in SHARP_KERNELS) or first in PHILIPS_SHARP:
        return 2
    if any(word in name for word in SOFT_KERNELS) or first in PHILIPS_SOFT:
        return 0
    canon = re.match(r"FC(\d+)", name)
    if canon:
        return 0 if int(canon[1]) <= LAST_SOFT_CANON else 2
    siemens = re.match(r"[A-Z]{1,2}(\d{2})", name)
    if siemens:
        return 0 if int(siemens[1]) <= SHARPEST_SOFT_NUMBER else 2
    return 1

"""Synthetic patients as cases: named by their seed, drawn when they are read.

Their scans differ as scans do: in-plane spacing 0.75 to 1.5 mm, slices 1.5 to 3 mm apart, axes as
NIfTI or as DICOM writers leave them.
"""

from __future__ import annotations

from urllib.parse import parse_qs

import numpy as np

from ..case import Case
from ..errors import InputError
from ..tables.ct_rate import CT_RATE_LABELS
from ..volume import Volume
from .chest import ChestPhantom, make_chest
from .patient import SEED_RANGES
from .prevalence import draw_labels

SLICE_SPACINGS_MM = (1.5, 2.0, 2.5, 3.0)
ORIENTATIONS = ("LPS", "RAS", "LAS")
_SCANNER_STREAM = 11  # a stream of chance that `make_chest` does not draw from


def phantom_cases(split: str, *, num: int, prevalence: float | None = None) -> list[Case]:
    """Labelled synthetic patients of one split.

    Args:
        split: `train`, `validation`, `test` or `example`; no patient is in two of them.
        num: How many.
        prevalence: One share for all labels; that of `PREVALENCE` if None.

    Returns:
        Cases of format `phantom`; their labels in official CT-RATE order.

    Raises:
        InputError: If the split is unknown or has fewer patients than `num`.
    """
    if split not in SEED_RANGES:
        msg = f"split must be one of {', '.join(SEED_RANGES)}, got {split}; use one of them"
        raise InputError(msg)
    seeds = SEED_RANGES[split]
    if not 0 < num <= len(seeds):
        msg = f"num must be from 1 to {len(seeds)} for {split}, got {num}; ask for fewer phantoms"
        raise InputError(msg)
    return [_case(seed, prevalence) for seed in seeds[:num]]


def make_case_phantom(image: str) -> ChestPhantom:
    """The synthetic patient that a case's `image` names, such as `phantom:7?prevalence=0.3`.

    Raises:
        InputError: If `image` is not of that form.
    """
    seed_text, _, query = image.removeprefix("phantom:").partition("?")
    options = parse_qs(query)
    if not seed_text.isdecimal() or options.keys() - {"prevalence"}:
        msg = (
            "image must be phantom:<seed>, with ?prevalence=<share> after it where wanted, "
            f"got {image}; use phantom_cases"
        )
        raise InputError(msg)
    seed = int(seed_text)
    prevalence = float(options["prevalence"][0]) if "prevalence" in options else None
    rng = np.random.default_rng([seed, _SCANNER_STREAM])
    in_plane = float(rng.uniform(0.75, 1.5))
    return make_chest(
        seed=seed,
        spacing_mm=(in_plane, in_plane, float(rng.choice(SLICE_SPACINGS_MM))),
        axcodes=str(rng.choice(ORIENTATIONS)),
        findings=_findings(seed, prevalence),
    )


def read_phantom(image: str) -> Volume:
    """Draw the scan that a case's `image` names."""
    return make_case_phantom(image).volume


def _case(seed: int, prevalence: float | None) -> Case:
    present = _findings(seed, prevalence)
    return Case(
        case_id=f"phantom_{seed}",
        image=f"phantom:{seed}" + ("" if prevalence is None else f"?prevalence={prevalence}"),
        format="phantom",
        patient_id=f"phantom_{seed}",
        label=[float(label in present) for label in CT_RATE_LABELS],
    )


def _findings(seed: int, prevalence: float | None) -> tuple[str, ...]:
    return draw_labels(np.random.default_rng([seed, 0]), prevalence)

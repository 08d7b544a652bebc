"""Synthetic patients as cases: named by their seed, drawn when they are read.

Their scans differ as scans do: in-plane spacing 0.75 to 1.5 mm, slices 1.5 to 3 mm apart, axes as
NIfTI or as DICOM writers leave them.
"""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

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
# Streams of chance that `make_chest` does not draw from.
_SCANNER_STREAM, _TWIN_STREAM = 11, 12


def phantom_cases(
    split: str, *, num: int, prevalence: float | None = None, twins: bool = False
) -> list[Case]:
    """Labelled synthetic patients of one split.

    Args:
        split: `train`, `validation`, `test` or `example`; no patient is in two of them.
        num: How many.
        prevalence: One share for all labels; that of `PREVALENCE` if None.
        twins: Whether every second case is its predecessor's body with other findings, none of
            them shared. A batch that holds both shows what a finding changes and nothing else.

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
    if not twins:
        return [_case(seed, prevalence) for seed in seeds[:num]]
    return [_case(seeds[index // 2], prevalence, twin=index % 2 == 1) for index in range(num)]


def make_case_phantom(image: str) -> ChestPhantom:
    """The synthetic patient that a case's `image` names, such as `phantom:7?prevalence=0.3`.

    Raises:
        InputError: If `image` is not of that form.
    """
    seed_text, _, query = image.removeprefix("phantom:").partition("?")
    options = parse_qs(query)
    if not seed_text.isdecimal() or options.keys() - {"prevalence", "twin"}:
        msg = (
            "image must be phantom:<seed>, with prevalence=<share> and twin=1 after a ?, "
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
        findings=_findings(seed, prevalence, twin="twin" in options),
    )


def read_phantom(image: str) -> Volume:
    """Draw the scan that a case's `image` names."""
    return make_case_phantom(image).volume


def _case(seed: int, prevalence: float | None, *, twin: bool = False) -> Case:
    present = _findings(seed, prevalence, twin=twin)
    options = {"prevalence": prevalence} if prevalence is not None else {}
    query = urlencode({**options, "twin": 1} if twin else options)
    return Case(
        case_id=f"phantom_{seed}_twin" if twin else f"phantom_{seed}",
        image=f"phantom:{seed}?{query}" if query else f"phantom:{seed}",
        format="phantom",
        patient_id=f"phantom_{seed}",
        label=[float(label in present) for label in CT_RATE_LABELS],
    )


def _findings(seed: int, prevalence: float | None, *, twin: bool) -> tuple[str, ...]:
    own = draw_labels(np.random.default_rng([seed, 0]), prevalence)
    if not twin:
        return own
    others = draw_labels(np.random.default_rng([seed, _TWIN_STREAM]), prevalence)
    return tuple(label for label in others if label not in own)

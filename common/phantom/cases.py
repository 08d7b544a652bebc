"""Synthetic patients as cases: named by their seed, drawn when they are read.

Their scans differ as scans do: chests have an in-plane spacing of 0.75 to 1.5 mm, other regions
one of 1.5 to 2 mm; slices are 1.5 to 3 mm apart, axes as NIfTI or as DICOM writers leave them.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import parse_qs, urlencode

import numpy as np

from ..case import Case
from ..errors import InputError
from ..tables.ct_rate import CT_RATE_LABELS
from ..volume import Volume
from .patient import REGIONS, SEED_RANGES
from .phantom import Phantom
from .prevalence import draw_labels
from .torso import make_torso

SLICE_SPACINGS_MM = (1.5, 2.0, 2.5, 3.0)
IN_PLANE_MM = {"chest": (0.75, 1.5), "abdomen": (1.5, 2.0), "torso": (1.5, 2.0)}
ORIENTATIONS = ("LPS", "RAS", "LAS")
_SCANNER_STREAM = 11  # a stream of chance that `make_torso` does not draw from


def phantom_cases(
    split: str, *, num: int, prevalence: float | None = None, region: str = "chest"
) -> list[Case]:
    """Synthetic patients of one split.

    Args:
        split: `train`, `validation`, `test` or `example`; no patient is in two of them.
        num: How many.
        prevalence: One share for all labels; that of `PREVALENCE` if None.
        region: One of `REGIONS`: what is scanned.

    Returns:
        Cases of format `phantom`. Those of the chest have their labels in official CT-RATE order;
        the others have none, their truth is `make_case_phantom(...).organs`.

    Raises:
        InputError: If split or region is unknown or the split has fewer patients than `num`.
    """
    if split not in SEED_RANGES:
        msg = f"split must be one of {', '.join(SEED_RANGES)}, got {split}; use one of them"
        raise InputError(msg)
    if region not in REGIONS:
        msg = f"region must be one of {', '.join(REGIONS)}, got {region}; use one of them"
        raise InputError(msg)
    seeds = SEED_RANGES[split]
    if not 0 < num <= len(seeds):
        msg = f"num must be from 1 to {len(seeds)} for {split}, got {num}; ask for fewer phantoms"
        raise InputError(msg)
    return [_case(seed, prevalence, region) for seed in seeds[:num]]


@lru_cache(maxsize=1)  # whoever reads the scan reads its truth next
def make_case_phantom(image: str) -> Phantom:
    """The synthetic patient that a case's `image` names, such as `phantom:7?region=torso`.

    Its `volume` is the scan and its `organs` are the masks on the same grid. The last one made is
    kept, so whoever asks for it again has it at once. The masks cost a third to a half of what
    drawing the scan costs (at 2 mm 0.4 s on top of 1.0 s, see `torso`), and nothing where they
    are not asked for.

    Args:
        image: `phantom:<seed>`; after a `?`, where wanted, `prevalence=<share>` and
            `region=<one of REGIONS>` (`chest` if left out), with `&` between.

    Raises:
        InputError: If `image` is not of that form.
    """
    seed_text, _, query = image.removeprefix("phantom:").partition("?")
    options = {key: values[-1] for key, values in parse_qs(query).items()}
    region = options.get("region", "chest")
    if not seed_text.isdecimal() or options.keys() - {"prevalence", "region"}:
        msg = (
            "image must be phantom:<seed>, with ?prevalence=<share>&region=<region> after it "
            f"where wanted, got {image}; use phantom_cases"
        )
        raise InputError(msg)
    if region not in REGIONS:
        msg = f"image must name a region of {', '.join(REGIONS)}, got {image}; use phantom_cases"
        raise InputError(msg)
    seed = int(seed_text)
    prevalence = float(options["prevalence"]) if "prevalence" in options else None
    rng = np.random.default_rng([seed, _SCANNER_STREAM])
    in_plane = float(rng.uniform(*IN_PLANE_MM[region]))
    return make_torso(
        seed=seed,
        spacing_mm=(in_plane, in_plane, float(rng.choice(SLICE_SPACINGS_MM))),
        axcodes=str(rng.choice(ORIENTATIONS)),
        region=region,
        findings=_findings(seed, prevalence),
    )


def read_phantom(image: str) -> Volume:
    """Draw the scan that a case's `image` names."""
    return make_case_phantom(image).volume


def _case(seed: int, prevalence: float | None, region: str) -> Case:
    options: dict[str, float | str] = {}
    if prevalence is not None:
        options["prevalence"] = prevalence
    if region != "chest":
        options["region"] = region
    case = Case(
        case_id=f"phantom_{seed}",
        image=f"phantom:{seed}" + (f"?{urlencode(options)}" if options else ""),
        format="phantom",
        patient_id=f"phantom_{seed}",
    )
    if region == "chest":
        present = _findings(seed, prevalence)
        case["label"] = [float(label in present) for label in CT_RATE_LABELS]
    return case


def _findings(seed: int, prevalence: float | None) -> tuple[str, ...]:
    return draw_labels(np.random.default_rng([seed, 0]), prevalence)

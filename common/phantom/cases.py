"""Synthetic patients as cases: named by their seed, drawn when they are read.

Their scans differ as scans do: chests have an in-plane spacing of 0.75 to 1.5 mm, abdomen and torso
one of 1.5 to 2 mm; slices are 1.5 to 3 mm apart, axes as NIfTI or as DICOM writers leave them.
Heads have a field of view of 220 to 250 mm, slices 2.5 to 5 mm apart and now and then a tilted
gantry, all as scanners give them; their in-plane spacing of 1 to 1.5 mm is wider than the 0.4 to
0.5 mm of scanners, so that a case is drawn in about a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

import numpy as np

from ..case import Case
from ..errors import InputError
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..vocabulary.head_findings import HEAD_FINDINGS
from ..volumes.volume import Volume
from .head import HeadPhantom, make_head
from .head.build import draw_head
from .head.make import draw_head_findings
from .make import AnyPhantom
from .organ_boxes import ORGAN_BOXES, cut_organ_box
from .patient import REGIONS, SEED_RANGES, TRUNK_REGIONS
from .phantom import Phantom
from .prevalence import draw_labels
from .torso import make_torso

SLICE_SPACINGS_MM = (1.5, 2.0, 2.5, 3.0)
HEAD_SLICE_SPACINGS_MM = (2.5, 3.0, 4.0, 5.0)
HEAD_FIELD_OF_VIEW_MM = (220.0, 250.0)
IN_PLANE_MM = {
    "chest": (0.75, 1.5),
    "abdomen": (1.5, 2.0),
    "torso": (1.5, 2.0),
    "head": (1.0, 1.5),
}
ORIENTATIONS = ("LPS", "RAS", "LAS")
_SCANNER_STREAM = 11  # a stream of chance that no phantom draws from
_TILTED_SHARE = 0.3
_ORGAN = "&organ="


def phantom_cases(
    split: str, *, num: int, prevalence: float | None = None, region: str = "chest"
) -> list[Case]:
    """Synthetic patients of one split.

    Args:
        split: `train`, `validation`, `test` or `example`; no patient is in two of them.
        num: How many.
        prevalence: One share for all labels; that of `PREVALENCE` if None, for a head that of
            `HEAD_PREVALENCE`, where half of all heads are abnormal.
        region: One of `REGIONS`: what is scanned.

    Returns:
        Cases of format `phantom`. Those of the chest have their labels in official CT-RATE order,
        those of the head in the order of `HEAD_LABELS`, abnormal first; the others have none,
        their truth is `make_case_phantom(...).organs`.

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


def organ_box_cases(split: str, *, num: int) -> list[Case]:
    """Synthetic torsos, each cut into the boxes of eleven organs; see `ORGAN_BOXES`.

    Args:
        split: As of `phantom_cases`.
        num: How many patients; there are eleven cases of each.

    Returns:
        Cases with the patient's `patient_id` and, as label, a 1 for the organ in the order of
        `ORGAN_BOXES`. Those of one patient stand together, so each patient is drawn once.

    Raises:
        InputError: As `phantom_cases`.
    """
    return [
        {
            **case,
            "case_id": f"{case['case_id']}_{organ}",
            "image": f"{case['image']}{_ORGAN}{organ}",
            "label": [float(organ == other) for other in ORGAN_BOXES],
        }
        for case in phantom_cases(split, num=num, region="torso")
        for organ in ORGAN_BOXES
    ]


def region_cases(
    split: str, *, num: int, regions: Sequence[str] = ("chest", "abdomen", "head")
) -> list[Case]:
    """Synthetic patients of several regions in turn, one scan each, without labels.

    Args:
        split: As of `phantom_cases`.
        num: How many in all.
        regions: Of `REGIONS`.

    Returns:
        Cases `phantom_<seed>_<region>`; no two are of one patient.

    Raises:
        InputError: As `phantom_cases`.
    """
    by_region = {region: phantom_cases(split, num=num, region=region) for region in regions}
    turns = [regions[number % len(regions)] for number in range(num)]
    return [
        Case(
            case_id=f"{case['case_id']}_{region}",
            image=case["image"],
            format="phantom",
            patient_id=case["patient_id"],
        )
        for region, case in ((turn, by_region[turn][row]) for row, turn in enumerate(turns))
    ]


def retest_cases(split: str, *, num: int, region: str = "chest") -> list[Case]:
    """Synthetic patients who are each scanned twice: test and retest, side by side.

    The second scan has a grid, a noise and a position on the table of its own.

    Args:
        split: As of `phantom_cases`.
        num: How many patients; there are two cases of each.
        region: One of `TRUNK_REGIONS`.

    Returns:
        Cases `phantom_<seed>_scan1` and `_scan2` with the patient's `patient_id`.

    Raises:
        InputError: As `phantom_cases`, or if the region is the head.
    """
    if region not in TRUNK_REGIONS:
        msg = f"region must be one of {', '.join(TRUNK_REGIONS)}, got {region}; use one of them"
        raise InputError(msg)
    return [
        Case(
            case_id=f"{case['case_id']}_scan{scan + 1}",
            image=case["image"] + (f"{'&' if '?' in case['image'] else '?'}scan={scan}" * scan),
            format="phantom",
            patient_id=case["patient_id"],
        )
        for case in phantom_cases(split, num=num, region=region)
        for scan in (0, 1)
    ]


@lru_cache(maxsize=1)  # whoever reads the scan reads its truth next
def make_case_phantom(image: str) -> AnyPhantom:
    """The synthetic patient that a case's `image` names, such as `phantom:7?region=torso`.

    Its `volume` is the scan and its `organs` are the masks on the same grid. The last one made is
    kept, so whoever asks for it again has it at once. The masks cost a third to a half of what
    drawing the scan costs (at 2 mm 0.4 s on top of 1.0 s, see `torso`), and nothing where they
    are not asked for.

    Args:
        image: `phantom:<seed>`; after a `?`, where wanted, `prevalence=<share>` and
            `region=<one of REGIONS>` (`chest` if left out), with `&` between; `scan=<number>` for
            another scan of the same trunk, see `rescanned`.

    Raises:
        InputError: If `image` is not of that form.
    """
    seed_text, _, query = image.removeprefix("phantom:").partition("?")
    options = {key: values[-1] for key, values in parse_qs(query).items()}
    region = options.get("region", "chest")
    scan = options.get("scan", "0")
    known = {"prevalence", "region", "scan"}
    if not seed_text.isdecimal() or not scan.isdecimal() or options.keys() - known:
        msg = (
            "image must be phantom:<seed>, with ?prevalence=<share>&region=<region>&scan=<number> "
            f"after it where wanted, got {image}; use phantom_cases"
        )
        raise InputError(msg)
    if region not in REGIONS:
        msg = f"image must name a region of {', '.join(REGIONS)}, got {image}; use phantom_cases"
        raise InputError(msg)
    seed = int(seed_text)
    prevalence = float(options["prevalence"]) if "prevalence" in options else None
    if region == "head":
        return _make_case_head(seed, prevalence)
    again = [int(scan)] if int(scan) else []
    rng = np.random.default_rng([seed, _SCANNER_STREAM, *again])
    in_plane = float(rng.uniform(*IN_PLANE_MM[region]))
    return make_torso(
        seed=seed,
        spacing_mm=(in_plane, in_plane, float(rng.choice(SLICE_SPACINGS_MM))),
        axcodes=str(rng.choice(ORIENTATIONS)),
        region=region,
        findings=_findings(seed, prevalence),
        scan=int(scan),
    )


def _make_case_head(seed: int, prevalence: float | None) -> HeadPhantom:
    scan = draw_head_scan(seed)
    in_plane, _, apart = scan.spacing_mm
    head = draw_head(seed)
    bottom, top = head.scan_mm
    columns = round(scan.field_of_view_mm / in_plane)
    return make_head(
        seed=seed,
        spacing_mm=scan.spacing_mm,
        shape=(columns, columns, round((top - bottom) * head.scale[2] / apart)),
        axcodes=scan.axcodes,
        gantry_tilt_deg=scan.gantry_tilt_deg,
        findings=draw_head_findings(seed, prevalence),
    )


class HeadScan(NamedTuple):
    """How a head is scanned.

    Attributes:
        spacing_mm: Voxel size along I, J, K.
        field_of_view_mm: Width and height of a slice.
        axcodes: Where I, J, K run to.
        gantry_tilt_deg: How far the slices lean back; 0 for most.
    """

    spacing_mm: tuple[float, float, float]
    field_of_view_mm: float
    axcodes: str
    gantry_tilt_deg: float


def draw_head_scan(seed: int) -> HeadScan:
    """Draw how the head of one case is scanned. Where the gantry is tilted, it follows the head."""
    rng = np.random.default_rng([seed, _SCANNER_STREAM])
    in_plane = float(rng.uniform(*IN_PLANE_MM["head"]))
    apart = float(rng.choice(HEAD_SLICE_SPACINGS_MM))
    axcodes = str(rng.choice(ORIENTATIONS))
    tilted = rng.random() < _TILTED_SHARE
    tilt = float(np.clip(draw_head(seed).tilt_deg[0] + rng.normal(0, 3), -25, 25))
    field_of_view = float(rng.uniform(*HEAD_FIELD_OF_VIEW_MM))
    return HeadScan((in_plane, in_plane, apart), field_of_view, axcodes, tilt if tilted else 0.0)


def read_phantom(image: str) -> Volume:
    """Draw the scan that a case's `image` names, or the box round its organ where one is named."""
    whole, _, organ = image.partition(_ORGAN)
    phantom = make_case_phantom(whole)
    return (
        cut_organ_box(phantom, organ) if isinstance(phantom, Phantom) and organ else phantom.volume
    )


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
    elif region == "head":
        present = draw_head_findings(seed, prevalence)
        case["label"] = [float(bool(present)), *(float(name in present) for name in HEAD_FINDINGS)]
    return case


def _findings(seed: int, prevalence: float | None) -> tuple[str, ...]:
    return draw_labels(np.random.default_rng([seed, 0]), prevalence)

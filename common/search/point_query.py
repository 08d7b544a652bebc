"""What is looked for: a point in a scan, given in mm, by a 3D Slicer markup, or by a structure.

Shapes: I J K the scan as stored, D H W the network's grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import MetaTensor
from numpy.typing import ArrayLike, NDArray

from ..case import Case
from ..cases.find import find_cases
from ..errors import InputError
from ..phantom.cases import make_case_phantom, phantom_cases
from ..results.case_result import fingerprint
from ..vocabulary.totalsegmentator import STRUCTURES
from ..volumes.inverse import points_to_voxel, points_to_world_mm
from ..volumes.volume import Volume
from .markups import read_markup

PHANTOM_NUMBER = 1
"""Of the example phantoms: the first is what `--input phantom` searches."""


@dataclass(frozen=True)
class PointQuery:
    """A point and the scan it lies in.

    Attributes:
        case: Where the scan is.
        volume: The scan as stored.
        image: `(1, D, H, W)` as the network gets it, with affine.
        point_world_mm: `(3,)`, RAS+.
        given_as: `point`, the markup's label, or the structure's name.
    """

    case: Case
    volume: Volume
    image: MetaTensor
    point_world_mm: NDArray[np.float64]
    given_as: str

    @property
    def point_voxel(self) -> NDArray[np.float64]:
        """`(3,)` on the network's grid, with fraction; 0 is the first voxel's centre."""
        return points_to_voxel(self.point_world_mm, self.image.affine)

    def settings(self) -> dict[str, Any]:
        """What of a query decides the results of a search."""
        return self.facts

    @property
    def facts(self) -> dict[str, Any]:
        """What a result repeats about the query; changes with the scan's file and the point."""
        return {
            "case_id": self.case["case_id"],
            "path": str(self.case["image"]),
            "sha256": fingerprint(case=self.case, weights_sha256="", settings={}),
            "point_world_mm": [round(float(value), 4) for value in self.point_world_mm],
            "given_as": self.given_as,
        }


def read_query(
    *,
    scan: str | Path,
    preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]],
    point_world_mm: Sequence[float] = (),
    markup: str | Path = "",
    structure: str = "heart",
    series: str | int = "ask",
) -> PointQuery:
    """Read the scan that a point is given in, and the point.

    Args:
        scan: `phantom`, a synthetic patient, or one scan as `find_cases` takes it.
        preprocessing: From a case to `volume` and `image`, as for the scans to be searched.
        point_world_mm: World mm, RAS+. Empty where a markup gives it, or the phantom's structure.
        markup: A 3D Slicer file with one point; empty for none.
        structure: Of the phantom: its centre of mass is the point where no other is given.
        series: For DICOM, as `find_cases` takes it.

    Raises:
        InputError: If that is not one scan or not one point, or the point lies outside the scan
            or what the network sees of it.
    """
    case = _one_scan(scan, series)
    point, given_as = _one_point(case, point_world_mm, str(markup), structure)
    data = preprocessing(dict(case))
    volume: Volume = data["volume"]
    volume.wait_until_filled(max(volume.voxels.shape))
    query = PointQuery(case, volume, data["image"], point, given_as)
    _check_inside(query)
    return query


def checked_point(point_world_mm: Sequence[float]) -> NDArray[np.float64]:
    """A point `(3,)` from three numbers of mm.

    Raises:
        InputError: If they are not that.
    """
    try:
        point = np.asarray(point_world_mm, dtype=np.float64)
    except (TypeError, ValueError):
        point = np.empty(0)
    if point.shape != (3,) or not np.isfinite(point).all():
        msg = (
            f"point must be three numbers, world mm in RAS+, got {point_world_mm}; "
            'give it as --point "[x,y,z]"'
        )
        raise InputError(msg)
    return point


def structure_centre(
    labels: NDArray[Any], number: int, affine: ArrayLike
) -> NDArray[np.float64] | None:
    """Centre of mass of a structure, world mm, RAS+, `(3,)`; None where it is not there.

    Args:
        labels: `(I, J, K)` integers.
        number: The structure's.
        affine: `(4, 4)` of their grid.
    """
    inside = np.nonzero(labels == number)
    if not len(inside[0]):
        return None
    return points_to_world_mm(np.array([axis.mean() for axis in inside]), affine)


def _one_scan(scan: str | Path, series: str | int) -> Case:
    if str(scan) == "phantom":
        return phantom_cases("example", num=PHANTOM_NUMBER + 1, region="torso")[PHANTOM_NUMBER]
    cases = find_cases(scan, series=series)
    if len(cases) != 1:
        names = ", ".join(case["case_id"] for case in cases[:5])
        msg = f"query_scan must be one scan, got {len(cases)}: {names}; give one of them"
        raise InputError(msg)
    return cases[0]


def _one_point(
    case: Case, point_world_mm: Sequence[float], markup: str, structure: str
) -> tuple[NDArray[np.float64], str]:
    """The point, and what gave it."""
    given = not isinstance(point_world_mm, list | tuple) or len(point_world_mm) > 0
    if given and markup:
        msg = f"point must be given once, got {point_world_mm} and {markup}; leave one of them out"
        raise InputError(msg)
    if given:
        return checked_point(point_world_mm), "point"
    if markup:
        point, label = read_markup(markup)
        return point, label or "markup"
    if case["format"] != "phantom":
        msg = (
            f"point must be given for a scan, got none for {case['image']}; add "
            '--point "[x,y,z]", world mm in RAS+, or --markup with a 3D Slicer file'
        )
        raise InputError(msg)
    return _phantom_structure(case, structure), structure


def _phantom_structure(case: Case, structure: str) -> NDArray[np.float64]:
    phantom = make_case_phantom(case["image"])
    centre = None
    if structure in STRUCTURES[1:]:
        number = STRUCTURES.index(structure)
        centre = structure_centre(phantom.organs, number, phantom.volume.affine)
    if centre is None:
        present = ", ".join(STRUCTURES[number] for number in np.unique(phantom.organs)[1:])
        msg = f"structure must be one of the phantom's, got {structure!r}; it has {present}"
        raise InputError(msg)
    return centre


def _check_inside(query: PointQuery) -> None:
    """Refuse a point beyond the scan, or beyond the part of it that the network gets."""
    point, volume = query.point_world_mm, query.volume
    shown = ", ".join(f"{value:g}" for value in np.round(point, 2))
    if not _within(points_to_voxel(point, volume.affine), volume.voxels.shape):
        other = point * (-1, -1, 1)
        is_lps = _within(points_to_voxel(other, volume.affine), volume.voxels.shape)
        corners = points_to_world_mm(
            np.array([[0, 0, 0], np.subtract(volume.voxels.shape, 1)], dtype=np.float64),
            volume.affine,
        )
        first, last = (", ".join(f"{value:.0f}" for value in corner) for corner in corners)
        fix = (
            f"it looks like LPS: give [{other[0]:g},{other[1]:g},{other[2]:g}]"
            if is_lps
            else f"its corners are [{first}] and [{last}]"
        )
        msg = f"point must lie in the query scan, world mm in RAS+, got [{shown}]; {fix}"
        raise InputError(msg)
    if not _within(query.point_voxel, query.image.shape[1:]):
        msg = (
            f"point must lie in the body, got [{shown}], which the preset's foreground crop takes "
            "away as air; choose a point within the patient"
        )
        raise InputError(msg)


def _within(point_voxel: NDArray[np.float64], shape: Sequence[int]) -> bool:
    return bool(((point_voxel >= -0.5) & (point_voxel <= np.subtract(shape, 0.5))).all())

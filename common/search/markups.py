"""Points as 3D Slicer's markups files (`.mrk.json`), read and written.

Slicer writes positions in mm, in LPS unless the file says RAS: x and y of the two have opposite
signs. Here every point is world mm, RAS+.

Source: 3D Slicer's markups schema 1.0.3 and its developer guide.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..atomic import write_json
from ..errors import InputError

SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
_TO_RAS: Mapping[str, tuple[float, float, float]] = {
    "LPS": (-1.0, -1.0, 1.0),
    "RAS": (1.0, 1.0, 1.0),
}
_MOST_NAMED = 5


def read_markup(path: str | Path) -> tuple[NDArray[np.float64], str]:
    """The one point of a markups file.

    Points that Slicer keeps but nobody has placed (`positionStatus` other than `defined`) do not
    count.

    Args:
        path: A `.mrk.json` file.

    Returns:
        The point `(3,)`, world mm, RAS+; and its label.

    Raises:
        InputError: If the file is missing or none of Slicer's, its frame or unit is unknown, or
            it does not hold exactly one point.
    """
    path = Path(path).expanduser()
    points = [
        _point(path, markup, point)
        for markup in _markups(path)
        for point in markup.get("controlPoints", [])
        if point.get("positionStatus", "defined") == "defined"
    ]
    if len(points) != 1:
        named = ", ".join(label or "unnamed" for _, label in points[:_MOST_NAMED])
        found = f"{len(points)}: {named}" if points else "none"
        fix = "keep one of them" if points else "place a point in 3D Slicer and save it again"
        msg = f"markup must hold exactly one placed point, got {found} in {path}; {fix}"
        raise InputError(msg)
    return points[0]


def write_markup(path: str | Path, points_world_mm: Mapping[str, ArrayLike]) -> Path:
    """Write points for 3D Slicer, whole or not at all.

    Args:
        path: Ends in `.mrk.json`, by which Slicer knows it.
        points_world_mm: By label: `(3,)` world mm, RAS+. Written in LPS, which is Slicer's own.

    Raises:
        InputError: If the file cannot be written.
    """
    path = Path(path)
    controls = [
        {
            "id": str(number),
            "label": label,
            "position": (np.asarray(point, dtype=np.float64) * _TO_RAS["LPS"]).tolist(),
            "selected": True,
            "locked": False,
            "visibility": True,
            "positionStatus": "defined",
        }
        for number, (label, point) in enumerate(points_world_mm.items(), start=1)
    ]
    markup = {
        "type": "Fiducial",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "controlPoints": controls,
    }
    write_json(path, {"@schema": SCHEMA, "markups": [markup]})
    return path


def _markups(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"markup must exist, got {path}; check the path"
        raise InputError(msg) from error
    except (OSError, ValueError) as error:
        msg = f"markup must be a 3D Slicer .mrk.json file, got {path} ({error}); save it again"
        raise InputError(msg) from error
    markups = content.get("markups") if isinstance(content, dict) else None
    if not isinstance(markups, list) or not all(isinstance(each, dict) for each in markups):
        msg = f"markup must be a 3D Slicer file with `markups`, got {path} without; save it again"
        raise InputError(msg)
    return markups


def _point(
    path: Path, markup: Mapping[str, Any], point: Mapping[str, Any]
) -> tuple[NDArray[np.float64], str]:
    frame, unit = markup.get("coordinateSystem", "LPS"), markup.get("coordinateUnits", "mm")
    if frame not in _TO_RAS or unit != "mm":
        msg = f"markup must be in mm of LPS or RAS, got {unit} of {frame} in {path}; export it so"
        raise InputError(msg)
    try:
        position = np.asarray(point.get("position"), dtype=np.float64)
    except (TypeError, ValueError):
        position = np.empty(0)
    if position.shape != (3,) or not np.isfinite(position).all():
        msg = (
            f"markup must give three numbers of mm, got {point.get('position')} in {path}; mend it"
        )
        raise InputError(msg)
    return position * _TO_RAS[frame], str(point.get("label", ""))

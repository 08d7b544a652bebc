"""Which folder the running bundle lies in, from whatever folder it is run."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def find_bundle_root(name: str) -> str:
    """Find the folder with a bundle's `configs` and `models`.

    A packed bundle holds this very code, and is found by it. In the repository it is the folder
    whose config MONAI runs (`sys.path[1]` while it runs), the working directory if that is the
    bundle, or the one of that name beside this code.

    Args:
        name: What `configs/metadata.json` calls the `bundle`. Another bundle that was run before,
            in the same process, is not mistaken for it.

    Returns:
        The first folder whose metadata says so; the last, in the repository, if none does.
    """
    above = Path(__file__).resolve().parents[2]
    places = [above, Path(sys.path[1]), Path(), above / "bundles" / name]
    return str(next((place for place in places if _is_bundle(place, name)), places[-1]))


def _is_bundle(place: Path, name: str) -> bool:
    try:
        metadata = json.loads((place / "configs" / "metadata.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(metadata, dict) and metadata.get("bundle") == name

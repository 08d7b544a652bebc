"""Which folder the running bundle lies in, from whatever folder it is run."""

from __future__ import annotations

import sys
from pathlib import Path


def find_bundle_root(name: str) -> str:
    """Find the folder with a bundle's `configs` and `models`.

    A packed bundle holds this very code, and is found by it. In the repository it is the folder
    whose config MONAI runs (`sys.path[1]` while it runs), the working directory if that is the
    bundle, or the one of that name beside this code.

    Args:
        name: Of the bundle's folder.

    Returns:
        The first that holds `configs/metadata.json`; the last if none does.
    """
    above = Path(__file__).resolve().parents[1]
    places = [above, Path(sys.path[1]), Path(), above / "bundles" / name]
    found = (place for place in places if (place / "configs" / "metadata.json").is_file())
    return str(next(found, places[-1]))

"""Bring every bundle's metadata up to pyproject.toml: `python scripts/write_requirements.py`.

Names come from the project's dependencies, versions from what is installed here.
"""

from __future__ import annotations

import sys
from pathlib import Path

from common.bundle.catalog import METADATA, list_bundles
from common.bundle.packing import write_required_versions
from common.errors import InputError


def main() -> None:
    try:
        for bundle in list_bundles():
            write_required_versions(Path(bundle.path) / METADATA)
            print(Path(bundle.path) / METADATA)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

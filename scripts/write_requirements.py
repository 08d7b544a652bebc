"""Bring every bundle's metadata up to pyproject.toml: `python scripts/write_requirements.py`.

Names come from the project's dependencies, versions from what is installed here.
"""

from __future__ import annotations

from common.catalog import BUNDLES, METADATA
from common.packing import write_required_versions


def main() -> None:
    for path in sorted(BUNDLES.glob(f"*/{METADATA}")):
        write_required_versions(path)
        print(path)


if __name__ == "__main__":
    main()

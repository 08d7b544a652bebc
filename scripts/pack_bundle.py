"""Pack a bundle to run anywhere: `python scripts/pack_bundle.py ct_scroll --output_dir dist`.

Makes `<bundle>_v<version>.zip` with the bundle, the code it needs and the chosen weights, for
`python -m monai.bundle download`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from common.bundle.catalog import find_bundle
from common.bundle.packing import pack_bundle
from common.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, such as ct_scroll, or a path")
    parser.add_argument("--weights", choices=("demo", "installed", "none"), default="demo")
    parser.add_argument("--output_dir", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    try:
        root = find_bundle(arguments.bundle)
        path = pack_bundle(root, output_dir=arguments.output_dir, weights=arguments.weights)
    except InputError as error:
        sys.exit(f"error: {error}")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

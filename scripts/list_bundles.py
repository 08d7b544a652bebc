"""List the bundles and their weights: `python scripts/list_bundles.py`, `--json` for programs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from common.bundle.catalog import BundleEntry, list_bundles
from common.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="everything, as a JSON list")
    arguments = parser.parse_args()
    try:
        bundles = list_bundles()
    except InputError as error:
        sys.exit(f"error: {error}")
    if arguments.json:
        print(json.dumps([asdict(bundle) for bundle in bundles], indent=2))
    else:
        print("\n".join(line for bundle in bundles for line in describe(bundle)))


def describe(bundle: BundleEntry) -> list[str]:
    lines = [f"{bundle.name} {bundle.version}: {bundle.task}"]
    for kind, weights in bundle.weights.items():
        used = ", used by default" if kind == bundle.runs_with else ""
        synthetic = ", synthetic" if weights.synthetic else ""
        size = f"{weights.size_mb:.1f} MB" if weights.size_mb else "not installed"
        lines.append(f"  {kind:10} {weights.name}: {size}{synthetic}{used}")
    return lines


if __name__ == "__main__":
    main()

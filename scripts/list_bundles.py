"""List the bundles, their weights and how to run them: `python scripts/list_bundles.py`.

The name of one bundle lists its stages, `--json` everything for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from common.bundle.catalog import BundleEntry, find_bundle, list_bundles
from common.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", nargs="?", help="folder name under bundles/, such as ct_scroll")
    parser.add_argument("--json", action="store_true", help="everything, as a JSON list")
    arguments = parser.parse_args()
    try:
        bundles = list_bundles()
        if arguments.bundle:
            path = str(find_bundle(arguments.bundle))
            bundles = [bundle for bundle in bundles if bundle.path == path]
    except InputError as error:
        sys.exit(f"error: {error}")
    if arguments.json:
        print(json.dumps([asdict(bundle) for bundle in bundles], indent=2))
    else:
        lines = [line for bundle in bundles for line in describe(bundle, arguments.bundle)]
        print("\n".join(lines))


def describe(bundle: BundleEntry, asked: str | None = None) -> list[str]:
    """A bundle in lines; its stages where it was asked for by name."""
    lines = [f"{bundle.name} {bundle.version}: {bundle.task}"]
    for kind, weights in bundle.weights.items():
        used = ", used by default" if kind == bundle.runs_with else ""
        synthetic = ", synthetic" if weights.synthetic else ""
        size = f"{weights.size_mb:.1f} MB" if weights.size_mb else "not installed"
        lines.append(f"  {kind:10} {weights.name}: {size}{synthetic}{used}")
    folder = Path(bundle.path)
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    for name, stage in bundle.stages.items():
        if asked or name == "inference":
            lines += [f"  {name}: {stage.about}", f"    {stage.command(shown)}"]
    if not asked:
        others = [name for name in bundle.stages if name != "inference"]
        lines.append(f"  also: {', '.join(others)}")
    return lines


if __name__ == "__main__":
    main()

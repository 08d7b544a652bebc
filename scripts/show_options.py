"""Show what can be set on a command line: `python scripts/show_options.py ct_scroll`.

Configs that are laid over `inference.json` follow: `show_options.py ct_scroll train head_only`.
Each option with its default and what it means; `--json` for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from common.bundle.catalog import find_bundle
from common.bundle.options import Option, list_options
from common.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, such as ct_scroll, or a path")
    parser.add_argument("stages", nargs="*", help="configs laid over it, such as train")
    parser.add_argument("--json", action="store_true", help="as a JSON list")
    arguments = parser.parse_args()
    try:
        options = list_options(find_bundle(arguments.bundle), arguments.stages)
    except InputError as error:
        sys.exit(f"error: {error}")
    if arguments.json:
        print(json.dumps([asdict(option) for option in options], indent=2))
    else:
        print("\n".join(describe(option) for option in options))


def describe(option: Option) -> str:
    default = option.default if isinstance(option.default, str) else json.dumps(option.default)
    if isinstance(option.default, dict) and option.default:
        default = "(made by the config)"
    return f"--{option.name} {default or '(empty)'}\n    {option.meaning}"


if __name__ == "__main__":
    main()

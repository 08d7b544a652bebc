"""Install a bundle's published weights: `python scripts/fetch_weights.py ct_scroll`.

They are downloaded from where `large_files.yml` says, checked, brought into the bundle's own layout
and written to `models/model.pt` with their card and whatever else belongs to them; `--weights auto`
then runs with them. Where several weights are published, `--source NAME` picks one; the first is
the default. A checkpoint that you have already is installed with `--from FILE`, or `--from FOLDER`
with all that belongs to it, whatever wrapped the network when it was saved; what was done to it is
said, and stands in the card's `origin`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from common.bundle.catalog import find_bundle
from common.errors import InputError
from common.weights.published import fetch_weights, install_weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, such as ct_scroll, or a path")
    parser.add_argument("--source", default="", help="which of the weights in large_files.yml")
    parser.add_argument(
        "--from", dest="checkpoint", type=Path, help="a published checkpoint, or its folder"
    )
    parser.add_argument("--thresholds", type=Path, help="with --from: the published thresholds")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    logging.getLogger("common").setLevel(logging.INFO)
    try:
        root = find_bundle(arguments.bundle)
        if arguments.checkpoint is None:
            card = fetch_weights(root, source=arguments.source)
        else:
            card = install_weights(
                root,
                arguments.checkpoint,
                source=arguments.source,
                thresholds=arguments.thresholds,
            )
    except InputError as error:
        sys.exit(f"error: {error}")
    print(f"{card.path}: {card.name}, sha256 {card.sha256}")
    for path in card.files_beside:
        print(f"{card.path.parent / path}")


if __name__ == "__main__":
    main()

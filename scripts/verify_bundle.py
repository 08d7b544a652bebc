"""Check a bundle as the MONAI model zoo would: `python scripts/verify_bundle.py ct_scroll`.

It is packed, unpacked elsewhere and tried there: files, metadata, configs, shapes, TorchScript and
ONNX exports. Give a zip instead of a name to check one that is packed already. Exits with 1 if
anything fails. Needs `pip install -e '.[export]'`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from pathlib import Path

from common.bundle.catalog import find_bundle
from common.bundle.checks import check_bundle
from common.bundle.packing import pack_bundle
from common.errors import InputError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", help="folder name under bundles/, a path, or a packed zip")
    parser.add_argument("--weights", choices=("demo", "installed"), default="demo")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    try:
        with tempfile.TemporaryDirectory() as temporary:
            archive = Path(arguments.bundle)
            if archive.suffix != ".zip":
                root = find_bundle(arguments.bundle)
                archive = pack_bundle(root, output_dir=Path(temporary), weights=arguments.weights)
            failed = verify(archive)
    except InputError as error:
        sys.exit(f"error: {error}")
    sys.exit(failed)


def verify(archive: Path) -> int:
    """Print a line per check; 1 if any failed."""
    failed = 0
    for check in check_bundle(archive):
        print(f"{'ok  ' if check.passed else 'FAIL'} {check.name:12} {check.found}", flush=True)
        failed |= not check.passed
    return failed


if __name__ == "__main__":
    main()

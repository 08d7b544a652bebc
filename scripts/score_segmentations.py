"""Score a folder of segmentations against a folder of truth, structure by structure.

python scripts/score_segmentations.py PREDICTIONS TRUTH --label_version v2 --output_dir scores
python scripts/score_segmentations.py PREDICTIONS TRUTH --label_names names.json

Per case either folder holds <case>.nii.gz, <case>/segmentation.nii.gz as the bundles write it, or
<case>/segmentations/<structure>.nii.gz as TotalSegmentator does.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from common.csv_table import read_text
from common.errors import InputError
from common.evaluation.segmentation import score_folders, write_scores
from common.metrics.segmentation import TOLERANCE_MM


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    versions = ("v1", "v2")
    parser.add_argument("predictions", help="folder of segmentations")
    parser.add_argument("truth", help="folder of truth, cases named alike")
    parser.add_argument("--output_dir", default="scores", help="folder to write to")
    parser.add_argument("--label_version", choices=versions, default="", help="of both")
    parser.add_argument("--truth_version", choices=versions, default="", help="if not the same")
    parser.add_argument("--label_names", help="JSON: names by number, for other data")
    parser.add_argument("--classes", default="", help="only these, with commas between")
    parser.add_argument("--tolerance_mm", type=float, default=TOLERANCE_MM, help="surface Dice")
    parser.add_argument("--num_bootstrap", type=int, default=1000, help="0 for no intervals")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--num_workers", type=int, default=1, help="cases at the same time")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        scores = score_folders(
            options.predictions,
            options.truth,
            label_version=options.label_version,
            label_names=read_label_names(options.label_names) if options.label_names else (),
            truth_version=options.truth_version,
            classes=[name.strip() for name in options.classes.split(",") if name.strip()],
            tolerance_mm=options.tolerance_mm,
            num_bootstrap=options.num_bootstrap,
            seed=options.seed,
            num_workers=options.num_workers,
        )
        write_scores(options.output_dir, scores)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def read_label_names(path: str) -> dict[str, str] | list[str]:
    try:
        names = json.loads(read_text(Path(path)))
    except json.JSONDecodeError as error:
        msg = f"{path} must be JSON, got {error}; correct the file"
        raise InputError(msg) from error
    if not isinstance(names, dict | list):
        msg = f'{path} must hold names by number such as {{"1": "liver"}}, got something else'
        raise InputError(msg)
    return names


if __name__ == "__main__":
    sys.exit(main())

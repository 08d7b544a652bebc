"""Write synthetic CTs with their truth: NIfTI, DICOM, tables in CT-RATE's form, organ masks.

Heads come with one plain table, labels.csv, that has a column Abnormal and one per finding.

python scripts/make_phantom.py OUTPUT_DIR --num 5 --seed 0 --format both
python scripts/make_phantom.py OUTPUT_DIR --findings "Lung nodule, Cardiomegaly"
python scripts/make_phantom.py OUTPUT_DIR --region torso --organs --spacing_mm 1.5 1.5 1.5
python scripts/make_phantom.py OUTPUT_DIR --region head --num 20 --format dicom
python scripts/make_phantom.py --time
"""

from __future__ import annotations

import argparse
import sys

from common.errors import InputError
from common.phantom.export import FORMATS, write_collection
from common.phantom.patient import REGIONS
from common.phantom.timing import print_times


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output_dir", nargs="?", help="folder to write to")
    parser.add_argument("--num", type=int, default=5, help="number of patients")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first patient")
    parser.add_argument("--split", default="train", help="train or valid, for the names")
    parser.add_argument("--format", default="nifti", help=" or ".join(FORMATS))
    parser.add_argument(
        "--spacing_mm", type=float, nargs=3, metavar=("I", "J", "K"),
        help="voxel size; 0.8 0.8 1.5, or 0.8 0.8 2.5 for heads",
    )  # fmt: skip
    parser.add_argument("--axcodes", default="LPS", help="where the axes run to")
    parser.add_argument("--region", default="chest", help=" or ".join(REGIONS))
    parser.add_argument(
        "--organs",
        action="store_true",
        help="also write TotalSegmentator v2 ids beside each scan, and lesions of heads",
    )
    parser.add_argument("--findings", help="label names with commas between, or none")
    parser.add_argument("--prevalence", type=float, help="one share for all labels")
    parser.add_argument("--time", action="store_true", help="print how long phantoms take")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    if options.time:
        print_times()
        return 0
    try:
        if options.output_dir is None:
            msg = "output_dir must be given, got nothing; name the folder to write to"
            raise InputError(msg)
        names = None
        if options.findings is not None:
            given = (name.strip() for name in options.findings.split(","))
            names = [name for name in given if name and name.lower() != "none"]
        written = write_collection(
            options.output_dir,
            num=options.num,
            seed=options.seed,
            split=options.split,
            file_format=options.format,
            spacing_mm=tuple(options.spacing_mm) if options.spacing_mm else None,
            axcodes=options.axcodes,
            region=options.region,
            organs=options.organs,
            findings=names,
            prevalence=options.prevalence,
        )
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())

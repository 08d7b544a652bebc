"""From a .nii.gz file to the probabilities on disk, as whole processes: ours and plainly.

    python -m benchmarks.end_to_end --rounds 5     # on a quiet machine; --quick to see it work

The plain road reads with nibabel in float64, interpolates the whole volume, and runs the plain
network in fp32. Ours is the bundle's own command. Both use the same random weights of published
size and start from nothing, imports included. Then one, five and twenty cases through the bundle.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.weights.loading import read_tensors, save_weights

from .inference import ours_from_plain, prepare
from .plain_ct_scroll import PlainCTScroll
from .preprocessing import interpolate_whole
from .protocol import (
    REPOSITORY,
    Sample,
    Summary,
    interleave,
    load_note,
    machine,
    markdown,
    ratio,
    read_results,
    spread,
    summarize,
    timed_command,
    write_results,
)

BUNDLE = "bundles/ct_scroll"
CASES = (1, 5, 20)
PUBLISHED_CARD = REPOSITORY / BUNDLE / "models" / "published.json"
OPTIONS = {
    "ours_fp32": ("--precision", "fp32", "--relevance", "False", "--figures", "False"),
    "ours_bf16": ("--precision", "bf16", "--relevance", "False", "--figures", "False"),
    "ours_bf16_openvino": (
        *("--precision", "bf16", "--backend", "openvino"),
        *("--relevance", "False", "--figures", "False"),
    ),
    "ours_default": (),
}
NAMES = {
    "plain": "nibabel, interpolate, plain network fp32",
    "ours_fp32": "bundle, fp32, probabilities only",
    "ours_bf16": "bundle, bf16, probabilities only",
    "ours_bf16_openvino": "bundle, bf16 OpenVINO, probabilities only",
    "ours_default": "bundle as it comes: relevance, figure",
}


def plain_road(folder: Path) -> None:
    """Read, preprocess, classify and write, plainly."""
    network = PlainCTScroll().eval()
    network.load_state_dict(read_tensors(folder / "weights.pt"))
    volume = interpolate_whole(np.float64)(str(folder / "scan.nii.gz"))
    with torch.no_grad():
        probabilities = network(volume[None]).sigmoid()[0].tolist()
    (folder / "plain.json").write_text(json.dumps(probabilities))


def bundle_command(folder: Path, card: Path, output: Path, *options: str) -> list[str]:
    """The bundle's own command on all scans of a folder."""
    config = f"{BUNDLE}/configs/inference.json"
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
    command += ["--config_file", config, "--input", str(folder), "--output_dir", str(output)]
    return [*command, "--weights", str(card), *options]


def series(rounds: int, quick: bool) -> dict[str, Any]:
    """Both roads, interleaved, then growth with cases."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, quick)
        plain = PlainCTScroll()
        plain.load_state_dict(read_tensors(folder / "weights.pt"))
        content = json.loads(PUBLISHED_CARD.read_text())
        card = save_weights(ours_from_plain(plain), content, folder / "card.json").path
        scan = folder / "scan.nii.gz"
        inputs = {}
        for cases in CASES[: 2 if quick else None]:
            inputs[cases] = folder / f"cases_{cases}"
            inputs[cases].mkdir()
            for number in range(cases):
                (inputs[cases] / f"case_{number}.nii.gz").hardlink_to(scan)

        def run(variant: str, number: int, cases: int = 1) -> Sample:
            if variant == "plain":
                module = (sys.executable, "-W", "ignore", "-m", "benchmarks.end_to_end")
                return timed_command([*module, "--plain", str(folder)])
            output = folder / f"out_{variant}_{cases}_{number}"
            options = OPTIONS[variant]
            return timed_command(bundle_command(inputs[cases], card, output, *options))

        samples = interleave(NAMES, rounds, run)
        grown: dict[int, list[Sample]] = {1: samples["ours_default"]}
        for number_of_cases in list(inputs)[1:]:
            several = partial(run, cases=number_of_cases)
            rows = interleave(["ours_default"], rounds, several)["ours_default"]
            grown[number_of_cases] = rows
    return {
        "machine": machine("openvino", "nibabel", "isal"),
        "rounds": rounds,
        "median_min_max": {name: summarize(rows) for name, rows in samples.items()},
        "growth_with_cases": {str(cases): summarize(rows) for cases, rows in grown.items()},
        "samples": samples,
    }


def table(record: dict[str, Any]) -> str:
    """The record as README.md holds it."""
    summary: dict[str, Summary] = record["median_min_max"]
    plain = summary["plain"]
    rows = [
        [
            NAMES[name],
            spread(row, "wall_s", 1),
            spread(row, "cpu_s", 1),
            f"{ratio(row, plain, 'wall_s'):.1f}, {ratio(row, plain):.1f}",
            f"{row['peak_mb'][0]:.0f}",
        ]
        for name, row in summary.items()
    ]
    header = ["file to result", "wall s", "CPU s", "x plain wall, CPU", "whole process MB"]
    grown_rows: dict[str, Summary] = record["growth_with_cases"]
    lines = []
    for cases, row in grown_rows.items():
        per_case = f"{row['wall_s'][0] / int(cases):.1f}"
        lines.append([cases, spread(row, "wall_s", 1), per_case, f"{row['peak_mb'][0]:.0f}"])
    growth = markdown(["cases", "wall s", "wall s per case", "largest process MB"], lines)
    note = load_note([*summary.values(), *grown_rows.values()])
    return f"{markdown(header, rows)}\n\n{growth}\n\n{note}"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tiny scan, two numbers of cases")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.plain:
        plain_road(arguments.plain)
    elif arguments.table:
        print(table(read_results("end_to_end")))
    else:
        record = series(arguments.rounds, arguments.quick)
        write_results("end_to_end", record, quick=arguments.quick)
        print(table(record))


if __name__ == "__main__":
    main()

"""CT-FM's whole-body segmenter: streaming against MONAI's sliding window, interleaved.

    python -m benchmarks.wholebody --rounds 3      # on a quiet machine; --quick to see it work
    python -m benchmarks.wholebody --parts scan    # one series anew, the others stay as recorded

Three series, every sample a fresh process:

* `window`: one window of 96 x 160 x 160 through the published architecture (87.2 million weights,
  118 classes), after a small call that compiles: plain, with the cheap fix, and ours.
* `stitch`: whole scans of 240 x 240 at 1.5 mm, by length and by number of classes, through a
  network that costs next to nothing, one convolution to 32 features and a 1 x 1 x 1 convolution to
  the classes: what blending and choosing labels costs in time and memory, beside any network.
  MONAI's way is measured where it fits into memory; its need is stated where it does not.
* `scan`: whole scans, 118 classes, through the published architecture, ours alone: a chest and
  abdomen of 1.5 mm, windows overlapping by half, and 512 x 512 x 600 as stored, by a quarter (the
  plain way would take hours and 74 GB): seconds and memory beyond the weights and the scan. The
  plain way's logits alone stand beside it.

Weights are random, from a seed. Labels of both ways are compared voxel by voxel in `stitch`.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import SegResNetDS
from torch import Tensor, nn

from common.inferers.streaming import StreamingInferer

from .forwards import FORWARD_NAMES, FORWARDS, SLOW_TO_START
from .protocol import (
    Sample,
    beside,
    fresh_process,
    interleave,
    load_note,
    machine,
    markdown,
    read_results,
    spread,
    summarize,
    timed,
    write_results,
)

ROI = (96, 160, 160)
OVERLAP = 0.5
CLASSES = 118
STITCHED = ((150, CLASSES), (300, CLASSES), (300, 24), (600, CLASSES))  # rows, classes
STITCHING = ("streaming", "monai")
SCANNED = {
    "300 x 240 x 240, overlap 0.5": ((300, 240, 240), 0.5),
    "600 x 512 x 512, overlap 0.25": ((600, 512, 512), 0.25),
}
FITS_GB = 10.0  # of MONAI's logits and their argmax, on the machine of the record
MODULE = "benchmarks.wholebody"
Call = Callable[[], Any]
Series = tuple[dict[str, list[Sample]], dict[str, Any]]


def published(init_filters: int = 32) -> SegResNetDS:
    """The published architecture with random weights and statistics of batch norm."""
    torch.manual_seed(0)
    network = SegResNetDS(
        spatial_dims=3, in_channels=1, out_channels=CLASSES, init_filters=init_filters,
        blocks_down=(1, 2, 2, 4, 4), dsdepth=4,
    )  # fmt: skip
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d) and module.running_mean is not None:
            assert module.running_var is not None
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def light(num_classes: int) -> nn.Sequential:
    """32 features and a linear head; nearly all of the time goes into what comes after."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(1, 32, 1), nn.ReLU(), nn.Conv3d(32, num_classes, 1)).eval()


def noise(*size: int) -> Tensor:
    """A scan `(1, 1, *size)` from a seed."""
    return torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(1))


NAMES = FORWARD_NAMES | {
    "monai": "MONAI's sliding window and argmax",
    "streaming": "ours, streaming",
}


def logits_gb(size: tuple[int, ...], num_classes: int) -> float:
    """What the blended logits of a scan alone take in fp32."""
    return math.prod(size) * num_classes * 4 / 1e9


# ---------------------------------------------------------------- one measurement


@torch.inference_mode()
def measure_window(name: str, quick: bool) -> Sample:
    """One window, the second of its size: compiling comes with the first."""
    forward = FORWARDS[name](published(init_filters=4 if quick else 32))
    window = noise(*([32] * 3 if quick else ROI))
    if name.endswith(SLOW_TO_START):
        forward(window)
    logits, sample = timed(lambda: forward(window))
    kept = logits[0, :, ::8, ::8, ::8].double()
    return sample | {"logits": kept.flatten().tolist()}


@torch.inference_mode()
def measure_stitch(name: str, rows: int, num_classes: int, folder: Path) -> Sample:
    """A whole scan through a network that costs nothing; its labels are left in the folder."""
    network, image = light(num_classes), noise(rows, 240, 240)
    inferer = StreamingInferer(roi_size=ROI, overlap=OVERLAP, precision="fp32", progress=False)
    kept: list[Tensor] = []

    def monai() -> Tensor:
        logits = sliding_window_inference(
            image, ROI, 1, network, overlap=OVERLAP, mode="gaussian"
        )  # fmt: skip
        kept.append(logits)
        labels: Tensor = logits.argmax(dim=1).to(torch.uint8)
        return labels

    calls: dict[str, Call] = {
        "streaming": lambda: inferer(image, network)["labels"],
        "monai": monai,
    }
    labels, sample = timed(calls[name])
    np.save(folder / f"{name}_{rows}_{num_classes}.npy", labels.numpy())
    for logits in kept:
        best = torch.cat(
            [row.topk(2, dim=1).values for row in torch.split(logits, 1, dim=2)], dim=2
        )
        np.save(folder / f"margin_{rows}_{num_classes}.npy", (best[:, 0] - best[:, 1]).numpy())
    return sample


def measure_scan(name: str, quick: bool) -> Sample:
    """A whole scan through the published architecture, ours alone."""
    network = published(init_filters=4 if quick else 32)
    size, overlap = SCANNED[name]
    image = noise(*([48] * 3 if quick else size))
    inferer = StreamingInferer(
        roi_size=[32] * 3 if quick else ROI, overlap=overlap, precision="auto", progress=False
    )
    inferer(noise(16, 16, 16) if quick else noise(*ROI), network)  # folds
    found, sample = timed(lambda: inferer(image, network))
    return sample | {"num_windows": found["num_windows"]}


# ---------------------------------------------------------------- the series


def window_series(rounds: int, quick: bool) -> Series:
    """One window, each way."""
    flags = ["--quick"] if quick else []
    names = [name for name in FORWARDS if not (quick and name.endswith(SLOW_TO_START))]
    window = interleave(
        names, rounds, lambda name, _: fresh_process(MODULE, "--window", name, *flags)
    )
    wanted = np.array(window["plain_fp32"][0]["logits"])
    for rows in window.values():
        for sample in rows:
            error = np.abs(np.array(sample.pop("logits")) - wanted).max()
            sample["relative_error"] = float(error / np.abs(wanted).max())
    return window, {}


def stitch_series(rounds: int, quick: bool) -> Series:
    """Whole scans through a network that costs nothing, by length and classes."""
    found: dict[str, list[Sample]] = {}
    different: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for num_rows, classes in ((24, 8),) if quick else STITCHED:
            key = f"{num_rows} rows, {classes} classes"
            ways = ["streaming"] + ["monai"] * (
                2 * logits_gb((num_rows, 240, 240), classes) < FITS_GB
            )
            size = ("--rows", num_rows, "--classes", classes, "--folder", temporary)
            samples = interleave(ways, rounds, partial(_stitch, size))
            found |= {f"{key}, {way}": rows for way, rows in samples.items()}
            if len(ways) == 2:
                streamed, plain, margin = (
                    np.load(Path(temporary) / f"{name}_{num_rows}_{classes}.npy")
                    for name in (*ways, "margin")
                )
                other = (streamed != plain)[0]
                different[key] = {
                    "voxels": int(other.sum()),
                    "largest_margin": float(margin[0][other].max(initial=0)),
                }
    return found, {"another_label": different}


def scan_series(_rounds: int, quick: bool) -> Series:
    """Whole scans through the published architecture, once each."""
    flags = ["--quick"] if quick else []
    names = list(SCANNED)[:1] if quick else list(SCANNED)
    return interleave(
        names, 1, lambda name, _: fresh_process(MODULE, "--scan", name, *flags)
    ), {}  # fmt: skip


PARTS = {"window": window_series, "stitch": stitch_series, "scan": scan_series}


def _stitch(size: tuple[object, ...], way: str, _number: int) -> Sample:
    return fresh_process(MODULE, "--stitch", way, *size)


def measure(
    parts: Sequence[str], rounds: int, quick: bool, earlier: dict[str, Any]
) -> dict[str, Any]:
    """The record: of `parts` anew, of the others as it was."""
    samples: dict[str, list[Sample]] = dict(earlier.get("samples", {}))
    record = earlier | {"machine": machine("openvino") | {"threads": torch.get_num_threads()}}
    for part in parts:
        found, extra = PARTS[part](rounds, quick)
        samples = {key: rows for key, rows in samples.items() if not key.startswith(f"{part}, ")}
        samples |= {f"{part}, {name}": rows for name, rows in found.items()}
        record |= extra
    summaries = {name: summarize(rows) for name, rows in samples.items()}
    return record | {"rounds": rounds, "median_min_max": summaries, "samples": samples}


def table(record: dict[str, Any]) -> str:
    """The record as README.md holds it."""
    window, stitch, scan = (
        {
            name.removeprefix(f"{part}, "): row
            for name, row in record["median_min_max"].items()
            if name.startswith(f"{part}, ")
        }
        for part in PARTS
    )
    parts = [
        beside(
            "one window", window, NAMES, plain="plain_fp32", cheap="plain_autocast",
            more={"largest error, relative": lambda row: f"{row['relative_error'][2]:.1e}"},
        )
    ]  # fmt: skip
    rows = []
    for num_rows, classes in STITCHED:
        key = f"{num_rows} rows, {classes} classes"
        ways = {way: stitch[f"{key}, {way}"] for way in STITCHING if f"{key}, {way}" in stitch}
        rows += [
            [key, NAMES[way], spread(row, "wall_s"), f"{row['peak_mb'][0]:.0f}"]
            for way, row in ways.items()
        ]
        if "monai" not in ways:
            need_mb = logits_gb((num_rows, 240, 240), classes) * 1e9 / 2**20
            rows.append([key, "MONAI's logits alone would take", "", f"{need_mb:.0f}"])
    parts.append(markdown(["stitching", "way", "wall s", "peak MB"], rows))
    labels = "; ".join(
        f"{key}: {found['voxels']}"
        + f", between logits at most {found['largest_margin']:.0e} apart" * bool(found["voxels"])
        for key, found in record["another_label"].items()
    )
    parts.append(f"Voxels with another label than MONAI's: {labels}.")
    rows = [
        [
            name, f"{row['num_windows'][0]:.0f}", f"{row['wall_s'][0]:.0f}",
            f"{row['peak_mb'][0]:.0f}", f"{logits_gb(SCANNED[name][0], CLASSES) * 1e9 / 2**20:.0f}",
        ]
        for name, row in scan.items()
    ]  # fmt: skip
    header = ["whole scan, ours, bf16, eager", "windows", "wall s"]
    header += ["peak MB beyond weights and scan", "MONAI's logits alone, MB"]
    parts.append(markdown(header, rows))
    parts.append(load_note(record["median_min_max"].values()))
    return "\n\n".join(parts)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it works")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    for option in ("--window", "--stitch", "--scan"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--classes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table:
        print(table(read_results("wholebody")))
    elif given.window:
        print(json.dumps(measure_window(given.window, given.quick)))
    elif given.stitch:
        sample = measure_stitch(given.stitch, given.rows, given.classes, given.folder)
        print(json.dumps(sample))
    elif given.scan:
        print(json.dumps(measure_scan(given.scan, given.quick)))
    else:
        earlier = {} if set(given.parts) == set(PARTS) else read_results("wholebody")
        record = measure(given.parts, given.rounds, given.quick, earlier)
        write_results("wholebody", record, quick=given.quick)
        if not given.quick:
            print(table(record))


if __name__ == "__main__":
    main()

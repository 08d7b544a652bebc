"""From .nii.gz to network input: our one-pass road against the plain ones, interleaved.

    python -m benchmarks.preprocessing    # about 4 minutes; --rounds 5 on a quiet machine

Each measurement is a fresh process that warms up on a small scan, then reads and preprocesses a
synthetic 512 x 512 x 350 int16 scan to 240 x 480 x 480. Recorded are wall and CPU time, the peak
of resident memory above what was resident before, the load that other programs put on the
machine meanwhile, and the largest difference in HU to float64 trilinear interpolation on the
variant's own grid. The table goes to the screen, all samples to `results/preprocessing.json`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

from .protocol import (
    Sample,
    fresh_process,
    interleave,
    load_note,
    machine,
    markdown,
    ratio,
    read_results,
    spread,
    summarize,
    timed,
    write_results,
)
from .synthetic_scan import SCAN_SPACING_MM, write_scan

SPACING_MM = (1.5, 0.75, 0.75)
SIZE = (240, 480, 480)
WINDOW = (-1000.0, 200.0)
RANGE = (-0.449, 0.551)
SLICES = 350
GROWTH_SLICES = (88, 175, 350, 700)


# ---------------------------------------------------------------- the roads

Road = Callable[[str], Any]


def fused() -> Road:
    """Ours."""
    from common.transforms.preprocessing import ct_preprocessing

    steps = ct_preprocessing(spacing_mm=SPACING_MM, size=SIZE, hu_window=WINDOW, output_range=RANGE)
    return lambda path: steps({"case_id": "a", "image": path, "format": "nifti"})["image"]


def interpolate_whole(dtype: type) -> Road:
    """The CT-CLIP road: whole volume as `dtype`, interpolate, window, crop and pad."""
    import torch
    from torch.nn import functional

    def road(path: str) -> Any:
        image = nib.load(path)
        volume = torch.from_numpy(image.get_fdata(dtype=dtype).transpose(2, 0, 1))
        have = (SCAN_SPACING_MM[2], SCAN_SPACING_MM[0], SCAN_SPACING_MM[1])
        size = [
            int(n * a / b + 1e-4) for n, a, b in zip(volume.shape, have, SPACING_MM, strict=True)
        ]
        volume = functional.interpolate(
            volume[None, None], size=size, mode="trilinear", align_corners=False
        )[0]
        volume = (volume.clip(*WINDOW) - WINDOW[0]) / (WINDOW[1] - WINDOW[0]) + RANGE[0]
        volume = volume.float()
        pads: list[int] = []
        for axis, want in enumerate(SIZE, start=1):
            start = max((volume.shape[axis] - want) // 2, 0)
            volume = volume.narrow(axis, start, min(want, volume.shape[axis]))
            before = (want - volume.shape[axis]) // 2
            pads = [before, want - volume.shape[axis] - before, *pads]
        return functional.pad(volume, pads, value=RANGE[0]).contiguous()

    return road


def monai_chain(lazy: bool) -> Road:
    """MONAI's own transforms, as its bundles write them."""
    from monai.transforms import (
        Compose,
        LoadImaged,
        Orientationd,
        ResizeWithPadOrCropd,
        ScaleIntensityRanged,
        Spacingd,
    )

    steps = Compose(
        [
            LoadImaged("image", image_only=True, ensure_channel_first=True),
            Orientationd("image", axcodes="SLP", labels=None),
            Spacingd("image", pixdim=SPACING_MM, mode="bilinear", padding_mode="border"),
            ScaleIntensityRanged("image", *WINDOW, *RANGE, clip=True),
            ResizeWithPadOrCropd("image", SIZE, mode="constant", value=RANGE[0]),
        ],
        lazy=lazy,
    )
    return lambda path: steps({"image": path})["image"]


def gunzip_only() -> Road:
    """The floor: inflate the file with ISA-L into memory, nothing else."""

    def road(path: str) -> Any:
        with igzip.open(path) as stream:
            return np.frombuffer(stream.read(), dtype=np.uint8)

    return road


ROADS: dict[str, Callable[[], Road]] = {
    "ours": fused,
    "interpolate_float64": lambda: interpolate_whole(np.float64),
    "interpolate_float32": lambda: interpolate_whole(np.float32),
    "monai": lambda: monai_chain(lazy=False),
    "monai_lazy": lambda: monai_chain(lazy=True),
    "gunzip_only": gunzip_only,
}
NAMES = {
    "ours": "ours, one pass",
    "interpolate_float64": "interpolate whole volume (CT-CLIP road)",
    "interpolate_float32": "the same in float32 (one-line fix)",
    "monai": "MONAI chain",
    "monai_lazy": "MONAI lazy chain",
    "gunzip_only": "gunzip alone (ISA-L)",
}


# ---------------------------------------------------------------- one measurement


def measure(name: str, scan: str, small: str, check: bool) -> Sample:
    """Run one road once in this process."""
    road = ROADS[name]()
    road(small)
    result, found = timed(lambda: road(scan))
    if check and name != "gunzip_only":
        errors = largest_errors_hu(np.asarray(result), scan, name.startswith("monai"))
        found["error_hu"], found["padding_error_hu"] = errors
    return found


def _positions(length: int, have: float, want: float, target: int, origin: bool) -> Any:
    """Stored index of each output voxel, NaN in the padding."""
    if origin:
        count = round((length - 1) * have / want) + 1
        at = np.arange(count) * want / have
    else:
        count = int(length * have / want + 1e-4)
        at = (np.arange(count) + 0.5) * length / count - 0.5
    at = at.clip(0, length - 1)
    start, before = max((count - target) // 2, 0), max((target - count) // 2, 0)
    full = np.full(target, np.nan)
    full[before : before + min(count, target)] = at[start : start + target]
    return full


def largest_errors_hu(result: Any, scan: str, origin: bool) -> tuple[float, float]:
    """Largest difference to float64 on the same grid, over every tenth slice.

    Returns:
        Inside the scan, and in the padding, which should be air.
    """
    stored = np.asarray(nib.load(scan).dataobj.get_unscaled())
    have = (SCAN_SPACING_MM[2], SCAN_SPACING_MM[0], SCAN_SPACING_MM[1])
    lengths = (stored.shape[2], stored.shape[0], stored.shape[1])
    planes, rows, columns = (
        _positions(*args, origin) for args in zip(lengths, have, SPACING_MM, SIZE, strict=True)
    )

    def lerp(values: Any, at: Any) -> Any:
        inside = np.nan_to_num(at)
        lower = np.minimum(np.floor(inside).astype(int), len(values) - 2)
        weight = (inside - lower)[:, None]
        return values[lower] * (1 - weight) + values[lower + 1] * weight

    worst = [0.0, 0.0]
    for number in range(5, SIZE[0], 10):
        padding = np.isnan(rows)[:, None] | np.isnan(columns) | np.isnan(planes[number])
        lower = min(int(np.nan_to_num(planes[number])), stored.shape[2] - 2)
        weight = np.nan_to_num(planes[number]) - lower
        plane = stored[..., lower] * (1 - weight) + stored[..., lower + 1] * weight
        wanted = lerp(lerp(plane, rows).T, columns).T.clip(*WINDOW)
        wanted[padding] = WINDOW[0]
        found = (result[0, number].astype(np.float64) - RANGE[0]) * (WINDOW[1] - WINDOW[0])
        error = np.abs(found + WINDOW[0] - wanted)
        for place, part in enumerate((~padding, padding)):
            worst[place] = max(worst[place], float(error[part].max(initial=0)))
    return worst[0], worst[1]


# ---------------------------------------------------------------- the series


def run(name: str, scan: Path, small: Path, check: bool = False) -> Sample:
    """One measurement in a fresh process."""
    options = ["--check"] * check
    return fresh_process("benchmarks.preprocessing", "--measure", name, scan, small, *options)


def table(record: dict[str, Any]) -> str:
    """Medians [least-greatest], and how many times the CPU time of ours."""
    rows = []
    summary = record["median_min_max"]
    for name, row in summary.items():
        error = f"{row['error_hu'][2]:.2g}" if "error_hu" in row else ""
        if row.get("padding_error_hu", [0])[-1] > 0.1:
            error += f", padding {row['padding_error_hu'][2]:.0f}"
        times = f"{ratio(summary['ours'], row):.1f}"
        times_and_peak = [spread(row, "wall_s"), spread(row, "cpu_s"), times]
        times_and_peak.append(f"{row['peak_mb'][0]:.0f}")
        rows.append([NAMES[name], *times_and_peak, error])
    header = ["road", "wall s", "CPU s", "CPU, ours = 1", "peak MB", "error HU"]
    grown = [
        [
            NAMES[name],
            str(row["slices"]),
            f"{row['wall_s']:.2f}",
            f"{row['cpu_s']:.2f}",
            f"{row['peak_mb']:.0f}",
        ]
        for name, rows in record["growth_with_slices"].items()
        for row in rows
    ]
    growth = markdown(["road", "slices", "wall s", "CPU s", "peak MB"], grown)
    return f"{markdown(header, rows)}\n\n{growth}\n\n{load_note(summary.values())}"


def series(rounds: int, growth: bool) -> None:
    """All roads, interleaved, then growth with the number of slices."""
    with tempfile.TemporaryDirectory() as folder:
        small, scan = Path(folder, "small.nii.gz"), Path(folder, "scan.nii.gz")
        write_scan(small, (64, 64, 32))
        ratio_of_gzip = write_scan(scan, (512, 512, SLICES))
        samples = interleave(
            ROADS, rounds, lambda name, number: run(name, scan, small, check=number == 0)
        )
        grown: dict[str, list[Sample]] = {"ours": [], "interpolate_float32": []}
        for slices in GROWTH_SLICES if growth else ():
            write_scan(scan, (512, 512, slices))
            for name, rows in grown.items():
                rows.append({"slices": slices, **run(name, scan, small)})
    record = {
        "machine": machine("scipy", "nibabel", "isal"),
        "scan": {"shape": [512, 512, SLICES], "gzip_ratio": ratio_of_gzip},
        "rounds": rounds,
        "median_min_max": {name: summarize(rows) for name, rows in samples.items()},
        "samples": samples,
        "growth_with_slices": grown,
    }
    write_results("preprocessing", record)
    print(table(record))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-growth", action="store_true", help="leave out 88 to 700 slices")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.table:
        print(table(read_results("preprocessing")))
    elif arguments.measure:
        name, scan, small = arguments.measure
        print(json.dumps(measure(name, scan, small, check=arguments.check)))
    else:
        series(arguments.rounds, growth=not arguments.no_growth)


if __name__ == "__main__":
    main()

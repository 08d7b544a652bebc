"""From .nii.gz to network input: our one-pass road against the plain ones, interleaved.

    python benchmarks/preprocessing.py              # about 4 minutes; --rounds 5 on a quiet machine

Each measurement is a fresh process that warms up on a small scan, then reads and preprocesses a
synthetic 512 x 512 x 350 int16 scan to 240 x 480 x 480. Recorded are wall and CPU time, the peak
of resident memory above what was resident before, the load that other programs put on the
machine meanwhile, and the largest difference in HU to float64 trilinear interpolation on the
variant's own grid. The table goes to the screen, all samples to `results/preprocessing.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

SPACING_MM = (1.5, 0.75, 0.75)
SIZE = (240, 480, 480)
WINDOW = (-1000.0, 200.0)
RANGE = (-0.449, 0.551)
SCAN_SPACING_MM = (0.7, 0.7, 1.0)
SLICES = 350
GROWTH_SLICES = (88, 175, 350, 700)
RESULTS = Path(__file__).parent / "results" / "preprocessing.json"


# ---------------------------------------------------------------- the scan


def write_scan(path: Path, shape: tuple[int, int, int]) -> float:
    """A chest-like scan with noise like a real one's; returns bytes per compressed byte."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape[:2]), indexing="ij")
    noise = rng.standard_normal((6, *shape[:2]), dtype=np.float32)
    header = nib.Nifti1Header()
    affine = np.diag([-SCAN_SPACING_MM[0], -SCAN_SPACING_MM[1], SCAN_SPACING_MM[2], 1.0])
    header.set_data_dtype(np.int16)
    header.set_data_shape(shape)
    header.set_sform(affine, code=1)
    header.set_qform(affine, code=1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    with igzip.open(path, "wb", compresslevel=3) as file:
        file.write(header.binaryblock + bytes(4))
        for k in range(shape[2]):
            z = k / shape[2]
            body = (x / 0.85) ** 2 + (y / 0.6) ** 2 < 1
            lungs = ((np.abs(x) - 0.38) / 0.3) ** 2 + ((y + 0.05 * np.sin(9 * z)) / 0.42) ** 2 < 1
            hu = np.where(body, 40 + 60 * np.sin(25 * x + 9 * z) * np.cos(19 * y), -1000.0)
            hu[lungs] = -850 + 90 * np.sin(40 * x[lungs]) * np.cos(33 * y[lungs] + 20 * z)
            hu[(x / 0.08) ** 2 + ((y - 0.4) / 0.1) ** 2 < 1] = 500
            grain = np.roll(noise[k % 6], (37 * k, 101 * k), (0, 1))
            hu += grain * np.where(body, 8, 2)
            file.write(np.round(hu).astype(np.int16).tobytes(order="F"))
    return float(np.prod(shape)) * 2 / path.stat().st_size


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


def _status_mb(key: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def _busy_s() -> float:
    """Seconds all cores together have worked since boot."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def measure(name: str, scan: str, small: str, check: bool) -> dict[str, float]:
    """Run one road once in this process."""
    road = ROADS[name]()
    road(small)
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    resident = _status_mb("VmRSS")
    busy, wall, cpu = _busy_s(), time.perf_counter(), time.process_time()
    result = road(scan)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    found = {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": _status_mb("VmHWM") - resident,
        "other_cores": max(0.0, (_busy_s() - busy - cpu) / wall),
    }
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


def run(name: str, scan: Path, small: Path, check: bool = False) -> dict[str, float]:
    """One measurement in a fresh process."""
    command = [sys.executable, "-W", "ignore", __file__, "--measure", name, str(scan), str(small)]
    done = subprocess.run(
        command + ["--check"] * check, capture_output=True, text=True, check=False
    )
    if done.returncode:
        msg = f"{name} failed:\n{done.stderr}"
        raise SystemExit(msg)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def summarize(samples: list[dict[str, float]]) -> dict[str, list[float]]:
    """Median, least and greatest of each quantity."""
    keys = samples[0].keys()
    columns = {key: [s[key] for s in samples if key in s] for key in keys}
    return {k: [statistics.median(v), min(v), max(v)] for k, v in columns.items()}


def print_table(summary: dict[str, dict[str, list[float]]]) -> None:
    """Medians [least-greatest], and how many times the CPU time of ours."""
    print(f"{'road':42}{'wall s':>20}{'CPU s':>20}{'x CPU':>8}{'peak MB':>9}{'error HU':>20}")
    for name, row in summary.items():
        times = [f"{m:.2f} [{a:.2f}-{b:.2f}]" for m, a, b in (row["wall_s"], row["cpu_s"])]
        ratio = row["cpu_s"][0] / summary["ours"]["cpu_s"][0]
        error = f"{row['error_hu'][2]:.2g}" if "error_hu" in row else ""
        if row.get("padding_error_hu", [0])[-1] > 0.1:
            error += f", padding {row['padding_error_hu'][2]:.0f}"
        print(
            f"{NAMES[name]:42}{times[0]:>20}{times[1]:>20}{ratio:8.1f}{row['peak_mb'][0]:9.0f}"
            f"{error:>20}"
        )


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    cpu = [s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")]
    return {
        "cpu": cpu[0].split(":")[1].strip() if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "monai", "numpy", "scipy", "nibabel", "isal")},
    }


def series(rounds: int, growth: bool) -> None:
    """All roads, interleaved, then growth with the number of slices."""
    with tempfile.TemporaryDirectory() as folder:
        small, scan = Path(folder, "small.nii.gz"), Path(folder, "scan.nii.gz")
        write_scan(small, (64, 64, 32))
        ratio = write_scan(scan, (512, 512, SLICES))
        samples: dict[str, list[dict[str, float]]] = {name: [] for name in ROADS}
        for number in range(rounds):
            for name in ROADS:
                samples[name].append(run(name, scan, small, check=number == 0))
                print(f"round {number + 1}, {name}: {samples[name][-1]}", file=sys.stderr)
        grown: dict[str, list[dict[str, float]]] = {"ours": [], "interpolate_float32": []}
        for slices in GROWTH_SLICES if growth else ():
            write_scan(scan, (512, 512, slices))
            for name, rows in grown.items():
                rows.append({"slices": slices, **run(name, scan, small)})
    summary = {name: summarize(rows) for name, rows in samples.items()}
    print(f"\n512 x 512 x {SLICES} int16, gzip ratio {ratio:.2f}, {rounds} rounds")
    print_table(summary)
    for name, rows in grown.items():
        for row in rows:
            print(
                f"{NAMES[name]:42}{row['slices']:5} slices: {row['wall_s']:.2f} s wall, "
                f"{row['cpu_s']:.2f} s CPU, {row['peak_mb']:.0f} MB"
            )
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        "machine": machine(),
        "scan": {"shape": [512, 512, SLICES], "gzip_ratio": ratio},
        "rounds": rounds,
        "median_min_max": summary,
        "samples": samples,
        "growth_with_slices": grown,
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-growth", action="store_true", help="leave out 88 to 700 slices")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, check=arguments.check)))
    else:
        series(arguments.rounds, growth=not arguments.no_growth)


if __name__ == "__main__":
    main()

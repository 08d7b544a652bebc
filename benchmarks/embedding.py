"""CT-FM's encoder: a scan to its embedding, ours against MONAI's parts put together, interleaved.

    python -m benchmarks.embedding --rounds 3      # on a quiet machine; --quick to see it work
    python -m benchmarks.embedding --parts scan    # one series anew, the others stay as recorded

Two series, every sample a fresh process:

* `window`: one window of 24 x 128 x 128 through the published architecture (77.8 million weights),
  after a small call that compiles: plain, with the cheap fix, and ours.
* `scan`: a `.nii.gz` of 512 x 512 x 364 to one embedding, by the authors' feature script (3 x 1 x 1
  mm, the box of all above 0 HU, windows side by side) written with MONAI's transforms, with the
  cheap fix, and by ours; then by our own preset, which leaves out windows without body.

Weights are random, from a seed. Embeddings are compared with the plain way's by cosine.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.utils import dense_patch_slices
from monai.transforms import (
    Compose,
    CropForegroundd,
    LoadImaged,
    Orientationd,
    ScaleIntensityRanged,
    Spacingd,
)
from torch import Tensor, nn

from common.inferers.embedding import EmbeddingInferer
from common.networks.ct_fm_encoder import CTFMEncoder
from common.transforms.foreground import Foreground
from common.transforms.preprocessing import PreprocessCTd, ReadCTd
from common.weights.card import read_card

from .forwards import FORWARD_NAMES, FORWARDS, ROAD_NAMES, SLOW_TO_START, Forward, autocast
from .protocol import (
    REPOSITORY,
    Sample,
    beside,
    fresh_process,
    interleave,
    load_note,
    machine,
    read_results,
    scans_per_minute,
    summarize,
    timed,
    write_results,
)
from .synthetic_scan import write_scan

CARD = read_card(REPOSITORY / "bundles" / "ct_fm_encoder" / "models" / "published.json")
HOW = CARD.preset("published")
WINDOW, QUICK_WINDOW = tuple(HOW["roi_size"]), (16, 32, 32)
SCAN, QUICK_SCAN, SMALL_SCAN = (512, 512, 364), (96, 96, 64), (128, 128, 48)
MODULE = "benchmarks.embedding"
Embed = Callable[[Path], Tensor]


# ---------------------------------------------------------------- the network


def published(quick: bool) -> CTFMEncoder:
    """The published architecture with random weights."""
    torch.manual_seed(0)
    size = {"init_filters": 4} if quick else {}
    return CTFMEncoder(**(dict(CARD.architecture) | size)).eval()


# ---------------------------------------------------------------- from a file to an embedding


def monai_parts(forward: Forward, window: tuple[int, ...]) -> Embed:
    """The authors' feature script: orient, resample, crop, scale, then window after window."""
    low, high = CARD.preprocessing["hu_window"]
    steps = Compose(
        [
            LoadImaged("image", image_only=True, ensure_channel_first=True),
            Orientationd("image", axcodes=CARD.preprocessing["axcodes"], labels=None),
            Spacingd("image", pixdim=HOW["spacing_mm"], mode="bilinear"),
            CropForegroundd("image", source_key="image", select_fn=lambda hu: hu > 0),
            ScaleIntensityRanged("image", low, high, 0, 1, clip=True),
        ]
    )

    def embed(path: Path) -> Tensor:
        image = steps({"image": path})["image"].as_tensor()[None]
        missing = [max(0, want - have) for want, have in zip(window, image.shape[2:], strict=True)]
        sides = [part for gap in reversed(missing) for part in (gap // 2, gap - gap // 2)]
        image = nn.functional.pad(image, sides)
        places = dense_patch_slices(image.shape[2:], window, window)
        vectors = [forward(image[:, :, *place]).mean(dim=(2, 3, 4)) for place in places]
        return torch.cat(vectors).mean(dim=0)

    return embed


def bundle(
    network: nn.Module, window: tuple[int, ...], *, precision: str, backend: str, preset: str
) -> Embed:
    """The steps of the bundle's inference.json."""
    how, fed = CARD.preset(preset), CARD.preprocessing
    foreground = Foreground(
        above_hu=how["crop_above_hu"], hu_window=fed["hu_window"], output_range=fed["output_range"],
        largest_only=how["body_only"],
    )  # fmt: skip
    steps = Compose(
        [
            ReadCTd("image"),
            PreprocessCTd(
                "image", axcodes=fed["axcodes"], spacing_mm=how["spacing_mm"],
                hu_window=fed["hu_window"], output_range=fed["output_range"], grid=fed["grid"],
            ),
            CropForegroundd("image", source_key="image", select_fn=foreground, allow_smaller=True),
        ]
    )  # fmt: skip
    inferer = EmbeddingInferer(
        roi_size=window, overlap=how["overlap"], pooling=how["pooling"], precision=precision,
        backend=backend, empty_below=foreground.above if how["body_only"] else None, progress=False,
    )  # fmt: skip

    def embed(path: Path) -> Tensor:
        image = steps({"image": str(path), "case_id": path.stem, "format": "nifti"})["image"]
        found: Tensor = inferer(image.as_tensor()[None], network)["embedding"]
        return found[0]

    return embed


ROADS: dict[str, Callable[[nn.Module, tuple[int, ...]], Embed]] = {
    "monai_fp32": monai_parts,
    "monai_autocast": lambda network, window: monai_parts(autocast(network), window),
    "ours_fp32": lambda network, window: bundle(
        network, window, precision="fp32", backend="eager", preset="published"
    ),
    "ours_bf16": lambda network, window: bundle(
        network, window, precision="bf16", backend="eager", preset="published"
    ),
    "ours_openvino": lambda network, window: bundle(
        network, window, precision="bf16", backend="openvino", preset="published"
    ),
    "ours_body": lambda network, window: bundle(
        network, window, precision="bf16", backend="eager", preset="corrected"
    ),
}
NAMES = FORWARD_NAMES | ROAD_NAMES | {"ours_body": "ours, bf16, eager, preset `corrected`"}


# ---------------------------------------------------------------- one measurement


@torch.inference_mode()
def measure_window(name: str, quick: bool) -> Sample:
    """One window, the second of its size: compiling comes with the first."""
    forward = FORWARDS[name](published(quick))
    size = QUICK_WINDOW if quick else WINDOW
    window = torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(1))
    forward(window)
    found, sample = timed(lambda: forward(window))
    return sample | {"embedding": found.double().mean(dim=(2, 3, 4))[0].tolist()}


@torch.inference_mode()
def measure_scan(name: str, quick: bool, folder: Path) -> Sample:
    """A whole scan, after a small one."""
    embed = ROADS[name](published(quick), QUICK_WINDOW if quick else WINDOW)
    embed(folder / "small.nii.gz")
    found, sample = timed(lambda: embed(folder / "scan.nii.gz"))
    return sample | {"embedding": found.double().tolist()}


# ---------------------------------------------------------------- the series


def compare(samples: dict[str, list[Sample]], base: str) -> dict[str, list[Sample]]:
    """Put the cosine to the plain way's embedding in place of the embedding."""
    wanted = np.array(samples[base][0]["embedding"])
    for sample in (sample for rows in samples.values() for sample in rows):
        found = np.array(sample.pop("embedding"))
        sample["one_minus_cosine"] = float(
            1 - found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted)
        )
    return samples


def window_series(rounds: int, quick: bool) -> dict[str, list[Sample]]:
    """One window, each way."""
    flags = ["--quick"] if quick else []
    names = [name for name in FORWARDS if not (quick and name.endswith(SLOW_TO_START))]
    found = interleave(
        names, rounds, lambda name, _: fresh_process(MODULE, "--window", name, *flags)
    )
    return compare(found, "plain_fp32")


def scan_series(rounds: int, quick: bool) -> dict[str, list[Sample]]:
    """A file to an embedding, each way."""
    flags = ["--quick"] if quick else []
    names = [name for name in ROADS if not (quick and name.endswith(SLOW_TO_START))]
    with tempfile.TemporaryDirectory() as folder:
        write_scan(Path(folder) / "scan.nii.gz", QUICK_SCAN if quick else SCAN)
        write_scan(Path(folder) / "small.nii.gz", SMALL_SCAN)
        found = interleave(
            names, rounds,
            lambda name, _: fresh_process(MODULE, "--scan", name, "--folder", folder, *flags),
        )  # fmt: skip
    return compare(found, "monai_fp32")


PARTS = {"window": window_series, "scan": scan_series}


def measure(
    parts: Sequence[str], rounds: int, quick: bool, earlier: dict[str, Any]
) -> dict[str, Any]:
    """The record: of `parts` anew, of the others as it was."""
    samples: dict[str, list[Sample]] = dict(earlier.get("samples", {}))
    for part in parts:
        samples = {key: rows for key, rows in samples.items() if not key.startswith(f"{part}, ")}
        samples |= {f"{part}, {name}": r for name, r in PARTS[part](rounds, quick).items()}
    return {
        "machine": machine("openvino") | {"threads": torch.get_num_threads()},
        "rounds": rounds,
        "median_min_max": {name: summarize(rows) for name, rows in samples.items()},
        "samples": samples,
    }


# ---------------------------------------------------------------- what is read


def table(record: dict[str, Any]) -> str:
    """The record as README.md holds it."""
    rows = record["median_min_max"]
    window, scan = (
        {name.removeprefix(f"{part}, "): rows[name] for name in rows if name.startswith(part)}
        for part in PARTS
    )
    away = {"1 - cosine to plain": lambda row: f"{abs(row['one_minus_cosine'][2]):.0e}"}
    parts = [
        beside(
            "one window", window, NAMES,
            plain="plain_fp32", cheap="plain_autocast", more=away,
        ),
        beside(
            "a .nii.gz to its embedding", scan, NAMES,
            plain="monai_fp32", cheap="monai_autocast",
            more=away | {"scans per minute": scans_per_minute},
        ),
        load_note(rows.values()),
    ]  # fmt: skip
    return "\n\n".join(parts)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it works")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    for option in ("--window", "--scan"):
        parser.add_argument(option, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table:
        print(table(read_results("embedding")))
    elif given.window:
        print(json.dumps(measure_window(given.window, given.quick)))
    elif given.scan:
        print(json.dumps(measure_scan(given.scan, given.quick, given.folder)))
    else:
        earlier = {} if set(given.parts) == set(PARTS) else read_results("embedding")
        record = measure(given.parts, given.rounds, given.quick, earlier)
        write_results("embedding", record, quick=given.quick)
        if not given.quick:
            print(table(record))


if __name__ == "__main__":
    main()

"""CT-FM's head CT triage: a scan to its probability, ours against MONAI's parts, interleaved.

    python -m benchmarks.triage --rounds 3      # on a quiet machine; --quick to see it work

A `.nii.gz` of a drawn head, 389 x 473 x 148 voxels of 0.5 x 0.5 x 1.25 mm, through the published
steps and architecture (77.9 million weights, random from a seed), every sample a fresh process that
has read a small head before. Logits are compared with the plain way's, as a share of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.transforms import (
    CenterSpatialCropd,
    Compose,
    CropForegroundd,
    LoadImaged,
    Orientationd,
    Spacingd,
    SpatialPadd,
)
from torch import Tensor, nn

from common.inferers.whole_scan import WholeScanInferer
from common.networks.ct_fm_triage import CTFMTriage
from common.phantom.export import write_nifti
from common.phantom.head import make_head
from common.weights.card import read_card

from .forwards import ROAD_NAMES, SLOW_TO_START, Forward, autocast
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

BUNDLE = REPOSITORY / "bundles" / "ct_fm_triage"
PUBLISHED = BUNDLE / "models" / "published.json"
CARD = read_card(PUBLISHED)
SPACING_MM, QUICK_SPACING_MM, SMALL_SPACING_MM = (0.5, 0.5, 1.25), (3, 3, 5), (2, 2, 5)
Read = Callable[[Path], Tensor]


def published(quick: bool) -> CTFMTriage:
    """The published architecture with random weights."""
    torch.manual_seed(0)
    size = {"init_filters": 4} if quick else {}
    network = CTFMTriage(**(dict(CARD.architecture) | size)).eval()
    # A bias would hide how far what comes from the scan drifts.
    nn.init.zeros_(network.head[-1].bias)
    return network


def monai_parts(forward: Forward) -> Read:
    """The authors' steps: orient, crop, resample, pad, crop, four windows stacked in depth."""
    fed = CARD.preprocessing
    steps = Compose(
        [
            LoadImaged("image", image_only=True, ensure_channel_first=True),
            Orientationd("image", axcodes=fed["axcodes"], labels=None),
            CropForegroundd("image", source_key="image", select_fn=lambda hu: hu > 0),
            Spacingd("image", pixdim=fed["spacing_mm"], mode="bilinear"),
            SpatialPadd("image", spatial_size=fed["size"], mode="minimum"),
            CenterSpatialCropd("image", roi_size=fed["size"]),
        ]
    )
    windows = fed["hu_windows"].values()

    def read(path: Path) -> Tensor:
        hu = steps({"image": path})["image"].as_tensor()[None]
        copies = [((hu - low) / (high - low)).clamp(0, 1) for low, high in windows]
        return forward(torch.cat(copies, dim=2))

    return read


def bundle(network: nn.Module, precision: str, backend: str) -> Read:
    """The steps and the inferer of the bundle's inference.json."""
    config = ConfigParser(ConfigParser.load_config_file(BUNDLE / "configs" / "inference.json"))
    config.update({"bundle_root": str(BUNDLE), "weights": str(PUBLISHED), "device": "cpu"})
    steps = config.get_parsed_content("preprocessing")
    inferer = WholeScanInferer(device="cpu", precision=precision, backend=backend)

    def read(path: Path) -> Tensor:
        image = steps({"image": str(path), "case_id": path.stem, "format": "nifti"})["image"]
        found: Tensor = inferer(image.as_tensor()[None], network)["logits"]
        return found

    return read


ROADS: dict[str, Callable[[nn.Module], Read]] = {
    "monai_fp32": monai_parts,
    "monai_autocast": lambda network: monai_parts(autocast(network)),
    "ours_fp32": lambda network: bundle(network, "fp32", "eager"),
    "ours_bf16": lambda network: bundle(network, "bf16", "eager"),
    "ours_openvino": lambda network: bundle(network, "bf16", "openvino"),
}


@torch.inference_mode()
def measure_head(name: str, quick: bool, folder: Path) -> Sample:
    """A head from file to logit, after a small one."""
    read = ROADS[name](published(quick))
    read(folder / "small.nii.gz")
    logit, sample = timed(lambda: read(folder / "head.nii.gz"))
    return sample | {"logit": float(logit)}


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """The record: every way, in turns."""
    flags = ["--quick"] if quick else []
    names = [name for name in ROADS if not (quick and name.endswith(SLOW_TO_START))]
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"head": QUICK_SPACING_MM if quick else SPACING_MM, "small": SMALL_SPACING_MM}
        for name, spacing_mm in sizes.items():
            head = make_head(seed=1, spacing_mm=spacing_mm).volume
            write_nifti(head, Path(folder) / f"{name}.nii.gz")
        samples = interleave(
            names, rounds,
            lambda name, _: fresh_process(
                "benchmarks.triage", "--head", name, "--folder", folder, *flags
            ),
        )  # fmt: skip
    wanted = samples["monai_fp32"][0]["logit"]
    for sample in (sample for rows in samples.values() for sample in rows):
        sample["logit_error"] = abs(sample.pop("logit") / wanted - 1)
    return {
        "machine": machine("openvino") | {"threads": torch.get_num_threads()},
        "rounds": rounds,
        "median_min_max": {name: summarize(rows) for name, rows in samples.items()},
        "samples": samples,
    }


def table(record: dict[str, Any]) -> str:
    """The record as README.md holds it."""
    rows = record["median_min_max"]
    whole = beside(
        "a head's .nii.gz to its probability", rows, ROAD_NAMES,
        plain="monai_fp32", cheap="monai_autocast",
        more={
            "logit's share off plain": lambda row: f"{row['logit_error'][2]:.0e}",
            "scans per minute": scans_per_minute,
        },
    )  # fmt: skip
    return f"{whole}\n\n{load_note(rows.values())}"


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: see that it works")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--head", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table:
        print(table(read_results("triage")))
    elif given.head:
        print(json.dumps(measure_head(given.head, given.quick, given.folder)))
    else:
        record = measure(given.rounds, given.quick)
        write_results("triage", record, quick=given.quick)
        if not given.quick:
            print(table(record))


if __name__ == "__main__":
    main()

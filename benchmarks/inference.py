"""CT-Scroll's forward pass: ours against the published network written plainly, interleaved.

    python -m benchmarks.inference --rounds 5      # on a quiet machine; --quick to see it work

One scan of 240 x 480 x 480 (80 slice triplets, none of them empty) goes through the same weights
in every variant, each in a fresh process per round that warms up on one chunk first. Recorded:
wall and CPU time; the peak of resident memory above what was resident before; the same with
preparation (folding, compiling, converting) counted in; what the first call costs more than the
second; the largest difference in logit and probability to the plain network in fp32. Then growth
with slices and chunk, and what relevance costs.

Weights are random, from a seed: batch norm's statistics are those of eight triplets of the scan,
and the last layer is scaled so that the 18 logits of the scan have a standard deviation of 2.
Differences in probability therefore say how far arithmetic drifts, not how a trained network
changes its mind.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.inferers.scroll import ScrollInferer
from common.networks.ct_scroll import ScrollClassifier
from common.transforms.preprocessing import ct_preprocessing
from common.weights.card import read_card
from common.weights.loading import load_state, read_key_map, read_tensors, rename_keys

from .plain_ct_scroll import PlainCTScroll
from .protocol import (
    REPOSITORY,
    Sample,
    Summary,
    fresh_process,
    interleave,
    load_note,
    machine,
    markdown,
    ratio,
    read_results,
    reset_peak,
    spread,
    status_mb,
    summarize,
    timed,
    write_results,
)
from .synthetic_scan import write_scan

SIZE = (240, 480, 480)
SCAN = (512, 512, 364)
QUICK_SIZE = (24, 96, 96)
MODELS = REPOSITORY / "bundles" / "ct_scroll" / "models"
KEY_MAP = MODELS / "key_map.json"
CHUNK = int(read_card(MODELS / "published.json").architecture["chunk"])
LOGIT_SPREAD = 2.0

Forward = Callable[[Tensor], Tensor]


# ---------------------------------------------------------------- weights and scan


def seeded_plain(volume: Tensor) -> PlainCTScroll:
    """The plain network with weights whose activations and logits have a natural spread.

    Args:
        volume: A scan `(1, 1, D, H, W)`.
    """
    torch.manual_seed(0)
    network = PlainCTScroll().train()
    triplets = volume.reshape(-1, 3, *volume.shape[3:])
    norms = [m for m in network.features.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.features(triplets[:: max(1, len(triplets) // 8)][:8])
        network.eval()
        last = network.classifier[3]
        assert isinstance(last, torch.nn.Linear)
        logits = network(volume)
        scale = LOGIT_SPREAD / logits.std()
        last.weight *= scale
        last.bias.copy_((last.bias - logits.mean()) * scale)
    return network


def ours_from_plain(plain: PlainCTScroll, chunk: int = CHUNK) -> ScrollClassifier:
    """Our network with the plain one's weights, through the published key map."""
    network = ScrollClassifier(chunk=chunk)
    load_state(network, rename_keys(plain.state_dict(), read_key_map(KEY_MAP, "published")))
    return network.eval()


def prepare(folder: Path, quick: bool) -> None:
    """Write the network's input and the weights that all variants share."""
    size = QUICK_SIZE if quick else SIZE
    write_scan(folder / "scan.nii.gz", (144, 144, 48) if quick else SCAN)
    steps = ct_preprocessing(
        size=size,
        spacing_mm=(1.5, 0.75, 0.75),
        hu_window=(-1000.0, 200.0),
        output_range=(-0.449, 0.551),
    )
    case = {"case_id": "scan", "image": str(folder / "scan.nii.gz"), "format": "nifti"}
    volume = torch.as_tensor(np.asarray(steps(case)["image"]))[None]
    np.save(folder / "volume.npy", volume.numpy())
    torch.save(seeded_plain(volume).state_dict(), folder / "weights.pt")


def with_slices(volume: Tensor, slices: int) -> Tensor:
    """The first `slices` slices; where that is more than there are, they go on upside down."""
    while volume.shape[2] < slices:
        volume = torch.cat([volume, volume.flip(2)], dim=2)
    return volume[:, :, :slices].contiguous()


# ---------------------------------------------------------------- the variants


def plain_fp32(network: PlainCTScroll, device: torch.device) -> Forward:
    """The plain way."""
    return network.to(device)


def plain_autocast(network: PlainCTScroll, device: torch.device) -> Forward:
    """The cheap fix: two lines around the plain way."""
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(volume: Tensor) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return network(volume).float()  # type: ignore[no-any-return]

    return forward


def ours(
    precision: str, backend: str, *, chunk: int = CHUNK, relevance: bool = False
) -> Callable[[PlainCTScroll, torch.device], Forward]:
    """The bundle's inferer."""

    def make(plain: PlainCTScroll, device: torch.device) -> Forward:
        network = ours_from_plain(plain, chunk).to(device)
        inferer = ScrollInferer(
            device=device, precision=precision, backend=backend, relevance=relevance
        )
        return lambda volume: inferer(volume, network)["logits"]

    return make


VARIANTS: dict[str, Callable[[PlainCTScroll, torch.device], Forward]] = {
    "plain_fp32": plain_fp32,
    "plain_autocast": plain_autocast,
    "fp32_eager": ours("fp32", "eager"),
    "fp32_openvino": ours("fp32", "openvino"),
    "bf16_eager": ours("bf16", "eager"),
    "bf16_compile": ours("bf16", "compile"),
    "bf16_openvino": ours("bf16", "openvino"),
}
CHUNKS = {
    f"{precision}_eager_chunk_{chunk}": ours(precision, "eager", chunk=chunk)
    for precision in ("fp32", "bf16")
    for chunk in (1, 2, 4, 8)
}
RELEVANCE = {
    "fp32_eager_relevance": ours("fp32", "eager", relevance=True),
    "bf16_eager_relevance": ours("bf16", "eager", relevance=True),
}
NAMES = {
    "plain_fp32": "plain, fp32",
    "plain_autocast": "plain, autocast bf16 + channels-last",
    "fp32_eager": "ours, fp32, eager",
    "fp32_openvino": "ours, fp32, OpenVINO",
    "bf16_eager": "ours, bf16, eager",
    "bf16_compile": "ours, bf16, torch.compile",
    "bf16_openvino": "ours, bf16, OpenVINO",
}
GROWTH = ("plain_fp32", "fp32_eager", "bf16_eager")


def available(device: str) -> list[str]:
    """Variants that this machine can run."""
    import importlib.util

    without_openvino = device != "cpu" or importlib.util.find_spec("openvino") is None
    return [name for name in VARIANTS if not (without_openvino and name.endswith("openvino"))]


# ---------------------------------------------------------------- one measurement


def measure(name: str, folder: Path, slices: int, device_name: str) -> Sample:
    """Run one variant in this process: a first and a second chunk, then the scan."""
    device = torch.device(device_name)
    plain = PlainCTScroll().eval()
    plain.load_state_dict(read_tensors(folder / "weights.pt"))
    volume = with_slices(torch.from_numpy(np.load(folder / "volume.npy")), slices).to(device)
    forward = (VARIANTS | CHUNKS | RELEVANCE)[name](plain, device)

    def call(scan: Tensor) -> Tensor:
        logits = forward(scan)
        return logits.cpu()  # waits for the device

    reset_peak()
    unprepared = status_mb("VmRSS")
    with torch.inference_mode():
        durations = []
        for _ in range(2):
            start = time.perf_counter()
            call(volume[:, :, :24])
            durations.append(time.perf_counter() - start)
        cold_peak = status_mb("VmHWM")
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            on_device = torch.cuda.memory_allocated()
        logits, sample = timed(lambda: call(volume))
    if device.type == "cuda":
        sample["device_peak_mb"] = (torch.cuda.max_memory_allocated() - on_device) / 2**20
    sample["cold_start_s"] = durations[0] - durations[1]
    sample["peak_with_preparation_mb"] = max(cold_peak, status_mb("VmHWM")) - unprepared
    return sample | {"logits": logits[0].double().tolist()}


def compare(samples: dict[str, list[Sample]], reference: Sample) -> None:
    """Add each sample's largest differences to the reference's logits; drop the logits."""
    wanted = torch.tensor(reference["logits"], dtype=torch.float64)
    for rows in samples.values():
        for sample in rows:
            found = torch.tensor(sample.pop("logits"), dtype=torch.float64)
            differences = (found - wanted).abs().max(), (found.sigmoid() - wanted.sigmoid()).abs()
            sample["logit_error"] = float(differences[0])
            sample["probability_error"] = float(differences[1].max())


# ---------------------------------------------------------------- the series


def series(rounds: int, device: str, quick: bool, growth: bool) -> dict[str, Any]:
    """All variants, interleaved, then what growth and relevance cost."""
    depth = (QUICK_SIZE if quick else SIZE)[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder, quick)

        def run(variant: str, slices: int, number: int) -> Sample:
            cache = folder / f"inductor_{variant}_{number}"  # a new one, or cold is not cold
            arguments = ("--measure", variant, "--folder", folder, "--slices", slices)
            return fresh_process(
                "benchmarks.inference",
                *arguments,
                *("--device", device),
                TORCHINDUCTOR_CACHE_DIR=str(cache),
            )

        def take_turns(names: list[str], slices: int) -> dict[str, list[Sample]]:
            return interleave(names, rounds, lambda variant, number: run(variant, slices, number))

        samples = take_turns(available(device), depth)
        reference = dict(samples["plain_fp32"][0])
        compare(samples, reference)
        grown: dict[int, dict[str, list[Sample]]] = {}
        extra: dict[str, list[Sample]] = {}
        if growth:
            for slices in (depth // 2, 2 * depth):
                grown[slices] = take_turns(list(GROWTH), slices)
                compare(grown[slices], dict(grown[slices]["plain_fp32"][0]))
            grown[depth] = {variant: samples[variant] for variant in GROWTH}
            extra = take_turns([*CHUNKS, *RELEVANCE], depth)
            compare(extra, reference)
    return {
        "machine": machine("openvino") | {"threads": torch.get_num_threads(), "device": device},
        "input": [1, 1, *(QUICK_SIZE if quick else SIZE)],
        "rounds": rounds,
        "median_min_max": {name: summarize(rows) for name, rows in samples.items()},
        "growth_with_slices": {
            str(slices): {name: summarize(rows) for name, rows in grown[slices].items()}
            for slices in sorted(grown)
        },
        "chunk_and_relevance": {name: summarize(rows) for name, rows in extra.items()},
        "samples": samples | extra,
    }


def table(record: dict[str, Any]) -> str:
    """The record as README.md holds it."""
    summary: dict[str, Summary] = record["median_min_max"]
    base, cheap = summary["plain_fp32"], summary["plain_autocast"]
    memory = "device_peak_mb" if "device_peak_mb" in base else "peak_mb"
    header = ["variant", "wall s", "CPU s", "x plain wall, CPU", "x cheap fix wall, CPU"]
    header += ["peak MB", "with preparation MB", "first call s"]
    header += ["largest difference in probability", "in logit", "kept"]
    rows = []
    for name, row in summary.items():
        ratios = [
            f"{ratio(row, other, 'wall_s'):.1f}, {ratio(row, other):.1f}" for other in (base, cheap)
        ]
        errors = [f"{row[f'{key}_error'][2]:.1e}" for key in ("probability", "logit")]
        cells = [NAMES[name], spread(row, "wall_s"), spread(row, "cpu_s"), *ratios]
        cells += [f"{row[key][0]:.0f}" for key in (memory, "peak_with_preparation_mb")]
        cells += [f"{row['cold_start_s'][0]:.1f}", *errors]
        rows.append([*cells, str(row["kept"])])
    parts = [markdown(header, rows)]
    grown = [
        (f"{NAMES[name]}, {slices} slices", row)
        for slices, variants in record["growth_with_slices"].items()
        for name, row in variants.items()
    ]
    grown += [(name.replace("_", " "), row) for name, row in record["chunk_and_relevance"].items()]
    if grown:
        lines = [
            [name, spread(row, "wall_s"), spread(row, "cpu_s"), f"{row[memory][0]:.0f}"]
            for name, row in grown
        ]
        parts.append(markdown(["growth, chunk, relevance", "wall s", "CPU s", "peak MB"], lines))
    parts.append(load_note([*summary.values(), *(row for _, row in grown)]))
    return "\n\n".join(parts)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--quick", action="store_true", help="a tiny scan and no growth: see that it works"
    )
    parser.add_argument("--no-growth", action="store_true", help="the first table only")
    parser.add_argument("--table", action="store_true", help="print the recorded table")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--slices", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    name = "inference" if arguments.device == "cpu" else "inference_cuda"
    if arguments.table:
        print(table(read_results(name)))
    elif arguments.measure:
        sample = measure(arguments.measure, arguments.folder, arguments.slices, arguments.device)
        print(json.dumps(sample))
    else:
        growth = not (arguments.no_growth or arguments.quick)
        record = series(arguments.rounds, arguments.device, arguments.quick, growth)
        write_results(name, record, quick=arguments.quick)
        print(table(record))


if __name__ == "__main__":
    main()

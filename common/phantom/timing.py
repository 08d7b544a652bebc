"""How long a phantom takes, measured where it runs."""

from __future__ import annotations

import time
from statistics import median

from .head import make_head
from .make import AnyPhantom, make_phantom
from .torso import make_torso

CHEST_GRIDS = (
    ((1.5, 1.5, 3.0), (240, 240, 120)),
    ((0.9, 0.9, 1.5), (400, 340, 200)),
    ((0.75, 0.75, 1.1), (512, 512, 300)),
)
TORSO_GRIDS = (
    ((3.0, 3.0, 3.0), (127, 87, 214)),
    ((2.0, 2.0, 2.0), (190, 130, 320)),
    ((1.5, 1.5, 1.5), (254, 174, 427)),
)
HEAD_GRIDS = (
    ((1.25, 1.25, 5.0), (188, 188, 36)),
    ((1.0, 1.0, 2.5), (235, 235, 72)),
    ((0.45, 0.45, 2.5), (512, 512, 72)),
)


def measure_times(seeds: range = range(5)) -> list[tuple[str, float, float]]:
    """Wall and CPU seconds per phantom, median over seeds: chests, torsos with organs, heads."""
    rows = []
    regions = (("chest", CHEST_GRIDS), ("torso", TORSO_GRIDS), ("head", HEAD_GRIDS))
    for region, grids in regions:
        make_phantom(seed=0, spacing_mm=(4, 4, 4), region=region)  # the first one pays for imports
        for spacing_mm, shape in grids:
            times = [_time(seed, spacing_mm, shape, region) for seed in seeds]
            wall, cpu = (median(column) for column in zip(*times, strict=True))
            rows.append((f"{region}, {shape} voxels of {spacing_mm} mm", wall, cpu))
    return rows


def _time(
    seed: int, spacing_mm: tuple[float, float, float], shape: tuple[int, int, int], region: str
) -> tuple[float, float]:
    start, start_cpu = time.perf_counter(), time.process_time()
    phantom: AnyPhantom
    if region == "head":
        phantom = make_head(seed=seed, spacing_mm=spacing_mm, shape=shape)
    else:
        phantom = make_torso(seed=seed, spacing_mm=spacing_mm, shape=shape, region=region)
    if region == "torso":
        _ = phantom.organs
    return time.perf_counter() - start, time.process_time() - start_cpu


def print_times() -> None:
    """Print `measure_times` as a table."""
    print("median of 5 patients with findings by chance; torsos with their organ masks")
    for name, wall, cpu in measure_times():
        print(f"{name}: {wall:.2f} s wall, {cpu:.2f} s CPU")

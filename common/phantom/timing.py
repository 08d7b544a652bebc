"""How long a phantom takes, measured where it runs."""

from __future__ import annotations

import time
from statistics import median

from .chest import make_chest

GRIDS = (
    ((1.5, 1.5, 3.0), (240, 240, 120)),
    ((0.9, 0.9, 1.5), (400, 340, 200)),
    ((0.75, 0.75, 1.1), (512, 512, 300)),
)


def measure_times(seeds: range = range(5)) -> list[tuple[str, float, float]]:
    """Wall and CPU seconds per phantom, median over seeds, for each of `GRIDS`."""
    rows = []
    for spacing_mm, shape in GRIDS:
        make_chest(seed=0, spacing_mm=(3, 3, 3))  # the first call pays for imports
        wall, cpu = [], []
        for seed in seeds:
            start, start_cpu = time.perf_counter(), time.process_time()
            make_chest(seed=seed, spacing_mm=spacing_mm, shape=shape)
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - start_cpu)
        rows.append((f"{shape} voxels of {spacing_mm} mm", median(wall), median(cpu)))
    return rows


def print_times() -> None:
    """Print `measure_times` as a table."""
    print("median of 5 patients with findings by chance")
    for name, wall, cpu in measure_times():
        print(f"{name}: {wall:.2f} s wall, {cpu:.2f} s CPU")

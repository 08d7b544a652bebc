"""How everything here is measured: fresh processes, interleaved rounds, medians.

A measured variant runs in a process of its own, which prints one JSON object as its last line.
Variants take turns within a round. A sample during which other programs used more than
`MAX_OTHER_CORES` is left out of the medians, whatever it says; where no sample of a variant is
quiet, its medians come from all of them and say `"quiet": false`.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MAX_OTHER_CORES = 0.3
REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")

Sample = dict[str, Any]
Summary = dict[str, Any]


# ---------------------------------------------------------------- one process


def status_mb(key: str, process: int | str = "self") -> float:
    """A line of a process's status, such as `VmRSS` or `VmHWM`, in MB; 0 once it has ended."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


def reset_peak() -> None:
    """Let `VmHWM` start again from what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")


def busy_s() -> float:
    """Seconds all cores together have worked since boot."""
    ticks = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def give_back_memory() -> None:
    """Return freed memory to the system, so that an earlier call's does not hide a peak."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)


def timed(call: Callable[[], Any]) -> tuple[Any, Sample]:
    """Call once and measure.

    Returns:
        What `call` returns, and `wall_s`, `cpu_s`; `peak_mb`, most resident memory above what was
        resident before; `other_cores`, what other programs used meanwhile.
    """
    give_back_memory()
    reset_peak()
    resident = status_mb("VmRSS")
    busy, wall, cpu = busy_s(), time.perf_counter(), time.process_time()
    result = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    sample = {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": status_mb("VmHWM") - resident,
        "other_cores": max(0.0, (busy_s() - busy - cpu) / wall),
    }
    return result, sample


def fresh_process(module: str, *arguments: object, **environment: str) -> Sample:
    """Run `python -m module arguments` and read the JSON object it prints last."""
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"{module} {' '.join(command[5:])} failed:\n{done.stderr}"
        raise SystemExit(msg)
    found: Sample = json.loads(done.stdout.splitlines()[-1])
    return found


def timed_command(command: Sequence[str]) -> Sample:
    """Run a whole command, start included; `peak_mb` is all it ever held at once.

    The peak is read while it runs: the system's own account at the end counts what this process
    held when it started the command.
    """
    busy, wall = busy_s(), time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=output, stderr=output)
        peak, ended = 0.0, 0
        while not ended:
            peak = max(peak, status_mb("VmHWM", process.pid))
            time.sleep(0.02)
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        wall = time.perf_counter() - wall
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        said = output.read()
    if process.returncode:
        msg = f"{' '.join(command)} failed:\n{said}"
        raise SystemExit(msg)
    cpu = usage.ru_utime + usage.ru_stime
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": peak,
        "other_cores": max(0.0, (busy_s() - busy - cpu) / wall),
    }


# ---------------------------------------------------------------- many samples


def interleave(
    names: Iterable[str], rounds: int, measure: Callable[[str, int], Sample]
) -> dict[str, list[Sample]]:
    """Let all variants take turns, `rounds` times, and say each sample on stderr."""
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for number in range(rounds):
        for name, rows in samples.items():
            rows.append(measure(name, number))
            shown = {k: round(v, 3) for k, v in rows[-1].items() if isinstance(v, int | float)}
            print(f"round {number + 1}, {name}: {shown}", file=sys.stderr, flush=True)
    return samples


def summarize(samples: list[Sample]) -> Summary:
    """Median, least and greatest of each number over the quiet samples.

    Returns:
        Per quantity `[median, least, greatest]`; `kept`, how many samples that is; `quiet`,
        whether they were chosen at all.
    """
    quiet = [s for s in samples if s["other_cores"] <= MAX_OTHER_CORES]
    kept = quiet or samples
    columns: dict[str, list[float]] = {}
    for sample in kept:
        for key, value in sample.items():
            if isinstance(value, int | float):
                columns.setdefault(key, []).append(value)
    summary: Summary = {k: [statistics.median(v), min(v), max(v)] for k, v in columns.items()}
    return summary | {"kept": len(kept), "quiet": bool(quiet)}


def spread(row: Summary, key: str, digits: int = 2) -> str:
    """`median [least-greatest]` of one quantity."""
    median, least, greatest = row[key]
    return f"{median:.{digits}f} [{least:.{digits}f}-{greatest:.{digits}f}]"


def ratio(row: Summary, base: Summary, key: str = "cpu_s") -> float:
    """How many times less of `key` a row takes than the base, by medians."""
    return float(base[key][0] / row[key][0])


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table as README.md holds it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def beside(
    title: str,
    rows: Mapping[str, Summary],
    names: Mapping[str, str],
    *,
    plain: str,
    cheap: str,
    more: Mapping[str, Callable[[Summary], str]],
) -> str:
    """A table of time and memory of each variant beside the plain way and its cheap fix.

    Args:
        title: Heads the names.
        rows: Variant to its summary.
        names: Variant to how it is called.
        plain: The variant that is the plain way.
        cheap: The variant that is its cheap fix.
        more: Heading of a further column to what it says of a row.
    """
    header = ["wall s", "CPU s", "x plain wall, CPU", "x cheap fix wall, CPU", "peak MB"]
    lines = [
        [
            names[name], spread(row, "wall_s"), spread(row, "cpu_s"),
            *(
                f"{ratio(row, rows[base], 'wall_s'):.1f}, {ratio(row, rows[base]):.1f}"
                for base in (plain, cheap)
            ),
            f"{row['peak_mb'][0]:.0f}", *(say(row) for say in more.values()),
        ]
        for name, row in rows.items()
    ]  # fmt: skip
    return markdown([title, *header, *more], lines)


def scans_per_minute(row: Summary) -> str:
    """Of a row whose call was one scan."""
    return f"{60 / row['wall_s'][0]:.1f}"


def load_note(summaries: Iterable[Summary]) -> str:
    """One line that says how quiet the machine was."""
    rows = list(summaries)
    loaded = sum(not row["quiet"] for row in rows)
    if not loaded:
        return f"Samples taken beside more than {MAX_OTHER_CORES} cores of other load: left out."
    return (
        f"LOADED MACHINE: {loaded} of {len(rows)} rows have no sample beside at most "
        f"{MAX_OTHER_CORES} cores of other load. Read CPU ratios, not wall times."
    )


# ---------------------------------------------------------------- the record


def machine(*packages: str) -> dict[str, Any]:
    """What the numbers depend on: processor and versions, no names of hosts or folders."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(line.split("\t: ", 1) for line in info.splitlines() if "\t: " in line)
    flags = next((line for line in info.splitlines() if line.startswith("flags")), "").split()
    return {
        "cpu": fields.get("model name", platform.processor()).strip(),
        "cores": len(os.sched_getaffinity(0)),
        "flags": [flag for flag in FLAGS if flag in flags],
        "python": platform.python_version(),
        **{name: _version(name) for name in ("torch", "monai", "numpy", *packages)},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_results(name: str, record: dict[str, Any], *, quick: bool = False) -> Path:
    """Keep a record as `results/<name>.json`; a quick one as `<name>_quick.json`, not in git."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}{'_quick' * quick}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def read_results(name: str) -> dict[str, Any]:
    """The record that `write_results` kept."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found

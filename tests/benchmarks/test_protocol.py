"""How samples become a row, and what result files hold."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from benchmarks.protocol import RESULTS, load_note, ratio, spread, summarize, timed, timed_command

RECORDS = sorted(path for path in RESULTS.glob("*.json") if not path.stem.endswith("_quick"))


def sample(wall_s: float, other_cores: float) -> dict[str, float]:
    return {"wall_s": wall_s, "cpu_s": 2 * wall_s, "peak_mb": 1.0, "other_cores": other_cores}


def test_samples_beside_other_load_are_left_out_whatever_they_say():
    row = summarize([sample(1, 0.0), sample(9, 0.31), sample(3, 0.3), sample(0.1, 2.0)])
    assert row["wall_s"] == [2, 1, 3]
    assert (row["kept"], row["quiet"]) == (2, True)


def test_a_row_without_quiet_samples_says_so():
    row = summarize([sample(1, 1.0), sample(3, 1.0)])
    assert (row["kept"], row["quiet"]) == (2, False)
    assert load_note([row]).startswith("LOADED MACHINE: 1 of 1 rows")


def test_ratio_says_how_many_times_less_a_row_takes():
    row, base = summarize([sample(1, 0)]), summarize([sample(5, 0)])
    assert ratio(row, base) == 5
    assert spread(row, "wall_s") == "1.00 [1.00-1.00]"


def test_peak_counts_memory_that_was_freed_again():
    _, found = timed(lambda: len(bytearray(b"\1" * 2**26)))
    assert found["peak_mb"] > 60
    assert found["wall_s"] > 0


def test_the_peak_of_a_command_is_its_own():
    held_here = bytearray(b"1" * 400_000_000)
    sample = timed_command([sys.executable, "-c", "import time; time.sleep(0.2)"])
    assert 2 < sample["peak_mb"] < 100
    assert len(held_here) == 400_000_000


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_result_files_hold_the_documented_fields(path: Path):
    record = json.loads(path.read_text())
    assert {"machine", "rounds", "median_min_max", "samples"} <= record.keys()
    assert {"cpu", "cores", "flags", "python", "torch", "monai"} <= record["machine"].keys()
    for name, row in record["median_min_max"].items():
        assert {"wall_s", "cpu_s", "peak_mb", "other_cores", "kept", "quiet"} <= row.keys()
        assert len(record["samples"][name]) >= row["kept"]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_recorded_tables_can_be_printed_again(path: Path):
    table = importlib.import_module(f"benchmarks.{path.stem.removesuffix('_cuda')}").table
    assert table(json.loads(path.read_text())).startswith("| ")

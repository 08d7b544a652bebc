"""What one process of several meets is told by all of them, and nobody is ended while he writes."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY

PROGRAM = Path(__file__).with_name("two_processes_program.py")


def start(output_dir, second, timeout=120):
    """The program in two processes, beside a bundle that there is before either of them looks."""
    configs = output_dir.parent / "bundle" / "configs"
    configs.mkdir(parents=True)
    (configs / "metadata.json").write_text(json.dumps({"version": "1.0.0"}))
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*torchrun, str(PROGRAM), str(output_dir), second],
        env=environment, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def statuses(folder):
    with (folder / "summary.csv").open() as file:
        return {row["case_id"]: row["status"] for row in csv.DictReader(file)}


def test_a_case_that_fails_in_the_second_process_leaves_the_first_time_to_write(tmp_path):
    ended = start(tmp_path / "out", "unlucky")  # the second case of two: the second process's
    assert ended.returncode != 0
    assert ended.stderr.count("1 of 4 cases failed: unlucky: ZeroDivisionError") >= 1
    assert statuses(tmp_path / "out") == {
        "a": "finished", "unlucky": "failed", "b": "finished", "c": "finished",
    }  # fmt: skip


def test_results_that_vanish_in_the_second_process_are_named(tmp_path):
    ended = start(tmp_path / "out", "vanishing")
    assert ended.returncode != 0
    assert "got neither for vanishing; look" in ended.stderr


def test_processes_that_see_other_lists_run_the_first_ones(tmp_path):
    ended = start(tmp_path / "out", "differing")
    assert ended.returncode == 0, ended.stderr
    assert statuses(tmp_path / "out") == dict.fromkeys(("a", "b", "differing"), "finished")

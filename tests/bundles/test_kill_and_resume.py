"""A run that was killed and started again is the run that was never killed."""

import signal
import subprocess
import sys
import time

import pytest
import torch

from .conftest import CT_FM_WHOLEBODY, CT_SCROLL, ENVIRONMENT, REPOSITORY, command


def start(names, configs, options, log):
    arguments = command(names, options, configs=configs)
    return subprocess.Popen(
        [sys.executable, "-m", "monai.bundle", *arguments],
        cwd=REPOSITORY, env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"}, stdout=log, stderr=log,
    )  # fmt: skip


def wait_for(text, log, process):
    """Return once `text` stands in a growing log."""
    end = time.monotonic() + 300
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.005)


@pytest.fixture(params=["classifier", "segmenter"])
def begin(request, tmp_path):
    """Begin training for three epochs; gives the process and its log."""
    if request.param == "classifier":
        options = request.getfixturevalue("quick_list_training")
        names, configs = ["inference", "train", "ct_rate"], CT_SCROLL / "configs"
        length = ["--batch_size", "1"]
    else:
        options = request.getfixturevalue("quick_segmenter_training")
        names, configs = ["inference", "train"], CT_FM_WHOLEBODY / "configs"
        length = ["--num_phantoms", "6", "--cases_per_epoch", "6", "--warmup_epochs", "1"]

    def run(name):
        log = tmp_path / f"{name}.log"
        run = [*options, *length, "--num_epochs", "3", "--output_dir", tmp_path / name]
        with log.open("a") as file:
            return start(names, configs, run, file), log

    return run


def test_training_killed_in_its_second_epoch_ends_as_if_never_killed(begin, tmp_path):
    process, log = begin("killed")
    wait_for("Epoch: 2/3, Iter: 3/", log, process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process, log = begin("killed")
    whole, _ = begin("whole")
    assert process.wait(timeout=200) == 0, log.read_text()
    assert whole.wait(timeout=200) == 0
    assert "resuming after epoch 1" in log.read_text()
    states = [
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("killed", "whole")
    ]
    assert states[0]["trainer"] == states[1]["trainer"]
    for key, tensor in states[0]["network"].items():
        assert torch.equal(tensor, states[1]["network"][key]), key
    kept = [(tmp_path / name / "model.pt").read_bytes() for name in ("killed", "whole")]
    assert kept[0] == kept[1]
    assert not list((tmp_path / "killed").glob("*partial*"))


def test_interrupted_inference_ends_in_one_line_and_goes_on(quick, scans, tmp_path):
    log = tmp_path / "log"
    arguments = command(["inference"], [*quick, "--input", scans, "--num_workers", "1"])
    slow = (
        "import runpy, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in background jobs
        "from common.engines import case_evaluator as engine\n"
        "write = engine.SupervisedEvaluator._iteration\n"
        "def wait(self, *given):\n"
        "    done = write(self, *given)\n"
        "    print('one case', file=sys.stderr, flush=True)\n"
        "    time.sleep(3)\n"
        "    return done\n"
        "engine.SupervisedEvaluator._iteration = wait\n"
        "runpy.run_module('monai.bundle', run_name='__main__', alter_sys=True)\n"
    )
    with log.open("a") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", slow, *arguments],
            cwd=REPOSITORY, env=ENVIRONMENT, stdout=file, stderr=file,
        )  # fmt: skip
    wait_for("one case", log, process)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert "interrupted: the same command goes on" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert not list(tmp_path.rglob("failure.json"))
    assert not [path for path in (tmp_path / "out").rglob("*") if "partial" in path.name]

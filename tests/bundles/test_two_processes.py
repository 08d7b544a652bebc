"""Two processes that torchrun starts share the work and give one answer."""

import csv
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from common.weights.card import read_card

from .conftest import CT_FM_WHOLEBODY

TORCHRUN = (
    "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "monai.bundle",
)  # fmt: skip


@pytest.fixture
def start_two(start_bundle):
    return lambda *names, **where: start_bundle(*names, launcher=TORCHRUN, **where)


def states(output_dir):
    with (output_dir / "summary.csv").open() as file:
        return {row["case_id"]: row["status"] for row in csv.DictReader(file)}


def test_two_processes_share_a_batch_and_one_failure_fails_the_run(
    start_two, run_bundle, quick, five_scans, tmp_path
):
    broken = five_scans / "three.nii.gz"
    broken.write_bytes(broken.read_bytes()[:-9])
    ended = start_two("inference")(*quick, "--input", five_scans)
    assert ended.code != 0
    assert ended.err.count("error: 1 of ") == 1
    assert ended.out.count("SYNTHETIC") == 1
    assert ended.out.count("Results: ") == 1
    finished = states(tmp_path / "out")
    assert finished.pop("three") == "failed"
    assert list(finished.values()) == ["finished"] * 4
    alone = run_bundle("inference")(*quick, "--input", five_scans)
    assert "4 cases were finished before" in alone.out


def test_two_nodes_meet_and_share_the_cases(start_bundle, quick, five_scans, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting_point = f"127.0.0.1:{free.getsockname()[1]}"
    agent = (
        "-m", "torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1",
        "--rdzv_backend", "c10d", "--rdzv_id", "scans", "--rdzv_endpoint", meeting_point,
        "-m", "monai.bundle",
    )  # fmt: skip
    start = start_bundle("inference", launcher=agent)
    with ThreadPoolExecutor(2) as nodes:
        both = list(nodes.map(lambda _: start(*quick, "--input", five_scans), range(2)))
    assert [ended.code for ended in both] == [0, 0], both[0].err + both[1].err
    assert sorted(ended.out.count("Results: ") for ended in both) == [0, 1]
    assert list(states(tmp_path / "out").values()) == ["finished"] * 5


def test_two_processes_train_one_network(start_two, quick_list_training, tmp_path):
    options = ("--num_epochs", 1, "--batch_size", 9, "--validation_fraction", 0.117)
    ended = start_two("inference", "train", "ct_rate")(*quick_list_training, *options)
    assert ended.code == 0, ended.err
    card = read_card(tmp_path / "run" / "model.json")
    assert card.content["score"]["num_cases"] == 7  # 4 of one process, 3 of the other
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["trainer"]["epoch_length"] == 3  # 53 cases, 9 per process and step
    assert not [key for key in state["network"] if key.startswith("module.")]


def test_two_processes_train_one_encoder(start_two, quick_training, tmp_path):
    small = ("--steps_per_epoch", 3, "--batch_size", 4, "--triplets::buffer_size", 8)
    ended = start_two("inference", "train", "pretrain")(*quick_training, *small)
    assert ended.code == 0, ended.err
    assert read_card(tmp_path / "run" / "model.json").is_synthetic


def test_two_processes_train_one_segmenter(start_two, quick_segmenter_training, tmp_path):
    train = start_two("inference", "train", configs=CT_FM_WHOLEBODY / "configs")
    cases = ("--num_phantoms", 4, "--cases_per_epoch", 4, "--num_validation", 2)
    ended = train(*quick_segmenter_training, *cases)
    assert ended.code == 0, ended.err
    score = read_card(tmp_path / "run" / "model.json").content["score"]
    assert score["num_cases"] == 2  # one of each process
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["trainer"]["epoch_length"] == 2  # four cases, one per process and step
    assert not [key for key in state["network"] if key.startswith("module.")]

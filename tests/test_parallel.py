import socket
import time
from datetime import timedelta
from itertools import chain
from threading import Timer

import pytest
import torch

from common.errors import InputError
from common.parallel import (
    StretchSampler,
    _late,
    existing_device,
    is_first_process,
    join_processes,
    leave_processes,
    own_share,
    pick_device,
    share_buffers,
    wait_for_others,
)

AT = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": 29500}


@pytest.fixture
def process(monkeypatch):
    """Pretend to be one of several processes: `process(rank, of=2)`."""

    def become(rank, of):
        monkeypatch.setattr("common.parallel.idist.get_rank", lambda: rank)
        monkeypatch.setattr("common.parallel.idist.get_world_size", lambda: of)

    return become


def epochs(sampler, numbers):
    taken = []
    for number in numbers:
        sampler.set_epoch(number)
        taken.append(list(sampler))
    return taken


def test_epochs_are_disjoint_stretches_until_all_are_seen():
    taken = epochs(StretchSampler(range(12), stretch=4), range(3))
    assert [len(part) for part in taken] == [4, 4, 4]
    assert sorted(chain(*taken)) == list(range(12))


def test_every_round_has_an_order_of_its_own():
    first, second = epochs(StretchSampler(range(50)), [0, 1])
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_stretches_that_do_not_fit_go_on_in_the_next_round():
    taken = list(chain(*epochs(StretchSampler(range(5), stretch=3), range(5))))
    assert sorted(taken[:5]) == sorted(taken[5:10]) == sorted(taken[10:15]) == list(range(5))


def test_an_epoch_is_the_same_after_a_restart():
    whole = epochs(StretchSampler(range(20), stretch=6, seed=3), range(5))
    assert epochs(StretchSampler(range(20), stretch=6, seed=3), [3, 4]) == whole[3:]
    assert epochs(StretchSampler(range(20), stretch=6, seed=4), [0]) != whole[:1]


def test_without_shuffle_neighbours_stay_together():
    taken = epochs(StretchSampler(range(6), stretch=4, shuffle=False), range(3))
    assert taken == [[0, 1, 2, 3], [4, 5, 0, 1], [2, 3, 4, 5]]


def test_two_processes_share_what_one_would_take(process):
    alone = epochs(StretchSampler(range(10), stretch=4), range(3))
    shares = []
    for rank in (0, 1):
        process(rank, of=2)
        sampler = StretchSampler(range(10), stretch=4)
        assert len(sampler) == 2
        shares.append(epochs(sampler, range(3)))
    for epoch, taken in enumerate(alone):
        assert taken[0::2] == shares[0][epoch]
        assert taken[1::2] == shares[1][epoch]


def test_odd_stretch_gives_all_processes_the_same_number_of_steps(process):
    lengths = []
    for rank in (0, 1):
        process(rank, of=2)
        sampler = StretchSampler(range(9), stretch=5)
        lengths.append((len(sampler), len(list(sampler))))
    assert lengths == [(3, 3), (3, 3)]


@pytest.mark.parametrize("stretch", [0, 7, 100])
def test_no_stretch_or_one_too_long_takes_the_whole_list(stretch):
    sampler = StretchSampler(range(7), stretch=stretch)
    assert sorted(sampler) == list(range(7))


def test_negative_stretch_is_refused():
    with pytest.raises(InputError, match="stretch must be 0 or more, got -1"):
        StretchSampler(range(7), stretch=-1)


def test_nothing_to_sample_is_refused():
    with pytest.raises(InputError, match="dataset must hold at least one item"):
        StretchSampler([])


def test_shares_together_are_the_list(process):
    process(0, of=3)
    first = own_share("abcdefg")
    process(2, of=3)
    assert first == ["a", "d", "g"]
    assert own_share("abcdefg") == ["c", "f"]
    assert own_share([]) == []


def test_alone_is_first_and_waits_for_no_one(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    join_processes()
    wait_for_others()
    leave_processes()
    share_buffers(torch.nn.BatchNorm1d(2))
    assert is_first_process()
    assert own_share([1, 2]) == [1, 2]
    assert not torch.distributed.is_initialized()


def test_device_is_chosen_or_as_named():
    assert pick_device() == torch.device("cuda", 0) if torch.cuda.is_available() else "cpu"
    assert pick_device("cpu") == torch.device("cpu")
    assert existing_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "", "auto", "5x", 3.5])
def test_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match="device must be one that torch can use here, got"):
        existing_device(name)


def test_device_without_memory_is_refused():
    with pytest.raises(InputError, match="device must hold numbers, got meta"):
        pick_device("meta")


def test_local_rank_chooses_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device() == torch.device("cuda", 0)  # alone, as by an earlier shell
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert pick_device() == torch.device("cuda", 3)


@pytest.fixture
def started_as(monkeypatch):
    """The environment of a process that something else than torchrun has started."""

    def start(**variables):
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return start


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"WORLD_SIZE": 2}, "got WORLD_SIZE=2 without RANK, MASTER_ADDR, MASTER_PORT; start all"),
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE must be a number, got many"),
        ({"WORLD_SIZE": 0}, "WORLD_SIZE must be the number of processes, got 0"),
        ({"WORLD_SIZE": 2, "RANK": 2, **AT}, "got RANK=2 of WORLD_SIZE=2"),
        ({"WORLD_SIZE": 2, "RANK": "first", **AT}, "RANK must be a number, got first"),
        ({"WORLD_SIZE": 2, "RANK": 1, **AT, "MASTER_PORT": 1}, "got no meeting at 127.0.0.1:1 "),
        ({"WORLD_SIZE": 2, "RANK": 1, **AT, "MASTER_PORT": "x"}, "got no meeting at 127.0.0.1:x "),
    ],
)
def test_an_environment_left_behind_is_one_line(started_as, variables, problem):
    started_as(**variables)
    with pytest.raises(InputError, match=problem):
        join_processes(minutes=0.01)
    assert not torch.distributed.is_initialized()


def test_a_process_that_does_not_come_is_waited_for_so_long(started_as):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started_as(WORLD_SIZE=2, RANK=0, MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    began = time.monotonic()
    with pytest.raises(InputError, match="processes must come together, got "):
        join_processes(minutes=0.02)
    assert time.monotonic() - began < 60


def test_who_is_late_is_named():
    store = torch.distributed.HashStore()
    store.set("join/2", "")
    assert _late(store, "join", 0, 4, timedelta(seconds=0.1)) == [1, 3]


def test_waiting_tells_whom_for_and_goes_on(process, monkeypatch, caplog):
    process(0, of=2)
    store = torch.distributed.HashStore()
    monkeypatch.setattr("common.parallel._store", store)
    monkeypatch.setattr("common.parallel.LOOK_EVERY", timedelta(seconds=0.05))
    monkeypatch.setattr("common.parallel.LOOKS_TO_TELL", 2)
    monkeypatch.setattr("common.parallel._waits", iter([7]))
    Timer(0.5, lambda: store.set("wait 7/1", "")).start()
    looks = []
    wait_for_others(lambda: looks.append("looked"))
    assert "process 0 waits for 1" in caplog.text
    assert len(looks) >= 2 * caplog.text.count("waits for") > 0

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from common.errors import OutputError
from common.results import claims as module
from common.results.claims import Claims, owner_of

HOLDER = (
    "import sys, time\n"
    "from common.results.claims import Claims\n"
    "assert Claims().take(sys.argv[1], about='a scan')\n"
    "print('taken', flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "case" / ".claim"


@pytest.fixture
def holder(path):
    """Another process that holds the claim."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "taken\n"
    yield process
    process.kill()
    process.wait()


def test_a_claim_is_made_once_and_given_up(path):
    mine, yours = Claims(), Claims()
    assert mine.take(path, about="a scan")
    assert not yours.take(path)
    assert owner_of(path).about == "a scan"
    mine.release(path)
    assert yours.take(path)


def test_giving_up_what_one_does_not_hold_does_nothing(path):
    mine, yours = Claims(), Claims()
    assert mine.take(path)
    yours.release(path)
    assert owner_of(path) is not None


def test_a_living_process_keeps_its_claim(path, holder):
    assert not Claims().take(path)
    assert owner_of(path).process == holder.pid


def test_a_claim_dies_with_its_owner_and_that_is_said(path, holder, caplog):
    caplog.set_level("INFO")
    holder.send_signal(signal.SIGKILL)  # not waited for: a zombie is dead too
    end = time.monotonic() + 10
    taken = False
    while not taken and time.monotonic() < end:
        taken = Claims().take(path)
    assert taken
    assert f"case: process {holder.pid} on" in caplog.text
    assert "its claim is taken over" in caplog.text


def test_another_number_with_the_same_process_is_another_life(path):
    assert Claims().take(path)
    path.write_text(json.dumps(asdict(replace(owner_of(path), life="boot pid:[1] 7"))))
    assert not Claims().take(path)  # another container: only its touch tells
    me = owner_of(path)
    boot = module._life(os.getpid()).split()
    path.write_text(json.dumps(asdict(replace(me, life=f"{boot[0]} {boot[1]} 7"))))
    assert Claims().take(path)


def test_a_claim_of_another_machine_is_stale_once_nobody_touches_it(path):
    assert Claims().take(path)
    path.write_text(json.dumps(asdict(replace(owner_of(path), host="elsewhere"))))
    assert not Claims().take(path)
    past = time.time() - module.LEASE_S - 5
    os.utime(path, (past, past))
    assert Claims().take(path)


def test_a_claim_that_is_held_is_touched(path, monkeypatch):
    monkeypatch.setattr(module, "TOUCH_S", 0.01)
    mine = Claims()
    assert mine.take(path)
    os.utime(path, (1, 1))
    end = time.monotonic() + 10
    while path.stat().st_mtime < 2 and time.monotonic() < end:
        time.sleep(0.01)
    assert path.stat().st_mtime > 2
    mine.release(path)


def test_of_many_that_want_a_stale_claim_one_gets_it(path, holder):
    holder.kill()
    holder.wait()
    gate, winners = threading.Barrier(8), []

    def want():
        claims = Claims()
        gate.wait()
        if claims.take(path):
            winners.append(claims)

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1
    assert [each.name for each in path.parent.iterdir()] == [".claim"]


def test_links_are_not_needed(path, monkeypatch):
    def no_links(*_):
        raise OSError(95, "not supported")

    monkeypatch.setattr(os, "link", no_links)
    assert Claims().take(path)
    assert not Claims().take(path)


def test_waiting_takes_turns(path):
    order = []

    def turn():
        with Claims().waiting(path):
            order.append("in")
            time.sleep(0.02)
            order.append("out")

    threads = [threading.Thread(target=turn) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert order == ["in", "out"] * 3


def test_a_place_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="output must be a place that can be written"):
        Claims().take(tmp_path / "file" / ".claim")

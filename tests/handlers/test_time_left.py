import logging
import re
from datetime import datetime, timedelta

import pytest
import torch
from ignite.engine import Engine, Events

from common.handlers.run_checkpoint import RunCheckpoint
from common.handlers.time_left import TimeLeft, duration


@pytest.fixture
def train(tmp_path, caplog):
    """Epochs of steps of two seconds, the first of ten, and of ten seconds of validation."""

    def run(max_epochs, epoch_length=20, *, checkpoint=None, steps=5):
        seconds, steps_done = [100.0], []

        def step(_engine, batch):
            seconds[0] += 2 if steps_done else 10
            steps_done.append(batch)

        def validate(_engine):
            seconds[0] += 10

        trainer = Engine(step)
        if checkpoint:
            RunCheckpoint(path=checkpoint, objects={"network": torch.nn.Linear(1, 1)}).attach(
                trainer
            )
        trainer.add_event_handler(Events.EPOCH_COMPLETED, validate)
        TimeLeft(steps=steps, clock=lambda: seconds[0]).attach(trainer)
        caplog.clear()
        with caplog.at_level(logging.INFO, "common.training"):
            trainer.run(range(epoch_length), max_epochs=max_epochs)
        return [line for line in caplog.messages if "ends in" in line]

    return run


def told(line):
    """What a line says but for the end by the clock, and that end."""
    words, end = line.rsplit(", ", 1)
    return words, datetime.fromisoformat(end)


def test_the_first_word_comes_after_five_steps_and_then_one_after_each_epoch(train):
    lines = [told(line)[0] for line in train(3)]
    after = "validation included"
    assert lines == [
        "2 s per step, 55 steps left: ends in at least 2 min",  # the slow first one is past
        f"epoch 1 took 58 s (2.9 s per step, {after}), 2 of 3 epochs left: ends in 2 min",
        f"epoch 2 took 50 s (2.5 s per step, {after}), 1 of 3 epochs left: ends in 50 s",
    ]


def test_the_end_by_the_clock_is_now_and_what_is_left(train):
    now = datetime.now()
    _, end = told(train(101, steps=2)[0])
    assert abs(end - now - timedelta(seconds=2 * 2018)) < timedelta(minutes=2)


@pytest.mark.parametrize(("length", "per_step"), [(2, "2"), (1, "10")])
def test_an_epoch_of_fewer_steps_says_it_at_its_end(train, length, per_step):
    lines = train(4, length)
    assert len(lines) == 4
    assert told(lines[0])[0].startswith(f"{per_step} s per step, {3 * length} steps left: ")


def test_a_resumed_run_counts_what_is_left(train, tmp_path):
    train(2, checkpoint=tmp_path / "run.pt")
    lines = train(4, checkpoint=tmp_path / "run.pt")
    assert re.match(r"2 s per step, 35 steps left", lines[0])
    assert re.match(r"epoch 3 took 58 s .* 1 of 4 epochs left: ends in 58 s", lines[1])
    assert len(lines) == 2


def test_only_the_first_process_says_it(train, monkeypatch):
    monkeypatch.setattr("common.handlers.time_left.is_first_process", lambda: False)
    assert train(3) == []


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5940, "99 min"), (6000, "1 h 40 min"),
        (7500, "2 h 05 min"), (172_800, "2 d 0 h"), (360_000, "4 d 4 h"),
    ],
)  # fmt: skip
def test_durations_read_as_people_say_them(seconds, words):
    assert duration(seconds) == words

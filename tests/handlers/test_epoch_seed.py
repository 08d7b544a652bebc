"""A resumed run equals an uninterrupted one. Run alone: pytest tests/handlers/test_epoch_seed.py"""

import random

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.handlers import CheckpointLoader, CheckpointSaver

from common.errors import InputError
from common.handlers.epoch_seed import EpochSeed, epoch_seed


@pytest.fixture
def train(make_trainer, numbers):
    """Run to the end with a checkpoint per epoch; all numbers of the final state, and the epoch."""

    def run(max_epochs, folder, *, resume=None, seed=3, with_handler=True, **options):
        handlers = [EpochSeed(seed=seed)] if with_handler else []
        trainer, state = make_trainer(max_epochs, handlers=handlers, **options)
        whole = {**state, "trainer": trainer}
        CheckpointSaver(save_dir=str(folder), save_dict=whole, save_interval=1).attach(trainer)
        if resume is not None:
            CheckpointLoader(load_path=str(resume), load_dict=whole).attach(trainer)
            torch.manual_seed(999)  # a new process has other random states
            np.random.seed(999)  # noqa: NPY002
            random.seed(999)
        trainer.run()
        return numbers(state), trainer.state.epoch

    return run


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("epoch_length", [None, 2, 5], ids="batches in an epoch: {}".format)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    train, tmp_path, num_workers, epoch_length
):
    options = {"num_workers": num_workers, "epoch_length": epoch_length}
    whole, _ = train(4, tmp_path / "whole", **options)
    train(2, tmp_path / "first", **options)
    checkpoint = tmp_path / "first" / "checkpoint_epoch=2.pt"
    resumed, epoch = train(4, tmp_path / "second", resume=checkpoint, **options)
    assert epoch == 4
    assert torch.equal(whole, resumed)


def test_without_the_handler_it_does_not(train, tmp_path):
    whole, _ = train(4, tmp_path / "whole", with_handler=False)
    train(2, tmp_path / "first", with_handler=False)
    checkpoint = tmp_path / "first" / "checkpoint_epoch=2.pt"
    resumed, _ = train(4, tmp_path / "second", resume=checkpoint, with_handler=False)
    assert not torch.equal(whole, resumed)


def test_a_loaders_own_generator_is_seeded_too(train, tmp_path):
    whole, _ = train(3, tmp_path / "whole", generator=torch.Generator().manual_seed(1))
    train(2, tmp_path / "first", generator=torch.Generator().manual_seed(2))
    resumed, _ = train(
        3,
        tmp_path / "second",
        resume=tmp_path / "first" / "checkpoint_epoch=2.pt",
        generator=torch.Generator().manual_seed(3),
    )
    assert torch.equal(whole, resumed)


def test_another_seed_is_another_run(train, tmp_path):
    assert not torch.equal(train(1, tmp_path, seed=0)[0], train(1, tmp_path, seed=1)[0])


def test_epochs_differ_from_each_other(make_trainer):
    drawn = []
    trainer, _ = make_trainer(3, handlers=[EpochSeed(seed=0)])
    trainer.add_event_handler(
        Events.ITERATION_STARTED, lambda e: drawn.append(e.state.batch["image"])
    )
    trainer.run()
    assert not torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[3], drawn[6])


def test_seeds_of_runs_epochs_and_processes_are_all_different():
    seeds = {epoch_seed(s, e, p) for s in range(10) for e in range(10) for p in range(10)}
    assert len(seeds) == 1000


def test_a_negative_seed_is_an_error():
    with pytest.raises(InputError, match="seed must be 0 or more, got -1"):
        EpochSeed(seed=-1)


def test_workers_that_live_on_are_an_error():
    engine = Engine(lambda engine, batch: None)
    EpochSeed().attach(engine)
    loader = torch.utils.data.DataLoader([0, 1], num_workers=1, persistent_workers=True)
    with pytest.raises(InputError, match="persistent_workers must be false for a run that can be"):
        engine.run(loader, max_epochs=1)


def test_any_iterable_can_be_trained_on():
    engine = Engine(lambda engine, batch: None)
    EpochSeed().attach(engine)
    engine.run([0, 1, 2], max_epochs=2)
    assert engine.state.iteration == 6

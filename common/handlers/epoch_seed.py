"""Make an epoch's randomness depend on its number alone, so that a resumed run is the same run.

A checkpoint holds weights, optimizer and epoch, but not the state of the random generators, of
which there are many: torch (dropout, shuffling, the seeds of loader workers), numpy, Python, and
one in every random MONAI transform. Seeding all of them at the start of each epoch from (seed,
epoch, process) means there is nothing to save: a run that was killed and continued at an epoch
boundary equals one that never stopped, bit for bit on the same machine.

`CaseTrainer` has it. The rest of a resumed run's state is the checkpoint's: network, optimizer,
learning rate schedule and trainer.
"""

from __future__ import annotations

import random

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data.utils import set_rnd

from ..errors import InputError


class EpochSeed:
    """Seed every random generator at the start of each epoch.

    Args:
        seed: Of the run, >= 0. Epochs and processes get their own seeds from it.

    Raises:
        InputError: If `seed` is negative.
    """

    def __init__(self, *, seed: int = 0) -> None:
        if seed < 0:
            msg = f"seed must be 0 or more, got {seed}; any such number will do"
            raise InputError(msg)
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Seed at every epoch's start, before the loader is asked for its first batch."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Seed for the epoch that starts.

        Raises:
            InputError: If the loader's workers live on from one epoch to the next.
        """
        loader = engine.state.dataloader
        if getattr(loader, "persistent_workers", False):
            msg = (
                "persistent_workers must be false for a run that can be resumed, got true; "
                "workers that live on keep random states that no seed reaches"
            )
            raise InputError(msg)
        seed = epoch_seed(self.seed, engine.state.epoch, getattr(engine.state, "rank", 0))
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002  transforms of others draw from it
        torch.manual_seed(seed)
        for owner in (loader, getattr(loader, "sampler", None)):
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator):
                generator.manual_seed(seed)
        # Without workers the transforms' own generators live on from epoch to epoch; workers are
        # started anew and seed them from torch's.
        dataset = getattr(loader, "dataset", None)
        set_rnd(dataset, seed)
        if dataset is not None and hasattr(dataset, "set_epoch"):
            dataset.set_epoch(engine.state.epoch)
        # Ask for a new order of cases even if the last epoch ended inside the old one.
        engine.set_data(loader)


def epoch_seed(seed: int, epoch: int, process: int = 0) -> int:
    """One number per run, epoch and process, such that neighbouring ones have nothing in common.

    Args:
        seed: Of the run, >= 0.
        epoch: >= 0.
        process: Rank in a distributed run.

    Returns:
        A number in [0, 2**32).
    """
    return int(np.random.SeedSequence([seed, epoch, process]).generate_state(1)[0])

"""MONAI's schedule, stepped once per epoch, gives the published learning rates."""

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.handlers import LrScheduleHandler


def optimizer():
    return torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1e-4, weight_decay=1e-6)


def rates(num_epochs, **settings):
    """The rate in force during each epoch of two iterations."""
    parser = ConfigParser(
        {
            "optimizer": optimizer(),
            "schedule": {
                "_target_": "monai.optimizers.WarmupCosineSchedule",
                "optimizer": "@optimizer", "t_total": num_epochs, **settings,
            },
        }
    )  # fmt: skip
    optimizer_, schedule = parser["optimizer"], parser.get_parsed_content("schedule")
    engine, seen = Engine(lambda engine, batch: optimizer_.step()), []
    engine.add_event_handler(
        Events.EPOCH_STARTED, lambda: seen.append(optimizer_.param_groups[0]["lr"])
    )
    LrScheduleHandler(schedule, print_lr=False, epoch_level=True).attach(engine)
    engine.run([0, 1], max_epochs=num_epochs)
    return seen


@pytest.fixture
def golden(shared):
    return np.load(shared / "golden" / "ct_fm.npz")


def test_pre_training_warms_up_from_nothing(golden):
    found = rates(500, warmup_steps=10)
    np.testing.assert_allclose(found, golden["lr_pretrain"], rtol=1e-9, atol=1e-18)
    assert found[0] == 0


def test_head_ct_ends_at_a_hundredth(golden):
    found = rates(40, warmup_steps=0, end_lr=1e-6)
    np.testing.assert_allclose(found, golden["lr_sinoct"], rtol=1e-9)

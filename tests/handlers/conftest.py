"""A toy training run with every kind of randomness that training has."""

import random

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedTrainer
from monai.handlers import LrScheduleHandler
from monai.transforms import Compose, Lambdad, RandGaussianNoised
from torch import nn


def add_numpy_noise(image):
    return image + np.float32(0.1 * np.random.random())  # noqa: NPY002


def add_python_noise(image):
    return image + np.float32(0.1 * random.random())


def build_trainer(max_epochs, *, num_workers=0, handlers=(), generator=None, epoch_length=None):
    """Eight cases in three batches; the trainer, and what else makes up its state."""
    torch.manual_seed(0)  # same initial weights
    network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    augmentation = Compose(
        [
            RandGaussianNoised("image", prob=0.7, std=0.5),
            Lambdad("image", add_numpy_noise),
            Lambdad("image", add_python_noise),
        ]
    )
    data = [
        {
            "image": np.float32([case, case % 3, 1, -case]) / 4,
            "label": np.float32([case % 2, case > 3]),
        }
        for case in range(8)
    ]
    loader = DataLoader(
        Dataset(data, augmentation),
        batch_size=3,
        shuffle=True,
        num_workers=num_workers,
        generator=generator,
    )
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=max_epochs,
        train_data_loader=loader,
        epoch_length=epoch_length,
        network=network,
        optimizer=optimizer,
        loss_function=nn.BCEWithLogitsLoss(),
        train_handlers=[LrScheduleHandler(schedule, print_lr=False), *handlers],
    )
    return trainer, {"network": network, "optimizer": optimizer, "lr_scheduler": schedule}


@pytest.fixture
def make_trainer():
    return build_trainer


@pytest.fixture
def numbers():
    """Every number of a run's network and optimizer."""

    def flatten(state):
        moments = [
            entry[name]
            for entry in state["optimizer"].state_dict()["state"].values()
            for name in ("exp_avg", "exp_avg_sq")
        ]
        weights = list(state["network"].state_dict().values())
        return torch.cat([tensor.flatten().double() for tensor in [*weights, *moments]])

    return flatten

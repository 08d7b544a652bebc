"""A tiny encoder for what is searched with it."""

import pytest
import torch

from common.networks.ct_fm_encoder import CTFMEncoder


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CTFMEncoder(init_filters=4, blocks_down=[1, 1, 1]).eval()

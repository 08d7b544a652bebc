"""CT-FM's networks are MONAI's: the published numbers under formula-filled weights."""

import zlib

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import SegResNetDS
from monai.networks.nets.segresnet_ds import SegResEncoder
from monai.optimizers import WarmupCosineSchedule

from common.inferers.acceleration import accelerate, fold_norms
from common.inferers.streaming import StreamingInferer, _Run

ENCODER = {"spatial_dims": 3, "in_channels": 1, "init_filters": 32, "blocks_down": (1, 2, 2, 4, 4)}


def formula(key, shape):
    """Weights that depend on their key alone."""
    values = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape) * 0.02
    if key.endswith("running_var"):
        values = 1 + np.abs(values)
    elif key.endswith(".weight") and len(shape) == 1:
        values = 1 + values
    return values


def fill(network):
    state = network.state_dict()
    for key, tensor in state.items():
        if tensor.is_floating_point():
            state[key] = torch.from_numpy(formula(key, tuple(tensor.shape))).float()
    network.load_state_dict(state)
    return network.eval()


@pytest.fixture(scope="module")
def image():
    return torch.from_numpy(np.random.default_rng(0).random((1, 1, 64, 96, 96), np.float32))


@pytest.fixture
def golden(shared):
    return np.load(shared / "golden" / "ct_fm.npz")


@torch.inference_mode()
def test_encoder_gives_the_published_maps(golden, image):
    maps = fill(SegResEncoder(**ENCODER))(image)
    for level, found in enumerate(maps):
        assert list(found.shape) == list(golden[f"enc_level{level}_shape"])
        pooled = golden[f"enc_level{level}_pooled"].ravel()
        np.testing.assert_allclose(
            found.mean(dim=(2, 3, 4)).ravel(), pooled, rtol=1e-4, atol=1e-4 * np.abs(pooled).max()
        )
    last = golden["enc_level4_map"]
    np.testing.assert_allclose(maps[-1], last, rtol=1e-4, atol=1e-4 * np.abs(last).max())


@torch.inference_mode()
def test_segmenter_gives_the_published_labels_plain_folded_and_streamed(golden, image):
    network = fill(SegResNetDS(**ENCODER, out_channels=5, dsdepth=4))
    logits = network(image)
    sparse = golden["seg_logits_s4"]
    close = {"rtol": 1e-4, "atol": 1e-4 * float(np.abs(sparse).max())}
    np.testing.assert_allclose(logits[:, :, ::4, ::4, ::4], sparse, **close)
    folded = accelerate(network, precision="fp32", backend="eager", device=image.device)(image)
    np.testing.assert_allclose(folded[:, :, ::4, ::4, ::4], sparse, **close)
    streamed = StreamingInferer(roi_size=(64, 96, 96), precision="fp32")(image, network)
    for labels in (logits.argmax(1), folded.argmax(1), streamed["labels"]):
        assert np.mean(labels.numpy() == golden["seg_argmax"].reshape(labels.shape)) >= 0.9999


def test_seventeen_norms_are_folded():
    network = fill(SegResNetDS(**{**ENCODER, "init_filters": 8}, out_channels=2))
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm3d)]
    kept = [m for m in fold_norms(network).modules() if isinstance(m, torch.nn.BatchNorm3d)]
    assert len(norms) - len(kept) == 17


@torch.inference_mode()
def test_windows_are_blended_as_published(golden):
    """A predictor that is not linear: what stands before an identity head is what is blended."""
    volume = torch.from_numpy(np.random.default_rng(5).random((1, 1, 40, 50, 45), np.float32))
    kernel = torch.from_numpy(10 * formula("sw.weight", (3, 1, 3, 3, 3))).float()

    def predict(window):
        return torch.nn.functional.conv3d(window, kernel, padding=1) ** 2

    wanted = sliding_window_inference(
        volume, (16, 24, 24), 1, predict, overlap=0.625, mode="gaussian", sigma_scale=0.125
    )
    np.testing.assert_allclose(wanted, golden["sw_out"], rtol=1e-4, atol=1e-5)
    head = torch.nn.Conv3d(3, 3, 1, bias=False)
    head.weight.copy_(torch.eye(3)[:, :, None, None, None])
    inferer = StreamingInferer(roi_size=(16, 24, 24), overlap=0.625, progress=False)
    slabs = dict(_Run(volume, inferer).labels(predict, head))
    labels = torch.cat([slabs[first] for first in sorted(slabs)])
    assert np.mean(labels.numpy() == golden["sw_argmax"].reshape(labels.shape)) >= 0.9999


def test_learning_rate_is_the_published_one(golden):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    schedule = WarmupCosineSchedule(
        optimizer, warmup_steps=3, t_total=300, warmup_multiplier=0.1, end_lr=0.01 * 2e-4
    )
    rates = []
    for _ in range(300):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    np.testing.assert_allclose(rates, golden["lr_totalseg"], rtol=1e-6)

"""Heads behind an encoder: the published projection, and what reaches the loss."""

import zlib
from functools import partial

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer

from common.losses.contrastive import NTXentLoss
from common.losses.non_contrastive import SimSiamLoss
from common.networks.ct_fm_encoder import CTFMEncoder
from common.networks.projection import PredictionHead, ProjectedEncoder, ProjectionHead


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return CTFMEncoder(init_filters=4, blocks_down=[1, 1, 1])


def projected(encoder, *, embedding=6, **heads):
    head = ProjectionHead(in_features=16, hidden_features=16, out_features=embedding)
    return ProjectedEncoder(encoder, projection_head=head, **heads)


def views(scans=2, crops=3):
    steps = torch.arange(scans * crops * 2 * 8 * 8 * 8.0)
    return torch.sin(0.37 * steps).reshape(scans, crops, 2, 1, 8, 8, 8)


def test_projection_is_the_published_one(shared):
    golden = np.load(shared / "golden" / "ct_fm.npz")
    head = ProjectionHead()
    state = {}
    for key, tensor in head.state_dict().items():
        rng = np.random.default_rng(zlib.crc32(f"projection_head.{key}".encode()))
        values = rng.standard_normal(tuple(tensor.shape)) * 0.02
        state[key] = torch.from_numpy(values).float()
    head.load_state_dict(state)
    found = head(torch.from_numpy(golden["enc_embedding"])).detach()
    np.testing.assert_allclose(found, golden["proj_out"], rtol=1e-4, atol=1e-5)


def test_keys_are_the_published_ones():
    keys = {f"layers.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")}
    assert set(ProjectionHead().state_dict()) == keys


def test_views_keep_their_places(encoder):
    network = projected(encoder).eval()
    found = network(views())
    assert found.shape == (2, 3, 2, 6)
    alone = network(views()[1, 2, 1][None])
    torch.testing.assert_close(found[1, 2, 1], alone[0])


def test_features_are_the_mean_of_the_last_map(encoder):
    crops = views().flatten(0, 2)
    network = projected(encoder).eval()
    torch.testing.assert_close(network.features(crops), encoder(crops).mean(dim=(2, 3, 4)))
    torch.testing.assert_close(network.projection_head(network.features(crops)), network(crops))


def test_predictions_come_with_embeddings(encoder):
    head = PredictionHead(features=6, hidden_features=2)
    embeddings, predictions = projected(encoder, prediction_head=head).eval()(views())
    assert embeddings.shape == predictions.shape == (2, 3, 2, 6)
    torch.testing.assert_close(predictions[0, 1], head(embeddings[0, 1]))


@pytest.mark.parametrize(
    ("loss", "head"),
    [
        (NTXentLoss(), None),
        (SimSiamLoss(), partial(PredictionHead, features=16, hidden_features=8)),
    ],
    ids=["NT-Xent", "SimSiam"],
)
def test_monais_trainer_lowers_the_loss(encoder, loss, head):
    network = projected(encoder, embedding=16, prediction_head=head and head())
    losses = []
    trainer = SupervisedTrainer(
        device="cpu", max_epochs=20, train_data_loader=[{"image": views()}], network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=3e-3), loss_function=loss,
        decollate=False,
    )  # fmt: skip
    trainer.add_event_handler(
        Events.ITERATION_COMPLETED, lambda engine: losses.append(engine.state.output["loss"])
    )
    trainer.run()
    assert losses[-1] < losses[0]

"""CT-FM's triage network: shapes, the published encoder's weights, channels."""

import json

import pytest
import safetensors.torch
import torch

from common.errors import InputError
from common.networks.ct_fm_triage import CTFMTriage
from common.weights.initialisation import start_from
from common.weights.loading import read_key_map, rename_keys

SMALL = {"init_filters": 4, "blocks_down": [1, 1, 1], "head_width": 8}


@pytest.fixture
def key_map(repository):
    return repository / "bundles" / "ct_fm_triage" / "models" / "key_map.json"


@pytest.fixture
def published(tmp_path):
    """An encoder's state dict as it is published: no prefix, one input channel."""
    torch.manual_seed(1)
    state = CTFMTriage(**SMALL).encoder.state_dict()
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def start(network, source, key_map, **options):
    return start_from(network, source=str(source), key_map=key_map, layout="encoder", **options)


@pytest.mark.parametrize("size", [(8, 8, 8), (9, 14, 11)])
def test_one_logit_for_each_label_whatever_the_size(size):
    network = CTFMTriage(in_channels=4, num_classes=3, **SMALL).eval()
    assert network(torch.zeros(2, 4, *size)).shape == (2, 3)


def test_the_mean_of_the_last_map_goes_through_the_head():
    network = CTFMTriage(**SMALL).eval()
    image = torch.rand(1, 1, 8, 8, 8)
    pooled = network.encoder(image)[-1].mean(dim=(2, 3, 4))
    hidden = torch.relu(network.head[2](pooled))
    torch.testing.assert_close(network(image), network.head[4](hidden))


def test_the_published_encoder_fits_one_to_one(shared, key_map):
    manifest = json.loads((shared / "manifests" / "ct_fm_feature_extractor.json").read_text())
    with torch.device("meta"):
        network = CTFMTriage()
        state = {key: torch.empty(told["shape"]) for key, told in manifest["tensors"].items()}
    own = {key: value.shape for key, value in network.state_dict().items() if "head" not in key}
    renamed = rename_keys(state, read_key_map(key_map, "encoder"))
    assert len(renamed) == 161
    assert {key: value.shape for key, value in renamed.items()} == own


def test_training_starts_from_the_encoder_and_a_head_by_chance(published, key_map):
    torch.manual_seed(2)
    network = CTFMTriage(**SMALL)
    head = network.head[2].weight.clone()
    start(network, published, key_map)
    for key, value in safetensors.torch.load_file(published).items():
        assert torch.equal(network.encoder.state_dict()[key], value)
    assert torch.equal(network.head[2].weight, head)


def test_one_channel_does_not_start_four_unasked(published, key_map):
    with pytest.raises(InputError, match="must have 4 input channels for the encoder, got 1; set"):
        start(CTFMTriage(in_channels=4, **SMALL), published, key_map)


def test_repeated_weights_see_four_equal_channels_as_one(published, key_map):
    one = start(CTFMTriage(**SMALL), published, key_map).eval()
    four = start(CTFMTriage(in_channels=4, **SMALL), published, key_map, repeat_first=True).eval()
    image = torch.rand(1, 1, 8, 8, 8)
    torch.testing.assert_close(four.encoder(image.expand(-1, 4, -1, -1, -1)), one.encoder(image))

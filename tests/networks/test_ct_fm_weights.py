"""CT-FM's checkpoints, in every layout that is around, load whole or not at all."""

import json

import pytest
import torch
from monai.networks.nets import SegResNetDS
from monai.networks.nets.segresnet_ds import SegResEncoder

from common.errors import InputError
from common.weights.card import read_card
from common.weights.initialisation import start_from
from common.weights.loading import load_state, read_key_map, rename_keys

SMALL = {"spatial_dims": 3, "in_channels": 1, "init_filters": 4, "blocks_down": (1, 1, 1)}
LAYOUTS = {
    "published": "",
    "Lightning": "model.",
    "Lightning, backbone": "model.backbone.",
    "compiled": "_orig_mod.",
    "Lightning and compiled": "model._orig_mod.backbone.",
    "several GPUs": "module.",
}


@pytest.fixture
def key_map(repository):
    return repository / "bundles" / "ct_fm_wholebody" / "models" / "key_map.json"


def segmenter(seed=0, classes=3, **options):
    torch.manual_seed(seed)
    return SegResNetDS(**SMALL, out_channels=classes, dsdepth=2, **options)


def encoder(seed=0):
    torch.manual_seed(seed)
    return SegResEncoder(**SMALL)


def prefixed(network, prefix):
    return {prefix + key: value for key, value in network.state_dict().items()}


def is_same(network, other):
    ours, theirs = network.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.mark.parametrize("prefix", LAYOUTS.values(), ids=LAYOUTS)
def test_a_segmenter_loads_strictly_from_every_layout(key_map, prefix):
    published, network = segmenter(seed=1), segmenter(seed=2)
    load_state(
        network, rename_keys(prefixed(published, prefix), read_key_map(key_map, "published"))
    )
    assert is_same(network, published)


@pytest.mark.parametrize("prefix", LAYOUTS.values(), ids=LAYOUTS)
def test_an_encoder_starts_a_segmenter_from_every_layout(key_map, tmp_path, prefix):
    published = encoder(seed=1)
    state = prefixed(published, prefix)
    state |= {"projection_head.layers.0.weight": torch.zeros(8, 16)}  # of pre-training
    torch.save({"state_dict": state, "epoch": 449}, tmp_path / "epoch=449.ckpt")
    network = start_from(
        segmenter(seed=2), source=str(tmp_path / "epoch=449.ckpt"), key_map=key_map,
        layout="encoder",
    )  # fmt: skip
    assert is_same(network.encoder, published)
    assert torch.equal(
        network.up_layers[1]["head"].bias, segmenter(seed=2).up_layers[1]["head"].bias
    )


def test_a_segmenters_encoder_starts_another_with_other_classes(key_map, tmp_path):
    published = segmenter(seed=1, classes=2)
    torch.save(published.state_dict(), tmp_path / "segresnet.pt")
    network = start_from(
        segmenter(seed=2, classes=5), source=str(tmp_path / "segresnet.pt"), key_map=key_map,
        layout="encoder",
    )  # fmt: skip
    assert is_same(network.encoder, published.encoder)


def test_the_encoders_file_is_no_segmenter(key_map):
    """The published loader takes it without a word, and leaves the network random."""
    state = rename_keys(encoder().state_dict(), read_key_map(key_map, "published"))
    with pytest.raises(InputError, match=r"missing encoder\.conv_init\.weight") as caught:
        load_state(segmenter(), state)
    assert "69 missing, 39 unexpected of 69 tensors" in str(caught.value)
    assert "unexpected conv_init.weight" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 10


def test_an_encoder_that_lacks_a_tensor_is_refused(key_map, tmp_path):
    state = encoder().state_dict()
    del state["layers.2.blocks.0.conv2.weight"]
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(InputError, match=r"missing layers.2.blocks.0.conv2.weight"):
        start_from(segmenter(), source=str(tmp_path / "cut.pt"), key_map=key_map, layout="encoder")


def shapes_of(shared, name):
    manifest = json.loads((shared / "manifests" / f"{name}.json").read_text())
    return {key: tensor["shape"] for key, tensor in manifest["tensors"].items()}


def without_memory(shapes):
    return {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}


def test_all_221_tensors_of_the_published_whole_body_network_fit(shared, repository, key_map):
    shapes = shapes_of(shared, "ct_fm_whole_body_118")
    card = read_card(repository / "bundles" / "ct_fm_wholebody" / "models" / "published.json")
    with torch.device("meta"):
        network = SegResNetDS(
            spatial_dims=3, in_channels=1, out_channels=len(card.labels), **card.architecture
        )
    state = rename_keys(without_memory(shapes), read_key_map(key_map, "published"))
    assert len(state) == 221
    assert {k: list(v.shape) for k, v in network.state_dict().items()} == {
        k: list(v.shape) for k, v in state.items()
    }
    assert sum(p.numel() for p in network.parameters()) == 87_220_344


@pytest.mark.parametrize("name", ["ct_fm_feature_extractor", "ct_fm_segresnet_pretrained"])
def test_all_161_tensors_of_the_published_encoders_fit(shared, key_map, name):
    with torch.device("meta"):
        network = SegResEncoder(
            spatial_dims=3, in_channels=1, init_filters=32, blocks_down=(1, 2, 2, 4, 4)
        )
    state = rename_keys(without_memory(shapes_of(shared, name)), read_key_map(key_map, "encoder"))
    assert len(state) == 161
    assert {f"encoder.{k}": list(v.shape) for k, v in network.state_dict().items()} == {
        k: list(v.shape) for k, v in state.items()
    }

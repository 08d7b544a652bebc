"""What travels with a packed bundle can be repeated anywhere, and a difference is found."""

import json

import pytest
import torch
from safetensors.torch import load_file

from common.bundle.golden import GOLDEN, check_golden, example_inputs, run_network, write_golden
from common.errors import InputError
from common.weights.card import read_card
from common.weights.loading import load_state, read_tensors

TWO = {
    "network_data_format": {
        "inputs": {
            "image": {"num_channels": 1, "spatial_shape": ["3*n", 8], "value_range": [-1, 1]},
            "prompt": {"num_channels": 2, "spatial_shape": ["n"]},
        },
        "outputs": {"logits": {}, "where": {}},
    }
}


class TwoByTwo(torch.nn.Module):
    """Two inputs, two outputs."""

    def forward(self, image, prompt):
        return image.sum(), prompt * 2


@pytest.fixture
def packed(tiny_bundle, make_tiny_network):
    """A bundle as packing leaves it, with golden output of its weights; and its network."""
    (tiny_bundle / "models" / "demo.json").rename(tiny_bundle / "models" / "model.json")
    write_golden(tiny_bundle, config=tiny_bundle / "configs" / "inference.json")
    card = read_card(tiny_bundle / "models" / "model.json")
    network = make_tiny_network(seed=1)
    load_state(network, read_tensors(card.tensors))
    return tiny_bundle, network


def test_inputs_are_made_by_name_in_the_metadatas_order_and_range():
    given = example_inputs(TWO)
    assert list(given) == ["image", "prompt"]
    assert given["image"].shape == (1, 1, 6, 8)
    assert given["prompt"].shape == (1, 2, 2)
    assert given["image"].min() < -0.9
    assert -1 <= given["image"].min() < given["image"].max() <= 1
    assert 0 <= given["prompt"].min() < given["prompt"].max() <= 1


def test_several_outputs_have_their_names():
    found = run_network(TwoByTwo(), example_inputs(TWO), TWO)
    assert list(found) == ["logits", "where"]
    assert found["where"].shape == (1, 2, 2)


def test_another_number_of_outputs_is_refused():
    one = {"network_data_format": {**TWO["network_data_format"], "outputs": {"logits": {}}}}
    with pytest.raises(InputError, match="network must give logits, got 2 outputs"):
        run_network(TwoByTwo(), example_inputs(TWO), one)


def test_the_same_weights_give_the_same_again(packed):
    folder, network = packed
    assert set(load_file(folder / GOLDEN)) == {"inputs.image", "outputs.pred"}
    assert check_golden(folder, network) == "0 from what the packer had"


def test_other_weights_are_found_out(packed, make_tiny_network):
    folder, _ = packed
    with pytest.raises(InputError, match=r"output must be the golden one to 0\.0001, got .* off"):
        check_golden(folder, make_tiny_network(seed=3))


def test_a_bundle_without_one_is_told(packed):
    folder, network = packed
    (folder / GOLDEN).unlink()
    with pytest.raises(InputError, match=r"bundle must hold models/golden\.safetensors, got none"):
        check_golden(folder, network)


def test_metadata_is_what_names_come_from(packed):
    folder, network = packed
    path = folder / "configs" / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["network_data_format"]["outputs"]["more"] = {}
    path.write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="network must give pred, more, got 1 outputs"):
        check_golden(folder, network)

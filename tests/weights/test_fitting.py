"""State dicts out of other people's hands, brought to a network."""

import logging

import pytest
import torch
from torch import nn

from common.errors import InputError
from common.weights.fitting import WRAPPERS, load_state, unwrap


def small():
    """A convolution with batch norm under `body`, a linear `head`."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    return nn.ModuleDict({"body": body, "head": nn.Linear(2, 3)})


def prefixed(state, prefix):
    return {prefix + key: value for key, value in state.items()}


def loads(network, state):
    return all(torch.equal(network.state_dict()[key], value) for key, value in state.items())


@pytest.mark.parametrize(
    "prefix",
    [
        *(f"{word}." for word in WRAPPERS),
        "module._orig_mod.",
        "model.module._orig_mod.",
        "network.net.",
        "segmenter.inner.",
    ],
)
def test_a_wrappers_prefix_is_taken_off_and_said(prefix, caplog):
    state = {key: value + 1 for key, value in small().state_dict().items()}
    network = small()
    with caplog.at_level(logging.INFO, "common.weights"):
        assert load_state(network, prefixed(state, prefix)) == {"prefix": prefix}
    assert loads(network, state)
    assert f"checkpoint: the prefix {prefix} of its keys is taken off" in caplog.text


def test_a_network_whose_own_keys_begin_like_a_wrapper_keeps_them():
    network = nn.ModuleDict({"model": nn.Linear(1, 1)})
    state = network.state_dict()
    assert load_state(network, state) == {}
    assert load_state(network, prefixed(state, "module.")) == {"prefix": "module."}
    assert load_state(network, prefixed(state, "model.")) == {"prefix": "model."}


def test_what_torch_wraps_inside_a_network_is_taken_off():
    state = small().state_dict()
    inside = {key.replace("body.", "body._orig_mod."): value for key, value in state.items()}
    network = small()
    load_state(network, inside)
    assert loads(network, state)


def test_what_lies_outside_the_wrapper_is_left_out_and_said(caplog):
    state = prefixed(small().state_dict(), "model.") | {"loss.pos_weight": torch.ones(3)}
    with caplog.at_level(logging.INFO, "common.weights"):
        notes = load_state(small(), state)
    assert notes == {"prefix": "model.", "left_out": {"loss": 1}}
    assert "left out loss (1 tensors)" in caplog.text


def test_the_prefix_is_chosen_by_what_fits_after_renaming():
    state = {"model.features.0.weight": torch.ones(1), "model.fc.bias": torch.ones(1)}
    key_map = [[r"^features\.0\.", "encoder.conv1."], [r"^fc\..*", ""]]
    found = unwrap(state, {"encoder.conv1.weight"}, key_map=key_map)
    assert found.state.keys() == {"encoder.conv1.weight"}
    assert found.notes == {"prefix": "model.", "left_out": {"fc": 1}}


def test_what_does_not_fit_is_counted_and_the_first_of_each_kind_named():
    network = nn.Linear(2, 3)
    state = {"weight": torch.zeros(3, 4), "offset": torch.zeros(3)}
    with pytest.raises(InputError) as caught:
        load_state(network, state)
    assert str(caught.value).splitlines() == [
        "checkpoint does not fit Linear: 1 missing, 1 unexpected, 1 of another shape of 2 tensors",
        "  missing bias [3]",
        "  unexpected offset [3]",
        "  weight has shape [3, 4], expected [3, 2]",
    ]


def test_a_layout_error_has_ten_lines_at_most():
    network = nn.Sequential(*(nn.Linear(1, 1) for _ in range(50)))
    state = {f"{n}.weight": torch.zeros(2, 2) for n in range(50)}
    state |= {f"x{n}.weight": torch.zeros(1) for n in range(50)}
    with pytest.raises(InputError, match="and 48 more missing") as caught:
        load_state(network, state)
    assert len(str(caught.value).splitlines()) == 10


def test_a_layout_error_tells_of_prefixes():
    network = nn.Linear(2, 3)
    with pytest.raises(InputError, match=r"after its prefix module\. was taken off"):
        load_state(network, {"module.weight": torch.ones(3, 2)})
    with pytest.raises(InputError, match=r"all its keys begin with resnet\."):
        load_state(network, {"resnet.fc1": torch.ones(3, 2), "resnet.fc2": torch.ones(3)})


def test_nothing_is_loaded_where_anything_does_not_fit():
    network = nn.Linear(2, 3)
    before = network.weight.clone()
    with pytest.raises(InputError, match="missing bias"):
        load_state(network, {"weight": torch.zeros(3, 2)})
    with pytest.raises(InputError, match="NaN or infinity in bias"):
        load_state(network, {"weight": torch.ones(3, 2), "bias": torch.full((3,), torch.nan)})
    assert torch.equal(network.weight, before)


def changed(key, value):
    state = small().state_dict()
    state[key] = value(state[key].clone())
    return state


def with_one(number):
    def put(tensor):
        tensor.view(-1)[0] = number
        return tensor

    return put


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("head.bias", with_one(float("nan")), "NaN or infinity in head.bias"),
        ("body.0.weight", with_one(float("inf")), "NaN or infinity in body.0.weight"),
        ("body.1.running_mean", with_one(float("-inf")), "NaN or infinity in body.1.running_mean"),
        ("head.weight", lambda t: t.double() + 1e300, "NaN or infinity in head.weight"),
        ("body.1.running_var", with_one(-1e-3), "a negative variance in body.1.running_var"),
        ("head.weight", torch.zeros_like, "nothing but 0 in head.weight"),
        ("head.weight", lambda t: t.to(torch.int8), "int8 in place of float32 in head.weight"),
        ("head.weight", lambda t: t > 0, "bool in place of float32 in head.weight"),
        ("head.bias", lambda t: t.to(torch.complex64), "complex64 in place of float32"),
        ("body.1.num_batches_tracked", lambda t: t + 0.5, "float32 in place of int64"),
    ],
)
def test_numbers_that_are_none_are_refused_by_key(key, value, message):
    with pytest.raises(InputError, match=f"^a.pt must hold finite numbers.*{message}"):
        load_state(small(), changed(key, value), source="a.pt")


def test_a_long_list_of_bad_tensors_is_cut_short():
    state = {key: torch.full_like(value, -1) for key, value in small().state_dict().items()}
    state = {key: value / 0 if value.is_floating_point() else value for key, value in state.items()}
    with pytest.raises(InputError, match=r"in body.0.weight, body.0.bias, body.1.weight and 5 mo"):
        load_state(small(), state)


def test_biases_of_zero_are_fine_and_so_is_what_was_made_of_zeros_at_hand():
    load_state(small(), changed("head.bias", torch.zeros_like), source="a.pt")
    load_state(small(), changed("head.weight", torch.zeros_like))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_what_is_cast_is_said(kind, caplog):
    state = {key: value.to(kind) for key, value in small().state_dict().items()}
    name = str(kind).removeprefix("torch.")
    network = small()
    with caplog.at_level(logging.INFO, "common.weights"):
        notes = load_state(network, state)
    assert notes["cast"][name] in ("float32", "int64")
    assert f"numbers were cast from {name} to" in caplog.text
    assert network["head"].weight.dtype == torch.float32


class Tied(nn.Module):
    """A word table that is the output layer too, as in GPT-2."""

    def __init__(self):
        super().__init__()
        self.wte = nn.Embedding(3, 2)
        self.lm_head = nn.Linear(2, 3, bias=False)
        self.lm_head.weight = self.wte.weight


@pytest.mark.parametrize(
    "saved", [["wte.weight"], ["lm_head.weight"], ["wte.weight", "lm_head.weight"]]
)
def test_of_tied_tensors_any_one_is_enough(saved):
    network = Tied()
    load_state(network, {key: torch.full((3, 2), 5.0) for key in saved})
    assert torch.equal(network.wte.weight, torch.full((3, 2), 5.0))
    assert network.lm_head.weight is network.wte.weight


def test_tied_tensors_that_differ_are_named():
    state = {"wte.weight": torch.ones(3, 2), "lm_head.weight": torch.zeros(3, 2)}
    with pytest.raises(InputError, match=r"other numbers in wte\.weight and lm_head\.weight; take"):
        load_state(Tied(), state)


def test_a_tied_tensor_that_is_missing_is_said():
    with pytest.raises(InputError, match=r"missing wte\.weight \[3, 2\]"):
        load_state(Tied(), {"other.weight": torch.ones(3, 2)})

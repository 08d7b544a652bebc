"""Foreign keys brought into our layout by rules that are data."""

import json

import pytest
import torch

from common.errors import InputError
from common.weights.key_map import read_key_map, rename_keys

WORDS = "^(lm_head|gpt\\.wte)\\."
TIED = [[WORDS, "wte.", "alias"]]


def test_key_map_renames_in_order_and_drops_by_rename_to_nothing():
    state = {"net.conv.weight": torch.ones(1), "net.fc.bias": torch.zeros(1)}
    key_map = [[r"^net\.", ""], [r"^fc\..*", ""], [r"^conv\.", "encoder."]]
    assert rename_keys(state, key_map).keys() == {"encoder.weight"}


def test_key_map_must_keep_keys_apart():
    with pytest.raises(InputError, match="must keep keys apart, got x twice"):
        rename_keys({"a.x": torch.ones(1), "b.x": torch.ones(1)}, [[r"^[ab]\.", ""]])


def test_unknown_layout_is_refused(tmp_path):
    (tmp_path / "map.json").write_text('{"published": []}')
    with pytest.raises(InputError, match="layout must be one of published, got imagenet"):
        read_key_map(tmp_path / "map.json", "imagenet")


@pytest.mark.parametrize(
    "rule", [["^a"], ["^a", "b", "twin"], ["^a", "b", "alias", "c"], ["(", "b"], "^a", ["a", 1], []]
)
def test_a_rule_of_another_form_is_refused(tmp_path, rule):
    (tmp_path / "map.json").write_text(json.dumps({"published": [["^x", "y"], rule]}))
    with pytest.raises(InputError, match=r"key map must hold pairs of .* in published of .*map"):
        read_key_map(tmp_path / "map.json", "published")


@pytest.mark.parametrize(
    "names",
    [
        ["wte.weight"], ["lm_head.weight"], ["lm_head.weight", "wte.weight"],
        ["wte.weight", "gpt.wte.weight", "lm_head.weight"], ["lm_head.weight", "gpt.wte.weight"],
    ],
)  # fmt: skip
def test_aliases_become_one_tensor_and_any_one_is_enough(names):
    state = {name: torch.arange(3.0) for name in names}
    renamed = rename_keys(state, TIED)
    assert renamed.keys() == {"wte.weight"}
    assert torch.equal(renamed["wte.weight"], torch.arange(3.0))


@pytest.mark.parametrize("other", [torch.zeros(3), torch.ones(2), torch.ones(3).half()])
def test_aliases_that_differ_are_all_named(other):
    state = {"wte.weight": torch.ones(3), "lm_head.weight": other, "gpt.wte.weight": other}
    found = r"in wte\.weight and lm_head\.weight, wte\.weight and gpt\.wte\.weight; take"
    with pytest.raises(InputError, match=found):
        rename_keys(state, TIED)


def test_aliases_do_not_hide_two_tensors_that_become_one():
    """The alias comes first: what follows it is still held against each other."""
    state = {"lm_head.weight": torch.ones(1), "a.wte.weight": torch.ones(1)}
    key_map = [*TIED, [r"^[ab]\.", ""]]
    assert rename_keys(state, key_map).keys() == {"wte.weight"}
    with pytest.raises(InputError, match=r"got wte\.weight twice \(from b\.wte\.weight\)"):
        rename_keys({**state, "b.wte.weight": torch.ones(1)}, key_map)


GPT2 = r"^language_model\."
PUBLISHED_REPORTS = [
    [rf"{GPT2}gpt2_blocks\.(\d+)\.0\.", r"language_model.gpt.h.\1.ln_1.", "alias"],
    [rf"{GPT2}gpt2_blocks\.(\d+)\.1\.", r"language_model.gpt.h.\1.attn.", "alias"],
    [rf"{GPT2}gpt2_blocks\.(\d+)\.2\.", r"language_model.gpt.h.\1.ln_2.", "alias"],
    [rf"{GPT2}gpt2_blocks\.(\d+)\.3\.", r"language_model.gpt.h.\1.mlp.", "alias"],
    [rf"{GPT2}gpt_with_lm_head\.transformer\.", "language_model.gpt.", "alias"],
    [rf"{GPT2}(?:gpt_with_lm_head\.)?lm_head\.", "language_model.gpt.wte.", "alias"],
    [rf"{GPT2}(w[tp]e)\.", r"language_model.gpt.\1.", "alias"],
    [rf"{GPT2}final_layernorm\.", "language_model.gpt.ln_f.", "alias"],
]


def test_the_published_report_networks_1518_keys_are_644_tensors(shared):
    """436 groups of its keys are one tensor each: eight rules say which, and none is missed."""
    manifests = shared / "manifests"
    shapes = json.loads((manifests / "ct_agrg_full_state_dict.json").read_text())
    groups = json.loads((manifests / "ct_agrg_full_aliases.json").read_text())
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    assert len(state) == 1518
    assert len(rename_keys(state, PUBLISHED_REPORTS)) == 1518 - sum(map(len, groups)) + 436 == 644
    for group in groups:
        assert len(rename_keys({key: state[key] for key in group}, PUBLISHED_REPORTS)) == 1

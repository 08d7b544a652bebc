import pytest
import torch
from monai.networks.nets import SegResNetDS

from common.networks.ct_fm_triage import CTFMTriage
from common.networks.heads import head_parameters, with_heads_for


def segmenter(classes, seed=0, depth=2):
    torch.manual_seed(seed)
    return SegResNetDS(
        spatial_dims=3, in_channels=1, out_channels=classes, init_filters=4,
        blocks_down=(1, 1, 1, 1), dsdepth=depth,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("network", "modules"),
    [
        (segmenter(3), ["up_layers.1.head", "up_layers.2.head"]),
        (segmenter(3, depth=1), ["up_layers.2.head"]),
        (CTFMTriage(init_filters=4, blocks_down=[1, 1], head_width=8), ["head.4"]),
        (torch.nn.Linear(1, 1), []),
    ],
    ids=["segmenter", "one depth", "classifier", "none"],
)
def test_heads_are_the_last_layers_of_modules_called_so(network, modules):
    keys = [f"{name}.{part}" for name in modules for part in ("weight", "bias")]
    assert head_parameters(network) == keys


def test_every_depth_gets_the_channels_of_labels_by_name():
    trained, network = segmenter(4, seed=1), segmenter(3, seed=2)
    before, labels = ["background", "liver", "spleen", "heart"], ["background", "heart", "own"]
    heads = with_heads_for(network, trained.state_dict(), labels=labels, before=before)
    assert (heads.kept, heads.new) == (["background", "heart"], ["own"])
    for depth in (1, 2):
        was, own = (net.up_layers[depth]["head"].weight for net in (trained, network))
        found = heads.state[f"up_layers.{depth}.head.weight"]
        assert torch.equal(found, torch.stack([was[0], was[3], own[2]]))


def test_a_head_of_another_width_stays_for_the_strict_loading_to_refuse():
    trained = segmenter(4).state_dict() | {"up_layers.2.head.weight": torch.ones(4, 9, 1, 1, 1)}
    heads = with_heads_for(segmenter(2), trained, labels=["a", "b"], before=list("abcd"))
    assert heads.state["up_layers.2.head.weight"].shape == (4, 9, 1, 1, 1)

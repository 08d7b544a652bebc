import json
import logging
import os
import subprocess
import sys

import pytest
import safetensors.torch
import torch
from monai.networks.nets import SegResNetDS

from common.errors import InputError
from common.networks.ct_fm_encoder import CTFMEncoder
from common.networks.ct_scroll import ScrollClassifier
from common.vocabulary.chest_findings import CT_RATE_LABELS
from common.weights.card import read_card
from common.weights.initialisation import layout_for_training, start_from
from common.weights.loading import save_weights
from tests.conftest import REPOSITORY, TINY_ARCHITECTURE

SOURCE = "hf://timm/resnet18.tv_in1k/model.safetensors"


@pytest.fixture
def key_map(repository):
    return repository / "bundles" / "ct_scroll" / "models" / "key_map.json"


@pytest.fixture
def imagenet(make_tiny_network):
    """A torchvision ResNet's state dict: our encoder's tensors, a classifier, no counts."""
    state = make_tiny_network(seed=5).encoder.state_dict()
    state = {key: value for key, value in state.items() if "num_batches" not in key}
    return {**state, "fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}


def write(state, path):
    safetensors.torch.save_file({key: value.contiguous() for key, value in state.items()}, path)
    return path


def equal_to(network, state):
    own = network.encoder.state_dict()
    return all(torch.equal(own[key], state[key]) for key in state if key in own)


def test_no_source_is_random_and_in_training_mode(make_tiny_network, key_map):
    network = make_tiny_network()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    started = start_from(network, source="", key_map=key_map)
    assert started is network
    assert network.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


@pytest.mark.parametrize("counted", [False, True])
def test_imagenet_weights_fill_the_encoder_alone(
    make_tiny_network, imagenet, key_map, tmp_path, counted
):
    if counted:
        imagenet = {**imagenet, **make_tiny_network(seed=5).encoder.state_dict()}
    network = make_tiny_network()
    head = network.head[0].weight.clone()
    start_from(network, source=str(write(imagenet, tmp_path / "r.safetensors")), key_map=key_map)
    assert equal_to(network, imagenet)
    assert torch.equal(network.head[0].weight, head)
    assert network.training


def test_torchvisions_own_file_form_is_read(make_tiny_network, imagenet, key_map, tmp_path):
    torch.save(imagenet, tmp_path / "resnet18.pth")
    network = start_from(
        make_tiny_network(), source=str(tmp_path / "resnet18.pth"), key_map=key_map
    )
    assert equal_to(network, imagenet)


def test_card_fills_the_whole_network(make_tiny_network, tiny_card, key_map):
    network = start_from(make_tiny_network(seed=1), source=str(tiny_card.path), key_map=key_map)
    assert network.training
    for key, value in make_tiny_network(seed=0).state_dict().items():
        assert torch.equal(network.state_dict()[key], value)


def classifier(labels, seed):
    torch.manual_seed(seed)
    return ScrollClassifier(**{**TINY_ARCHITECTURE, "num_classes": len(labels)})


@pytest.mark.parametrize(
    ("labels", "kept", "new"),
    [
        (["Edema", "Embolism"], [], ["Edema", "Embolism"]),
        (["Edema", "Emphysema"], ["Emphysema"], ["Edema"]),
        (CT_RATE_LABELS[::-1], CT_RATE_LABELS[::-1], []),
        ([f"own {n}" for n in range(18)], [], [f"own {n}" for n in range(18)]),
    ],
    ids=["all new", "one kept", "another order", "as many"],
)
def test_labels_keep_their_channel_by_name_and_others_start_anew(
    make_tiny_network, tiny_card, key_map, labels, kept, new, caplog
):
    trained, network = make_tiny_network(seed=0), classifier(labels, seed=1)
    own = network.head[3].weight.clone()
    with caplog.at_level(logging.INFO):
        start_from(network, source=str(tiny_card.path), key_map=key_map, labels=labels)
    for place, label in enumerate(labels):
        was = trained.head[3].weight[CT_RATE_LABELS.index(label)] if label in kept else own[place]
        assert torch.equal(network.head[3].weight[place], was)
    for key, value in trained.state_dict().items():
        assert key.startswith("head.3.") or torch.equal(network.state_dict()[key], value)
    assert network.started_from["new_heads"] == list(new)
    assert network.started_from["kept_heads"] == list(kept)
    assert f"New heads: {', '.join(new) or 'none'}." in caplog.text


def test_a_body_that_does_not_fit_is_an_error_whatever_the_labels(tiny_card, key_map):
    wider = ScrollClassifier(**{**TINY_ARCHITECTURE, "num_classes": 2, "head_width": 16})
    with pytest.raises(InputError, match=r"0\.weight has shape \[8, 16\], expected \[16, 16\]"):
        start_from(wider, source=str(tiny_card.path), key_map=key_map, labels=["a", "b"])


@pytest.mark.parametrize("name", ["model.json", "model.pt", ""])
def test_tensors_and_folders_are_known_by_their_card(make_tiny_network, tiny_card, key_map, name):
    network = make_tiny_network(seed=1)
    start_from(network, source=str(tiny_card.path.parent / name), key_map=key_map)
    assert torch.equal(network.head[3].weight, make_tiny_network(seed=0).head[3].weight)
    assert network.started_from["sha256"] == tiny_card.sha256


def test_the_card_of_an_encoder_starts_a_segmenters_encoder(repository, tmp_path):
    size = {"init_filters": 4, "blocks_down": [1, 1, 1]}
    content = read_card(repository / "bundles" / "ct_fm_encoder" / "models" / "demo.json").content
    encoder = CTFMEncoder(**size)
    card = save_weights(encoder, content, tmp_path / "model.json")
    segmenter = SegResNetDS(spatial_dims=3, in_channels=1, out_channels=2, dsdepth=2, **size)
    key_map = repository / "bundles" / "ct_fm_wholebody" / "models" / "key_map.json"
    for source in (card.path, card.tensors):
        start_from(segmenter, source=str(source), key_map=key_map, layout="encoder", labels=["a"])
        for key, value in encoder.encoder.state_dict().items():
            assert torch.equal(segmenter.encoder.state_dict()[key], value)
        assert segmenter.started_from["part"] == "encoder"


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "net."])
def test_imagenet_weights_out_of_a_wrapper_fill_the_encoder(
    make_tiny_network, imagenet, key_map, tmp_path, prefix
):
    wrapped = {prefix + key: value for key, value in imagenet.items()}
    torch.save({"state_dict": wrapped}, tmp_path / "resnet18.pth")
    network = make_tiny_network()
    start_from(network, source=str(tmp_path / "resnet18.pth"), key_map=key_map)
    assert equal_to(network, imagenet)
    assert network.started_from["prefix"] == prefix


def test_frozen_encoder_does_not_train_and_the_rest_does(make_tiny_network, tiny_card, key_map):
    network = start_from(
        make_tiny_network(), source=str(tiny_card.path), key_map=key_map, frozen=True
    )
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert trained
    assert not any(name.startswith("encoder.") for name in trained)
    start_from(network, source=str(tiny_card.path), key_map=key_map)
    assert all(weight.requires_grad for weight in network.parameters())


def dropouts(network):
    return [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)] + [
        m.dropout for m in network.modules() if isinstance(m, torch.nn.MultiheadAttention)
    ]


def test_dropout_can_be_chosen_and_is_the_networks_own_otherwise(make_tiny_network, key_map):
    own = start_from(make_tiny_network(), source="", key_map=key_map)
    assert set(dropouts(own)) == {0.2, 0.5, 0.1}
    chosen = start_from(make_tiny_network(), source="", key_map=key_map, dropout=0.0)
    assert set(dropouts(chosen)) == {0.0}
    with pytest.raises(InputError, match=r"dropout must be from 0 to below 1, .* got 1\.5"):
        start_from(make_tiny_network(), source="", key_map=key_map, dropout=1.5)


def layouts(network, pictures):
    """For each strided convolution of kernel 1, whether it answered channels-last."""
    found = {}

    def look(convolution, _given, answer):
        found[convolution.in_channels] = answer.is_contiguous(memory_format=torch.channels_last)

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (1, 1):
            module.register_forward_hook(look)
    network(pictures)
    return found


@pytest.mark.parametrize(("stem_width", "channels_last"), [(4, False), (7, False), (8, True)])
def test_a_strided_convolution_of_few_channels_computes_in_the_default_layout(
    key_map, stem_width, channels_last
):
    network = ScrollClassifier(**{**TINY_ARCHITECTURE, "stem_width": stem_width})
    network.to(memory_format=torch.channels_last)  # whatever it was handed over in
    network = start_from(network, source="", key_map=key_map)
    found = layouts(network.encoder, torch.rand(2, 3, 64, 64))
    assert found == dict.fromkeys([stem_width, 2 * stem_width, 4 * stem_width], channels_last)


@pytest.mark.parametrize(
    ("harmless", "options"),
    [
        (torch.nn.Conv2d, {"in_channels": 8, "kernel_size": 1, "stride": 2}),
        (torch.nn.Conv2d, {"in_channels": 4, "kernel_size": 1}),
        (torch.nn.Conv2d, {"in_channels": 4, "kernel_size": 3, "stride": 2}),
        (torch.nn.Conv2d, {"in_channels": 4, "kernel_size": 1, "stride": 2, "groups": 4}),
        (torch.nn.Conv3d, {"in_channels": 4, "kernel_size": 1, "stride": 2}),
    ],
)
def test_other_convolutions_train_channels_last(harmless, options):
    convolution = harmless(out_channels=8, **options)
    last = torch.channels_last_3d if harmless is torch.nn.Conv3d else torch.channels_last
    assert layout_for_training(torch.nn.Sequential(convolution)) == last
    few = torch.nn.Conv2d(4, 8, kernel_size=1, stride=(1, 2))
    assert layout_for_training(torch.nn.Sequential(convolution, few)) == torch.contiguous_format


def test_a_network_of_few_channels_trains_without_avx512():
    """In a process of its own: where the rule is broken, it hangs or is aborted."""
    trains = (
        "import torch\n"
        "from common.weights.initialisation import layout_for_training\n"
        "network = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 1, 2, bias=False))\n"
        "network.to(memory_format=layout_for_training(network))\n"
        "pictures = torch.rand(4, 4, 16, 16, requires_grad=True)\n"
        "for _ in range(400): network(pictures).square().mean().backward()\n"
        "print('trained')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", trains], env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (0, "trained\n"), ended.stderr


def test_random_encoder_is_not_frozen(make_tiny_network, key_map):
    with pytest.raises(InputError, match="initial_weights must be given where the encoder is not"):
        start_from(make_tiny_network(), source="", key_map=key_map, frozen=True)


def test_file_that_is_not_there(make_tiny_network, key_map):
    with pytest.raises(InputError, match=r"initial_weights must be a file, got nowhere\.pth"):
        start_from(make_tiny_network(), source="nowhere.pth", key_map=key_map)


def test_bare_card_is_refused(make_tiny_network, tiny_card, key_map):
    content = {key: value for key, value in tiny_card.content.items() if key != "tensors"}
    tiny_card.path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="card must come with its tensors"):
        start_from(make_tiny_network(), source=str(tiny_card.path), key_map=key_map)


def test_encoder_of_another_size_names_what_does_not_fit(
    make_tiny_network, imagenet, key_map, tmp_path
):
    imagenet["conv1.weight"] = torch.zeros(64, 3, 7, 7)
    del imagenet["bn1.bias"]
    path = write(imagenet, tmp_path / "wide.safetensors")
    with pytest.raises(InputError) as caught:
        start_from(make_tiny_network(), source=str(path), key_map=key_map)
    assert "conv1.weight has shape [64, 3, 7, 7], expected [4, 3, 7, 7]" in str(caught.value)
    assert "missing bn1.bias [4]" in str(caught.value)


def test_weights_come_from_the_hub(make_tiny_network, imagenet, key_map, tmp_path, hub):
    path = write(imagenet, tmp_path / "model.safetensors")
    hub.files["timm/resnet18.tv_in1k/model.safetensors"] = path.read_bytes()
    network = start_from(make_tiny_network(), source=SOURCE, key_map=key_map)
    assert equal_to(network, imagenet)


def test_hub_without_the_file_says_so(make_tiny_network, key_map, hub):
    with pytest.raises(InputError, match=r"timm/resnet18.tv_in1k must be on the hub"):
        start_from(make_tiny_network(), source=SOURCE, key_map=key_map)


@pytest.mark.parametrize("source", ["hf://", "hf://timm", "hf://timm/resnet", "hf://a//b"])
def test_hub_address_has_three_parts(make_tiny_network, key_map, source):
    with pytest.raises(InputError, match="must be hf://<owner>/<repository>/<file>, got hf:"):
        start_from(make_tiny_network(), source=source, key_map=key_map)

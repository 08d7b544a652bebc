"""Streaming sliding window: MONAI's labels in a fraction of the memory."""

import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import SegResNet, SegResNetDS, UNet

from common.errors import InputError
from common.inferers.streaming import StreamingInferer, split_head

CLASSES = 7
NEAR_TIE = 1e-5  # in logits


def make_network(kind=SegResNetDS, **options):
    torch.manual_seed(0)
    if kind is SegResNetDS:
        options = {"blocks_down": (1, 1, 1), "dsdepth": 2, **options}
    network = kind(spatial_dims=3, in_channels=1, out_channels=CLASSES, **options)
    for module in network.modules():  # batch norm as after training, not as new
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return make_network(init_filters=4)


def noise(*size):
    return torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(1))


def by_monai(image, network, roi, overlap):
    with torch.inference_mode():
        return sliding_window_inference(
            image, roi, 1, network, overlap=overlap, mode="gaussian", sigma_scale=0.125
        )


def num_different(image, network, roi, overlap, **options):
    """Voxels with another label than MONAI's, near ties aside."""
    logits = by_monai(image, network, roi, overlap)
    best = logits.topk(2, dim=1).values
    is_tie = (best[:, 0] - best[:, 1]) < NEAR_TIE * logits.abs().max()
    inferer = StreamingInferer(roi_size=roi, overlap=overlap, precision="fp32", **options)
    labels = inferer(image, network)["labels"]
    assert labels.shape == logits[:, 0].shape
    assert labels.dtype == torch.uint8
    assert is_tie.float().mean() < 1e-3
    return int(((labels != logits.argmax(dim=1)) & ~is_tie).sum())


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.625, (0.5, 0.25, 0.0)])
def test_labels_are_those_of_monai_whatever_the_overlap(network, overlap):
    assert num_different(noise(56, 40, 44), network, (16, 24, 20), overlap) == 0


@pytest.mark.parametrize(
    "size",
    [(16, 24, 20), (61, 24, 20), (17, 25, 21), (9, 40, 44), (40, 7, 30), (5, 6, 7), (90, 23, 31)],
)
def test_labels_are_those_of_monai_whatever_the_size(network, size):
    assert num_different(noise(*size), network, (16, 24, 20), 0.5) == 0


@pytest.mark.parametrize("windows_at_once", [2, 5])
def test_several_windows_at_once_change_nothing(network, windows_at_once):
    image = noise(40, 40, 40)
    assert num_different(image, network, (16, 16, 16), 0.5, windows_at_once=windows_at_once) == 0


@pytest.mark.parametrize(
    "network",
    [
        make_network(SegResNet, init_filters=8, blocks_down=(1, 1), blocks_up=(1,)),
        make_network(SegResNetDS, init_filters=8, norm="instance"),
        make_network(SegResNetDS, init_filters=4, dsdepth=1, upsample_mode="nontrainable"),
    ],
    ids=["segresnet", "instance norm", "nontrainable"],
)
def test_other_networks_with_a_linear_last_layer_do_too(network):
    assert num_different(noise(32, 24, 24), network, (16, 16, 16), 0.5) == 0


def test_bf16_gives_nearly_the_same_labels(network):
    image = noise(32, 32, 32)
    exact, fast = (
        StreamingInferer(roi_size=(16, 16, 16), precision=precision)(image, network)["labels"]
        for precision in ("fp32", "bf16")
    )
    assert (exact == fast).float().mean() > 0.9


@pytest.mark.parametrize(("size", "refine"), [((40, 30, 26), 2), ((19, 17, 33), 3), ((5, 6, 7), 2)])
def test_refined_labels_are_those_of_interpolated_logits(network, size, refine):
    roi = (16, 24, 20)
    logits = torch.nn.functional.interpolate(
        by_monai(noise(*size), network, roi, 0.5), [(n - 1) * refine + 1 for n in size],
        mode="trilinear", align_corners=True,
    )  # fmt: skip
    best = logits.topk(2, dim=1).values
    is_tie = (best[:, 0] - best[:, 1]) < NEAR_TIE * logits.abs().max()
    inferer = StreamingInferer(roi_size=roi, refine=refine, precision="fp32")
    found = inferer(noise(*size), network)
    assert found["refine"] == refine
    assert found["labels"].shape == logits[:, 0].shape
    assert int(((found["labels"] != logits.argmax(dim=1)) & ~is_tie).sum()) == 0


def test_empty_windows_are_not_run_and_are_background(network):
    image = torch.zeros(1, 1, 64, 32, 32)
    image[:, :, :16] = noise(16, 32, 32)
    inferer = StreamingInferer(roi_size=(16, 16, 16), overlap=0.0, empty_below=0.0)
    found = inferer(image, network)
    assert (found["num_windows"], found["num_empty"]) == (16, 12)
    assert found["labels"][:, 16:].max() == 0
    alone = inferer(image[:, :, :16], network)["labels"]
    assert torch.equal(found["labels"][:, :16], alone)


def test_a_scan_of_air_is_all_background(network):
    inferer = StreamingInferer(roi_size=(16, 16, 16), empty_below=0.0)
    assert inferer(torch.zeros(1, 1, 20, 20, 20), network)["labels"].max() == 0


def test_buffers_do_not_grow_with_the_length(network, monkeypatch):
    sizes = []
    from common.inferers import streaming

    def remember(buffer, num_rows):
        sizes.append(tuple(buffer.shape))

    monkeypatch.setattr(streaming, "_move_up", remember)
    inferer = StreamingInferer(roi_size=(16, 24, 20), overlap=0.5)
    inferer(noise(128, 30, 30), network)
    assert set(sizes) == {(16, 30, 30), (16, 4, 30, 30)}  # weight; 4 features, not 7 classes


def test_stopping_in_the_middle_leaves_the_inferer_fit(network):
    image, calls = noise(48, 24, 24), []
    inferer = StreamingInferer(roi_size=(16, 24, 20), overlap=0.5)
    wanted = inferer(image, network)["labels"]
    body = inferer._encoder

    def cancel(window):
        calls.append(window)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return body(window)

    inferer._encoder = cancel
    with pytest.raises(KeyboardInterrupt):
        inferer(image, network)
    inferer._encoder = body
    assert torch.equal(inferer(image, network)["labels"], wanted)


def test_weights_that_were_trained_on_are_taken_up():
    network, image = make_network(init_filters=4), noise(16, 16, 16)
    inferer = StreamingInferer(roi_size=(16, 16, 16), precision="fp32")
    before = inferer(image, network)["labels"]
    with torch.no_grad():
        network.up_layers[-1]["head"].bias[5] += 1e3
    assert not torch.equal(before, inferer(image, network)["labels"])
    with torch.no_grad():
        network.up_layers[-1]["head"].bias[5] -= 1e3
        network.encoder.conv_init.weight.mul_(-1)
    after = inferer(image, network)["labels"]
    fresh = StreamingInferer(roi_size=(16, 16, 16), precision="fp32")(image, network)["labels"]
    assert torch.equal(after, fresh)


def test_the_network_itself_is_left_as_it_was(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    StreamingInferer(roi_size=(16, 16, 16))(noise(16, 16, 16), network)
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert network.dsdepth == 2


def test_the_split_shares_the_weights(network):
    body, head = split_head(network)
    own = {id(parameter) for parameter in network.parameters()}
    assert {id(parameter) for parameter in (*body.parameters(), *head.parameters())} <= own
    assert head.out_channels == CLASSES


def test_a_network_that_goes_on_after_its_last_layer_is_refused():
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 3, 1), torch.nn.Softmax(dim=1))
    with pytest.raises(ValueError, match="something follows 0; use MONAI's"):
        split_head(network)


def test_a_network_without_such_a_layer_is_refused():
    with pytest.raises(ValueError, match="must end in a 1 x 1 x 1 convolution, got UNet"):
        split_head(UNet(3, 1, 2, channels=(4, 8), strides=(2,), kernel_size=3).eval())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 1.0}, r"overlap must be from 0 up to but below 1, got 1\.0"),
        ({"overlap": (0.5, 0.5)}, "overlap must be"),
        ({"roi_size": (16, 16)}, "roi_size must be three numbers"),
        ({"windows_at_once": 0}, "windows_at_once must be 1 or more, got 0"),
        ({"refine": 0}, "refine must be 1 or more, got 0"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        StreamingInferer(**{"roi_size": (16, 16, 16), **options})


def test_only_one_scan_at_a_time(network):
    with pytest.raises(ValueError, match=r"one scan \(1, 1, D, H, W\), got \[2, 1"):
        StreamingInferer(roi_size=(16, 16, 16))(torch.zeros(2, 1, 16, 16, 16), network)

"""One vector per scan, whole or by windows."""

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.inferers.embedding import EmbeddingInferer
from common.networks.ct_fm_encoder import CTFMEncoder
from tests.networks.test_ct_fm_golden import fill


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = CTFMEncoder(init_filters=4, blocks_down=(1, 1, 1))
    for module in network.modules():  # batch norm as after training, not as new
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


class Average(torch.nn.Module):
    """A network whose answer is known: the window itself as its one map."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv3d(1, 1, 1, bias=False)
        torch.nn.init.ones_(self.layer.weight)

    def forward(self, images):
        return self.layer(images)


def noise(*size):
    return torch.rand((1, 1, *size), generator=torch.Generator().manual_seed(1))


def inferer(**options):
    return EmbeddingInferer(**{"precision": "fp32", "progress": False, **options})


def test_the_whole_scan_gives_the_published_embedding(shared):
    golden = np.load(shared / "golden" / "ct_fm.npz")["enc_embedding"]
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, 64, 96, 96), np.float32))
    network = CTFMEncoder().eval()
    fill(network.encoder)
    found = inferer()(image, network)
    np.testing.assert_allclose(
        found["embedding"], golden, rtol=1e-4, atol=1e-4 * np.abs(golden).max()
    )
    assert (found["num_windows"], found["num_empty"]) == (1, 0)


def test_a_scan_is_the_average_of_the_last_map(network):
    image = noise(13, 20, 17)
    with torch.inference_mode():
        wanted = network(image).mean(dim=(2, 3, 4))
    found = inferer()(image, network)["embedding"]
    assert found.shape == (1, 16)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("pooling", ["mean", "max", "min"])
def test_windows_are_pooled_number_by_number(network, pooling):
    image = noise(16, 16, 24)
    whole = inferer()
    each = torch.cat([whole(image[..., s : s + 8], network)["embedding"] for s in (0, 8, 16)])
    wanted = {"mean": each.mean(0), "max": each.amax(0), "min": each.amin(0)}[pooling]
    found = inferer(roi_size=(16, 16, 8), pooling=pooling)(image, network)
    torch.testing.assert_close(found["embedding"][0], wanted)
    assert found["pooling"] == pooling


def test_windows_keep_their_vector_and_their_place(network):
    image = noise(16, 16, 20)
    found = inferer(roi_size=(16, 8, 8), overlap=(0, 0.5, 0.25))(image, network)
    assert found["windows"].shape == (1, 9, 16)
    assert found["window_size"] == (16, 8, 8)
    places = {tuple(place) for place in found["centres_voxel"].tolist()}
    assert places == {(7.5, y, x) for y in (3.5, 7.5, 11.5) for x in (3.5, 9.5, 15.5)}
    last = inferer()(image[:, :, :, 8:, 12:], network)["embedding"]
    torch.testing.assert_close(found["windows"][:, -1], last)


def test_the_place_of_the_whole_scan_is_its_middle(network):
    found = inferer()(noise(16, 17, 18), network)
    assert found["centres_voxel"].tolist() == [[7.5, 8.0, 8.5]]
    torch.testing.assert_close(found["windows"][0], found["embedding"])


def test_a_scan_smaller_than_a_window_is_padded_around():
    image = torch.ones(1, 1, 2, 4, 4)
    found = inferer(roi_size=(4, 4, 4))(image, Average())
    assert float(found["embedding"]) == pytest.approx(0.5)
    assert found["centres_voxel"].tolist() == [[0.5, 1.5, 1.5]]  # the middle of its own voxels


def test_empty_windows_are_not_run_and_do_not_count():
    image = torch.zeros(1, 1, 8, 4, 4)
    image[:, :, :4] = 0.25
    every = inferer(roi_size=(4, 4, 4))(image, Average())
    some = inferer(roi_size=(4, 4, 4), empty_below=0.0)(image, Average())
    assert float(every["embedding"]) == pytest.approx(0.125)
    assert float(some["embedding"]) == pytest.approx(0.25)
    assert (some["num_windows"], some["num_empty"]) == (2, 1)
    assert some["centres_voxel"].tolist() == [[1.5, 1.5, 1.5]]


def test_a_scan_of_air_is_refused():
    with pytest.raises(InputError, match=r"must have a voxel above 0\.1 .* got at most 0; lower"):
        inferer(roi_size=(4, 4, 4), empty_below=0.1)(torch.zeros(1, 1, 8, 4, 4), Average())


@pytest.mark.parametrize("windows_at_once", [2, 5, 100])
def test_several_windows_at_once_change_nothing(network, windows_at_once):
    image = noise(24, 16, 16)
    one = inferer(roi_size=(8, 8, 8))(image, network)["embedding"]
    more = inferer(roi_size=(8, 8, 8), windows_at_once=windows_at_once)(image, network)
    torch.testing.assert_close(one, more["embedding"])


def test_the_same_scan_gives_the_same_vector(network):
    image = noise(24, 16, 16)
    first, second = (
        inferer(roi_size=(8, 8, 8), overlap=0.5)(image, network)["embedding"] for _ in range(2)
    )
    assert torch.equal(first, second)


def test_a_compiled_network_sees_batches_of_one_size(network):
    sizes, found = [], inferer(roi_size=(8, 8, 8), windows_at_once=2)
    found.backend = "compile"
    eager = inferer(roi_size=(8, 8, 8))(noise(24, 8, 8), network)["embedding"]

    def encode(images):
        sizes.append(len(images))
        return network(images)

    found.accelerated = lambda *_: encode
    torch.testing.assert_close(found(noise(24, 8, 8), network)["embedding"], eager)
    assert sizes == [2, 2]


def test_bf16_points_in_the_same_direction(network):
    image = noise(16, 16, 16)
    exact = inferer()(image, network)["embedding"]
    fast = inferer(precision="bf16")(image, network)["embedding"]
    assert fast.dtype == torch.float32
    assert torch.cosine_similarity(exact, fast).item() > 0.999


def test_weights_that_were_trained_on_are_taken_up():
    network, image, one = Average(), torch.ones(1, 1, 4, 4, 4), inferer()
    assert float(one(image, network)["embedding"]) == 1
    with torch.no_grad():
        network.layer.weight.mul_(3)
    assert float(one(image, network)["embedding"]) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 1.0}, r"overlap must be from 0 up to but below 1, got 1\.0"),
        ({"roi_size": (16, 16)}, "roi_size must be three numbers"),
        ({"roi_size": ()}, "roi_size must be three numbers"),
        ({"windows_at_once": 0}, "windows_at_once must be 1 or more, got 0"),
        ({"pooling": "median"}, "pooling must be one of mean, max, min, got 'median'; use mean"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        EmbeddingInferer(**options)


def test_only_one_scan_at_a_time(network):
    with pytest.raises(ValueError, match=r"one scan \(1, 1, D, H, W\), got \[2, 1"):
        inferer()(torch.zeros(2, 1, 16, 16, 16), network)

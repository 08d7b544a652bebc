"""What is compared where: windows as published, and the places of a dense map."""

import copy

import numpy as np
import pytest
import torch

from common.errors import InputError
from common.inferers.places import DensePlaces, WindowPlaces, choose_way, cut_around, tiles
from common.networks.ct_fm_encoder import CTFMEncoder


def noise(*shape):
    """Numbers from 0 to 1 that look random and never change."""
    steps = torch.arange(float(np.prod(shape)), dtype=torch.float64)
    return (torch.sin(steps * 12.9898).mul(43758.5453) % 1).float().reshape(1, 1, *shape)


@pytest.mark.parametrize("blocks", [[1, 1], [1, 1, 1], [1, 1, 1, 1]])
def test_place_j_lies_over_voxel_stride_j(blocks):
    """What a place can see reaches equally far to both sides of voxel `stride * j`."""
    network = CTFMEncoder(init_filters=2, blocks_down=blocks).double()
    torch.manual_seed(0)
    for module in network.modules():  # no dead units: all voxels in reach show
        if isinstance(module, torch.nn.ReLU):
            module.forward = lambda values: values
    stride, size = network.stride, 129
    image = torch.rand(1, 1, size, 1, 1, dtype=torch.float64, requires_grad=True)
    place = (size // 2) // stride
    network.eval()(image)[0, :, place].sum().backward()
    seen = torch.nonzero(image.grad.flatten()).flatten()
    assert (seen.min() + seen.max()).item() / 2 == stride * place
    assert 0 < seen.min() < seen.max() < size - 1


def test_a_bright_voxel_lights_up_its_own_place(network):
    """The same by looking: with kernels alike both ways, a mirrored scan has a mirrored map."""
    symmetric = copy.deepcopy(network)
    with torch.no_grad():
        for module in symmetric.modules():
            if isinstance(module, torch.nn.Conv3d):
                module.weight.add_(module.weight.flip(2)).div_(2)
    image = torch.zeros(1, 1, 33, 9, 9)
    image[0, 0, 12, 4, 4] = 1
    places = DensePlaces(tile_size=(64, 64, 64), precision="fp32")
    found = places.places(image, symmetric)
    mirrored = places.places(image.flip(2), symmetric)
    assert found.centres_voxel[0].tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    torch.testing.assert_close(found.vectors.flip(0), mirrored.vectors, rtol=1e-4, atol=1e-5)
    lit = (found.vectors - places.places(image * 0, symmetric).vectors).norm(dim=-1)
    assert found.centres_voxel[0][int(lit[:, 1, 1].argmax())] == 12


@pytest.mark.parametrize("size", [5, 32, 33, 47, 100])
@pytest.mark.parametrize(("side", "overlap"), [(16, 0.25), (30, 0.5), (64, 0.0), (1, 0.9)])
def test_tiles_cover_every_place_once(size, side, overlap):
    stride, kept = 4, []
    for voxels, places in tiles(size, side, overlap, stride):
        assert voxels.start % stride == 0
        length = -(-(voxels.stop - voxels.start) // stride)
        assert 0 <= places.start < places.stop <= length
        kept += range(voxels.start // stride + places.start, voxels.start // stride + places.stop)
    assert kept == list(range(-(-size // stride)))


def test_tiles_give_the_whole_scans_map_where_they_see_as_much(network):
    image = noise(96, 8, 12)
    whole = DensePlaces(tile_size=(96, 96, 96), precision="fp32").places(image, network)
    tiled = DensePlaces(tile_size=(64, 96, 96), overlap=0.75, precision="fp32")
    torch.testing.assert_close(tiled.places(image, network).vectors, whole.vectors)


def test_a_dense_query_is_found_where_it_is(network):
    image, way = noise(40, 36, 44), DensePlaces(tile_size=(64, 64, 64), precision="fp32")
    asked = np.array([20.0, 12.0, 28.0])
    found = way.places(image, network).compare(way.at(image, asked, network))
    point, cosine = found.best(between=False)
    assert point.tolist() == asked.tolist()
    assert cosine == pytest.approx(1, abs=1e-5)


def test_a_window_is_found_where_it_is(network):
    way = WindowPlaces(roi_size=(16, 12, 12), overlap=0.5, precision="fp32", progress=False)
    image = noise(40, 36, 44)
    places = way.places(image, network)
    assert places.centres_voxel[0].tolist() == [7.5, 15.5, 23.5, 31.5]
    assert places.centres_voxel[2].tolist() == [5.5, 11.5, 17.5, 23.5, 29.5, 35.5, 37.5]
    asked = np.array([23.5, 17.5, 37.5])
    point, cosine = places.compare(way.at(image, asked, network)).best(between=way.between)
    assert point.tolist() == asked.tolist()
    assert cosine == pytest.approx(1, abs=1e-5)


def test_windows_without_anything_have_no_vector(network):
    way = WindowPlaces(
        roi_size=(16, 16, 16), overlap=0, empty_below=0.0, precision="fp32", progress=False
    )
    image = noise(32, 32, 16)
    image[:, :, 16:, 16:] = 0
    empty = way.places(image, network).vectors.isnan().any(dim=-1)
    assert empty[:, :, 0].tolist() == [[False, False], [False, True]]


def test_a_window_is_cut_round_the_point():
    image = torch.arange(6.0).reshape(1, 1, 6, 1, 1)
    cut = cut_around(image, np.array([2.5, 0, 0]), (4, 1, 1))
    assert cut.flatten().tolist() == [1, 2, 3, 4]
    assert cut_around(image, np.array([0.0, 0, 0]), (3, 1, 1)).flatten().tolist() == [0, 0, 1]
    beyond = cut_around(image, np.array([5.0, 0, 0]), (4, 1, 3))
    assert beyond[0, 0, :, 0, 1].tolist() == [4, 5, 0, 0]
    assert cut_around(image, np.array([20.0, 0, 0]), (4, 1, 1)).flatten().tolist() == [0] * 4


def test_an_unknown_way_is_refused():
    with pytest.raises(InputError, match="way must be one of windows, dense, got 'best'"):
        choose_way("best", {"windows": None, "dense": None})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile_size": (16, 16)}, "tile_size must be three numbers of voxels"),
        ({"tile_size": (16, 16, 0)}, "tile_size must be three numbers of voxels"),
        ({"tile_size": (16, 16, 16), "overlap": 1}, "tile_overlap must be from 0 up to but below"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        DensePlaces(**options)

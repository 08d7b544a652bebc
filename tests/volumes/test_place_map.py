"""Where a map of cosines has its best place, and what a vector between places is."""

import numpy as np
import pytest
import torch

from common.volumes.place_map import CosineMap, PlaceVectors

EVEN = tuple(np.arange(5.0) * 8 for _ in range(3))


def hill(top, bend=0.01):
    """A parabola with its top at a place, with fraction, of a 5 x 5 x 5 lattice."""
    at = np.stack(np.meshgrid(*[np.arange(5.0)] * 3, indexing="ij"), axis=-1)
    return (0.9 - bend * ((at - top) ** 2).sum(axis=-1)).astype(np.float32)


def test_the_top_of_a_parabola_is_found_between_places():
    point, cosine = CosineMap(hill((2.25, 1.0, 2.6)), EVEN).best(between=True)
    np.testing.assert_allclose(point, [18, 8, 20.8], atol=1e-3)
    assert cosine == pytest.approx(hill((2.25, 1.0, 2.6))[2, 1, 3])


def test_a_window_is_found_at_its_own_centre():
    point, _ = CosineMap(hill((2.25, 1.0, 2.6)), EVEN).best(between=False)
    assert point.tolist() == [16, 8, 24]


def test_at_the_edge_the_place_is_the_outer_one():
    point, _ = CosineMap(hill((-1.0, 2.0, 9.0)), EVEN).best(between=True)
    assert point.tolist() == [0, 16, 32]


def test_an_irregular_lattice_keeps_its_places():
    centres = (np.array([0.0, 8, 16, 24, 29]), *EVEN[1:])
    point, _ = CosineMap(hill((4.0, 2.0, 2.0)), centres).best(between=False)
    assert point.tolist() == [29, 16, 16]


def test_places_without_a_vector_are_never_the_best():
    cosine = hill((2.0, 2.0, 2.0))
    cosine[2, 2, 2] = np.nan
    found = CosineMap(cosine, EVEN)
    assert found.num_places == 124
    assert found.best(between=True)[1] == pytest.approx(0.89)


def vectors():
    """Two numbers per place that grow linearly along each axis."""
    at = torch.stack(torch.meshgrid(*[torch.arange(5.0)] * 3, indexing="ij"), dim=-1)
    return PlaceVectors(at @ torch.tensor([[1.0, 0], [10, 1], [100, -1]]) + 1, EVEN)


def test_between_places_a_vector_is_linear():
    found = vectors().at(np.array([12.0, 2.0, 32.0]))
    torch.testing.assert_close(found, torch.tensor([1.5 + 2.5 + 400 + 1, 0.25 - 4 + 1]))


def test_beyond_the_outer_places_their_vector_stays():
    torch.testing.assert_close(vectors().at(np.array([-5.0, 0, 40])), vectors().vectors[0, 0, 4])


def test_cosines_are_of_directions_alone():
    places = PlaceVectors(torch.tensor([[[[3.0, 0], [0, 2], [-1, 0], [torch.nan, 0]]]]), EVEN)
    cosine = places.compare(torch.tensor([5.0, 0])).cosine
    np.testing.assert_allclose(cosine.ravel(), [1, 0, -1, np.nan], atol=1e-6)

"""Counts per slice along every axis."""

import numpy as np
import pytest

from common.volumes.label_profiles import profile_labels


@pytest.fixture
def labels():
    """A 2 x 3 x 2 bar of label 2 within 5 x 6 x 7, and one voxel of label 3 in a corner."""
    volume = np.zeros((5, 6, 7), np.uint8)
    volume[1:3, 2:5, 3:5] = 2
    volume[4, 0, 6] = 3
    return volume


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("axes", [None, (0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_voxels_are_counted_along_each_axis(labels, order, axes):
    found = profile_labels(np.array(labels, order=order), 4, order=axes)
    assert found.along[0][:, 2].tolist() == [0, 6, 6, 0, 0]
    assert found.along[1][:, 2].tolist() == [0, 0, 4, 4, 4, 0]
    assert found.along[2][:, 2].tolist() == [0, 0, 0, 6, 6, 0, 0]
    assert found.along[2][:, 3].tolist() == [0, 0, 0, 0, 0, 0, 1]
    assert found.num_voxels.tolist() == [5 * 6 * 7 - 13, 0, 12, 1]
    assert found.present == [2, 3]


def test_the_centre_is_the_mean_index(labels):
    assert profile_labels(labels, 4).centre_voxel(2).tolist() == [1.5, 3.0, 3.5]


def test_only_what_lies_in_an_outer_layer_touches_the_border(labels):
    assert profile_labels(labels, 4).touches_border.tolist() == [True, False, False, True]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
def test_each_of_the_six_faces_is_a_border(axis, end):
    labels = np.zeros((4, 4, 4), np.uint8)
    place = [1, 2, 1]
    place[axis] = end
    labels[tuple(place)] = 1
    assert profile_labels(labels, 2).touches_border[1]


def test_whoever_counts_along_sees_every_slice(labels):
    seen = {}
    profile_labels(labels, 4, lambda index, found: seen.update({index: found.tolist()}), (1, 2, 0))
    assert seen == {j: labels[:, j].T.tolist() for j in range(6)}


def test_a_label_without_a_name_is_refused(labels):
    with pytest.raises(ValueError, match="labels must be 0 to 2, one name each, got 0 to 3"):
        profile_labels(labels, 3)


def test_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"labels must be integers \(I, J, K\), got float64"):
        profile_labels(np.zeros((2, 2, 2)), 2)

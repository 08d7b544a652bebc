"""Of a label's pieces the largest stays, or those that are large enough."""

import numpy as np
import pytest

from common.volumes.label_pieces import clean_pieces


def test_the_smaller_piece_becomes_background():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[0:2, 0:2, 0:2] = 5
    labels[4:6, 4:6, 5] = 5
    kept = clean_pieces(labels, one_piece=[5])
    assert (kept == 5).sum() == 8
    assert kept[5, 5, 5] == 0


def test_the_input_stays_as_it_is():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[0, 0, 0] = labels[2, 2, 2] = 1
    before = labels.copy()
    clean_pieces(labels, one_piece=[1])
    np.testing.assert_array_equal(labels, before)


def test_voxels_that_touch_at_a_corner_are_one_piece():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[2, 2, 2] = 1
    assert (clean_pieces(labels, one_piece=[1]) == labels).all()


def test_labels_that_are_not_named_stay_in_pieces():
    labels = np.zeros((5, 1, 5), np.uint8)
    labels[[0, 2, 4], 0, 0] = 3
    labels[[0, 2, 4], 0, 4] = 7
    kept = clean_pieces(labels, one_piece=[7])
    assert (kept == 3).sum() == 3
    assert (kept == 7).sum() == 1


def test_a_neighbour_within_the_box_is_untouched():
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[0], labels[4] = 1, 1
    labels[0, 0, 0] = 0
    labels[2] = 2
    kept = clean_pieces(labels, one_piece=[1, 2])
    assert not kept[0].any()
    assert (kept[4] == 1).all()
    assert (kept[2] == 2).all()


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_equal_pieces_the_first_in_the_array_stays(order):
    labels = np.zeros((3, 4, 5), np.uint8, order=order)
    labels[0, 3, 4] = labels[2, 0, 0] = labels[1, 2, 2] = 1
    kept = clean_pieces(labels, one_piece=[1])
    assert np.argwhere(kept).tolist() == [[0, 3, 4]]
    assert kept.flags.f_contiguous == (order == "F")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_it_equals_labelling_the_whole_volume(dtype):
    """A naive reference on a pattern by formula with dozens of pieces per label."""
    i, j, k = np.ogrid[:20, :21, :22]
    wave = np.sin(0.9 * i) + np.sin(1.3 * j + 0.5 * i) + np.cos(0.8 * k)
    labels = np.where(wave > 0.9, 1, np.where(wave < -1.2, 4, 0)).astype(dtype)
    kept = clean_pieces(labels, one_piece=[1, 4])
    for number in (1, 4):
        sizes = [len(piece) for piece in pieces_of(labels == number)]
        assert len(sizes) > 3
        assert (kept == number).sum() == max(sizes)
        assert len(pieces_of(kept == number)) == 1
    assert kept.dtype == dtype


def pieces_of(mask):
    """Connected pieces by walking from voxel to voxel, slowly and plainly."""
    left = {tuple(place) for place in np.argwhere(mask).tolist()}
    pieces = []
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            place = edge.pop()
            piece.add(place)
            around = [
                (place[0] + a, place[1] + b, place[2] + c)
                for a in (-1, 0, 1)
                for b in (-1, 0, 1)
                for c in (-1, 0, 1)
            ]
            for near in left.intersection(around):
                left.remove(near)
                edge.append(near)
        pieces.append(piece)
    return pieces


def test_labels_beyond_the_largest_one_are_passed_over():
    labels = np.ones((2, 2, 2), np.uint8)
    assert (clean_pieces(labels, one_piece=range(1, 118)) == labels).all()


def test_nothing_to_do_gives_a_copy():
    labels = np.zeros((2, 2, 2), np.uint8)
    kept = clean_pieces(labels, one_piece=[])
    assert kept is not labels
    assert not kept.any()


def test_background_has_no_largest_piece():
    with pytest.raises(ValueError, match="one_piece must be labels from 1, got 0"):
        clean_pieces(np.zeros((2, 2, 2), np.uint8), one_piece=[0, 1])


def test_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"labels must be integers \(I, J, K\), got float32"):
        clean_pieces(np.zeros((2, 2, 2), np.float32), one_piece=[1])


@pytest.mark.parametrize("order", ["C", "F"])
def test_pieces_of_fewer_voxels_go_whatever_their_label(order):
    labels = np.zeros((7, 7, 7), np.uint8, order=order)
    labels[0, 0, :3] = 2
    labels[0, 6, :4] = 2
    labels[6, 6, 6] = 9
    labels[0, 1, 3] = 9  # touches the first piece of label 2, and is none of it
    before = labels.copy()
    kept = clean_pieces(labels, min_voxels=4)
    assert np.argwhere(kept).tolist() == [[0, 6, k] for k in range(4)]
    assert kept.flags.f_contiguous == (order == "F")
    np.testing.assert_array_equal(labels, before)


def test_a_scan_without_labels_has_nothing_to_drop():
    assert not clean_pieces(np.zeros((2, 2, 2), np.uint8), min_voxels=4).any()


def test_small_pieces_of_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"labels must be integers \(I, J, K\), got float32"):
        clean_pieces(np.zeros((2, 2, 2), np.float32), min_voxels=4)

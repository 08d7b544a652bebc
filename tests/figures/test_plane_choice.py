"""Which planes show most."""

import numpy as np

from common.figures.plane_choice import choose_slices_for_structures, middle_slice


def profile(num_slices, extents):
    """Counts `(S, N)`: number n has 10 voxels in each slice of extents[n - 1]."""
    counts = np.zeros((num_slices, len(extents) + 1), np.int64)
    for number, (first, last) in enumerate(extents, start=1):
        counts[first : last + 1, number] = 10
    counts[:, 0] = 1000
    return counts


def test_the_middle_halves_what_is_segmented():
    assert middle_slice(profile(100, [(20, 39), (20, 39)])) == 29
    assert middle_slice(profile(9, [(7, 7)])) == 7


def test_the_middle_of_nothing_is_the_middle_of_the_scan():
    assert middle_slice(profile(30, [])) == 15


def test_the_first_slice_is_the_one_through_most_structures():
    counts = profile(100, [(0, 50), (40, 60), (45, 90), (80, 99)])
    assert choose_slices_for_structures(counts, 1)[0] in range(45, 51)


def test_further_slices_add_what_is_missing():
    counts = profile(100, [(10, 20), (11, 21), (60, 64), (90, 95)])
    first, second, third = choose_slices_for_structures(counts, 3)
    assert first in range(11, 21)
    assert second in range(60, 65)
    assert third in range(90, 96)


def test_a_structure_is_shown_near_its_largest_section():
    counts = np.zeros((60, 2), np.int64)
    counts[:, 1] = np.maximum(100 - (np.arange(60) - 40) ** 2, 0)
    assert choose_slices_for_structures(counts, 1) == [40]


def test_slices_lie_apart():
    chosen = choose_slices_for_structures(profile(100, [(0, 99)]), 4, apart=0.1)
    assert min(np.diff(chosen)) >= 10


def test_without_structures_slices_are_evenly_spaced():
    assert choose_slices_for_structures(profile(100, []), 4) == [12, 37, 62, 87]


def test_a_scan_of_two_slices_gives_two():
    assert choose_slices_for_structures(profile(2, [(0, 1)]), 4) == [0, 1]
    assert choose_slices_for_structures(profile(2, []), 4) == [0, 1]

"""Scores of one label volume. Run alone: pytest tests/metrics/test_segmentation.py"""

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_dice, compute_surface_dice

from common.errors import InputError
from common.metrics.segmentation import score_case

SPACING = (1.0, 1.5, 3.0)


def balls(shift=0, shape=(40, 36, 24)):
    """Three balls, the last cut by the edge of the scan, moved along the first axis."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    labels = np.zeros(shape, np.uint8)
    for number, (centre, radius) in enumerate(
        [((10, 10, 8), 7), ((24, 22, 14), 9), ((38, 8, 20), 6)], start=1
    ):
        a, b, c = centre
        labels[(i - a - shift) ** 2 + (j - b) ** 2 + (k - c) ** 2 < radius**2] = number
    return labels


def test_scores_are_monai_s_on_the_whole_volume():
    truth, prediction = balls(), balls(2)
    found = score_case(prediction, truth, num_classes=3, spacing_mm=SPACING, tolerance_mm=1.2)
    for number in (1, 2, 3):
        pair = [torch.from_numpy(x == number)[None, None] for x in (prediction, truth)]
        options = {"include_background": True, "spacing": list(SPACING)}
        index = number - 1
        distance = compute_average_surface_distance(*pair, symmetric=True, **options)
        surface = compute_surface_dice(*pair, [1.2], **options)
        dice = compute_dice(*pair, include_background=True)
        assert found.dice[index] == pytest.approx(dice.item(), abs=1e-6)
        assert found.surface_distance_mm[index] == pytest.approx(distance.item(), abs=1e-5)
        assert found.surface_dice[index] == pytest.approx(surface.item(), abs=1e-6)


def test_a_perfect_prediction_has_full_marks():
    found = score_case(balls(), balls(), num_classes=3, spacing_mm=SPACING)
    assert found.dice.tolist() == found.surface_dice.tolist() == [1, 1, 1]
    assert found.surface_distance_mm.tolist() == [0, 0, 0]


def test_two_planes_a_known_distance_apart():
    truth, prediction = np.zeros((2, 9, 9, 12), np.uint8)
    truth[2:7, 2:7, 3], prediction[2:7, 2:7, 5] = 1, 1
    found = score_case(prediction, truth, num_classes=1, spacing_mm=SPACING, tolerance_mm=6)
    assert (found.dice[0], found.surface_dice[0]) == (0, 1)
    assert found.surface_distance_mm[0] == pytest.approx(6)
    closer = score_case(prediction, truth, num_classes=1, spacing_mm=SPACING, tolerance_mm=5.9)
    assert closer.surface_dice[0] == 0
    assert found.truth_ml[0] == pytest.approx(25 * 4.5 / 1000)


def test_missed_invented_and_absent_structures():
    truth, prediction = np.zeros((2, 8, 8, 8), np.uint8)
    truth[2:4], prediction[5:7] = 1, 2
    found = score_case(prediction, truth, num_classes=3, spacing_mm=(1, 1, 1))
    assert found.dice[:2].tolist() == found.surface_dice[:2].tolist() == [0, 0]
    assert np.isnan(found.dice[2])
    assert np.isnan(found.surface_distance_mm).all()
    assert (found.truth_ml > 0).tolist() == [True, False, False]
    assert (found.prediction_ml > 0).tolist() == [False, True, False]


def test_memory_order_does_not_matter():
    truth, prediction = balls(), balls(1)
    plain = score_case(prediction, truth, num_classes=3, spacing_mm=SPACING)
    turned = score_case(
        np.asfortranarray(prediction), np.asfortranarray(truth), num_classes=3, spacing_mm=SPACING
    )
    assert np.array_equal(plain.surface_distance_mm, turned.surface_distance_mm)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="must have one shape"):
        score_case(balls()[:9], balls(), num_classes=3, spacing_mm=SPACING)
    with pytest.raises(InputError, match="tolerance_mm must be at least 0, got -1"):
        score_case(balls(), balls(), num_classes=3, spacing_mm=SPACING, tolerance_mm=-1)

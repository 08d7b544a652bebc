from typing import Any

import numpy as np
import pytest

from common.errors import InputError
from common.results.classification import classification_outputs, locate_triplet

NETWORK_SHAPE = (6, 4, 4)
# S, L, P; 1.5 mm slices; first slice at z = 0; centre of the plane at x = y = 0.
NETWORK_AFFINE = np.array(
    [[0, -1, 0, 1.5], [0, 0, -1, 1.5], [1.5, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64
)


def lps(step_mm: float, first_mm: float) -> np.ndarray:
    return np.array([[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, step_mm, first_mm], [0, 0, 0, 1.0]])


def test_a_probability_that_reads_as_its_threshold_is_positive() -> None:
    outputs = classification_outputs(
        labels=["a", "b"], probabilities=[0.49999999, 0.49999], thresholds=[0.5, 0.5]
    )
    assert outputs["findings"]["a"]["positive"] is True
    assert outputs["findings"]["b"]["positive"] is False
    assert "relevance" not in outputs


def test_a_triplet_is_found_in_the_slices_of_the_input() -> None:
    place = locate_triplet(1, NETWORK_AFFINE, NETWORK_SHAPE, lps(1.5, 0.0), (4, 4, 6))
    assert place == {
        "centre_world_mm": [0.0, 0.0, 6.0],
        "input_axis": "K",
        "slices_voxel": [3, 5],
    }


def test_a_triplet_counts_slices_the_way_the_input_does() -> None:
    place = locate_triplet(0, NETWORK_AFFINE, NETWORK_SHAPE, lps(-1.5, 7.5), (4, 4, 6))
    assert place["slices_voxel"] == [3, 5]


def test_a_triplet_thinner_than_a_slice_is_in_the_nearest_slice() -> None:
    place = locate_triplet(0, NETWORK_AFFINE, NETWORK_SHAPE, lps(10.0, 0.0), (4, 4, 6))
    assert place["slices_voxel"] == [0, 0]


def test_a_triplet_in_the_padding_is_in_no_slice() -> None:
    place = locate_triplet(1, NETWORK_AFFINE, NETWORK_SHAPE, lps(1.5, 100.0), (4, 4, 6))
    assert place["slices_voxel"] is None


def test_a_triplet_is_found_on_the_input_axis_that_runs_along_the_body() -> None:
    sagittal = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1.5, 0, 0, 0], [0, 0, 0, 1.0]])
    place = locate_triplet(1, NETWORK_AFFINE, NETWORK_SHAPE, sagittal, (6, 4, 4))
    assert place["input_axis"] == "I"
    assert place["slices_voxel"] == [3, 5]


def test_the_most_relevant_triplets_come_first() -> None:
    outputs = classification_outputs(
        labels=["a"],
        probabilities=[0.5],
        thresholds=[0.5],
        relevance=[[-3.0, 1.0]],
        network_affine=NETWORK_AFFINE,
        network_shape=NETWORK_SHAPE,
        input_affine=lps(1.5, 0.0),
        input_shape=(4, 4, 6),
        num_top=2,
    )
    assert outputs["relevance"]["a"]["per_triplet"] == [-3.0, 1.0]
    assert [top["index"] for top in outputs["relevance"]["a"]["top_triplets"]] == [1, 0]


def test_triplets_in_the_padding_are_not_listed_however_relevant() -> None:
    outputs = classification_outputs(
        labels=["a"],
        probabilities=[0.5],
        thresholds=[0.5],
        relevance=[[3.0, -1.0, 2.0, 0.5]],
        inside=[False, True, True, True],  # the last lies beyond the scan's nine slices
        network_affine=NETWORK_AFFINE,
        network_shape=(12, 4, 4),
        input_affine=lps(1.5, 0.0),
        input_shape=(4, 4, 9),
    )
    tops = outputs["relevance"]["a"]["top_triplets"]
    assert [(top["index"], top["slices_voxel"]) for top in tops] == [(2, [6, 8]), (1, [3, 5])]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"probabilities": [np.nan]}, InputError, "probabilities must be finite numbers, got nan"),
        ({"relevance": [[np.inf]]}, InputError, "relevance must be finite numbers, got inf"),
        ({"probabilities": [0.1, 0.2]}, ValueError, "probabilities must have one value per label"),
        ({"thresholds": 0.5}, ValueError, "thresholds must have one value per label"),
        ({"relevance": [1.0]}, ValueError, r"relevance must have shape \(1, T\)"),
        ({"input_shape": None}, ValueError, "relevance needs network_affine"),
    ],
)
def test_what_does_not_fit_is_refused(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    fitting: dict[str, Any] = {
        "labels": ["a"],
        "probabilities": [0.5],
        "thresholds": [0.5],
        "relevance": [[1.0, 2.0]],
        "network_affine": NETWORK_AFFINE,
        "network_shape": NETWORK_SHAPE,
        "input_affine": lps(1.5, 0.0),
        "input_shape": (4, 4, 6),
    }
    with pytest.raises(error, match=message):
        classification_outputs(**{**fitting, **change})

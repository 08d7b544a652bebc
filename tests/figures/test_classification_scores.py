from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from common.figures.classification_scores import (
    roc_curve,
    wilson_interval,
    write_reliability_figure,
    write_roc_figure,
)

NAN = float("nan")


def test_a_roc_curve_has_a_corner_at_every_distinct_score() -> None:
    truth = np.array([1, 1, 0, 1, 0, NAN])
    scores = np.array([0.9, 0.5, 0.5, 0.4, 0.1, 0.99])
    false_rate, true_rate = roc_curve(truth, scores) or ([], [])
    assert list(false_rate) == pytest.approx([0, 0, 0.5, 0.5, 1])
    assert list(true_rate) == pytest.approx([0, 1 / 3, 2 / 3, 1, 1])


@pytest.mark.parametrize("truth", [[0, 0], [1, 1], [NAN, NAN], [1, NAN]])
def test_a_roc_curve_needs_both_classes(truth: list[float]) -> None:
    assert roc_curve(np.array(truth), np.array([0.2, 0.4])) is None


def test_the_wilson_interval_stays_within_bounds_and_matches_a_known_value() -> None:
    low, high = wilson_interval(np.array([0.0, 0.5, 1.0]), np.array([10, 10, 10]))
    assert low == pytest.approx([0, 0.2366, 0.7225], abs=1e-4)
    assert high == pytest.approx([0.2775, 0.7634, 1], abs=1e-4)


def test_both_figures_are_drawn_with_labels_that_cannot_be_scored(tmp_path: Path) -> None:
    steps = np.arange(40)
    truth = np.stack([steps % 2, steps * 0.0, steps * NAN], axis=1)
    probabilities = np.stack([(steps * 7 % 40) / 40] * 3, axis=1)
    labels = ["a", "never seen", "unknown"]
    given = {"truth": truth, "probabilities": probabilities, "labels": labels}
    roc = write_roc_figure(
        tmp_path / "roc.png",
        auroc=[0.5, NAN, NAN],
        auroc_low=[0.4, NAN, NAN],
        auroc_high=[0.6, NAN, NAN],
        macro="macro AUROC 0.5",
        synthetic=True,
        **given,
    )
    reliability = write_reliability_figure(tmp_path / "reliability.png", **given)
    for path in (roc, reliability):
        picture = matplotlib.image.imread(path)
        assert picture.shape[1] == 900
        assert picture[..., :3].std() > 0.02


def test_many_labels_take_several_rows(tmp_path: Path) -> None:
    arrays = {"truth": np.eye(18), "probabilities": np.eye(18)}
    path = write_reliability_figure(
        tmp_path / "x.png", labels=[f"label {index}" for index in range(18)], **arrays
    )
    height, width = matplotlib.image.imread(path).shape[:2]
    assert (height > 900, width > 1400) == (True, True)


def test_shapes_that_disagree_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must have shape \(N, 2\), got \(3, 1\) and \(3, 2\)"):
        write_reliability_figure(
            tmp_path / "x.png",
            truth=np.ones((3, 1)),
            probabilities=np.ones((3, 2)),
            labels=["a", "b"],
        )

from pathlib import Path

import matplotlib.image
import pytest

from common.figures.segmentation_scores import Bar, write_score_figure


def bars(count: int) -> list[Bar]:
    return [
        Bar(f"structure_{n}", n / count, (n / count, min((n + 1) / count, 1)), 5, n % 2)
        for n in range(count)
    ]


def test_groups_stand_side_by_side_and_a_band_warns_of_phantoms(tmp_path: Path) -> None:
    heights = []
    for synthetic in (False, True):
        path = write_score_figure(
            tmp_path / "dice.png",
            {"organs": bars(24), "ribs": bars(24), "empty": [], "bones": bars(5)},
            headings={"ribs": "mean 0.500"},
            subtitle="5 cases",
            synthetic=synthetic,
        )
        picture = matplotlib.image.imread(path)
        assert picture.shape[1] > 1500
        assert picture[..., :3].std() > 0.02
        heights.append(picture.shape[0])
    assert heights[1] > heights[0]


def test_one_bar_without_interval_is_enough(tmp_path: Path) -> None:
    path = write_score_figure(
        tmp_path / "dice.png",
        {"other": [Bar("a very long name of a structure that nobody can read", 0.4, None, 1, 0)]},
        headings={},
        subtitle="",
    )
    assert matplotlib.image.imread(path).shape[1] == 760


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one bar"):
        write_score_figure(tmp_path / "x.png", {"organs": []}, headings={}, subtitle="")

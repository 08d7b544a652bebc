from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from common.figures.attention import write_attention


def test_maps_are_kept_as_numbers_and_drawn(tmp_path: Path) -> None:
    maps = {"block0_whole_scan": np.full((4, 4), 0.25), "block0_caudal_cranial": np.eye(4)}
    names = write_attention(tmp_path, maps, case_id="case_1", synthetic=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    with np.load(tmp_path / "attention.npz") as stored:
        assert list(stored) == list(maps)
        assert (stored["block0_caudal_cranial"] == np.eye(4)).all()
    assert matplotlib.image.imread(tmp_path / "attention.png").std() > 0.1


def test_low_triplets_are_drawn_below(tmp_path: Path) -> None:
    reads_the_lowest = np.zeros((4, 4))
    reads_the_lowest[0, 3] = 1  # the lowest triplet reads the highest: bottom right is bright
    write_attention(tmp_path, {"one": reads_the_lowest}, case_id="c", synthetic=False)
    panel = matplotlib.image.imread(tmp_path / "attention.png")[130:530, 72:472, 0]
    assert panel[-50:, -50:].mean() > 0.8
    assert panel[:300, :].mean() < 0.1


@pytest.mark.parametrize("size", [1, 2, 80])
def test_any_number_of_triplets_can_be_drawn(tmp_path: Path, size: int) -> None:
    write_attention(tmp_path, {"one": np.zeros((size, size))}, case_id="c", synthetic=False)
    assert (tmp_path / "attention.png").is_file()


def test_a_map_that_is_not_square_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"attention map one must have shape \(T, T\), got \(2, 3"):
        write_attention(tmp_path, {"one": np.ones((2, 3))}, case_id="c", synthetic=False)
    with pytest.raises(ValueError, match="attention maps must be at least one"):
        write_attention(tmp_path, {}, case_id="c", synthetic=False)
    assert list(tmp_path.iterdir()) == []

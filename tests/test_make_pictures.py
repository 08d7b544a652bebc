"""The documentation shows what the code draws.

Pictures are compared as means of blocks of 10 x 10 pixels: the edge of a letter that another
machine places elsewhere vanishes, another layout, slice, colour or number of findings does not.
"""

import os

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from scripts.make_pictures import PICTURES, REPOSITORY, make

BLOCK = 10
SLOW = pytest.mark.skipif("TEST_PICTURES" not in os.environ, reason="takes minutes: TEST_PICTURES")


def blocks(path):
    with Image.open(path) as image:
        small = image.convert("RGB").reduce(BLOCK)
    return np.asarray(small, dtype=float) / 255


def differing(path, other):
    """Share of the blocks that differ by a tenth of the full range."""
    first, second = blocks(path), blocks(other)
    if first.shape != second.shape:
        return 1.0
    return float((np.abs(first - second).max(axis=2) > 0.1).mean())


@pytest.mark.parametrize(
    "picture",
    [name if name == "figure.png" else pytest.param(name, marks=SLOW) for name in PICTURES],
)
def test_the_picture_in_the_docs_is_what_is_drawn_today(picture, tmp_path):
    drawn = make(picture, tmp_path)
    share = differing(drawn, REPOSITORY / "docs" / picture)
    assert share < 0.01, f"docs/{picture} is old: make pictures"


def test_another_picture_is_told_apart(tmp_path):
    docs = REPOSITORY / "docs"
    with Image.open(docs / "figure.png") as image:
        moved = Image.new("RGB", image.size, "white")
        moved.paste(image.convert("RGB"), (0, 8))
    moved.save(tmp_path / "moved.png")
    assert differing(docs / "figure.png", tmp_path / "moved.png") > 0.05
    assert differing(docs / "figure.png", docs / "wholebody.png") > 0.3
    assert differing(docs / "figure.png", docs / "figure.png") == 0


def test_an_unknown_picture_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"picture must be one of figure\.png, .*, got cat\.png"):
        make("cat.png", tmp_path)

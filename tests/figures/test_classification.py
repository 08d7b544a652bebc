import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from common.errors import InputError
from common.figures import classification
from common.figures.classification import HEIGHT, WIDTH, write_classification_figure
from common.figures.page import fold
from common.figures.relevance_panel import name_pictures
from common.results.case_result import describe_case
from common.results.classification import classification_outputs, triplet_centres_world_mm
from common.vocabulary.chest_findings import CT_RATE_LABELS
from common.volumes.volume import Volume

NETWORK_SHAPE = (30, 60, 60)
NETWORK_AFFINE = np.array(
    [[0, -6, 0, 177], [0, 0, -6, 177], [10, 0, 0, -145], [0, 0, 0, 1]], dtype=np.float64
)
VIEWER = (slice(140, None), slice(335, 1170))


@pytest.fixture
def body() -> Volume:
    """A water cylinder in air, 60 x 60 x 30 voxels of 6 x 6 x 10 mm, LPS, around the origin."""
    x, y, _ = np.ogrid[-30:30, -30:30, 0:30]
    voxels = np.where(x**2 + (1.4 * y) ** 2 < 25**2, 40, -1000) + np.zeros((1, 1, 30), int)
    affine = np.diag([-6.0, -6.0, 10.0, 1.0])
    affine[:3, 3] = (177, 177, -145)
    return Volume(voxels.astype(np.int16), affine)


@pytest.fixture
def draw(body: Volume, tmp_path: Path) -> Callable[..., np.ndarray]:
    """Draw a case and read the picture back, `(rows, columns, 3)`, 0 to 1."""

    def draw_and_read(
        probabilities: Any = None,
        relevance: Any = "peaks",
        case_id: str = "case_1",
        synthetic: bool = True,
        volume: Volume = body,
    ) -> np.ndarray:
        if probabilities is None:
            probabilities = np.linspace(0, 1, 18)
        if isinstance(relevance, str):
            relevance = np.eye(10)[np.arange(18) % 10]
        outputs = classification_outputs(
            labels=CT_RATE_LABELS,
            probabilities=probabilities,
            thresholds=[0.5] * 18,
            relevance=relevance,
            network_affine=NETWORK_AFFINE,
            network_shape=NETWORK_SHAPE,
            input_affine=volume.affine,
            input_shape=volume.voxels.shape,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            path = write_classification_figure(
                tmp_path / "figure.png",
                volume=volume,
                case=describe_case({"case_id": case_id, "image": "x", "format": "nifti"}, volume),
                bundle={"name": "ct_scroll", "version": "0.1.0"},
                weights={
                    "name": "demo",
                    "sha256": "ab" * 32,
                    "source": "phantoms",
                    "synthetic": synthetic,
                    "clinical_use": False,
                },
                outputs=outputs,
                triplet_centres_world_mm=triplet_centres_world_mm(NETWORK_AFFINE, NETWORK_SHAPE),
            )
        return matplotlib.image.imread(path)[..., :3]

    return draw_and_read


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Share of pixels that have the colour."""
    return float((np.abs(picture - np.array(colour) / 255) < 0.01).all(axis=-1).mean())


def test_the_figure_has_the_stated_size_and_shows_the_body(
    draw: Callable[..., np.ndarray],
) -> None:
    picture = draw()
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture[VIEWER].std() > 0.2


def test_synthetic_weights_get_a_band_and_others_do_not(draw: Callable[..., np.ndarray]) -> None:
    assert has_colour(draw(synthetic=True), (247, 201, 72)) > 0.02
    assert has_colour(draw(synthetic=False), (247, 201, 72)) == 0


def test_positive_findings_are_coloured(draw: Callable[..., np.ndarray]) -> None:
    bars = (slice(None), slice(1200, None))
    none = has_colour(draw(np.full(18, 0.49))[bars], (213, 94, 0))
    every = has_colour(draw(np.full(18, 0.5))[bars], (213, 94, 0))
    assert none < 0.002
    assert every > 0.03


def test_the_same_case_gives_the_same_picture(draw: Callable[..., np.ndarray]) -> None:
    assert (draw() == draw()).all()


@pytest.mark.parametrize(
    "case_id",
    ["a $x^2$ in {braces} 100%", "Müller & Söhne, 日本", "long_" * 60, "l" * 300],
    ids=["mathematics", "foreign letters", "long", "long without a break"],
)
def test_any_case_name_can_be_drawn(draw: Callable[..., np.ndarray], case_id: str) -> None:
    assert draw(case_id=case_id).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nothing positive", {"probabilities": np.zeros(18)}),
        ("everything positive", {"probabilities": np.ones(18)}),
        ("no relevance", {"relevance": None}),
        ("relevance of zero", {"relevance": np.zeros((18, 10))}),
        ("relevance below zero", {"relevance": -np.ones((18, 10))}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusual_results_can_be_drawn(
    draw: Callable[..., np.ndarray], name: str, change: dict[str, Any]
) -> None:
    assert draw(**change)[VIEWER].std() > 0.05, name


@pytest.mark.parametrize("level", [-1000, 0])
def test_a_scan_of_one_value_can_be_drawn(draw: Callable[..., np.ndarray], level: int) -> None:
    volume = Volume(np.full((8, 8, 2), level, np.int16), np.diag([-1, -1, 1, 1.0]))
    assert draw(volume=volume).shape == (HEIGHT, WIDTH, 3)


def test_a_scan_outside_all_triplets_says_so_instead_of_a_slice(
    draw: Callable[..., np.ndarray], body: Volume
) -> None:
    affine = body.affine.copy()
    affine[2, 3] = 5000
    assert draw(volume=Volume(body.voxels, affine)).shape == (HEIGHT, WIDTH, 3)


def test_a_figure_that_cannot_be_written_is_one_clear_line(
    draw: Callable[..., np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "figure.png").mkdir()
    with pytest.raises(InputError, match="output must be a place that can be written"):
        draw()
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]


def test_drawing_leaves_matplotlib_as_it_was(draw: Callable[..., np.ndarray]) -> None:
    before = dict(matplotlib.rcParams)
    draw()
    assert dict(matplotlib.rcParams) == before


def test_long_names_fold_at_marks_and_lose_their_middle() -> None:
    assert fold("short", 10, 2) == "short"
    assert fold("one_two_three", 8, 2) == "one_two_\nthree"
    folded = fold("x" * 100, 20, 2)
    assert "…" in folded
    assert max(len(line) for line in folded.split("\n")) <= 20


@pytest.mark.parametrize(
    ("pictures", "name"), [([0], "1"), ([0, 1, 2], "1-3"), ([0, 2], "1 3"), ([], "")]
)
def test_pictures_are_named_in_short(pictures: list[int], name: str) -> None:
    assert name_pictures(pictures) == name


def tilted(num_slices: int) -> Volume:
    """A water cylinder 250 mm thick around the origin, in slices tilted by 20 degrees."""
    affine = np.diag([-6.0, -6.0, 6.0, 1.0])
    affine[1:3, 1] = -6 * np.array([np.cos(np.radians(20)), np.sin(np.radians(20))])
    x, y = np.ogrid[-29.5:30, -29.5:30]
    plane = np.where(x**2 + y**2 < 21**2, 40, -1000).astype(np.int16)
    affine[:3, 3] = -affine[:3, :3] @ [29.5, 29.5, (num_slices - 1) / 2]
    return Volume(np.repeat(plane[:, :, None], num_slices, axis=2), affine)


@pytest.mark.parametrize("relevance", [None, "peaks"])
@pytest.mark.parametrize("num_slices", [7, 30])
def test_no_picture_of_a_tilted_scan_is_empty(
    draw: Callable[..., np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
    num_slices: int,
    relevance: Any,
) -> None:
    shown: list[Any] = []
    panels = classification.draw_slice_panels

    def keep(*args: Any, pictures: Any, **options: Any) -> None:
        shown.extend(pictures)
        panels(*args, pictures=pictures, **options)

    monkeypatch.setattr(classification, "draw_slice_panels", keep)
    draw(volume=tilted(num_slices), relevance=relevance)
    # One triplet has its centre in the thin slab; it is shown in both windows.
    assert len(shown) == (2 if num_slices == 7 and relevance else 4)
    whole = np.pi * 126**2
    for picture in shown:
        area_mm2 = (picture.hounsfield > -300).sum() * np.prod(picture.pixel_mm)
        assert area_mm2 > (0.9 if num_slices == 7 else 0.45) * whole
    if relevance is None and num_slices == 7:
        assert [picture.index_voxel for picture in shown] == [6, 4, 2, 0]

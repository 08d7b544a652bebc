"""The head of a figure: no text runs into other text or off the page."""

import itertools

import pytest

from common.figures.page import Page
from common.figures.title_block import draw_title_block

LONG = "patient_0001_study_2024-05-17_CT_THORAX_WITH_CONTRAST_1.25_MM_LUNG_KERNEL_" * 3
SENTENCE = "The series holds slices of two thicknesses, which were resampled to even ones. "


def head(
    case_id="case_1", warnings=(), weights="demo", count="9 of 18", synthetic=True, width=1600
):
    """The page, and where it goes on."""
    page = Page(width, 1000)
    top = draw_title_block(
        page,
        case={
            "case_id": case_id,
            "warnings": list(warnings),
            "input": {
                "shape_voxels": [512, 512, 1000],
                "spacing_mm": [0.976562, 0.976562, 1.25],
                "axcodes": "LPS",
            },
        },
        bundle={"name": "ct_fm_wholebody", "version": "0.1.0"},
        weights={"name": weights, "sha256": "ab" * 32, "synthetic": synthetic},
        count=count,
        meaning="findings at or above threshold",
    )
    return page, top


def boxes(page):
    renderer = page.figure.canvas.get_renderer()
    return {text.get_text(): text.get_window_extent(renderer) for text in page.figure.texts}


@pytest.mark.parametrize("case_id", ["case_1", LONG, "l" * 300, "Müller " * 40])
@pytest.mark.parametrize("width", [1000, 1600])
def test_texts_keep_apart_and_on_the_page(case_id, width):
    page, top = head(
        case_id, [SENTENCE * 6, SENTENCE], weights=LONG, count="[-132, 127, -1047] mm", width=width
    )
    found = boxes(page)
    for box in found.values():
        assert box.x0 >= 0
        assert box.x1 <= width
        assert 1000 - box.y0 <= top
    for first, second in itertools.combinations(found.values(), 2):
        assert not first.overlaps(second)


def test_a_short_name_is_whole_and_a_long_one_keeps_both_ends():
    assert "case_1" in boxes(head()[0])
    (name,) = [text for text in boxes(head(LONG * 2)[0]) if text.startswith("patient_0001")]
    assert name.endswith("LUNG_KERNEL_")
    assert "…" in name


def test_warnings_are_shown_and_what_has_no_room_is_counted():
    texts = list(boxes(head(warnings=[f"warning {n}" for n in range(5)])[0]))
    assert [text for text in texts if text.startswith("warning")] == ["warning 0", "warning 1"]
    assert "3 more warnings in result.json" in texts
    three = list(boxes(head(warnings=["a", "b", "c"])[0]))
    assert {"a", "b", "c"} <= set(three)


def test_warnings_take_room_only_where_there_are_any():
    assert head()[1] < head(warnings=["one"])[1] < head(warnings=["one", "two"])[1]
    assert head(synthetic=False)[1] < head()[1]

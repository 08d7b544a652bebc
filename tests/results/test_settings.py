import functools
import math

import numpy as np
import pytest
import torch
from monai.transforms import Compose, CropForegroundd, SpatialPadd

from common.inferers.streaming import StreamingInferer
from common.results.settings import settings_of
from common.transforms.foreground import Foreground
from common.transforms.preprocessing import PreprocessCTd


class Part:
    def __init__(self, **attributes):
        vars(self).update(attributes)


Part.__module__ = "common.part"


def test_public_attributes_count_and_private_ones_do_not():
    assert settings_of(Part(limit=3, _found=4)) == {"Part": {"limit": 3}}


def test_parts_of_parts_count():
    inner = Part(size=np.array([1, 2]), device=torch.device("cpu"), network=torch.nn.Identity())
    assert settings_of(Part(inner=inner)) == {"Part": {"inner": {"Part": {"size": [1, 2]}}}}


def test_what_a_part_says_of_itself_comes_first():
    part = Part(query=1)
    part.settings = lambda: {"sha256": "ab"}
    assert settings_of(part) == {"Part": {"sha256": "ab"}}


def test_what_decides_nothing_can_be_named():
    part = Part(limit=3, at_once=4, not_settings=("at_once", "not_settings"))
    assert settings_of(part) == {"Part": {"limit": 3}}


def test_values_have_a_form_in_json():
    assert settings_of([math.inf, {"b", "a"}, functools.partial(max, 3)]) == [
        "inf",
        ["a", "b"],
        {"builtins.max": [3, {}]},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"spacing_mm": (1.0, 1.0, 1.0)},
        {"check_hu": False},
        {"crop_above_hu": -500.0},
        {"hu_window": (-100.0, 200.0)},
    ],
)
def test_a_change_anywhere_in_a_pipeline_is_seen(change):
    def pipeline(**settings):
        foreground = Foreground(
            above_hu=settings.pop("above_hu", -500),
            hu_window=(-1000, 200),
            output_range=(0, 1),
            largest_only=True,
        )
        crop = CropForegroundd("image", source_key="image", select_fn=foreground)
        return Compose([PreprocessCTd(**settings), SpatialPadd("image", (8, 8, 8)), crop])

    assert settings_of(pipeline()) == settings_of(pipeline())
    assert settings_of(pipeline()) != settings_of(pipeline(**change))
    assert settings_of(pipeline()) != settings_of(pipeline(above_hu=-400))


def test_how_many_windows_run_at_once_is_no_setting():
    def inferer(**changes):
        how = {"roi_size": (16, 16, 16), "overlap": 0.25, "device": "cpu", "windows_at_once": 1}
        return settings_of(StreamingInferer(**{**how, **changes}))

    assert inferer() == inferer(windows_at_once=2)
    assert inferer() != inferer(overlap=0.5)

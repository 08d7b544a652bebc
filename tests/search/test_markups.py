"""A point in 3D Slicer's file is read in its own frame and written back so that Slicer reads it."""

import json

import numpy as np
import pytest

from common.errors import InputError
from common.search.markups import read_markup, write_markup


@pytest.fixture
def markup(tmp_path):
    """Write a markups file as Slicer does; keywords go into its one list of points."""

    def write(*points, **changes):
        controls = [{"id": "1", "label": "F-1", "position": list(point)} for point in points]
        content = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": controls}
        path = tmp_path / "F.mrk.json"
        path.write_text(json.dumps({"markups": [{**content, **changes}]}))
        return path

    return write


def test_lps_becomes_ras(markup):
    point, label = read_markup(markup((1, 2, 3)))
    assert point.tolist() == [-1, -2, 3]
    assert label == "F-1"


def test_ras_stays(markup):
    assert read_markup(markup((1, 2, 3), coordinateSystem="RAS"))[0].tolist() == [1, 2, 3]


def test_a_file_without_a_frame_is_lps_as_slicer_has_it(markup):
    path = markup((1, 2, 3))
    content = json.loads(path.read_text())
    del content["markups"][0]["coordinateSystem"]
    path.write_text(json.dumps(content))
    assert read_markup(path)[0].tolist() == [-1, -2, 3]


def test_a_point_comes_back_as_it_was_written(tmp_path):
    path = write_markup(tmp_path / "found.mrk.json", {"heart": np.array([12.5, -3, 40])})
    point, label = read_markup(path)
    assert point.tolist() == [12.5, -3, 40]
    assert label == "heart"
    (written,) = json.loads(path.read_text())["markups"]
    assert written["coordinateSystem"] == "LPS"
    assert written["controlPoints"][0]["position"] == [-12.5, 3, 40]


def test_points_that_nobody_placed_do_not_count(markup):
    path = markup((1, 2, 3), (4, 5, 6))
    content = json.loads(path.read_text())
    content["markups"][0]["controlPoints"][0]["positionStatus"] = "preview"
    path.write_text(json.dumps(content))
    assert read_markup(path)[0].tolist() == [-4, -5, 6]


@pytest.mark.parametrize(
    ("points", "changes", "message"),
    [
        ([], {}, "exactly one placed point, got none .*; place a point in 3D Slicer"),
        ([(1, 2, 3), (4, 5, 6)], {}, "exactly one placed point, got 2: F-1, F-1 .*; keep one"),
        ([(1, 2, 3)], {"coordinateSystem": "IJK"}, "must be in mm of LPS or RAS, got mm of IJK"),
        ([(1, 2, 3)], {"coordinateUnits": "um"}, "must be in mm of LPS or RAS, got um of LPS"),
        ([(1, 2)], {}, r"must give three numbers of mm, got \[1, 2\]"),
        ([(1, 2, "x")], {}, "must give three numbers of mm"),
    ],
)
def test_what_is_no_single_point_is_refused(markup, points, changes, message):
    with pytest.raises(InputError, match=message):
        read_markup(markup(*points, **changes))


@pytest.mark.parametrize("content", ["no", "[]", '{"markups": 3}'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.mrk.json").write_text(content)
    with pytest.raises(InputError, match="markup must be a 3D Slicer"):
        read_markup(tmp_path / "a.mrk.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"markup must exist, got .*a\.mrk\.json"):
        read_markup(tmp_path / "a.mrk.json")

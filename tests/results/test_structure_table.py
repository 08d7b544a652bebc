"""Measures of structures, against the plain way on whole arrays."""

import csv

import numpy as np
import pytest

from common.errors import InputError
from common.results.case_result import write_case_result
from common.results.structure_table import (
    SEGMENTATION_DEFINITIONS,
    measure_structures,
    segmentation_outputs,
    write_volumes,
)
from common.results.summary import write_summary
from common.volumes.volume import Volume

NAMES = ["background", "cube", "speckle", "absent", "edge"]
OBLIQUE = np.array(
    [[0.9, 0.1, -0.4, 12], [-0.2, 1.1, 0.3, -60], [0.3, 0.2, 2.4, -400], [0, 0, 0, 1.0]]
)


@pytest.fixture
def labels():
    volume = np.zeros((9, 8, 10), np.uint8)
    volume[2:5, 3:6, 4:8] = 1
    volume[1:8:2, 1:7:3, 1:9:3] = 2
    volume[:, 7, 5] = 4
    return volume


@pytest.fixture
def scan(labels):
    """Stored values by formula, HU = 2 * stored - 1024, on an oblique, sheared grid."""
    voxels = (np.arange(labels.size) * 7 % 1931).reshape(labels.shape).astype(np.uint16)
    return Volume(voxels, OBLIQUE, slope=2.0, intercept=-1024.0)


def test_it_equals_the_plain_way(labels, scan):
    table = measure_structures(labels, scan, NAMES)
    hounsfield = scan.voxels.astype(np.float64) * 2 - 1024
    assert list(table) == ["cube", "speckle", "edge"]
    for name, found in table.items():
        inside = labels == NAMES.index(name)
        centre = OBLIQUE @ np.append(np.argwhere(inside).mean(axis=0), 1.0)
        assert found["number"] == NAMES.index(name)
        assert found["num_voxels"] == inside.sum()
        voxel_mm3 = abs(np.linalg.det(OBLIQUE[:3, :3]))
        assert found["volume_ml"] == pytest.approx(inside.sum() * voxel_mm3 / 1000)
        assert found["mean_hu"] == pytest.approx(hounsfield[inside].mean())
        assert found["sd_hu"] == pytest.approx(hounsfield[inside].std())
        assert found["centre_world_mm"] == pytest.approx(centre[:3].tolist())
    assert [found["touches_border"] for found in table.values()] == [False, False, True]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float32, ">i2"])
def test_memory_order_and_dtype_do_not_matter(labels, scan, order, dtype):
    other = Volume(np.array(scan.voxels, dtype=dtype, order=order), OBLIQUE, 2.0, -1024.0)
    plain = measure_structures(labels, scan, NAMES)
    for name, found in measure_structures(labels, other, NAMES).items():
        assert found["centre_world_mm"] == plain[name]["centre_world_mm"]
        for measure in ("volume_ml", "mean_hu", "sd_hu"):
            assert found[measure] == pytest.approx(plain[name][measure])


def test_a_flipped_scan_measures_the_same(labels, scan):
    flip = np.diag([-1.0, 1.0, -1.0, 1.0])
    flip[:3, 3] = (labels.shape[0] - 1, 0, labels.shape[2] - 1)
    flipped = Volume(scan.voxels[::-1, :, ::-1], OBLIQUE @ flip, 2.0, -1024.0)
    plain = measure_structures(labels, scan, NAMES)
    for name, found in measure_structures(labels[::-1, :, ::-1], flipped, NAMES).items():
        centre = plain[name].pop("centre_world_mm")
        assert found.pop("centre_world_mm") == pytest.approx(centre)
        assert found == pytest.approx(plain[name])


def test_one_litre_of_water_is_one_litre_of_water():
    labels = np.ones((10, 10, 10), np.uint8)
    scan = Volume(np.full(labels.shape, 1000, np.uint16), np.diag([-10.0, 10, 10, 1]), 1.0, -1000.0)
    found = measure_structures(labels, scan, ["background", "water"])["water"]
    assert found["volume_ml"] == pytest.approx(1000)
    assert (found["mean_hu"], found["sd_hu"]) == (0, 0)
    assert found["centre_world_mm"] == pytest.approx([-45, 45, 45])


def test_nothing_found_is_an_empty_table(scan):
    table = measure_structures(np.zeros(scan.voxels.shape, np.uint8), scan, NAMES)
    outputs = segmentation_outputs(table)
    assert table == {}
    assert outputs == {
        "num_structures": 0,
        "num_at_border": 0,
        "segmented_ml": 0,
        "structures": {},
    }


def test_labels_of_another_shape_are_refused(scan):
    with pytest.raises(ValueError, match=r"labels must have the scan's shape \(9, 8, 10\)"):
        measure_structures(np.zeros((9, 8, 11), np.uint8), scan, NAMES)


def test_volumes_are_rows_by_number(labels, scan, tmp_path):
    table = measure_structures(labels, scan, NAMES)
    backwards = dict(reversed(table.items()))
    path = write_volumes(tmp_path / "case" / "volumes.csv", backwards)
    lines = path.read_text().splitlines()
    assert lines[0] == "structure,number,volume_ml,mean_hu,sd_hu,touches_border"
    rows = list(csv.DictReader(lines))
    assert [row["structure"] for row in rows] == ["cube", "speckle", "edge"]
    assert [row["touches_border"] for row in rows] == ["0", "0", "1"]
    assert float(rows[0]["volume_ml"]) == pytest.approx(table["cube"]["volume_ml"], abs=6e-4)
    assert float(rows[0]["mean_hu"]) == pytest.approx(table["cube"]["mean_hu"], abs=6e-3)


def test_an_empty_table_keeps_its_header(tmp_path):
    path = write_volumes(tmp_path / "volumes.csv", {})
    assert path.read_text().startswith("structure,number,")


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "volumes.csv").mkdir()
    with pytest.raises(InputError, match="output must be a place that can be written"):
        write_volumes(tmp_path / "volumes.csv", {})


def test_the_outputs_keep_the_schema_and_give_summary_columns(labels, scan, make_result, tmp_path):
    outputs = segmentation_outputs(measure_structures(labels, scan, NAMES))
    result = make_result(outputs=outputs, definitions=SEGMENTATION_DEFINITIONS)
    write_case_result(tmp_path / "case_1", result)
    row = next(csv.DictReader(write_summary(tmp_path).read_text().splitlines()))
    assert row["num_structures"] == "3"
    assert row["num_at_border"] == "1"
    assert float(row["segmented_ml"]) == outputs["segmented_ml"]
    assert outputs["structures"]["edge"]["touches_border"] is True
    assert set(outputs) == set(SEGMENTATION_DEFINITIONS)

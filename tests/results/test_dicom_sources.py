"""One reading of a series serves every object that lies on its images."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from common.formats.dicom import read_dicom
from common.results.dicom_segmentation import write_dicom_segmentation
from common.results.dicom_sources import read_sources
from common.results.dicom_structure_set import write_structure_set
from tests.results.dicom_masks import (
    BUNDLE,
    NAMES,
    SERIES,
    WEIGHTS,
    by_place,
    pattern,
    two_thicknesses,
)


@pytest.mark.parametrize("kind", ["oblique", "enhanced"])
def test_both_masks_are_written_of_one_reading(tmp_path: Path, kind: str):
    files = SERIES[kind](tmp_path / "series")
    volume = read_dicom(files)
    labels = pattern(volume.voxels.shape)
    sources = read_sources(files, None, labels, volume.affine)
    for file in files:
        file.unlink()
    given = {"sources": sources, "names": NAMES, "bundle": BUNDLE, "weights": WEIGHTS}
    assert write_dicom_segmentation(tmp_path / "seg.dcm", **given) == []
    assert write_structure_set(tmp_path / "rt.dcm", **given) == []
    np.testing.assert_array_equal(by_place(tmp_path / "seg.dcm", volume), labels)
    rois = pydicom.dcmread(tmp_path / "rt.dcm").StructureSetROISequence
    assert [roi.ROIName for roi in rois] == ["kidney_left", "liver", "aorta"]


def test_each_object_tells_of_its_own_structures(tmp_path: Path):
    """The liver lies on the slice that no image shows; of it alone nothing can be written."""
    files = two_thicknesses(tmp_path)
    volume = read_dicom(files)
    labels = np.zeros(volume.voxels.shape, np.uint8)
    labels[:, :, 0], labels[:, :, 5] = 3, 5
    sources = read_sources(files, None, labels, volume.affine)
    left, liver, both = (sources.of(names) for names in ({3: "a"}, {5: "b"}, {3: "a", 5: "b"}))
    assert (left.found, liver.found, both.found) == ({3: "a"}, {}, {3: "a"})
    assert liver.why_not == "none of the structures was found"
    assert not left.why_not
    assert "lie on no image" not in left.notes[-1]
    assert "1 of the structures found lie on no image" in both.notes[-1]

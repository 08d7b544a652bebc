import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from common.cases.find import find_cases
from common.phantom.cases import phantom_cases
from common.phantom.export import phantom_case, write_collection
from common.phantom.marks import all_phantoms, is_phantom

COARSE_MM = (12.0, 12.0, 12.0)


def write_scan(path, description=""):
    """A NIfTI file of no phantom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    image.header["descrip"] = description
    nib.save(image, path)
    return path


def case_of(path):
    return {"case_id": "a", "image": str(path), "format": "nifti"}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A chest as NIfTI and as DICOM, with the truth at the head of the collection."""
    folder = tmp_path_factory.mktemp("written")
    write_collection(folder, num=1, file_format="both", spacing_mm=COARSE_MM)
    return folder


def without_description(path):
    image = nib.load(path)
    image.header["descrip"] = ""
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj), image.affine, image.header), path)


@pytest.mark.parametrize("kind", ["dataset", "dicom"])
def test_a_phantom_on_the_disk_is_one_wherever_it_is_taken(written, tmp_path, kind):
    (source,) = find_cases(written / kind)
    image = source["image"]
    assert is_phantom(source)
    taken = tmp_path / "taken" / ("scan.nii.gz" if kind == "dataset" else "series")
    taken.parent.mkdir()
    (shutil.copyfile if kind == "dataset" else shutil.copytree)(image, taken)
    (case,) = find_cases(tmp_path / "taken")
    assert is_phantom(case)


def test_files_of_older_versions_are_told_by_the_truth_of_their_collection(written, tmp_path):
    shutil.copytree(written, tmp_path / "old")
    (case,) = find_cases(tmp_path / "old" / "dataset")
    without_description(case["image"])
    assert is_phantom(case)
    (tmp_path / "old" / "truth.json").unlink()
    assert is_phantom(case) is False


def test_a_scan_that_lies_in_a_collection_of_phantoms_is_none(written, tmp_path):
    shutil.copytree(written, tmp_path / "both")
    (phantom,) = find_cases(tmp_path / "both" / "dataset")
    scan = write_scan(tmp_path / "both" / "dataset" / "train" / "own.nii.gz")
    assert is_phantom(case_of(scan)) is False
    assert not all_phantoms([phantom, case_of(scan)])


def test_a_truth_that_lies_beside_a_file_is_believed_where_it_says_phantom(tmp_path):
    scan = write_scan(tmp_path / "a.nii.gz")
    for source, expected in (("synthetic phantom", True), ("two readers", False)):
        (tmp_path / "a.truth.json").write_text(json.dumps({"source": source}))
        assert is_phantom(case_of(scan)) is expected


def test_a_truth_that_is_none_of_ours_says_nothing(tmp_path):
    scan = write_scan(tmp_path / "a.nii.gz")
    for text in ("no JSON", "[]", '{"a": 1}'):
        (tmp_path / "truth.json").write_text(text)
        assert is_phantom(case_of(scan)) is False


def test_drawn_patients_are_phantoms_before_there_is_a_file(tmp_path):
    assert is_phantom(phantom_cases("train", num=1)[0])
    assert is_phantom(phantom_case(tmp_path, 3))


def test_nothing_is_told_by_a_file_that_cannot_be_read(tmp_path):
    damaged = case_of(tmp_path / "gone.nii.gz")
    assert is_phantom(damaged) is None
    assert not all_phantoms([damaged])
    assert all_phantoms([*phantom_cases("train", num=2), damaged])
    assert not all_phantoms([damaged, case_of(write_scan(tmp_path / "a.nii.gz", "FreeSurfer"))])


def test_no_case_is_no_phantom():
    assert not all_phantoms([])

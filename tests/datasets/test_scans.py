"""Scans without labels: phantoms, or whatever lies in a place."""

import nibabel
import numpy as np
import pytest

from common.datasets.scans import scans_to_train_on
from common.errors import InputError
from tests.dicom_files import write_series


def test_phantoms_are_drawn_from_the_training_seeds():
    cases = scans_to_train_on(dataset_dir="phantom", num_phantoms=3, region="chest")
    assert [case["format"] for case in cases] == ["phantom"] * 3
    assert len({case["patient_id"] for case in cases}) == 3


def test_every_series_of_a_study_is_taken(tmp_path):
    for name in ("thin", "thick"):
        write_series(tmp_path / "study" / name, series=name)
    image = nibabel.Nifti1Image(
        np.linspace(-1000, 500, 512, dtype=np.int16).reshape(8, 8, 8), np.diag([1, 1, 2, 1])
    )
    nibabel.save(image, tmp_path / "scan.nii.gz")
    cases = scans_to_train_on(dataset_dir=tmp_path)
    assert sorted(case["format"] for case in cases) == ["dicom", "dicom", "nifti"]


def test_an_empty_place_is_refused(tmp_path):
    with pytest.raises(InputError, match="must hold"):
        scans_to_train_on(dataset_dir=tmp_path)

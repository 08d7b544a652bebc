"""What tells cached results apart."""

import os
from functools import partial

import numpy as np
import pytest
import torch
from monai.transforms import Compose, Lambdad, ScaleIntensityRanged, SpatialPadd

from common.transforms import caching
from common.transforms.caching import cache_folder, code_stamp, digest, file_stamps, identity_of


def test_the_same_settings_share_a_folder_and_others_do_not(tmp_path):
    first = cache_folder(tmp_path, spacing_mm=[3, 3, 3], labels=["a", "b"])
    assert first.parent == tmp_path
    assert cache_folder(tmp_path, labels=["a", "b"], spacing_mm=[3, 3, 3]) == first
    assert cache_folder(tmp_path, spacing_mm=[3, 3, 2], labels=["a", "b"]) != first
    assert cache_folder(tmp_path, spacing_mm=None, labels=["a", "b"]) != first


def names(stamps):
    return [path.rpartition("/")[2] for path, _, _ in stamps]


def test_every_file_that_a_case_names_has_a_stamp_masks_included(tmp_path):
    (tmp_path / "masks").mkdir()
    for name in ("scan.nii.gz", "masks/liver.nii.gz", "masks/spleen.nii.gz", "other.nii.gz"):
        (tmp_path / name).write_text(name)
    case = {
        "case_id": "scan",
        "image": str(tmp_path / "scan.nii.gz"),
        "label": [0.0, float("nan")],
        "report": "No finding. " * 500,  # longer than any file's name
        "segmentation": {"kind": "masks", "path": str(tmp_path / "masks"), "classes": ["liver"]},
    }
    before = file_stamps(case)
    assert names(before) == ["liver.nii.gz", "spleen.nii.gz", "scan.nii.gz"]
    (tmp_path / "other.nii.gz").write_text("changed")
    assert file_stamps(case) == before
    os.utime(tmp_path / "masks" / "liver.nii.gz", ns=(0, 0))
    assert file_stamps(case) != before
    (tmp_path / "masks" / "liver.nii.gz").unlink()
    assert names(file_stamps(case)) == ["spleen.nii.gz", "scan.nii.gz"]


def test_of_a_dicom_folder_the_files_of_the_series_alone_count(tmp_path):
    for name in ("1.dcm", "2.dcm", "other_series.dcm"):
        (tmp_path / name).write_text(name)
    case = {"image": str(tmp_path), "files": [str(tmp_path / f"{n}.dcm") for n in (1, 2)]}
    assert names(file_stamps(case)) == ["1.dcm", "2.dcm"]
    assert len(file_stamps({"image": str(tmp_path)})) == 3


def test_a_case_that_is_called_like_a_folder_here_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("masks", "liver"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("")
    source = {"kind": "masks", "path": "elsewhere", "classes": ["liver"]}
    assert file_stamps({"case_id": "liver", "patient_id": "masks", "segmentation": source}) == []


def test_a_phantom_has_no_file():
    assert file_stamps({"image": "phantom:7?region=head", "label": [1.0]}) == []


def scale(top):
    return ScaleIntensityRanged("image", a_min=0, a_max=top, b_min=0, b_max=1)


def power(image, exponent):
    return image**exponent


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (scale(1), scale(2)),
        ([scale(1), scale(2)], [scale(2), scale(1)]),
        (Lambdad("image", lambda x: x + 1), Lambdad("image", lambda x: x + 2)),
        (partial(power, exponent=2), partial(power, exponent=3)),
        (np.zeros(3), np.ones(3)),
        (torch.zeros(3), torch.zeros(3, dtype=torch.int8)),
        (SpatialPadd("image", [8, 8, 8]), SpatialPadd("image", [8, 8, 9])),
    ],
)
def test_settings_at_any_depth_count(first, other):
    assert digest(identity_of(Compose(first))) != digest(identity_of(Compose(other)))
    assert digest(identity_of(first)) == digest(identity_of(first))


def test_what_a_function_closes_over_counts():
    def adding(number):
        return lambda image: image + number

    assert identity_of(adding(1)) == identity_of(adding(1))
    assert identity_of(adding(1)) != identity_of(adding(2))


def test_a_network_counts_by_its_weights():
    torch.manual_seed(0)
    first, other = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert identity_of(first) != identity_of(other)
    other.load_state_dict(first.state_dict())
    assert identity_of(first) == identity_of(other)


def test_a_place_in_memory_does_not_count():
    class Handle:
        __slots__ = ()

    assert " at 0x" in str(Handle())
    assert identity_of(Handle()) == identity_of(Handle())


def test_the_code_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(caching, "PACKAGE", tmp_path)
    stamps = []
    for text in ("a = 1", "a = 1", "a = 2"):
        (tmp_path / "reader.py").write_text(text)
        code_stamp.cache_clear()
        stamps.append(code_stamp())
    code_stamp.cache_clear()
    assert stamps[0] == stamps[1] != stamps[2]

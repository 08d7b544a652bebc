"""Phantoms as files, read back by the readers for real scans."""

import importlib.util
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest

from common.cases.ct_rate import read_labels, read_metadata, read_reports
from common.cases.find import find_cases
from common.errors import InputError
from common.formats.dicom import read_dicom
from common.phantom import CT_RATE_LABELS, HEAD_LABELS, make_chest, make_head
from common.phantom.dicom_series import write_dicom
from common.phantom.export import write_collection, write_phantom_case

COARSE_MM = (6.0, 6.0, 8.0)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    root = tmp_path_factory.mktemp("phantoms")
    written = write_collection(root, num=2, seed=4, file_format="both", spacing_mm=COARSE_MM)
    return root, written


def test_collection_has_the_published_folders(collection):
    root, written = collection
    volume = root / "dataset/train/train_1/train_1_a/train_1_a_1.nii.gz"
    assert volume in written
    assert all(path.exists() for path in written)
    assert not list(root.rglob(".partial-*"))
    assert nib.load(volume).get_data_dtype() == np.int16


def test_tables_read_back_as_the_truth(collection):
    root, _ = collection
    truth = json.loads((root / "truth.json").read_text())["train_2_a_1.nii.gz"]
    folder = root / "dataset"
    labels = read_labels(folder / "multi_abnormality_labels/train_predicted_labels.csv")
    assert labels["train_2_a_1"] == [truth["labels"][label] for label in CT_RATE_LABELS]
    reports = read_reports(folder / "radiology_text_reports/train_reports.csv")
    assert reports["train_2_a_1"].findings == truth["report"]
    assert reports["train_2_a_1"].clinical_information == ""
    metadata = read_metadata(folder / "metadata/train_metadata.csv")["train_2_a_1"]
    image = nib.load(folder / "train/train_2/train_2_a/train_2_a_1.nii.gz")
    assert np.allclose(metadata.affine, image.affine, atol=1e-3)
    assert (metadata.slope, metadata.intercept) == (1.0, 0.0)


def test_dicom_series_holds_the_same_volume(collection):
    root, _ = collection
    image = nib.load(root / "dataset/train/train_1/train_1_a/train_1_a_1.nii.gz")
    volume = read_dicom(sorted((root / "dicom/train_1_a_1").iterdir()))
    wanted, found = np.asarray(image.dataobj), volume.hounsfield()
    to_found = np.linalg.inv(volume.affine) @ image.affine
    corner = np.rint(to_found @ [0, 0, 0, 1])[:3].astype(int)
    opposite = np.rint(to_found @ [*(n - 1 for n in wanted.shape), 1])[:3].astype(int)
    assert found[tuple(corner)] == wanted[0, 0, 0]
    assert found[tuple(opposite)] == wanted[-1, -1, -1]
    assert sorted(found.shape) == sorted(wanted.shape)
    assert found.astype(int).sum() == wanted.sum()


def test_dicom_slices_are_complete_ct_images(collection):
    root, _ = collection
    files = sorted((root / "dicom/train_1_a_1").iterdir())
    slices = [pydicom.dcmread(file) for file in files]
    assert len({s.SOPInstanceUID for s in slices}) == len(slices)
    assert len({s.SeriesInstanceUID for s in slices}) == 1
    assert slices[0].RescaleIntercept == -1024
    assert slices[0].pixel_array.dtype == np.uint16
    heights = [float(s.ImagePositionPatient[2]) for s in slices]
    assert heights == sorted(heights)


def test_oblique_and_tilted_series_keep_their_affine(tmp_path):
    affine = np.array([[-6.0, 0, 0, 150], [0, -6, 1.5, 120], [0, 0, 8, -150], [0, 0, 0, 1]])
    phantom = make_chest(seed=1, shape=(50, 40, 36), affine=affine)
    volume = read_dicom(sorted(write_dicom(phantom, tmp_path / "series").iterdir()))
    shift = np.linalg.inv(affine) @ volume.affine
    assert np.allclose(np.abs(np.linalg.det(shift[:3, :3])), 1, atol=1e-3)


def test_skew_rows_are_refused_for_dicom(tmp_path):
    affine = np.array([[-6.0, 2, 0, 150], [0, -6, 0, 120], [0, 0, 8, -150], [0, 0, 0, 1]])
    phantom = make_chest(seed=1, shape=(20, 20, 20), affine=affine)
    with pytest.raises(InputError, match="first two axes at right angles"):
        write_dicom(phantom, tmp_path / "series")


def test_rewriting_a_series_replaces_it(tmp_path):
    folder = tmp_path / "series"
    for seed in (1, 2):
        phantom = make_chest(seed=seed, spacing_mm=COARSE_MM)
        write_dicom(phantom, folder)
    assert len(list(folder.iterdir())) == phantom.volume.voxels.shape[2]
    assert [path.name for path in tmp_path.iterdir()] == ["series"]


def test_case_is_written_once_with_its_truth_beside_it(tmp_path):
    path = write_phantom_case(tmp_path / "new", 7, spacing_mm=COARSE_MM)
    before = path.stat().st_mtime_ns
    assert write_phantom_case(tmp_path / "new", 7, spacing_mm=COARSE_MM) == path
    assert path.stat().st_mtime_ns == before
    truth = json.loads((path.parent / "phantom_7.truth.json").read_text())
    assert truth["patient_id"] == "phantom_7"
    assert list(truth["labels"]) == list(CT_RATE_LABELS)


def test_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(InputError, match="output must be a place that can be written"):
        write_phantom_case(tmp_path / "file", 7, spacing_mm=COARSE_MM)
    with pytest.raises(InputError, match="output must be a place that can be written"):
        write_dicom(make_chest(seed=1, spacing_mm=COARSE_MM), tmp_path / "file" / "series")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num": 0}, "num must be at least 1, got 0"),
        ({"split": "test"}, "split must be train or valid, got 'test'"),
        ({"file_format": "nrrd"}, "format must be one of nifti, dicom, both, got 'nrrd'"),
    ],
)
def test_wrong_option_is_refused_before_anything_is_written(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        write_collection(tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def command(repository):
    spec = importlib.util.spec_from_file_location(
        "make_phantom", repository / "scripts" / "make_phantom.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


def test_command_prints_what_it_wrote(command, tmp_path, capsys):
    options = ["--num", "1", "--findings", "lung nodule", "--spacing_mm", "6", "6", "8"]
    assert command([str(tmp_path / "out"), *options]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].endswith("train_1_a_1.nii.gz")
    truth = json.loads((tmp_path / "out" / "truth.json").read_text())
    assert truth["train_1_a_1.nii.gz"]["labels"]["Lung nodule"] == 1
    assert sum(truth["train_1_a_1.nii.gz"]["labels"].values()) == 1


def test_command_says_a_wrong_name_in_one_line(command, tmp_path, capsys):
    assert command([str(tmp_path / "out"), "--findings", "nodules"]) == 1
    assert command([]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert errors[0].startswith("error: findings must be CT-RATE label names, got 'nodules'")
    assert errors[1].startswith("error: output_dir must be given")
    assert not (tmp_path / "out").exists()


def test_command_writes_organ_masks_beside_each_scan(command, tmp_path):
    options = ["--num", "1", "--region", "torso", "--organs", "--format", "both"]
    assert command([str(tmp_path), *options, "--spacing_mm", "7", "7", "7"]) == 0
    folder = tmp_path / "dataset/train/train_1/train_1_a"
    scan, organs = (
        nib.load(folder / f"{name}.nii.gz") for name in ("train_1_a_1", "train_1_a_1_organs")
    )
    assert scan.shape == organs.shape
    assert np.array_equal(scan.affine, organs.affine)
    assert organs.get_data_dtype() == np.uint8
    assert {5, 20, 75, 76} <= set(np.unique(organs.dataobj).tolist())
    assert (tmp_path / "dicom/train_1_a_1_organs.nii.gz").is_file()


def test_command_says_an_unknown_region_in_one_line(command, tmp_path, capsys):
    assert command([str(tmp_path / "out"), "--region", "leg"]) == 1
    assert capsys.readouterr().err.startswith("error: region must be one of chest, abdomen, torso")


def test_heads_are_written_as_a_list_that_reads_back(command, tmp_path):
    options = ["--num", "2", "--region", "head", "--organs", "--format", "both", "--seed", "5"]
    spacing = ["--spacing_mm", "5", "5", "8", "--findings", "Mass, Fracture"]
    assert command([str(tmp_path), *options, *spacing]) == 0
    cases = find_cases(tmp_path / "labels.csv")
    assert [case["case_id"] for case in cases] == ["head_5", "head_6"]
    found = dict(zip(HEAD_LABELS, cases[0]["label"], strict=True))
    assert {name for name, value in found.items() if value} == {"Abnormal", "Mass", "Fracture"}
    assert "fractured" in cases[0]["report"]
    scan, organs, lesions = (
        nib.load(tmp_path / "scans" / f"head_5{part}.nii.gz")
        for part in ("", "_organs", "_lesions")
    )
    assert scan.shape == organs.shape == lesions.shape
    truth = json.loads((tmp_path / "truth.json").read_text())["head_5"]
    numbers = set(np.unique(lesions.dataobj).tolist()) - {0}
    assert {truth["findings"][n - 1]["label"] for n in numbers} == {"Mass"}
    series = read_dicom(sorted((tmp_path / "scans/head_5").iterdir()))
    assert series.hounsfield().sum(dtype=float) == np.asarray(scan.dataobj).sum(dtype=float)
    image = pydicom.dcmread(next((tmp_path / "scans/head_5").iterdir()))
    assert (image.BodyPartExamined, image.WindowWidth) == ("HEAD", 80)


def test_a_head_case_is_written_with_its_truth(tmp_path):
    path = write_phantom_case(tmp_path, 7, region="head", spacing_mm=COARSE_MM)
    assert path.name == "phantom_head_7.nii.gz"
    truth = json.loads((tmp_path / "phantom_head_7.truth.json").read_text())
    assert list(truth["labels"]) == list(HEAD_LABELS)


def test_a_tilted_head_keeps_its_shear_as_dicom(tmp_path):
    phantom = make_head(seed=3, spacing_mm=(5, 5, 6), findings=[], gantry_tilt_deg=15)
    volume = read_dicom(sorted(write_dicom(phantom, tmp_path / "series").iterdir()))
    shift = np.linalg.inv(phantom.volume.affine) @ volume.affine
    assert np.allclose(np.abs(np.linalg.det(shift[:3, :3])), 1, atol=1e-3)

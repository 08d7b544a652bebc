"""CT-RATE's tables as published: names, labels, reports, metadata."""

import csv
import math
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.cases.ct_rate import (
    parse_volume_name,
    read_excluded,
    read_labels,
    read_metadata,
    read_reports,
)
from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from common.vocabulary.chest_findings import CT_RATE_LABELS

CT = (np.arange(6 * 7 * 8) - 1000).reshape(6, 7, 8).astype(np.int16)
METADATA = {
    "RescaleSlope": "1.0",
    "RescaleIntercept": "-1024.0",
    "XYSpacing": "[0.7, 0.7]",
    "ZSpacing": "1.5",
    "ImageOrientationPatient": "['1.0', '0.0', '0.0', '0.0', '1.0', '0.0']",
    "ImagePositionPatient": "['-100.0', '-200.0', '-300.0']",
}


def write_csv(path: Path, *rows: dict[str, object]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def label_row(name: str, *positive: str) -> dict[str, object]:
    return {"VolumeName": name, **{label: int(label in positive) for label in CT_RATE_LABELS}}


def write_volume(data_dir: Path, name: str, *, blank: bool = False, voxels=CT) -> Path:
    volume = parse_volume_name(name)
    path = data_dir / volume.split / volume.patient_id / volume.scan_id / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(voxels, None if blank else np.diag([-0.7, -0.7, 1.5, 1]))
    image.header.set_qform(None if blank else image.affine, 0 if blank else 1)
    image.header.set_sform(None if blank else image.affine, 0 if blank else 1)
    image.to_filename(path)
    return path


def test_labels_are_18_in_official_order():
    assert len(CT_RATE_LABELS) == len(set(CT_RATE_LABELS)) == 18
    assert CT_RATE_LABELS[0] == "Medical material"
    assert CT_RATE_LABELS[9] == "Lung nodule"
    assert CT_RATE_LABELS[17] == "Interlobular septal thickening"


@pytest.mark.parametrize(
    "text", ["train_12_b_3.nii.gz", "train/train_12/train_12_b_3", "train_12_b_3.npz"]
)
def test_volume_name_tells_patient_scan_and_reconstruction(text: str):
    name = parse_volume_name(text)
    assert (name.split, name.patient, name.scan, name.reconstruction) == ("train", 12, "b", 3)
    assert (name.patient_id, name.scan_id, name.stem) == ("train_12", "train_12_b", "train_12_b_3")


@pytest.mark.parametrize("text", ["", "scan.nii.gz", "train_1_1_a", "train_1_a"])
def test_other_names_are_refused(text: str):
    with pytest.raises(InputError, match=r"VolumeName must look like train_1_a_1\.nii\.gz"):
        parse_volume_name(text)


def test_labels_are_read_by_name_whatever_the_column_order(tmp_path: Path):
    row = label_row("train_1_a_1.nii.gz", "Emphysema")
    shuffled = dict(sorted(row.items(), reverse=True))
    (labels,) = read_labels(write_csv(tmp_path / "a.csv", shuffled)).values()
    assert labels == [float(label == "Emphysema") for label in CT_RATE_LABELS]


def test_missing_label_column_is_named(tmp_path: Path):
    row = label_row("train_1_a_1.nii.gz")
    del row["Lung nodule"]
    path = write_csv(tmp_path / "a.csv", row)
    with pytest.raises(InputError, match=r"must have the columns \['Lung nodule'\]"):
        read_labels(path)
    with pytest.raises(InputError, match=r"all 18 label columns, got none for \['Lung nodule'\]"):
        find_cases(path)


def test_label_that_is_no_number_is_named(tmp_path: Path):
    row = {**label_row("train_1_a_1.nii.gz"), "Emphysema": "yes"}
    with pytest.raises(InputError, match="Emphysema must be a number, got 'yes'"):
        read_labels(write_csv(tmp_path / "a.csv", row))


def test_reports_are_read_and_not_given_is_empty(tmp_path: Path):
    row = {
        "VolumeName": "valid_1_a_1.nii.gz",
        "ClinicalInformation_EN": "Not given.",
        "Technique_EN": "Non-contrast, 1.5 mm",
        "Findings_EN": 'Trachea is open.\nNo "effusion".',
        "Impressions_EN": "Not given.",
    }
    report = read_reports(write_csv(tmp_path / "a.csv", row))["valid_1_a_1"]
    assert report.clinical_information == ""
    assert report.text == 'Trachea is open.\nNo "effusion".'


def test_metadata_gives_an_affine_in_ras(tmp_path: Path):
    row = {"VolumeName": "train_1_a_1.nii.gz", **METADATA}
    metadata = read_metadata(write_csv(tmp_path / "a.csv", row))["train_1_a_1"]
    expected = [[-0.7, 0, 0, 100], [0, -0.7, 0, 200], [0, 0, 1.5, -300], [0, 0, 0, 1]]
    np.testing.assert_allclose(metadata.affine, expected)
    assert (metadata.slope, metadata.intercept) == (1.0, -1024.0)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"XYSpacing": "0.7"}, "XYSpacing must hold 2 numbers, got '0.7'"),
        ({"ZSpacing": "thin"}, "ZSpacing must be a number"),
        ({"ImagePositionPatient": "[1, 2]"}, "ImagePositionPatient must hold 3 numbers"),
    ],
)
def test_broken_metadata_is_named(tmp_path: Path, change: dict, match: str):
    row = {"VolumeName": "train_1_a_1.nii.gz", **METADATA, **change}
    with pytest.raises(InputError, match=match):
        read_metadata(write_csv(tmp_path / "a.csv", row))


def test_label_csv_becomes_cases_with_labels_reports_and_patients(tmp_path: Path):
    for name in ("train_1_a_1.nii.gz", "train_2_a_1.nii.gz"):
        write_volume(tmp_path / "data", name)
    labels = write_csv(
        tmp_path / "labels.csv",
        label_row("train_1_a_1.nii.gz", "Atelectasis"),
        label_row("train_2_a_1.nii.gz"),
        label_row("train_3_a_1.nii.gz"),
    )
    reports = write_csv(
        tmp_path / "reports.csv",
        {"VolumeName": "train_1_a_1.nii.gz", "Findings_EN": "Plates.", "Impressions_EN": "Same."},
    )
    cases = find_cases(labels, data_dir=tmp_path / "data", reports=reports)
    assert [case["case_id"] for case in cases] == ["train_1_a_1", "train_2_a_1"]
    assert cases[0]["patient_id"] == "train_1"
    assert cases[0]["label"][CT_RATE_LABELS.index("Atelectasis")] == 1.0
    assert cases[0]["report"] == "Plates.\nSame."
    assert "report" not in cases[1]
    (rejection,) = cases.rejected
    assert rejection.path == "train_3_a_1"
    assert "no such volume" in rejection.reason


def test_volumes_may_lie_flat_beside_the_list(tmp_path: Path):
    nib.Nifti1Image(CT, np.eye(4)).to_filename(tmp_path / "valid_1_a_1.nii.gz")
    cases = find_cases(write_csv(tmp_path / "labels.csv", label_row("valid_1_a_1.nii.gz")))
    assert len(cases) == 1


def test_excluded_volumes_are_left_out(tmp_path: Path):
    for name in ("train_1_a_1.nii.gz", "train_2_a_1.nii.gz"):
        write_volume(tmp_path, name)
    no_chest = tmp_path / "no_chest_train.txt"
    no_chest.write_text("train_2_a_1.nii.gz\n\n")
    assert read_excluded(no_chest) == {"train_2_a_1"}
    labels = write_csv(
        tmp_path / "labels.csv", label_row("train_1_a_1.nii.gz"), label_row("train_2_a_1.nii.gz")
    )
    cases = find_cases(labels, exclude=no_chest)
    assert [case["case_id"] for case in cases] == ["train_1_a_1"]
    assert "no chest" in cases.rejected[0].reason


def test_version_1_takes_rescale_and_place_from_the_metadata(tmp_path: Path):
    write_volume(tmp_path, "train_1_a_1.nii.gz", blank=True, voxels=(CT + 1024).astype(np.int16))
    labels = write_csv(tmp_path / "labels.csv", label_row("train_1_a_1.nii.gz"))
    metadata = write_csv(tmp_path / "meta.csv", {"VolumeName": "train_1_a_1.nii.gz", **METADATA})
    (case,) = find_cases(labels, metadata=metadata)
    volume = read_volume(case)
    np.testing.assert_array_equal(volume.hounsfield(), CT)
    np.testing.assert_allclose(volume.spacing_mm, (0.7, 0.7, 1.5))


def test_version_2_is_never_rescaled_twice(tmp_path: Path):
    write_volume(tmp_path, "train_1_a_1.nii.gz")
    metadata = write_csv(tmp_path / "meta.csv", {"VolumeName": "train_1_a_1.nii.gz", **METADATA})
    (case,) = find_cases(metadata)  # the metadata table is a list of volumes as well
    np.testing.assert_array_equal(read_volume(case).hounsfield(), CT)


def test_list_without_any_volume_says_how_many_are_missing(tmp_path: Path):
    labels = write_csv(
        tmp_path / "labels.csv", label_row("train_1_a_1.nii.gz"), label_row("train_2_a_1.nii.gz")
    )
    with pytest.raises(InputError, match=r"at least one volume that is there, got 2 that are not"):
        find_cases(labels)


def test_missing_data_dir_is_an_error(tmp_path: Path):
    labels = write_csv(tmp_path / "labels.csv", label_row("train_1_a_1.nii.gz"))
    with pytest.raises(InputError, match="data_dir must be a folder"):
        find_cases(labels, data_dir=tmp_path / "nowhere")


def test_missing_companion_table_is_an_error(tmp_path: Path):
    labels = write_csv(tmp_path / "labels.csv", label_row("train_1_a_1.nii.gz"))
    with pytest.raises(InputError, match=r"list must exist, got .*gone\.csv"):
        find_cases(labels, reports=tmp_path / "gone.csv")


def test_empty_label_is_unknown(tmp_path: Path):
    row = {**label_row("train_1_a_1.nii.gz"), "Emphysema": ""}
    (labels,) = read_labels(write_csv(tmp_path / "a.csv", row)).values()
    assert math.isnan(labels[CT_RATE_LABELS.index("Emphysema")])

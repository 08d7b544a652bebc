import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from common.errors import InputError
from common.results.classification import classification_outputs
from common.results.dicom_report import finding_code, write_dicom_report

LABELS = ["Pleural effusion", "Lung nodule"]
STUDY, SERIES = "1.2.3.1", "1.2.3.2"


@pytest.fixture
def write_series(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write headers of four axial slices, 3 mm apart; keywords replace or (None) drop elements."""

    def write(**change: Any) -> list[Path]:
        files = []
        for index in range(4):
            image = pydicom.Dataset()
            image.file_meta = FileMetaDataset()
            image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            image.file_meta.MediaStorageSOPClassUID = CTImageStorage
            image.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{index}"
            elements: dict[str, Any] = {
                "SpecificCharacterSet": "ISO_IR 100",
                "SOPClassUID": CTImageStorage,
                "SOPInstanceUID": f"1.2.3.4.{index}",
                "StudyInstanceUID": STUDY,
                "SeriesInstanceUID": SERIES,
                "PatientName": "Müller^Jörg",
                "PatientID": "P7",
                "PatientBirthDate": "19500101",
                "PatientSex": "M",
                "StudyDate": "20240102",
                "StudyTime": "101112",
                "AccessionNumber": "A1",
                "StudyID": "S1",
                "ImagePositionPatient": [-10, -20, 100 + 3 * index],
                "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            }
            for keyword, value in {**elements, **change}.items():
                if value is not None:
                    setattr(image, keyword, value)
            files.append(tmp_path / f"slice_{index}.dcm")
            image.save_as(files[-1], enforce_file_format=True)
        return files

    return write


@pytest.fixture
def outputs() -> dict[str, Any]:
    """Two triplets over z 90 to 108 mm; effusion comes from the upper, its centre at 105 mm."""
    return classification_outputs(
        labels=LABELS,
        probabilities=[0.9, 0.2],
        thresholds=[0.5, 0.5],
        relevance=[[0.0, 2.0], [0.0, 0.0]],
        network_affine=[[0, -2, 0, 0], [0, 0, -2, 0], [3, 0, 0, 93], [0, 0, 0, 1]],
        network_shape=(6, 4, 4),
        input_affine=[[-1, 0, 0, 10], [0, -1, 0, 20], [0, 0, 3, 100], [0, 0, 0, 1]],
        input_shape=(8, 8, 4),
    )


@pytest.fixture
def write(tmp_path: Path, outputs: dict[str, Any]) -> Callable[..., tuple[Any, list[str]]]:
    """Write a report and read it back."""

    def write_and_read(files: list[Path], synthetic: bool = True) -> tuple[Any, list[str]]:
        path = tmp_path / "out" / "report_sr.dcm"
        notes = write_dicom_report(
            path,
            source_files=files,
            outputs=outputs,
            bundle={"name": "ct_scroll", "version": "0.1.0"},
            weights={
                "name": "demo",
                "sha256": "ab" * 32,
                "source": "phantoms",
                "synthetic": synthetic,
                "clinical_use": False,
            },
        )
        return highdicom.sr.srread(path), notes

    return write_and_read


def all_text(report: Any) -> str:
    """Every value of the report, one per line."""
    return "\n".join(str(element.value) for element in report.iterall() if element.VR != "SQ")


def test_every_finding_is_read_back_with_probability_threshold_and_decision(
    write: Callable[..., Any], write_series: Callable[..., Any]
) -> None:
    report, notes = write(write_series())
    assert notes == []
    groups = report.content.get_image_measurement_groups()
    assert [group.tracking_identifier for group in groups] == LABELS
    values = [
        [(item.name.meaning, item.value) for item in group.get_measurements()] for group in groups
    ]
    assert values[0] == [("Probability", 0.9), ("Threshold Value", 0.5)]
    decisions = [group.get_qualitative_evaluations()[0].value.meaning for group in groups]
    assert decisions == ["Positive", "Negative"]


def test_the_report_belongs_to_the_patient_and_the_study(
    write: Callable[..., Any], write_series: Callable[..., Any]
) -> None:
    report, _ = write(write_series())
    assert str(report.PatientName) == "Müller^Jörg"
    assert (report.PatientID, report.StudyInstanceUID) == ("P7", STUDY)
    assert (report.StudyDate, report.AccessionNumber) == ("20240102", "A1")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    referenced = {image.ReferencedSOPInstanceUID for image in series.ReferencedSOPSequence}
    assert referenced == {f"1.2.3.4.{index}" for index in range(4)}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not here")
def test_an_outside_validator_finds_no_error(
    write: Callable[..., Any], write_series: Callable[..., Any], tmp_path: Path
) -> None:
    write(write_series())
    command = ["dciodvfy", "-new", str(tmp_path / "out" / "report_sr.dcm")]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert "ComprehensiveSR" in said
    assert [line for line in said.splitlines() if line.startswith("Error")] == []


def test_a_finding_points_at_the_slice_that_spoke_for_it(
    write: Callable[..., Any], write_series: Callable[..., Any]
) -> None:
    report, _ = write(write_series()[::-1])  # the order of the files means nothing
    group = report.content.get_image_measurement_groups()[0]
    # Its triplet's centre lies at 105 mm, its slices at 102, 105 and 108 mm.
    assert [image.referenced_sop_instance_uid for image in group.source_images] == ["1.2.3.4.2"]


def test_the_report_names_the_algorithm_and_says_synthetic(
    write: Callable[..., Any], write_series: Callable[..., Any]
) -> None:
    text = all_text(write(write_series())[0])
    for part in ("ct_scroll", "0.1.0", "weights=demo", "synthetic_weights=true", "RESEARCH"):
        assert part in text
    assert "SYNTHETIC demo" in text
    assert "never saw a patient" in text
    own = all_text(write(write_series(), synthetic=False)[0])
    assert "synthetic phantoms" not in own
    assert "never saw a patient" not in own
    assert "not a medical device" in own


def test_a_missing_study_is_made_up_once_and_said(
    write: Callable[..., Any], write_series: Callable[..., Any]
) -> None:
    first, notes = write(write_series(StudyInstanceUID=""))
    assert notes == [
        "The series has no StudyInstanceUID; one was made up, so the result may not appear under "
        "the images' study."
    ]
    second, _ = write(write_series(StudyInstanceUID=None))
    assert first.StudyInstanceUID == second.StudyInstanceUID
    assert pydicom.uid.UID(first.StudyInstanceUID).is_valid


def test_an_image_identifier_blanked_in_the_header_is_found_in_the_preamble(
    write: Callable[..., Any], write_series: Callable[..., Any]
) -> None:
    report, notes = write(write_series(SOPInstanceUID=""))
    assert notes == []
    assert "1.2.3.4.2" in str(report)


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
@pytest.mark.parametrize(
    "change",
    [
        {"PatientSex": "unknown", "StudyDate": None, "StudyTime": None},
        {"PatientName": None, "PatientID": None, "PatientBirthDate": None},
        {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Yamada^Tarou=山田^太郎"},
        {"ImagePositionPatient": None},
        {"AccessionNumber": None, "StudyID": None},
    ],
    ids=["sex and date", "anonymous", "Japanese", "no positions", "no numbers"],
)
def test_headers_that_break_the_standard_still_give_a_report(
    write: Callable[..., Any], write_series: Callable[..., Any], change: dict[str, Any]
) -> None:
    report, _ = write(write_series(**change))
    assert len(report.content.get_image_measurement_groups()) == 2
    if "=" in str(change.get("PatientName")):
        assert str(report.PatientName) == change["PatientName"]


def test_a_series_without_files_or_identifiers_is_refused(
    write: Callable[..., Any], write_series: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="source_files must name the series' files, got none"):
        write([])
    with pytest.raises(InputError, match="source_files must be readable DICOM"):
        write([tmp_path / "nowhere.dcm"])
    (tmp_path / "note.dcm").write_text("not a scan")
    with pytest.raises(InputError, match="source_files must"):
        write([tmp_path / "note.dcm"])
    assert not (tmp_path / "out").exists()


def test_only_exact_meanings_have_a_standard_code() -> None:
    assert finding_code("Pleural effusion") == ("60046008", "SCT", "Pleural effusion")
    assert finding_code("Lung nodule") == ("CTRATE-09", "99CTBUNDLES", "Lung nodule")
    assert finding_code("Something else")[1] == "99CTBUNDLES"
    assert len(finding_code("x" * 100)[0]) <= 16


def test_standard_codes_mean_what_dicom_says() -> None:
    from pydicom.sr._concepts_dict import concepts

    for label in ("Pericardial effusion", "Lymphadenopathy", "Pleural effusion"):
        code, scheme, _ = finding_code(label)
        meanings = {entry[code][0] for entry in concepts[scheme].values() if code in entry}
        assert label in meanings
        assert all(meaning.startswith(label) for meaning in meanings)


def test_a_real_series_with_blanked_identifiers_gets_a_report(
    shared: Path, write: Callable[..., Any]
) -> None:
    files = sorted((shared / "data" / "ct" / "abdomen_dicom_jpeg2000").iterdir())
    report, notes = write(files)
    assert [note.split(";")[0] for note in notes] == [
        "The series has no StudyInstanceUID",
        "The series has no SeriesInstanceUID",
    ]
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert len(study.ReferencedSeriesSequence[0].ReferencedSOPSequence) == 20
    assert np.isfinite(report.content.get_image_measurement_groups()[0].get_measurements()[0].value)

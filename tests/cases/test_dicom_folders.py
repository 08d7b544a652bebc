"""DICOM folders: which series are scans, which is meant, and what is left out by name."""

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from tests.dicom_files import ramp, save, uid, write_series


def numbered(number: int, description: str = "Chest"):
    def edit(dataset, index):
        dataset.SeriesNumber = number
        dataset.SeriesDescription = description

    return edit


def study_of_two(folder: Path) -> None:
    write_series(folder / "s2", series="two", edit=numbered(2, "Lung 1.0"))
    write_series(folder / "s3", ramp(6), series="three", edit=numbered(3, "Soft 2.5"))


def test_several_series_of_one_study_are_named_and_asked_for(tmp_path: Path):
    study_of_two(tmp_path)
    with pytest.raises(InputError, match="got a study with 2") as caught:
        find_cases(tmp_path)
    message = str(caught.value)
    assert "series 2 'Lung 1.0': 4 slices, 0.8 x 0.7 x 2.5 mm, UID" in message
    assert "series 3 'Soft 2.5': 6 slices" in message
    assert "--series all" in message
    assert "\n" not in message


@pytest.mark.parametrize("choice", [3, "3", uid("series", "s", "three")])
def test_series_is_chosen_by_number_or_uid(tmp_path: Path, choice: str | int):
    study_of_two(tmp_path)
    (case,) = find_cases(tmp_path, series=choice)
    assert read_volume(case).voxels.shape[2] == 6


def test_all_series_become_cases_with_their_own_names(tmp_path: Path):
    write_series(tmp_path / "scan", series="two", edit=numbered(2), prefix="A")
    write_series(tmp_path / "scan", series="three", edit=numbered(3), prefix="B")
    cases = find_cases(tmp_path / "scan", series="all")
    assert [case["case_id"] for case in cases] == ["scan_series2", "scan_series3"]


def test_unknown_series_is_an_error_that_names_the_others(tmp_path: Path):
    study_of_two(tmp_path)
    with pytest.raises(InputError, match=r"series must be one of those found, got 7; .* series 2"):
        find_cases(tmp_path, series=7)


def test_series_of_several_studies_are_all_cases(tmp_path: Path):
    write_series(tmp_path / "monday", study="m")
    write_series(tmp_path / "tuesday", study="t")
    assert {case["case_id"] for case in find_cases(tmp_path)} == {"monday", "tuesday"}


def test_patient_id_is_kept(tmp_path: Path):
    (case,) = find_cases(write_series(tmp_path / "s")[0].parent)
    assert case["patient_id"] == "P1"


def test_series_without_uids_are_grouped_by_folder(tmp_path: Path):
    def anonymous(dataset, index):
        dataset.StudyInstanceUID = dataset.SeriesInstanceUID = ""
        dataset.SeriesNumber = None
        dataset.PatientID = ""

    write_series(tmp_path / "one", edit=anonymous, series="x")
    write_series(tmp_path / "two", ramp(5), edit=anonymous, series="y")
    cases = find_cases(tmp_path)
    assert [case["case_id"] for case in cases] == ["one", "two"]
    assert [read_volume(case).voxels.shape[2] for case in cases] == [4, 5]


LEFT_OUT = [
    ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "a localizer"),
    ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "a screen save"),
    ({"ImageType": ["DERIVED", "SECONDARY", "OTHER", "DOSE_INFO"]}, "a dose report"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "Secondary Capture Image Storage"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}, "X-Ray Radiation Dose SR Storage"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4", "Modality": "MR"}, "MR Image Storage"),
    ({"Modality": "MR"}, "modality MR is not CT"),
    ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1 is not MONOCHROME2"),
    ({"RescaleType": "MGML"}, "values in MGML, not in HU"),
    ({"ImagePositionPatient": None}, "no ImagePositionPatient"),
    ({"BitsAllocated": 8}, "an 8-bit image"),
    ({"SamplesPerPixel": 3}, "a colour image"),
    ({"Rows": None}, "a DICOM file without an image"),
]


@pytest.mark.parametrize(("change", "reason"), LEFT_OUT, ids=[reason for _, reason in LEFT_OUT])
def test_what_is_no_ct_slice_is_left_out_by_name(tmp_path: Path, change: dict, reason: str):
    def edit(dataset, index):
        for keyword, value in change.items():
            setattr(dataset, keyword, value)

    write_series(tmp_path / "ct")
    write_series(tmp_path / "other", series="other", skip=(0, 1), edit=edit)
    cases = find_cases(tmp_path)
    assert [case["case_id"] for case in cases] == ["ct"]
    (rejection,) = cases.rejected
    assert reason in rejection.reason
    assert "and 1 more files" in rejection.reason


def test_localizer_inside_the_series_is_left_out(tmp_path: Path):
    def edit(dataset, index):
        if index == 0:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    (case,) = find_cases(write_series(tmp_path / "s", ramp(5), edit=edit)[0].parent)
    assert len(case["files"]) == 4


def test_dicomdir_is_left_out_by_name(tmp_path: Path):
    files = write_series(tmp_path / "s", ramp(5))

    directory = dcmread(files[0])
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    directory.Modality = ""
    save(directory, tmp_path / "DICOMDIR")
    (rejection,) = find_cases(tmp_path).rejected
    assert "Media Storage Directory Storage (no modality) is not a CT image" in rejection.reason


def test_broken_series_is_left_out_with_its_reason(tmp_path: Path):
    write_series(tmp_path / "whole")
    write_series(tmp_path / "gap", ramp(12), series="gap", skip=(4, 5, 6, 7))
    write_series(tmp_path / "one", ramp(1), series="one")
    cases = find_cases(tmp_path)
    assert [case["case_id"] for case in cases] == ["whole"]
    reasons = " | ".join(item.reason for item in cases.rejected)
    assert "got 4 missing of 12 slices" in reasons
    assert "one slice is not a volume" in reasons


def test_phases_that_share_positions_are_parted_by_acquisition(tmp_path: Path):
    def late(dataset, index):
        dataset.AcquisitionNumber = 2

    write_series(tmp_path, prefix="A")
    write_series(tmp_path, ramp() + 100, prefix="B", edit=late)
    with pytest.raises(InputError, match="got a study with 2"):
        find_cases(tmp_path)
    cases = find_cases(tmp_path, series="all")
    lowest = [read_volume(case).hounsfield().min() for case in cases]
    assert sorted(lowest) == [-1000, -900]
    assert len({case["case_id"] for case in cases}) == 2


def test_parted_acquisitions_can_each_be_chosen(tmp_path: Path):
    def late(dataset, index):
        dataset.AcquisitionNumber = 2

    write_series(tmp_path, prefix="A")
    write_series(tmp_path, ramp() + 100, prefix="B", edit=late)
    for choice, lowest in (("1/1", -1000), ("1/2", -900)):
        (case,) = find_cases(tmp_path, series=choice)
        assert read_volume(case).hounsfield().min() == lowest


def test_same_files_in_two_folders_count_once(tmp_path: Path):
    write_series(tmp_path / "a")
    write_series(tmp_path / "b")
    (case,) = find_cases(tmp_path)
    assert len(case["files"]) == 4


def test_nested_series_folders_are_one_series(tmp_path: Path):
    write_series(tmp_path / "disk1", ramp(6), skip=(0, 1, 2))
    write_series(tmp_path / "disk2", ramp(6), skip=(3, 4, 5))
    (case,) = find_cases(tmp_path)
    assert Path(case["image"]) == tmp_path
    assert read_volume(case).voxels.shape[2] == 6


def test_compressed_series_is_found_without_decoding(tmp_path: Path):
    write_series(tmp_path / "s", ramp(4, 32, 32), transfer_syntax=JPEG2000Lossless)
    assert len(find_cases(tmp_path)) == 1


def test_one_file_of_a_series_asks_for_its_folder(tmp_path: Path):
    files = write_series(tmp_path / "s")
    with pytest.raises(InputError, match=r"must be a whole scan, got one DICOM file.*folder"):
        find_cases(files[0])


def test_truncated_header_is_left_out(tmp_path: Path):
    files = write_series(tmp_path / "s", ramp(5))
    files[0].write_bytes(files[0].read_bytes()[:250])
    cases = find_cases(tmp_path)
    assert len(cases[0]["files"]) == 4
    assert len(cases.rejected) == 1

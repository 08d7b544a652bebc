"""Which series of a study `--series best` takes, and that it says so."""

import logging
from pathlib import Path

import pytest

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.formats.dicom_best import sharpness
from tests.dicom_files import ramp, write_series

CORONAL = (1, 0, 0, 0, 0, -1)


def write(folder: Path, number: int, **how):
    """One series of a study; by default 12 axial slices 3 mm apart with a soft kernel."""
    step_mm, num_slices = how.get("step_mm", 3.0), how.get("num_slices", 12)
    coronal = how.get("coronal", False)

    def edit(dataset, index):
        dataset.SeriesNumber = number
        dataset.ConvolutionKernel = how.get("kernel", "B30f")
        dataset.ImageType = [how.get("kind", "ORIGINAL"), "PRIMARY", "AXIAL"]
        dataset.PatientID = how.get("patient", "P1")

    write_series(
        folder / f"s{number}",
        ramp(num_slices),
        series=str(number),
        study=how.get("study", "s"),
        step=(0, step_mm, 0) if coronal else (0, 0, step_mm),
        **({"orientation": CORONAL} if coronal else {}),
        edit=edit,
    )


WORSE = {
    "derived": {"kind": "DERIVED", "step_mm": 1.5, "num_slices": 24},
    "coronal": {"coronal": True, "step_mm": 1.5, "num_slices": 24},
    "short": {"step_mm": 1.5, "num_slices": 4},
    "thick": {"step_mm": 5.0, "num_slices": 8},
    "sharp": {"kernel": "B70f", "step_mm": 1.5, "num_slices": 24},
    "of an unknown kernel": {"kernel": "XY", "step_mm": 1.5, "num_slices": 24},
    "farther from 1.5 mm": {"step_mm": 0.5, "num_slices": 72},
    "of fewer slices": {"num_slices": 10},
}


@pytest.mark.parametrize("worse", WORSE.values(), ids=WORSE.keys())
@pytest.mark.parametrize("order", [(2, 3), (3, 2)])
def test_the_better_series_is_taken_whatever_its_number(tmp_path: Path, worse: dict, order: tuple):
    write(tmp_path, order[0])
    write(tmp_path, order[1], **worse)
    (case,) = find_cases(tmp_path, series="best")
    assert Path(case["image"]).name == f"s{order[0]}"


def test_of_equals_the_lower_number_is_taken(tmp_path: Path):
    write(tmp_path, 3)
    write(tmp_path, 2)
    (case,) = find_cases(tmp_path, series="best")
    assert Path(case["image"]).name == "s2"


def test_the_choice_and_its_reason_are_logged_and_repeated_by_the_case(tmp_path: Path, caplog):
    write(tmp_path, 2)
    write(tmp_path, 3, kernel="LUNG")
    with caplog.at_level(logging.WARNING):
        (case,) = find_cases(tmp_path, series="best")
    (warning,) = read_volume(case).facts["warnings"]
    assert warning.startswith("Chosen as the best of 2 series: series 2 'Chest': 12 slices")
    assert (
        "for original images in axial planes, 12 of them 3 mm apart, a soft kernel B30f" in warning
    )
    assert "Not taken: series 3 'Chest'" in warning
    assert warning.split(" Not taken")[0] in caplog.text


def test_every_patient_and_study_has_its_best(tmp_path: Path):
    for patient, study in (("P1", "a"), ("P1", "b"), ("P2", "a")):
        write(tmp_path / patient / study, 2, patient=patient, study=study)
        write(tmp_path / patient / study, 3, patient=patient, study=study, step_mm=5.0)
    cases = find_cases(tmp_path, series="best")
    assert [Path(case["image"]).name for case in cases] == ["s2", "s2", "s2"]


def test_one_series_needs_no_choice(tmp_path: Path):
    write(tmp_path, 2)
    (case,) = find_cases(tmp_path, series="best")
    assert read_volume(case).facts["warnings"] == []


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        ("B30f", 0),
        ("B45f", 0),
        ("B70f", 2),
        ("Br40d 3", 0),
        ("Bl57d", 2),
        ("Hr38h", 0),
        ("I31f 3", 0),
        ("STANDARD", 0),
        ("STD+", 0),
        ("BONEPLUS", 2),
        ("LUNG", 2),
        ("B", 0),
        ("YB", 2),
        ("FC08", 0),
        ("FC52", 2),
        ("", 1),
        ("7", 1),
    ],
)
def test_kernels_are_told_by_their_makers_names(kernel: str, expected: int):
    assert sharpness(kernel) == expected

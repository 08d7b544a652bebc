"""A scan has one name, from wherever one looks at it; and two scans never share one."""

from pathlib import Path

import numpy as np
import pytest

from common.cases.find import find_cases
from tests.cases.scans import CT, write_nifti
from tests.dicom_files import ramp, write_multi_frame, write_series

MASK = (CT > -800).astype(np.uint8)


def number(value: int):
    def edit(dataset, _index):
        dataset.SeriesNumber = value

    return edit


LAYOUTS = {
    "flat": {"a.nii.gz": "a", "b.nii.gz": "b"},
    "a folder per patient": {"p1/ct.nii.gz": "p1_ct", "p2/ct.nii.gz": "p2_ct"},
    "two scans per patient": {
        f"{patient}/{kind}.nii.gz": f"{patient}_{kind}"
        for patient in ("p1", "p2")
        for kind in ("early", "late")
    },
    "patients with names of their own": {"p1/p1.nii.gz": "p1", "p2/p2.nii.gz": "p2"},
    "sessions of one date": {
        "p1/2020/ct.nii.gz": "p1_2020_ct",
        "p2/2020/ct.nii.gz": "p2_2020_ct",
    },
    "sessions of different dates": {
        "p1/2020/ct.nii.gz": "2020_ct",
        "p2/2021/ct.nii.gz": "2021_ct",
    },
    "sites": {
        "north/p1/ct.nii.gz": "north_p1_ct",
        "south/p1/ct.nii.gz": "south_p1_ct",
        "south/p2/ct.nii.gz": "p2_ct",
    },
    "four folders deep": {
        "p1/s1/ct/scan.nii.gz": "p1_s1_ct_scan",
        "p2/s1/ct/scan.nii.gz": "p2_s1_ct_scan",
    },
    "different depths": {"p1/ct.nii.gz": "p1_ct", "p2/old/ct.nii.gz": "old_ct"},
    "one above the others": {"ct.nii.gz": "set_ct", "p1/ct.nii.gz": "p1_ct"},
    "one of a kind among others": {"p1/ct.nii.gz": "ct", "p2/other.nii.gz": "other"},
    "suffixes": {"a.nii": "a.nii", "a.nii.gz": "a.nii.gz"},
    "upper and lower case": {"A.nii.gz": None, "a.nii.gz": None},
    "spelling": {"scan 1.nii.gz": None, "scan_1.nii.gz": None},
    "other scripts": {"胸部.nii.gz": None, "腹部.nii.gz": None},
    "other scripts as folders": {"田中/ct.nii.gz": None, "鈴木/ct.nii.gz": None},
    "long names": {f"{'a' * 150}{end}.nii.gz": None for end in "xy"},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_scan_has_the_same_name_alone_and_from_above(tmp_path: Path, layout: dict):
    folder = tmp_path / "set"
    expected = {str(write_nifti(folder / name)): called for name, called in layout.items()}
    above = {case["image"]: case["case_id"] for case in find_cases(folder)}
    assert above.keys() == expected.keys()
    assert len({name.lower() for name in above.values()}) == len(expected)
    for path, name in above.items():
        assert expected[path] in (name, None)
        for place in (path, Path(path).parent, folder.parent):
            assert [case["case_id"] for case in find_cases(place) if case["image"] == path] == [
                name
            ]


SERIES = {
    "a folder per series": (("p1/chest", "a", 1), ("p2/chest", "b", 1)),
    "one folder for two": (("scan", "a", 2), ("scan", "b", 3)),
    "equal numbers": (("scan", "a", 2), ("scan", "b", 2)),
    "the export of a CD": (
        ("DICOM/PA000001/ST000001/SE000001", "a", 1),
        ("DICOM/PA000001/ST000001/SE000002", "b", 2),
        ("DICOM/PA000002/ST000001/SE000001", "c", 1),
    ),
}


@pytest.mark.parametrize("layout", SERIES.values(), ids=SERIES)
def test_series_has_the_same_name_alone_and_from_above(tmp_path: Path, layout: tuple):
    for name, series, value in layout:
        write_series(
            tmp_path / name, series=series, study=series, edit=number(value), prefix=series
        )
    above = {tuple(case["files"]): case["case_id"] for case in find_cases(tmp_path, series="all")}
    assert len(set(above.values())) == len(layout)
    for files, name in above.items():
        alone = find_cases(Path(files[0]).parent, series="all")
        assert {tuple(case["files"]): case["case_id"] for case in alone}[files] == name


@pytest.mark.parametrize("choice", ["2", 3])
def test_chosen_series_has_the_name_that_it_has_among_all(tmp_path: Path, choice: str | int):
    write_series(tmp_path / "scan", series="two", edit=number(2), prefix="A")
    write_series(tmp_path / "scan", series="three", edit=number(3), prefix="B")
    (case,) = find_cases(tmp_path, series=choice)
    assert case["case_id"] == f"scan_series{choice}"


def test_whole_scan_in_one_file_has_the_same_name_alone(tmp_path: Path):
    first = write_multi_frame(tmp_path / "scan" / "first.dcm", ramp())
    write_series(tmp_path / "scan", series="b", study="t", edit=number(2))
    (name,) = [
        case["case_id"]
        for case in find_cases(tmp_path, series="all")
        if case["files"] == [str(first)]
    ]
    (case,) = find_cases(first)
    assert case["case_id"] == name == "scan_series1"


def test_masks_beside_the_scans_do_not_change_their_names(tmp_path: Path):
    scan = write_nifti(tmp_path / "imagesTr" / "lung_1.nii.gz")
    write_nifti(tmp_path / "labelsTr" / "lung_1.nii.gz", MASK)
    write_nifti(tmp_path / "imagesTr" / "lung_1.nii", MASK)
    for place in (scan, tmp_path / "imagesTr", tmp_path):
        assert [case["case_id"] for case in find_cases(place)] == ["lung_1"]


def test_results_beside_the_scans_do_not_change_their_names(tmp_path: Path):
    folder = write_series(tmp_path / "data" / "p1")[0].parent
    for place in ("results/p1", "data/out/p1", "p1"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "result.json").write_text("{}")
        (tmp_path / place / "figure.png").write_bytes(b"x")

    def report(dataset, _index):
        dataset.Modality = "SR"

    write_series(tmp_path / "results" / "p1", ramp(1), series="r", edit=report)
    assert [case["case_id"] for case in find_cases(folder)] == ["p1"]


def test_link_to_the_same_scan_is_no_other_scan(tmp_path: Path):
    scan = write_nifti(tmp_path / "p1" / "ct.nii.gz")
    (tmp_path / "again").symlink_to(tmp_path / "p1")
    (case,) = find_cases(scan)
    assert case["case_id"] == "ct"


def test_links_are_called_as_the_links_are(tmp_path: Path):
    for patient in ("one", "two"):
        store = write_nifti(tmp_path / "store" / patient[::-1] / "x" / "ct.nii.gz").parent
        (tmp_path / "cohort").mkdir(exist_ok=True)
        (tmp_path / "cohort" / patient).symlink_to(store)
    assert [case["case_id"] for case in find_cases(tmp_path / "cohort")] == ["one_ct", "two_ct"]
    (case,) = find_cases(tmp_path / "cohort" / "two" / "ct.nii.gz")
    assert case["case_id"] == "two_ct"


def test_relative_path_gives_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_nifti(tmp_path / "p1" / "ct.nii.gz")
    write_nifti(tmp_path / "p2" / "ct.nii.gz")
    monkeypatch.chdir(tmp_path / "p1")
    for path in (".", "ct.nii.gz", "../p1/ct.nii.gz"):
        assert [case["case_id"] for case in find_cases(path)] == ["p1_ct"]


def test_look_around_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("common.cases.names.MOST_FOLDERS", 3)
    for patient in range(5):
        write_nifti(tmp_path / f"p{patient}" / "ct.nii.gz")
    above = {case["image"]: case["case_id"] for case in find_cases(tmp_path)}
    for path, name in above.items():
        assert [case["case_id"] for case in find_cases(path)] == [name]

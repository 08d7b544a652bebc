"""What the user points at becomes cases, or one line that says what is wrong."""

import json
import logging
from pathlib import Path

import nrrd
import numpy as np
import pytest

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from tests.cases.scans import CT, ids, write_nifti
from tests.dicom_files import ramp, uid, write_series


def test_nifti_file_is_one_case(tmp_path: Path):
    path = write_nifti(tmp_path / "scan.nii.gz")
    assert find_cases(path) == [{"case_id": "scan", "image": str(path), "format": "nifti"}]


def test_path_may_be_text_with_spaces_and_umlauts(tmp_path: Path):
    path = write_nifti(tmp_path / "Müller, Jörg" / "CT größer 2.nii.gz")
    (case,) = find_cases(str(path))
    assert case["case_id"] == "CT_groesser_2"
    np.testing.assert_array_equal(read_volume(case).hounsfield(), CT)


def test_every_format_in_a_folder_is_found_and_read(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz")
    write_nifti(tmp_path / "deep" / "er" / "b.nii")
    header = {"space": "RAS", "space directions": np.eye(3), "space origin": [0, 0, 0]}
    nrrd.write(str(tmp_path / "c.nrrd"), CT, header)
    np.savez_compressed(tmp_path / "d.npz", ct=CT)
    write_series(tmp_path / "e" / "series")
    cases = find_cases(tmp_path)
    assert sorted(ids(cases)) == ["a", "b", "c", "d", "series"]
    for case in cases:
        assert read_volume(case).hounsfield().min() == -1000
    assert cases.rejected == []


def test_cases_are_plain_json(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz")
    write_series(tmp_path / "series")
    cases = find_cases(tmp_path)
    assert json.loads(json.dumps(cases)) == cases


def test_ready_cases_and_lists_of_paths_are_taken(tmp_path: Path):
    first = write_nifti(tmp_path / "x" / "scan.nii.gz")
    second = write_nifti(tmp_path / "y" / "scan.nii.gz")
    cases = find_cases([str(first), str(second)])
    assert ids(cases) == ["x_scan", "y_scan"]
    assert find_cases(list(cases)) == cases


def test_ready_case_without_a_name_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match=r"case_id, image and format, got none of \['case_id'\]"):
        find_cases([{"image": "a.nii", "format": "nifti"}])


def test_scan_that_is_named_twice_is_one_case(tmp_path: Path, caplog):
    path = write_nifti(tmp_path / "a.nii.gz")
    write_series(tmp_path / "series")
    cases = find_cases([str(path), str(tmp_path), str(tmp_path / "series"), tmp_path / "a.nii.gz"])
    assert ids(cases) == ["a", "series"]
    assert [item.reason for item in cases.rejected] == [
        "named twice by the input; it is one case"
    ] * 3
    assert sum("named twice" in message for message in caplog.messages) == 3


def test_lists_of_lists_and_scans_are_taken(tmp_path: Path):
    path = write_nifti(tmp_path / "a.nii.gz")
    write_nifti(tmp_path / "b.nii.gz")
    (tmp_path / "list.csv").write_text("image,case_id\nb.nii.gz,one\n")
    assert ids(find_cases([str(path), str(tmp_path / "list.csv")])) == ["a", "one"]


def test_same_names_are_told_apart_by_their_folders(tmp_path: Path):
    for patient in ("p1", "p2"):
        write_nifti(tmp_path / patient / "ct.nii.gz")
    assert ids(find_cases(tmp_path)) == ["p1_ct", "p2_ct"]


def test_names_that_differ_by_case_or_suffix_alone_are_numbered(tmp_path: Path):
    write_nifti(tmp_path / "a.nii")
    write_nifti(tmp_path / "a.nii.gz")
    assert len({name.lower() for name in ids(find_cases(tmp_path))}) == 2


def test_masks_8_bit_images_and_mr_are_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    write_nifti(tmp_path / "ct.nii.gz")
    write_nifti(tmp_path / "mask.nii.gz", (CT > -800).astype(np.uint8))
    write_nifti(tmp_path / "labels.nii.gz", (CT % 5).astype(np.int16))
    write_nifti(tmp_path / "photo.nii.gz", (np.arange(336) % 256).reshape(6, 7, 8).astype(np.uint8))
    write_nifti(tmp_path / "mr.nii.gz", CT + 1000)
    write_nifti(tmp_path / "scaled.nii.gz", ((CT + 1000) / 336).astype(np.float32))
    with caplog.at_level(logging.WARNING, "common.cases"):
        cases = find_cases(tmp_path)
    assert ids(cases) == ["ct"]
    reasons = {Path(item.path).name: item.reason for item in cases.rejected}
    assert "8-bit label volume or mask (2 distinct values, 0 to 1)" in reasons["mask.nii.gz"]
    assert "label volume or mask (5 distinct values, 0 to 4)" in reasons["labels.nii.gz"]
    assert "8-bit image with values 0 to 255" in reasons["photo.nii.gz"]
    assert "image with values 0 to 335, none below -50" in reasons["mr.nii.gz"]
    assert "image with values 0 to 0.997" in reasons["scaled.nii.gz"]
    assert len(caplog.messages) == 5


def test_masks_in_nrrd_and_npz_are_left_out(tmp_path: Path):
    write_nifti(tmp_path / "ct.nii.gz")
    header = {"space": "RAS", "space directions": np.eye(3), "space origin": [0, 0, 0]}
    for encoding in ("raw", "gzip", "bzip2"):
        nrrd.write(
            str(tmp_path / f"{encoding}.nrrd"),
            (CT > 0).astype(np.uint8),
            {**header, "encoding": encoding},
        )
    np.savez_compressed(tmp_path / "mask.npz", ct=(CT % 2).astype(np.int16))
    cases = find_cases(tmp_path)
    assert ids(cases) == ["ct"]
    assert len(cases.rejected) == 4


def test_ct_that_starts_inside_the_body_is_looked_at_further(tmp_path: Path):
    voxels = np.full((64, 64, 60), 40, np.int16)
    voxels[..., 50:] = -900
    assert ids(find_cases(write_nifti(tmp_path / "a.nii.gz", voxels))) == ["a"]


def test_single_mask_is_an_error(tmp_path: Path):
    path = write_nifti(tmp_path / "mask.nii.gz", (CT > -800).astype(np.uint8))
    with pytest.raises(InputError, match=r"mask\.nii\.gz must be a CT, got: an 8-bit label volume"):
        find_cases(path)


def test_files_that_are_no_scans_are_counted_in_one_line(tmp_path: Path, caplog):
    write_nifti(tmp_path / "ct.nii.gz")
    for name in ("notes.txt", "photo.png", "odd"):
        (tmp_path / name).write_text("nothing")
    (tmp_path / "scan.mha").write_text("nothing")
    with caplog.at_level(logging.WARNING, "common.cases"):
        cases = find_cases(tmp_path)
    assert {Path(item.path).name for item in cases.rejected if item.is_volume} == {"scan.mha"}
    first, second = caplog.messages
    assert "scan.mha: MetaImage (.mha) is not accepted" in first
    assert second.startswith("left out 3 files that are no scans, such as ")


def test_folder_without_ct_says_what_is_there(tmp_path: Path):
    write_nifti(tmp_path / "mask.nii.gz", (CT > -800).astype(np.uint8))
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(
        InputError, match=r"at least one CT, got none of the 2 found \(.*mask.*notes"
    ) as caught:
        find_cases(tmp_path)
    assert "NIfTI" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_without_ct_are_counted_by_reason(tmp_path: Path):
    for name in ("a.txt", "b.mha", "c.mha", "d.zip", "e.csv", "f.7z", "g.pdf", "h.xml", "i.md"):
        (tmp_path / name).write_text("nothing")
    expected = r"got none of the 9 found \(b\.mha and 1 more: .*; and 3 more for 3 other reasons\)"
    with pytest.raises(InputError, match=expected):
        find_cases(tmp_path)


def test_empty_folder_is_an_error(tmp_path: Path):
    with pytest.raises(InputError, match="got an empty folder"):
        find_cases(tmp_path)


def test_empty_list_is_an_error():
    with pytest.raises(InputError, match="at least one scan, got an empty list"):
        find_cases([])


def test_missing_path_suggests_its_neighbours(tmp_path: Path):
    write_nifti(tmp_path / "patient_one.nii.gz")
    with pytest.raises(InputError, match=r"must exist, .* did you mean patient_one\.nii\.gz in"):
        find_cases(tmp_path / "patient_on.nii.gz")


@pytest.mark.parametrize("name", ["scan.mha", "scan.hdr", "scan.zip", "scan.txt", "scan"])
def test_wrong_suffix_says_what_is_accepted(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"something")
    with pytest.raises(InputError, match=r"must be a CT, got: .*accepted are NIfTI"):
        find_cases(tmp_path / name)


def test_text_named_nifti_is_an_error(tmp_path: Path):
    (tmp_path / "a.nii.gz").write_text("Dear diary")
    with pytest.raises(InputError, match="must be a NIfTI file, got a file that starts with"):
        find_cases(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nrrd", "a.npz", "a.dcm", "a.csv", "a.json"])
def test_garbage_in_every_suffix_is_one_line(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(bytes(range(256)) * 4)
    with pytest.raises(InputError) as caught:
        find_cases(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_garbage_beside_a_scan_is_left_out(tmp_path: Path):
    write_nifti(tmp_path / "ct.nii.gz")
    for name in ("a.nii.gz", "a.nrrd", "a.npz", "a.dcm"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 4)
    cases = find_cases(tmp_path)
    assert ids(cases) == ["ct"]
    assert len(cases.rejected) == 4


@pytest.mark.parametrize("given", ["", " ", None, {}, True, [""], ["  "], [None]])
def test_empty_input_is_never_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given
):
    write_nifti(tmp_path / "a.nii.gz")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="input must be a path, got"):
        find_cases(given)


@pytest.mark.parametrize("option", ["data_dir", "reports", "metadata", "exclude"])
def test_empty_option_is_never_the_current_folder(tmp_path: Path, option: str):
    write_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "list.csv").write_text("image\na.nii.gz\n")
    with pytest.raises(InputError, match=f"{option} must be a path, got ''"):
        find_cases(tmp_path / "list.csv", **{option: ""})


def test_empty_phantom_dir_is_an_error():
    with pytest.raises(InputError, match="phantom_dir must be a path, got ''"):
        find_cases("phantom", phantom_dir="")


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("a\0b", r"input must be a path, got a\\x00b \(embedded null"),
        ("x" * 5000, "input must be a path, got x+ .file name too long"),
        ("\ud800", r"input must be a path, got \\ud800"),
        ("a\nb", r"input must exist, got a\\nb"),
    ],
)
def test_what_is_no_path_is_said_in_one_line(given: str, match: str):
    with pytest.raises(InputError, match=match) as caught:
        find_cases(given)
    assert "\n" not in str(caught.value)


def test_permission_denied_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_nifti(tmp_path / "a.nii.gz")

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="permission denied"):
        find_cases(path)
    with pytest.raises(InputError, match="must be readable, got permission denied"):
        read_volume({"case_id": "a", "image": str(path), "format": "nifti"})


def test_unreadable_folder_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match="must be readable, got permission denied"):
        find_cases(tmp_path)


def test_file_that_vanished_is_said_in_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="image must exist"):
        read_volume({"case_id": "a", "image": str(tmp_path / "gone.nii.gz"), "format": "nifti"})


def test_unknown_format_of_a_case_is_an_error(tmp_path: Path):
    path = write_nifti(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="npz, dicom or phantom, got 'bmp'"):
        read_volume({"case_id": "a", "image": str(path), "format": "bmp"})


def test_links_that_run_in_circles_end(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "again").symlink_to(tmp_path)
    assert ids(find_cases(tmp_path)) == ["a"]


def test_hidden_files_are_no_cases(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz")
    (tmp_path / "._a.nii.gz").write_bytes(b"resource fork")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    assert find_cases(tmp_path).rejected == []


def test_input_is_not_changed_by_reading_cases_twice(tmp_path: Path):
    write_series(tmp_path / "series", series=uid("x"))
    assert find_cases(tmp_path) == find_cases(tmp_path)
    assert ramp().min() == -1000


def test_real_folder_gives_five_cases_and_names_two_masks(shared: Path):
    cases = find_cases(shared / "data/ct")
    assert sorted(ids(cases)) == [
        "abdomen_3mm",
        "abdomen_dicom_jpeg2000",
        "cardiac_cta_1p5mm",
        "chest_1p1mm_3mm",
        "head_phantom_dicom_5mm",
    ]
    assert sorted(Path(item.path).name for item in cases.rejected) == [
        "abdomen_3mm_seg.nii.gz",
        "cardiac_cta_1p5mm_pulmonary_artery.nii.gz",
    ]
    assert all("label volume or mask" in item.reason for item in cases.rejected)

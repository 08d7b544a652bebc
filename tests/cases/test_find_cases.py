"""What the user points at becomes cases, or one line that says what is wrong."""

import json
import logging
import os
import struct
from pathlib import Path

import nibabel as nib
import nrrd
import numpy as np
import pytest

from common import scan_search
from common.cases import find_cases
from common.errors import InputError
from common.formats import dicom_scan
from common.formats.registry import read_volume
from tests.dicom_files import ramp, uid, write_series

CT = (np.arange(6 * 7 * 8) - 1000).reshape(6, 7, 8).astype(np.int16)
AFFINE = np.diag([-0.8, -0.8, 2.0, 1.0])


def write_nifti(path: Path, voxels: np.ndarray = CT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.Nifti1Image(voxels, AFFINE).to_filename(path)
    return path


def ids(cases: list) -> list[str]:
    return [case["case_id"] for case in cases]


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
    with pytest.raises(InputError, match=r"at least one CT, got none \(.*mask.*notes") as caught:
        find_cases(tmp_path)
    assert "NIfTI" in str(caught.value)
    assert "\n" not in str(caught.value)


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


def test_link_to_nothing_is_said(tmp_path: Path):
    (tmp_path / "a.nii.gz").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"must exist, .* it is a link to nothing"):
        find_cases(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.npz", "a", "a.csv"])
def test_pipe_in_place_of_a_file_is_an_error(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / name).symlink_to(tmp_path / "pipe")
    with pytest.raises(InputError, match=r"must be a .*, got a named pipe"):
        find_cases(tmp_path / name)


def test_pipe_beside_scans_is_left_out_by_name(tmp_path: Path):
    write_nifti(tmp_path / "a.nii.gz")
    write_series(tmp_path / "series")
    os.mkfifo(tmp_path / "b.nii.gz")
    (tmp_path / "series" / "I950").symlink_to("/dev/zero")
    cases = find_cases(tmp_path)
    assert ids(cases) == ["a", "series"]
    assert sorted(item.reason for item in cases.rejected) == [
        "a device, not a file",
        "a named pipe, not a file",
    ]


@pytest.mark.parametrize("kind", ["nifti", "dicom"])
def test_pipe_that_took_a_files_place_is_not_read(tmp_path: Path, kind: str):
    os.mkfifo(tmp_path / "pipe")
    case = {"case_id": "a", "image": str(tmp_path / "pipe"), "format": kind}
    if kind == "dicom":
        case |= {"image": str(tmp_path), "files": [str(tmp_path / "pipe")]}
    with pytest.raises(InputError, match="must be a file, got a named pipe"):
        read_volume(case)


ODD_NAMES = [b"a\xff.nii.gz", b"a\nb.nii.gz", b"a\x1b[31m.nii.gz", "a\u2028b.nii.gz".encode()]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_names_of_any_bytes_are_found_read_and_shown_in_one_line(
    tmp_path: Path, name: bytes, caplog: pytest.LogCaptureFixture
):
    content = write_nifti(tmp_path / "other.nii.gz").read_bytes()
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(content)
    bad = tmp_path / os.fsdecode(b"bad" + name)
    bad.write_bytes(b"rubbish")
    cases = find_cases(tmp_path)
    case = next(case for case in cases if case["image"] == str(path))
    assert case["case_id"].isascii()
    np.testing.assert_array_equal(read_volume(case).hounsfield(), CT)
    assert find_cases(path)[0]["case_id"] == case["case_id"]
    assert json.loads(json.dumps(cases)) == cases
    (rejection,) = cases.rejected
    assert rejection.path == str(bad)
    with pytest.raises(InputError) as caught:
        find_cases(bad)
    for line in (*caplog.messages, str(rejection), str(caught.value)):
        assert line.isprintable()
        line.encode()


RUBBISH = "such\nrubbish"
READERS = [OverflowError, ValueError, MemoryError, UnicodeError, struct.error, RecursionError]


@pytest.mark.parametrize("error", READERS)
def test_whatever_a_reader_throws_costs_one_file(tmp_path: Path, monkeypatch, error: type):
    write_nifti(tmp_path / "good.nii.gz")
    write_nifti(tmp_path / "bad.nii.gz")
    look = scan_search.why_no_ct

    def fragile(case):
        if "bad" in case["image"]:
            raise error(RUBBISH)
        return look(case)

    monkeypatch.setattr(scan_search, "why_no_ct", fragile)
    cases = find_cases(tmp_path)
    assert ids(cases) == ["good"]
    (rejection,) = cases.rejected
    assert rejection.damaged
    assert rejection.reason == f"cannot be read ({error.__name__}: such); copy it again"


def test_interruption_is_no_damage(tmp_path: Path, monkeypatch):
    write_nifti(tmp_path / "a.nii.gz")

    def interrupted(_case):
        raise KeyboardInterrupt

    monkeypatch.setattr(scan_search, "why_no_ct", interrupted)
    with pytest.raises(KeyboardInterrupt):
        find_cases(tmp_path)


def test_damaged_scan_has_the_name_that_it_will_have(tmp_path: Path):
    for patient in ("p1", "p2"):
        write_nifti(tmp_path / patient / "ct.nii.gz")
    path = tmp_path / "p3" / "ct.nii.gz"
    path.parent.mkdir()
    path.write_bytes(b"rubbish")
    (rejection,) = find_cases(tmp_path).rejected
    assert rejection.case_id == "p3_ct"
    write_nifti(path)
    assert ids(find_cases(path)) == ["p3_ct"]


@pytest.mark.parametrize("error", READERS)
def test_whatever_a_header_throws_costs_its_file(tmp_path: Path, monkeypatch, error: type):
    write_series(tmp_path / "good", series="g")
    write_series(tmp_path / "bad", series="b")
    read = dicom_scan.read_slice_headers

    def fragile(file):
        if file.parent.name == "bad":
            raise error(RUBBISH)
        return read(file)

    monkeypatch.setattr(dicom_scan, "read_slice_headers", fragile)
    cases = find_cases(tmp_path)
    assert ids(cases) == ["good"]
    assert len(cases.rejected) == 4  # a file each: what lies in other files stays together
    assert all(rejection.damaged for rejection in cases.rejected)
    assert "such rubbish); copy it again" in cases.rejected[0].reason


@pytest.mark.parametrize("error", [OverflowError, MemoryError, struct.error])
def test_whatever_a_reader_throws_later_is_one_line(tmp_path: Path, monkeypatch, error: type):
    path = write_nifti(tmp_path / "a.nii.gz")

    def throws(*_args, **_kwargs):
        raise error(RUBBISH)

    monkeypatch.setattr("common.formats.registry.read_nifti", throws)
    with pytest.raises(InputError, match=rf"must be readable, got {error.__name__}: such"):
        read_volume({"case_id": "a", "image": str(path), "format": "nifti"})


def test_three_thousand_rejected_files_are_named_in_a_few_lines(tmp_path: Path, caplog):
    write_nifti(tmp_path / "a.nii.gz")
    for number in range(300):
        (tmp_path / f"b{number}.nii.gz").write_bytes(b"rubbish")
    cases = find_cases(tmp_path)
    assert len(cases.rejected) == 300
    assert len(caplog.messages) == 21
    assert caplog.messages[-1] == "left out 280 more in the same way"


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

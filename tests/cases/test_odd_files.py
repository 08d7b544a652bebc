"""Pipes, names of any bytes, readers that throw: each costs itself and is named."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from common.cases import search
from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from common.formats import dicom_scan
from tests.cases.scans import CT, ids, write_nifti
from tests.dicom_files import write_series


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
    look = search.why_no_ct

    def fragile(case):
        if "bad" in case["image"]:
            raise error(RUBBISH)
        return look(case)

    monkeypatch.setattr(search, "why_no_ct", fragile)
    cases = find_cases(tmp_path)
    assert ids(cases) == ["good"]
    (rejection,) = cases.rejected
    assert rejection.damaged
    assert rejection.reason == f"cannot be read ({error.__name__}: such); copy it again"


def test_interruption_is_no_damage(tmp_path: Path, monkeypatch):
    write_nifti(tmp_path / "a.nii.gz")

    def interrupted(_case):
        raise KeyboardInterrupt

    monkeypatch.setattr(search, "why_no_ct", interrupted)
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

    monkeypatch.setattr("common.cases.read.read_nifti", throws)
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

"""DICOM files stored in other ways: deflated, without preamble, cut short, bloated."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from common.cases.find import find_cases
from common.cases.read import read_volume
from common.errors import InputError
from common.formats import dicom_file
from common.formats.dicom import read_dicom
from common.formats.dicom_file import is_dicom, open_dicom
from tests.dicom_files import ramp, write_multi_frame, write_series

PLAIN = ramp().transpose(2, 1, 0)


def test_deflated_files_are_read(tmp_path: Path):
    files = write_series(tmp_path, transfer_syntax=DeflatedExplicitVRLittleEndian)
    assert dcmread(files[0]).file_meta.TransferSyntaxUID == DeflatedExplicitVRLittleEndian
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), PLAIN)


def test_a_deflated_multi_frame_file_is_read(tmp_path: Path):
    path = write_multi_frame(
        tmp_path / "e.dcm", ramp(), transfer_syntax=DeflatedExplicitVRLittleEndian
    )
    np.testing.assert_array_equal(read_dicom([path]).hounsfield(), PLAIN)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("suffix", ["", ".dcm"])
def test_files_without_preamble_and_meta_information_are_read(
    tmp_path: Path, syntax: str, suffix: str
):
    for path in write_series(tmp_path):
        dataset = dcmread(path)
        del dataset.file_meta, dataset.preamble
        little = syntax != ExplicitVRBigEndian
        if not little:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        path.unlink()
        dcmwrite(
            path.with_suffix(suffix),
            dataset,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=little,
            enforce_file_format=False,
        )
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), PLAIN)


@pytest.mark.parametrize("mark", [b"", b"DICM"])
def test_meta_information_without_preamble_is_read(tmp_path: Path, mark: bytes):
    for path in write_series(tmp_path):
        path.write_bytes(mark + path.read_bytes()[132:])
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), PLAIN)


def test_a_missing_transfer_syntax_is_guessed(tmp_path: Path):
    for path in write_series(tmp_path):
        content = path.read_bytes()
        at = content.index(b"\x02\x00\x10\x00UI")
        end = at + 8 + struct.unpack("<H", content[at + 6 : at + 8])[0]
        path.write_bytes(content[:at] + content[end:])
    (case,) = find_cases(tmp_path)
    np.testing.assert_array_equal(read_volume(case).hounsfield(), PLAIN)


@pytest.mark.parametrize("content", [b"", b"DICM", b"\x08\x00", b"PK\x03\x04" + bytes(200), b"#!"])
def test_other_files_are_no_dicom(tmp_path: Path, content: bytes):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not is_dicom(path)
    with pytest.raises(InputError, match="must be a DICOM file, got one without the DICM mark"):
        open_dicom(path)


def deflated_bomb(path: Path, num_bytes: int) -> None:
    """Turn a deflated file into one that inflates to `num_bytes` more of zeros."""
    content = path.read_bytes()
    start = 144 + struct.unpack("<I", content[140:144])[0]  # behind the meta information
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    inflated = zlib.decompress(content[start:], -zlib.MAX_WBITS) + bytes(num_bytes)
    path.write_bytes(content[:start] + deflater.compress(inflated) + deflater.flush())


def test_a_deflated_file_is_inflated_no_further_than_it_promises(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(dicom_file, "MAX_HEADER_BYTES", 1 << 16)
    files = write_series(tmp_path, transfer_syntax=DeflatedExplicitVRLittleEndian)
    deflated_bomb(files[1], 1 << 26)
    with open_dicom(files[1], num_pixel_bytes=60) as stream:
        assert len(stream.read()) < (1 << 16) + 300
    np.testing.assert_array_equal(read_dicom(files).hounsfield(), PLAIN)


def test_damaged_deflated_data_are_named(tmp_path: Path):
    files = write_series(tmp_path, transfer_syntax=DeflatedExplicitVRLittleEndian)
    content = files[1].read_bytes()
    files[1].write_bytes(content[:-200] + b"\xff" * 200)
    with pytest.raises(InputError, match=f"{files[1].name} must"):
        read_dicom(files)


def test_the_header_of_a_large_file_is_read_within_a_bound(tmp_path: Path, monkeypatch):
    files = write_series(tmp_path, ramp(4, 64, 64))
    monkeypatch.setattr(dicom_file, "MAX_HEADER_BYTES", 4096)
    with open_dicom(files[0]) as stream:
        assert len(stream.read()) == 4096
    assert len(find_cases(tmp_path)[0]["files"]) == 4


def test_a_file_that_promises_more_pixels_than_it_has_is_left_out(tmp_path: Path):
    files = write_series(tmp_path, ramp(5))
    dataset = dcmread(files[0])
    dataset.Rows = dataset.Columns = 8000
    dataset.save_as(files[0])
    cases = find_cases(tmp_path)
    assert len(cases[0]["files"]) == 4
    assert "cut short: 128000000 bytes of pixels are promised" in cases.rejected[0].reason
    assert cases.rejected[0].damaged


def test_a_file_cut_within_its_header_is_damaged(tmp_path: Path):
    files = write_series(tmp_path, ramp(5))
    files[0].write_bytes(files[0].read_bytes()[:300])
    (rejection,) = find_cases(tmp_path).rejected
    assert rejection.reason.startswith("cut short")
    assert rejection.damaged


def test_more_pixels_than_any_scanner_has_are_refused_by_the_header(tmp_path: Path):
    files = write_series(tmp_path, ramp(5), transfer_syntax="1.2.840.10008.1.2.5")
    dataset = dcmread(files[0])
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(files[0])
    (rejection,) = find_cases(tmp_path).rejected
    assert "an image of 65535 x 65535 pixels, more than 8192 along a side" in rejection.reason


def test_a_file_that_shrinks_after_discovery_is_named(tmp_path: Path):
    write_series(tmp_path)
    (case,) = find_cases(tmp_path)
    path = Path(case["files"][2])
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=f"{path.name} must"):
        read_volume(case)

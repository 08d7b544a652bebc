"""NRRD files: voxels, place and one line for every fault."""

import bz2
import gzip
from pathlib import Path

import nrrd
import numpy as np
import pytest

from common.errors import InputError
from common.formats.nrrd import read_nrrd

HU = (np.arange(5 * 6 * 7) - 1000).reshape(5, 6, 7).astype(np.int16)
DIRECTIONS = np.array([[0.7, 0.1, 0], [-0.1, 0.7, 0], [0, 0, 1.5]])
HEADER = {
    "space": "left-posterior-superior",
    "space directions": DIRECTIONS,
    "space origin": [10.0, 20.0, 30.0],
    "kinds": ["domain", "domain", "domain"],
}


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ASCII"])
@pytest.mark.parametrize("detached", [False, True])
def test_every_encoding_gives_the_same_voxels(tmp_path: Path, encoding: str, detached: bool):
    path = tmp_path / ("a.nhdr" if detached else "a.nrrd")
    nrrd.write(str(path), HU, {**HEADER, "encoding": encoding}, detached_header=detached)
    volume = read_nrrd(path)
    np.testing.assert_array_equal(volume.hounsfield(), HU)
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.flags.f_contiguous


def test_left_posterior_superior_becomes_ras(tmp_path: Path):
    nrrd.write(str(tmp_path / "a.nrrd"), HU, HEADER)
    affine = read_nrrd(tmp_path / "a.nrrd").affine
    expected = [[-0.7, 0.1, 0, -10], [-0.1, -0.7, 0, -20], [0, 0, 1.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(affine, expected)


def test_right_anterior_superior_stays_and_left_anterior_flips(tmp_path: Path):
    for space, signs in (("right-anterior-superior", (1, 1, 1)), ("LAS", (-1, 1, 1))):
        nrrd.write(str(tmp_path / "a.nrrd"), HU, {**HEADER, "space": space})
        affine = read_nrrd(tmp_path / "a.nrrd").affine
        np.testing.assert_allclose(affine[:3, 3], np.array(signs) * [10, 20, 30])
        np.testing.assert_allclose(affine[:3, :3], np.array(signs)[:, None] * DIRECTIONS.T)


def test_leading_axis_of_length_one_is_dropped(tmp_path: Path):
    header = {
        **HEADER,
        "space directions": np.vstack([[np.nan] * 3, DIRECTIONS]),
        "kinds": ["list", "domain", "domain", "domain"],
    }
    nrrd.write(str(tmp_path / "a.nrrd"), HU[None], header)
    np.testing.assert_array_equal(read_nrrd(tmp_path / "a.nrrd").hounsfield(), HU)


@pytest.mark.parametrize("endian", ["little", "big"])
def test_both_byte_orders_are_read(tmp_path: Path, endian: str):
    stored = HU.astype("<i2" if endian == "little" else ">i2")
    for encoding in ("raw", "gzip"):
        nrrd.write(str(tmp_path / "a.nrrd"), stored, {**HEADER, "encoding": encoding})
        np.testing.assert_array_equal(read_nrrd(tmp_path / "a.nrrd").hounsfield(), HU)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"space": "scanner-xyz"}, "must have a space of left-posterior-superior"),
        ({"space": None, "space directions": None}, "must say where it lies"),
        ({"space directions": DIRECTIONS * 100}, "voxel spacing of 0.01 to 50 mm"),
    ],
)
def test_unknown_place_is_refused(tmp_path: Path, change: dict, match: str):
    header = {key: value for key, value in {**HEADER, **change}.items() if value is not None}
    if "space" not in header:
        header.pop("space origin")
    nrrd.write(str(tmp_path / "a.nrrd"), HU, header)
    with pytest.raises(InputError, match=match):
        read_nrrd(tmp_path / "a.nrrd")


def test_several_volumes_are_refused(tmp_path: Path):
    header = {**HEADER, "space directions": np.vstack([[np.nan] * 3, DIRECTIONS])}
    header["kinds"] = ["list", "domain", "domain", "domain"]
    nrrd.write(str(tmp_path / "a.nrrd"), np.stack([HU, HU]), header)
    with pytest.raises(InputError, match=r"must be one 3D volume, got sizes \[2, 5, 6, 7\]"):
        read_nrrd(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    "content", [b"", b"NRRD0004\n", b"NRRD0004\ntype: short\nsizes: what\n\n", bytes(range(256))]
)
def test_garbage_is_said_in_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "a.nrrd").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.nrrd must") as caught:
        read_nrrd(tmp_path / "a.nrrd")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2"])
def test_truncated_voxels_are_an_error(tmp_path: Path, encoding: str):
    path = tmp_path / "a.nrrd"
    nrrd.write(str(path), HU, {**HEADER, "encoding": encoding})
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"a\.nrrd must (be complete|hold 420 bytes)"):
        read_nrrd(path).hounsfield()


def test_missing_data_file_is_an_error(tmp_path: Path):
    nrrd.write(str(tmp_path / "a.nhdr"), HU, {**HEADER, "encoding": "raw"}, detached_header=True)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(InputError, match=r"a\.nhdr must be a readable NRRD file"):
        read_nrrd(tmp_path / "a.nhdr")


def write_header(path: Path, **fields: str) -> Path:
    """A header by hand, as no program would write it, and raw voxels behind or beside it."""
    lines = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "5 6 7",
        "space directions": "(1,0,0) (0,1,0) (0,0,2)",
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
        **{name.replace("_", " "): value for name, value in fields.items()},
    }
    text = "".join(f"{name}: {value}\n" for name, value in lines.items() if value)
    content = HU.tobytes(order="F")
    if "data_file" in fields:
        (path.parent / "voxels.raw").write_bytes(content)
        content = b""
    path.write_bytes(f"NRRD0005\n{text}\n".encode() + content)
    return path


def test_a_header_by_hand_is_read(tmp_path: Path):
    for fields in ({}, {"data_file": "voxels.raw"}, {"data_file": "./voxels.raw"}):
        volume = read_nrrd(write_header(tmp_path / "a.nhdr", **fields))
        np.testing.assert_array_equal(volume.hounsfield(), HU)


def test_a_header_without_byte_order_is_taken_as_little_and_says_so(tmp_path: Path):
    volume = read_nrrd(write_header(tmp_path / "a.nrrd", endian=""))
    np.testing.assert_array_equal(volume.hounsfield(), HU)
    assert volume.facts["warnings"] == ["No byte order in the header: little endian is assumed."]


@pytest.mark.parametrize("name", ["/etc/passwd", "../voxels.raw", "a/../../x", "..\\x", "a/.."])
def test_a_data_file_elsewhere_is_refused(tmp_path: Path, name: str):
    path = write_header(tmp_path / "a.nhdr", data_file=name)
    with pytest.raises(InputError, match="must name a data file in its own folder, got") as caught:
        read_nrrd(path)
    assert "root:" not in str(caught.value)


@pytest.mark.parametrize("name", ["LIST", "slice%03d.raw 1 7 1", "gone.raw"])
def test_a_data_file_that_is_not_there_is_refused(tmp_path: Path, name: str):
    with pytest.raises(InputError, match="got no data file"):
        read_nrrd(write_header(tmp_path / "a.nhdr", data_file=name))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"sizes": "5 -6 7"}, "must have sizes of 1 or more"),
        ({"sizes": "2147483648 2147483648 4294967296"}, "must take at most"),  # wraps to 0
        ({"sizes": "99999999999999999999 2 2"}, "must (be a readable|have sizes of 1 or more)"),
        ({"sizes": "5 6 8"}, "must hold 480 bytes of voxels, got 420"),
        ({"sizes": "5 6 6"}, "must hold 360 bytes of voxels, got 420"),
        ({"dimension": "4"}, "must have a direction .* for each of its sizes, got dimension 4"),
        ({"byte_skip": "-2"}, "must have a byte skip of -1 to"),
        ({"byte_skip": "99999999999999"}, "must have a byte skip of -1 to"),
        ({"byte_skip": "100"}, "must hold 420 bytes of voxels, got 320"),
        ({"line_skip": "-1"}, "must have a line skip of 0 to"),
        ({"line_skip": "99999999"}, "must hold 420 bytes of voxels, got 0"),
        ({"encoding": "gzip", "byte_skip": "-1"}, "must be raw to have a byte skip of -1"),
        ({"encoding": "hex"}, "must be raw, gzip, bzip2 or ascii, got encoding 'hex'"),
        ({"encoding": "gzip"}, "must be complete, got damaged data"),
        ({"encoding": "bzip2"}, "must be complete, got damaged data"),
        ({"encoding": "ascii"}, "must be a readable NRRD file"),
        ({"encoding": "ascii", "sizes": "50 60 70"}, "must hold 210000 numbers, got a file of"),
        ({"endian": "middle"}, "must have an endian of little or big"),
        ({"type": "block"}, "must hold numbers, got type block"),
    ],
)
def test_impossible_headers_are_refused_in_one_line(tmp_path: Path, fields: dict, match: str):
    path = write_header(tmp_path / "a.nrrd", **fields)
    with pytest.raises(InputError, match=match) as caught:
        read_nrrd(path).hounsfield()
    assert "\n" not in str(caught.value)


def test_skips_are_counted_as_the_format_says(tmp_path: Path):
    path = write_header(tmp_path / "a.nhdr", data_file="voxels.raw", line_skip="2", byte_skip="3")
    voxels = (tmp_path / "voxels.raw").read_bytes()
    (tmp_path / "voxels.raw").write_bytes(b"one\ntwo\nxyz" + voxels)
    np.testing.assert_array_equal(read_nrrd(path).hounsfield(), HU)
    path = write_header(tmp_path / "b.nhdr", data_file="voxels.raw", byte_skip="-1")
    (tmp_path / "voxels.raw").write_bytes(b"any number of bytes" + voxels)
    np.testing.assert_array_equal(read_nrrd(path).hounsfield(), HU)


def test_a_header_without_end_is_refused(tmp_path: Path):
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0005\n#" + b"x" * (2 << 20))
    with pytest.raises(InputError, match="a header of more than 1048576 bytes"):
        read_nrrd(tmp_path / "a.nrrd")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("bzip2", bz2.compress)])
def test_a_stream_that_unfolds_to_more_than_its_header_says_is_cut_off(
    tmp_path: Path, encoding: str, pack
):
    path = write_header(tmp_path / "a.nrrd", encoding=encoding)
    header = path.read_bytes()[: -HU.nbytes]
    path.write_bytes(header + pack(HU.tobytes(order="F")))
    np.testing.assert_array_equal(read_nrrd(path).hounsfield(), HU)
    path.write_bytes(header + pack(HU.tobytes(order="F") + bytes(50 << 20)))
    with pytest.raises(InputError, match=r"must hold 420 bytes of voxels, .* got more"):
        read_nrrd(path).hounsfield()


@pytest.mark.parametrize("encoding", ["gzip", "bzip2"])
def test_a_small_file_that_unfolds_to_gigabytes_is_refused_by_its_numbers(
    tmp_path: Path, encoding: str
):
    path = write_header(tmp_path / "a.nrrd", encoding=encoding, sizes="2000 2000 300")
    with pytest.raises(InputError, match="must hold 2400000000 bytes of voxels, got a file of"):
        read_nrrd(path, max_gb=100)
    with pytest.raises(InputError, match=r"must take at most 1 GB of memory, got 2\.4 GB"):
        read_nrrd(path, max_gb=1)

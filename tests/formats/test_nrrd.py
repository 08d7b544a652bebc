"""NRRD files: voxels, place and one line for every fault."""

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
    with pytest.raises(InputError, match=r"a\.nrrd must be (a readable|complete)"):
        read_nrrd(path).hounsfield()


def test_missing_data_file_is_an_error(tmp_path: Path):
    nrrd.write(str(tmp_path / "a.nhdr"), HU, {**HEADER, "encoding": "raw"}, detached_header=True)
    (tmp_path / "a.raw").unlink()
    with pytest.raises(InputError, match=r"a\.nhdr must be a readable NRRD file"):
        read_nrrd(tmp_path / "a.nhdr")

"""NPZ files of CT-RATE and Rad-ChestCT style."""

import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.formats.npz import npz_affine, read_npz

HU = (np.arange(4 * 5 * 6) - 1000).reshape(4, 5, 6)


@pytest.mark.parametrize(
    ("key", "dtype", "axcodes", "spacing_mm"),
    [
        ("arr_0", "float32", ("S", "L", "P"), (1.5, 0.75, 0.75)),
        ("ct", "int16", ("I", "P", "L"), (0.8, 0.8, 0.8)),
    ],
)
def test_each_style_has_its_axes_and_usual_spacing(
    tmp_path: Path, key: str, dtype: str, axcodes: tuple, spacing_mm: tuple
):
    np.savez_compressed(tmp_path / "a.npz", **{key: HU.astype(dtype)})
    volume = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(volume.hounsfield(), HU)
    assert volume.voxels.dtype == dtype
    assert nib.aff2axcodes(volume.affine) == axcodes
    assert volume.spacing_mm == spacing_mm
    assert "is assumed" in volume.facts["warnings"][0]


def test_affine_of_the_case_is_used_without_warning(tmp_path: Path):
    np.savez(tmp_path / "a.npz", ct=HU.astype(np.int16))
    affine = npz_affine(("I", "P", "L"), (0.81, 0.82, 0.83))
    volume = read_npz(tmp_path / "a.npz", affine=affine.tolist())
    assert volume.spacing_mm == (0.81, 0.82, 0.83)
    assert volume.facts["warnings"] == []


def test_both_styles_agree_after_flip_and_swap():
    rad = npz_affine(("I", "P", "L"), (1, 1, 1))
    rate = npz_affine(("S", "L", "P"), (1, 1, 1))
    # Rad-ChestCT to CT-RATE: flip the first axis, swap the other two.
    flip_and_swap = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(rad[:3, :3] @ flip_and_swap, rate[:3, :3])


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"label": HU}, r"must hold arr_0 \(CT-RATE\) or ct \(Rad-ChestCT\), got \['label'\]"),
        ({"ct": HU[0]}, "must hold a 3D volume of numbers in ct"),
        ({"ct": HU > 0}, "must hold a 3D volume of numbers in ct, got bool"),
        (
            {"ct": np.array([{"pickled": 1}], dtype=object)},
            "of numbers in ct, got object",
        ),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict, match: str):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=match):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 but no zip", b"\x93NUMPY\x01\x00nothing"])
def test_garbage_is_said_in_one_line(tmp_path: Path, content: bytes):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match="must be a readable NPZ file") as caught:
        read_npz(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)


def test_damaged_archive_is_an_error(tmp_path: Path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, ct=np.random.default_rng(0).integers(-1000, 1000, (20, 20, 20)))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz must be complete, got damaged data"):
        read_npz(path).hounsfield()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_memory_order_is_kept(tmp_path: Path, save, order: str):
    save(tmp_path / "a.npz", ct=np.asarray(HU, dtype=np.int16, order=order))
    volume = read_npz(tmp_path / "a.npz")
    np.testing.assert_array_equal(volume.hounsfield(), HU)
    assert volume.voxels.flags[f"{order}_CONTIGUOUS"]


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("unpickled",))


def test_nothing_is_unpickled(tmp_path: Path):
    np.savez(tmp_path / "a.npz", ct=np.array([Trap()], dtype=object))
    with pytest.raises(InputError, match="must hold a 3D volume of numbers in ct, got object"):
        read_npz(tmp_path / "a.npz")


def test_other_arrays_beside_the_volume_are_left_alone(tmp_path: Path):
    np.savez(tmp_path / "a.npz", ct=HU.astype(np.int16), spacing=np.ones(3), mask=HU > 0)
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz").hounsfield(), HU)


def write_member(path: Path, shape: str, method: int, length: int | None = None) -> Path:
    """An archive with an array header by hand."""
    header = f"{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    start = b"\x93NUMPY\x02\x00" + (len(header) if length is None else length).to_bytes(4, "little")
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("ct.npy", start + header + HU.astype("<i2").tobytes())
    return path


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ("(4, 5, -6)", "must hold a 3D volume of numbers"),
        ("(4, 5, 6, 1)", "must hold a 3D volume of numbers"),
        ("(2147483648, 2147483648, 4294967296)", r"must hold \d{29} bytes of voxels"),
        (f"({'9' * 4000}, {'9' * 4000}, 2)", "an axis longer than memory"),
        ("(4, 5, 7)", r"must be complete, got damaged data"),
        ("(4, 5, 5)", "must hold 200 bytes of voxels, .* got more"),
        ("(4, 5, 'x')", "must be a readable NPZ file"),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_impossible_shapes_are_refused_in_one_line(
    tmp_path: Path, shape: str, match: str, method: int
):
    path = write_member(tmp_path / "a.npz", shape, method)
    with pytest.raises(InputError, match=match) as caught:
        read_npz(path).hounsfield()
    assert "\n" not in str(caught.value)


def test_a_header_that_claims_gigabytes_is_refused(tmp_path: Path):
    path = write_member(tmp_path / "a.npz", "(4, 5, 6)", zipfile.ZIP_DEFLATED, 2**32 - 1)
    with pytest.raises(InputError, match="an array header of 4294967295 bytes"):
        read_npz(path)


def test_compression_that_unfolds_without_bound_is_refused(tmp_path: Path):
    path = write_member(tmp_path / "a.npz", "(4, 5, 6)", zipfile.ZIP_BZIP2)
    with pytest.raises(InputError, match="compression method 12"):
        read_npz(path)


def test_a_volume_beyond_the_bound_is_refused_before_it_is_read(tmp_path: Path):
    np.savez_compressed(tmp_path / "a.npz", ct=HU.astype(np.int16))
    with pytest.raises(InputError, match=r"at most 1e-07 GB of memory, got 2\.4e-07 GB"):
        read_npz(tmp_path / "a.npz", max_gb=1e-7)

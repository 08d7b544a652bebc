"""NIfTI files: voxels and place as nibabel gives them, and one line for every fault."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from common.formats.evidence import why_no_ct
from common.formats.nifti import read_nifti

SHAPE = (5, 6, 7)
OBLIQUE = np.array([[0.7, 0.1, 0, -3], [-0.1, 0.7, 0.2, 4], [0, -0.1, 1.5, 5], [0, 0, 0, 1]])


UPRIGHT = np.array([[-2, 0, 0, 3], [0, -2, 0, 4], [0, 0, 2.5, 5], [0, 0, 0, 1.0]])


def case_of(path: Path) -> dict:
    return {"case_id": "a", "image": str(path), "format": "nifti"}


def ramp(dtype: str = "<i2") -> np.ndarray:
    return (np.arange(np.prod(SHAPE)) - 100).reshape(SHAPE).astype(dtype)


def write(path: Path, voxels: np.ndarray, affine: np.ndarray = OBLIQUE, **fields: float) -> Path:
    image = nib.Nifti1Image(voxels, affine)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytearray(image.to_bytes())
    header = nib.Nifti1Header(bytes(content[:348]))
    for name, value in fields.items():
        header[name] = value
    content[:348] = header.binaryblock
    compressed = path.name.endswith(".gz")
    path.write_bytes(gzip.compress(bytes(content)) if compressed else bytes(content))
    return path


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_voxels_and_affine_are_those_of_nibabel(tmp_path: Path, name: str):
    path = write(tmp_path / name, ramp())
    volume = read_nifti(path)
    volume.wait_until_filled(SHAPE[2])
    np.testing.assert_array_equal(volume.voxels, ramp())
    np.testing.assert_array_equal(volume.affine, nib.load(path).affine)
    assert volume.voxels.dtype == np.int16
    assert volume.voxels.flags.f_contiguous


@pytest.mark.parametrize("dtype", ["<i2", "<u2", "<i4", "<f4", "<f8"])
def test_stored_type_is_kept(tmp_path: Path, dtype: str):
    volume = read_nifti(write(tmp_path / "a.nii.gz", abs(ramp(dtype))))
    assert volume.voxels.dtype == np.dtype(dtype)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_big_endian_files_are_read(tmp_path: Path, name: str):
    image = nib.Nifti1Image(ramp(), OBLIQUE, nib.Nifti1Header(endianness=">"))
    image.to_filename(tmp_path / name)
    np.testing.assert_array_equal(read_nifti(tmp_path / name).hounsfield(), ramp())


def test_nifti_2_is_read(tmp_path: Path):
    nib.Nifti2Image(ramp(), OBLIQUE).to_filename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").hounsfield(), ramp())


def test_header_extensions_are_skipped(tmp_path: Path):
    image = nib.Nifti1Image(ramp(), OBLIQUE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"long text " * 200))
    image.to_filename(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").hounsfield(), ramp())


@pytest.mark.parametrize(
    ("stated", "applied"),
    [((2.0, -1024.0), (2.0, -1024.0)), ((np.nan, np.nan), (1.0, 0.0)), ((0.0, 5.0), (1.0, 0.0))],
)
def test_rescale_of_the_header_is_kept_or_neutral(tmp_path: Path, stated: tuple, applied: tuple):
    path = write(tmp_path / "a.nii.gz", ramp(), scl_slope=stated[0], scl_inter=stated[1])
    volume = read_nifti(path)
    assert (volume.slope, volume.intercept) == applied


def test_trailing_axes_of_length_one_are_dropped(tmp_path: Path):
    nib.Nifti1Image(ramp()[..., None], OBLIQUE).to_filename(tmp_path / "a.nii.gz")
    assert read_nifti(tmp_path / "a.nii.gz").voxels.shape == SHAPE


def test_several_volumes_in_one_file_are_refused(tmp_path: Path):
    nib.Nifti1Image(np.stack([ramp(), ramp()], axis=-1), OBLIQUE).to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"must be one 3D volume, got shape \(5, 6, 7, 2\)"):
        read_nifti(tmp_path / "a.nii")


def test_one_slice_is_refused(tmp_path: Path):
    nib.Nifti1Image(ramp()[..., :1], OBLIQUE).to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError, match=r"must be a volume, got one slice|3D volume"):
        read_nifti(tmp_path / "a.nii")


def test_colour_image_is_refused(tmp_path: Path):
    colour = np.zeros(SHAPE, dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.Nifti1Image(colour, OBLIQUE).to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError, match="must hold CT numbers, got a colour image"):
        read_nifti(tmp_path / "a.nii")


def test_header_image_pair_is_refused(tmp_path: Path):
    nib.Nifti1Pair(ramp(), OBLIQUE).to_filename(tmp_path / "a.hdr")
    with pytest.raises(InputError, match="must be one file, got a header without its image"):
        read_nifti(tmp_path / "a.hdr")


def test_blank_header_is_refused_without_a_table(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), qform_code=0, sform_code=0)
    with pytest.raises(InputError, match=r"must say where it lies .* got a blank header"):
        read_nifti(path)


def test_blank_header_takes_place_and_rescale_from_the_table(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), qform_code=0, sform_code=0)
    volume = read_nifti(path, affine=np.diag([-0.7, -0.7, 1.5, 1.0]).tolist(), rescale=[2, -1024])
    assert volume.spacing_mm == (0.7, 0.7, 1.5)
    np.testing.assert_array_equal(volume.hounsfield(), ramp() * 2.0 - 1024)
    assert "blank" in volume.facts["warnings"][0]


def test_table_never_rescales_a_volume_that_has_a_header(tmp_path: Path):
    volume = read_nifti(
        write(tmp_path / "a.nii.gz", ramp()), affine=np.eye(4).tolist(), rescale=[2.0, -1024.0]
    )
    np.testing.assert_array_equal(volume.hounsfield(), ramp())
    np.testing.assert_allclose(volume.affine, OBLIQUE, atol=1e-6)


@pytest.mark.parametrize(
    ("affine", "match"),
    [
        (np.diag([0.7, 0.7, 900.0, 1]), "voxel spacing of 0.01 to 50"),
        (np.diag([0.7, np.nan, 1.0, 1]), "finite 4 x 4 affine"),
        (np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "three directions"),
    ],
)
def test_impossible_affines_are_refused(tmp_path: Path, affine: np.ndarray, match: str):
    path = write(tmp_path / "a.nii", ramp(), np.eye(4), qform_code=0)
    image = nib.load(path)
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = affine[:3]
    content = bytearray(path.read_bytes())
    content[:348] = image.header.binaryblock
    path.write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_nifti(path)


NAN_SFORM = {f"srow_{axis}": [np.nan] * 4 for axis in "xyz"}
NO_SFORM = {f"srow_{axis}": [0.0] * 4 for axis in "xyz"}


@pytest.mark.parametrize("sform", [NAN_SFORM, NO_SFORM])
def test_a_useless_sform_gives_way_to_a_proper_qform(tmp_path: Path, sform: dict):
    path = write(tmp_path / "a.nii.gz", ramp(), UPRIGHT, qform_code=1, **sform)
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, UPRIGHT)
    assert volume.facts["warnings"] == ["The sform cannot place a scan; the qform is used."]


def test_a_useless_sform_alone_is_refused(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), UPRIGHT, qform_code=0, **NO_SFORM)
    with pytest.raises(InputError, match=r"spacing of 0\.01 to 50 mm, got 0 x 0"):
        read_nifti(path)


def test_a_useless_qform_alone_is_refused(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), UPRIGHT, sform_code=0, qform_code=1, quatern_b=7)
    with pytest.raises(InputError, match="must have a finite 4 x 4 affine"):
        read_nifti(path)


def test_a_useless_qform_gives_way_to_the_sform(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), UPRIGHT, qform_code=1, quatern_b=np.nan)
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, UPRIGHT)
    assert volume.qform is None
    assert volume.facts["warnings"] == []


def test_sform_and_qform_that_disagree_are_said(tmp_path: Path):
    path = write(tmp_path / "a.nii", ramp(), UPRIGHT, qform_code=1, qoffset_x=9.0)
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, UPRIGHT)
    (note,) = volume.facts["warnings"]
    assert note == "sform and qform put voxels up to 6 mm apart; the sform is used."


def test_a_scan_keeps_its_own_qform(tmp_path: Path):
    sheared = UPRIGHT.copy()
    sheared[0, 1] = 2e-3
    path = write(tmp_path / "a.nii", ramp(), sheared, qform_code=2)
    volume = read_nifti(path)
    np.testing.assert_allclose(volume.affine, sheared)
    np.testing.assert_array_equal(volume.qform.affine, nib.load(path).header.get_qform())
    assert volume.qform.code == 2
    assert volume.facts["warnings"] == []
    assert read_nifti(write(tmp_path / "b.nii", ramp(), qform_code=0)).qform is None


@pytest.mark.parametrize("offset", [np.nan, np.inf, -np.inf, 1e30, -400, 353.5, 2.0**29])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_voxels_at_no_place_in_the_file_are_refused(tmp_path: Path, name: str, offset: float):
    path = write(tmp_path / name, ramp(), vox_offset=offset)
    for look in (read_nifti, lambda path: why_no_ct(case_of(path))):
        with pytest.raises(InputError, match=r"a\.nii\S* must have (its voxels|a valid NIfTI)"):
            look(path)


def test_voxels_far_behind_the_end_are_refused(tmp_path: Path):
    for name, match in (("a.nii", "got 0; copy"), ("a.nii.gz", "0 of 420 bytes")):
        path = write(tmp_path / name, ramp(), vox_offset=100_000)
        with pytest.raises(InputError, match=match):
            read_nifti(path).hounsfield()


def test_voxels_may_begin_at_0_which_everyone_takes_for_the_least(tmp_path: Path):
    path = write(tmp_path / "a.nii", ramp(), vox_offset=0)
    np.testing.assert_array_equal(read_nifti(path).hounsfield(), ramp())


@pytest.mark.parametrize(
    "dim",
    [
        (3, -5, 6, 7, 1, 1, 1, 1),
        (3, 5, 0, 7, 1, 1, 1, 1),
        (3, 2**31, 2**31, 2**31, 1, 1, 1, 1),  # 0 bytes where 64 bits wrap
        (3, 2**62, 2, 2, 1, 1, 1, 1),
        (3, -(2**62), 2, 2, 1, 1, 1, 1),
        (7, 2**62, 2**62, 2**62, 2**62, 2**62, 2**62, 2**62),
    ],
)
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_sizes_that_are_negative_or_wrap_are_refused(tmp_path: Path, name: str, dim: tuple):
    content = bytearray(nib.Nifti2Image(ramp(), OBLIQUE).to_bytes())
    content[16:80] = np.array(dim, "<i8").tobytes()
    path = tmp_path / name
    path.write_bytes(gzip.compress(bytes(content)) if name.endswith("gz") else bytes(content))
    for look in (read_nifti, lambda path: why_no_ct(case_of(path))):
        with pytest.raises(InputError, match=r"must (be one 3D volume|hold \d+ bytes)") as caught:
            look(path)
        assert "\n" not in str(caught.value)


def test_a_scan_beyond_the_bound_is_refused_before_it_is_read(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp())
    read_nifti(path, max_gb=420e-9)
    with pytest.raises(InputError, match=r"at most 4\.1e-07 GB of memory, got 4\.2e-07 GB"):
        read_nifti(path, max_gb=410e-9)


def test_bytes_behind_the_gzip_stream_are_ignored(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp())
    path.write_bytes(path.read_bytes() + b"\x01trailing")
    np.testing.assert_array_equal(read_nifti(path).hounsfield(), ramp())
    assert why_no_ct(case_of(path)) == ""


def test_a_stream_of_several_gzip_members_is_read(tmp_path: Path):
    path = write(tmp_path / "a.nii", ramp())
    content = path.read_bytes()
    parts = [gzip.compress(content[n : n + 50]) for n in range(0, len(content), 50)]
    (tmp_path / "b.nii.gz").write_bytes(b"".join(parts))
    np.testing.assert_array_equal(read_nifti(tmp_path / "b.nii.gz").hounsfield(), ramp())


def test_a_stream_that_holds_more_than_the_header_says_is_refused(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), dim=[3, 5, 6, 6, 1, 1, 1, 1])
    with pytest.raises(InputError, match=r"must hold 360 bytes of voxels, .* got more"):
        read_nifti(path).hounsfield()


def test_a_few_bytes_behind_a_plain_file_are_said_but_not_a_plane(tmp_path: Path):
    path = write(tmp_path / "a.nii", ramp())
    path.write_bytes(path.read_bytes() + bytes(16))
    volume = read_nifti(path)
    np.testing.assert_array_equal(volume.hounsfield(), ramp())
    assert volume.facts["warnings"] == ["16 bytes after the voxels are ignored."]
    path = write(tmp_path / "b.nii", ramp(), dim=[3, 5, 6, 6, 1, 1, 1, 1])
    with pytest.raises(InputError, match="must hold 360 bytes of voxels, got 420"):
        read_nifti(path)


def test_complex_numbers_are_refused(tmp_path: Path):
    nib.Nifti1Image(ramp().astype(np.complex64), OBLIQUE).to_filename(tmp_path / "a.nii")
    with pytest.raises(InputError, match="must hold CT numbers, got data type complex64"):
        read_nifti(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "must be a NIfTI file, got an empty file"),
        (b"Dear diary, today I scanned", "must be a NIfTI file, got a file that starts with"),
        (gzip.compress(b"not a header either"), "must be a NIfTI file"),
        (b"\x1f\x8b\x08\x00garbage that no gzip wrote", "must be complete, got damaged data"),
    ],
)
def test_what_is_no_nifti_is_said_in_one_line(tmp_path: Path, content: bytes, match: str):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=match) as caught:
        read_nifti(path).wait_until_filled(9)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_truncated_gzip_is_an_error_when_waited_for(tmp_path: Path, kept: float):
    noise = np.random.default_rng(0).integers(-1000, 1000, (32, 32, 40), dtype=np.int16)
    path = write(tmp_path / "a.nii.gz", noise)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(
        InputError, match=r"a\.nii\.gz must be complete, got damaged data"
    ) as caught:
        read_nifti(path).wait_until_filled(40)
    assert "\n" not in str(caught.value)


def test_stream_that_ends_early_is_an_error(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-10]))
    with pytest.raises(InputError, match="410 of 420 bytes of voxels"):
        read_nifti(path).hounsfield()


def test_wrong_checksum_is_an_error(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp())
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"must be complete, got damaged data .*checksum"):
        read_nifti(path).hounsfield()


def test_header_that_claims_too_much_is_refused_before_memory_is_taken(tmp_path: Path):
    path = write(tmp_path / "a.nii.gz", ramp(), dim=[3, 20000, 20000, 20000, 1, 1, 1, 1])
    with pytest.raises(InputError, match="must hold 16000000000000 bytes of voxels, got a file of"):
        read_nifti(path)


def test_truncated_plain_file_is_an_error(tmp_path: Path):
    path = write(tmp_path / "a.nii", ramp())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match="must hold 420 bytes of voxels, got 410"):
        read_nifti(path)


def test_content_decides_over_the_suffix(tmp_path: Path):
    path = write(tmp_path / "a.nii", ramp())
    plain_named_gz = path.rename(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(read_nifti(plain_named_gz).hounsfield(), ramp())


def test_first_slabs_are_final_before_the_rest(tmp_path: Path):
    voxels = np.zeros((64, 64, 900), np.int16) + np.arange(900, dtype=np.int16)
    volume = read_nifti(write(tmp_path / "a.nii.gz", voxels))
    for stop in (1, 10, 450, 900):
        volume.wait_until_filled(stop)
        np.testing.assert_array_equal(volume.voxels[..., :stop], voxels[..., :stop])


def test_real_scans_equal_nibabel(shared: Path):
    for path in sorted((shared / "data/ct").glob("*.nii.gz")):
        volume = read_nifti(path)
        np.testing.assert_array_equal(volume.hounsfield(), nib.load(path).get_fdata())
        np.testing.assert_array_equal(volume.affine, nib.load(path).affine)

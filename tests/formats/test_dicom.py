"""DICOM series, written by formula, read back to the voxel and the millimetre."""

import base64
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from common.errors import InputError
from common.formats.dicom import read_dicom
from tests.dicom_files import ramp, uid, write_multi_frame, write_series


def slab(num_slices: int = 4) -> np.ndarray:
    return ramp(num_slices, 32, 32)  # JPEG 2000 wants room for its wavelets


@pytest.mark.parametrize(
    "transfer_syntax", [ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless]
)
def test_every_lossless_compression_gives_the_same_hu(tmp_path: Path, transfer_syntax: str):
    files = write_series(tmp_path, slab(), transfer_syntax=transfer_syntax)
    volume = read_dicom(files)
    np.testing.assert_array_equal(volume.hounsfield(), slab().transpose(2, 1, 0))


def test_jpeg_lossless_is_decoded(tmp_path: Path):
    # The frame of ramp(2, 8, 8)[0], as GDCM compresses it; no plug-in of ours can encode it.
    frame = base64.b64decode(
        "/9j/wwALEAAIAAgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAAAQQP/9oACAEBAAEAAMAF1VWhVVoVVaFVWhVVoVVa"
        "FVWhVV//2QA="
    )
    files = write_series(tmp_path, ramp(2, 8, 8)[[0, 0]])
    for path in files:
        dataset = dcmread(path)
        dataset.PixelData = encapsulate([frame])
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        dataset.save_as(path)
    hounsfield = read_dicom(files).hounsfield()
    np.testing.assert_array_equal(hounsfield[..., 0], ramp(2, 8, 8)[0].T)


def test_slices_are_sorted_by_position_whatever_the_file_names(tmp_path: Path):
    files = write_series(tmp_path)
    for order in (files, files[::-1], sorted(files)):
        np.testing.assert_array_equal(read_dicom(order).hounsfield(), ramp().transpose(2, 1, 0))


def test_affine_places_columns_rows_and_slices_in_ras(tmp_path: Path):
    volume = read_dicom(write_series(tmp_path, spacing_mm=(0.7, 0.8)))  # rows 0.7 mm apart
    expected = [[-0.8, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 2.5, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(volume.affine, expected, atol=1e-9)


def test_feet_first_stack_is_sorted_along_its_own_normal(tmp_path: Path):
    orientation = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # normal points to the feet
    volume = read_dicom(write_series(tmp_path, orientation=orientation, step=(0, 0, -2.5)))
    np.testing.assert_array_equal(volume.hounsfield(), ramp().transpose(2, 1, 0))
    assert volume.affine[2, 2] == -2.5
    assert volume.affine[0, 0] == 0.8


def test_oblique_stack_maps_voxels_to_their_stated_position(tmp_path: Path):
    turn = np.radians(20)
    orientation = (np.cos(turn), np.sin(turn), 0.0, -np.sin(turn), np.cos(turn), 0.0)
    files = write_series(tmp_path, orientation=orientation)
    volume = read_dicom(files)
    last = volume.affine @ [0, 0, 3, 1]
    np.testing.assert_allclose(last[:3], [10, 20, 37.5], atol=1e-6)
    along_row = volume.affine @ [1, 0, 0, 1] - volume.affine @ [0, 0, 0, 1]
    np.testing.assert_allclose(along_row[:2], [-0.8 * np.cos(turn), -0.8 * np.sin(turn)])


def test_gantry_tilt_gives_a_sheared_affine_and_says_so(tmp_path: Path):
    shift = 2.5 * np.tan(np.radians(15))
    volume = read_dicom(write_series(tmp_path, step=(0, shift, 2.5)))
    assert "tilted by 15.0 degrees" in volume.facts["warnings"][0]
    np.testing.assert_allclose(volume.affine[:3, 2], [0, -shift, 2.5], atol=1e-6)


def test_voxels_keep_the_stored_type_with_slices_slowest(tmp_path: Path):
    volume = read_dicom(write_series(tmp_path))
    assert volume.voxels.dtype == np.uint16
    assert volume.voxels.flags.f_contiguous
    assert (volume.slope, volume.intercept) == (1.0, -1024.0)


def test_rescale_that_differs_between_slices_is_converted_to_hu(tmp_path: Path):
    def edit(dataset, index):
        if index == 2:
            stored = (ramp()[2].astype(np.int32) + 2000) // 2
            dataset.PixelData = stored.astype("<u2").tobytes()
            dataset.RescaleSlope, dataset.RescaleIntercept = 2, -2000

    volume = read_dicom(write_series(tmp_path, edit=edit))
    expected = ramp().transpose(2, 1, 0).astype(np.float32)
    expected[..., 2] -= expected[..., 2] % 2  # halved and doubled
    np.testing.assert_array_equal(volume.hounsfield(), expected)
    assert (volume.slope, volume.intercept) == (1.0, 0.0)
    assert "differ between slices" in volume.facts["warnings"][0]


def test_signed_pixels_and_padding_become_air(tmp_path: Path):
    def edit(dataset, index):
        stored = ramp()[index].copy()
        stored[0, 0] = -2000
        dataset.PixelData = stored.tobytes()
        dataset.PixelRepresentation = 1
        dataset.RescaleIntercept = 0
        dataset.add_new("PixelPaddingValue", "US", 63536)  # -2000 with the wrong sign

    volume = read_dicom(write_series(tmp_path, edit=edit))
    assert volume.voxels[0, 0, 1] == -1000
    assert volume.voxels[1, 0, 1] == ramp()[1, 0, 1]
    assert "set to air" in volume.facts["warnings"][0]


@pytest.mark.parametrize("slope", [1, 2])
def test_padding_becomes_air_also_where_the_stored_type_cannot_say_air(tmp_path: Path, slope: int):
    """Unsigned values of which the lowest is -900 HU: the padding is neither +64536 nor -900."""
    stored = (ramp().astype(np.int32) + 1200).astype(np.uint16)

    def edit(dataset, index):
        pixels = stored[index].copy()
        pixels[0, 0] = 65535
        dataset.PixelData = pixels.tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = slope, -900
        dataset.add_new("PixelPaddingValue", "US", 65535)

    volume = read_dicom(write_series(tmp_path, edit=edit))
    expected = stored.transpose(2, 1, 0) * slope - 900.0
    expected[0, 0] = -1000
    np.testing.assert_array_equal(volume.hounsfield(), expected)
    assert volume.facts["warnings"] == [
        "Padding outside the reconstructed field is set to air.",
        "The stored values cannot express air; all are converted to HU.",
    ]


def test_padding_value_within_the_range_of_tissue_is_left_alone(tmp_path: Path):
    def edit(dataset, index):
        dataset.add_new("PixelPaddingValue", "US", int(ramp()[0, 0, 1]) + 1024)

    volume = read_dicom(write_series(tmp_path, edit=edit))
    np.testing.assert_array_equal(volume.hounsfield(), ramp().transpose(2, 1, 0))
    assert volume.facts["warnings"] == []


def test_missing_rescale_is_assumed_and_said(tmp_path: Path):
    def edit(dataset, index):
        del dataset.RescaleSlope, dataset.RescaleIntercept

    volume = read_dicom(write_series(tmp_path, edit=edit))
    assert (volume.slope, volume.intercept) == (1.0, 0.0)
    assert "1 and 0 are assumed" in volume.facts["warnings"][0]


def test_unused_high_bits_are_cleared(tmp_path: Path):
    def edit(dataset, index):
        stored = (ramp()[index].astype(np.int32) + 1024).astype(np.uint16) | 0x7000
        dataset.PixelData = stored.tobytes()
        dataset.BitsStored, dataset.HighBit = 12, 11

    volume = read_dicom(write_series(tmp_path, edit=edit))
    np.testing.assert_array_equal(volume.hounsfield(), ramp().transpose(2, 1, 0))


def test_repeated_identical_slice_is_dropped_with_a_warning(tmp_path: Path):
    def copy_of(dataset, index):
        dataset.SOPInstanceUID = uid("copy")

    files = write_series(tmp_path)
    again = write_series(tmp_path, edit=copy_of, skip=(0, 2, 3), prefix="again")
    volume = read_dicom(files + again)
    np.testing.assert_array_equal(volume.hounsfield(), ramp().transpose(2, 1, 0))
    assert "twice" in volume.facts["warnings"][0]


def test_two_images_at_one_position_are_refused(tmp_path: Path):
    files = write_series(tmp_path) + write_series(tmp_path, ramp() + 7, skip=(0, 2, 3), prefix="b")
    with pytest.raises(InputError, match="must have one slice per position, got different images"):
        read_dicom(files)


def test_missing_slice_is_interpolated_with_a_warning(tmp_path: Path):
    volume = read_dicom(write_series(tmp_path, ramp(12), skip=(5,)))
    np.testing.assert_array_equal(volume.hounsfield(), ramp(12).transpose(2, 1, 0))
    assert "1 missing of 12 slices, at 42.5 mm are interpolated" in volume.facts["warnings"][0]


def test_too_many_missing_slices_are_refused_with_their_positions(tmp_path: Path):
    files = write_series(tmp_path, ramp(12), skip=(5, 6, 7))
    with pytest.raises(InputError, match=r"got 3 missing of 12 slices, at 42.5, 45, 47.5 mm"):
        read_dicom(files)


def test_uneven_slices_are_refused(tmp_path: Path):
    def edit(dataset, index):
        if index == 3:
            dataset.ImagePositionPatient = [-10, -20, 30 + 2.5 * 3 + 1]

    with pytest.raises(InputError, match=r"evenly spaced slices, got 3.50 mm after position 35.00"):
        read_dicom(write_series(tmp_path, edit=edit))


def test_slices_beside_the_line_are_refused(tmp_path: Path):
    def edit(dataset, index):
        if index == 1:
            dataset.ImagePositionPatient = [5, -20, 32.5]

    with pytest.raises(InputError, match=r"slices on one line, got one 15.0 mm beside it"):
        read_dicom(write_series(tmp_path, edit=edit))


def test_slices_side_by_side_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="one above the other"):
        read_dicom(write_series(tmp_path, step=(5, 0, 0)))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"PixelSpacing": [1.0, 1.0]}, "pixel spacings"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "orientations"),
    ],
)
def test_slices_of_several_kinds_are_refused(tmp_path: Path, change: dict, named: str):
    def edit(dataset, index):
        if index == 1:
            for keyword, value in change.items():
                setattr(dataset, keyword, value)

    with pytest.raises(InputError, match=f"must have slices of one kind, got 2 {named}"):
        read_dicom(write_series(tmp_path, edit=edit))


def test_one_slice_is_no_volume(tmp_path: Path):
    with pytest.raises(InputError, match="one slice is not a volume"):
        read_dicom(write_series(tmp_path, ramp(1)))


def test_multi_frame_file_is_a_volume(tmp_path: Path):
    volume = read_dicom([write_multi_frame(tmp_path / "enhanced.dcm", ramp())])
    np.testing.assert_array_equal(volume.hounsfield(), ramp().transpose(2, 1, 0))
    assert volume.spacing_mm == (0.5, 0.5, 3.0)


@pytest.mark.parametrize("transfer_syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_corrupted_frame_is_named(tmp_path: Path, transfer_syntax: str):
    files = write_series(tmp_path, slab(), transfer_syntax=transfer_syntax)
    dataset = dcmread(files[1])
    content = bytearray(dataset.PixelData)
    content[30:] = bytes(len(content) - 30)
    dataset.PixelData = bytes(content)
    dataset.save_as(files[1])
    with pytest.raises(InputError, match=rf"{files[1].name} must hold a decodable image"):
        read_dicom(files)


def test_dicom_without_pixel_data_is_named(tmp_path: Path):
    def edit(dataset, index):
        if index == 2:
            del dataset.PixelData

    with pytest.raises(InputError, match="I898 must hold a decodable image"):
        read_dicom(write_series(tmp_path, edit=edit))


def test_truncated_dicom_is_named(tmp_path: Path):
    files = write_series(tmp_path)
    files[1].write_bytes(files[1].read_bytes()[:-40])
    with pytest.raises(InputError, match=f"{files[1].name} must"):
        read_dicom(files)


def test_real_series_have_the_places_their_headers_state(shared: Path):
    files = sorted((shared / "data/ct/head_phantom_dicom_5mm").iterdir())
    volume = read_dicom(files)
    assert volume.voxels.shape == (512, 512, 28)
    np.testing.assert_allclose(volume.affine @ [0, 0, 27, 1], [115.5, 1.85, 831.21, 1])
    jpeg2000 = read_dicom(sorted((shared / "data/ct/abdomen_dicom_jpeg2000").iterdir()))
    assert jpeg2000.spacing_mm == (0.9765625, 0.9765625, 2.0)
    assert jpeg2000.hounsfield().max() == 1839  # as SimpleITK reads it


def test_a_series_beyond_the_bound_is_refused_before_it_is_stacked(tmp_path: Path):
    files = write_series(tmp_path, slab())
    read_dicom(files, max_gb=4 * 32 * 32 * 2e-9)
    with pytest.raises(InputError, match=r"must take at most 8e-06 GB of memory, got 8\.19e-06 GB"):
        read_dicom(files, max_gb=8e-6)

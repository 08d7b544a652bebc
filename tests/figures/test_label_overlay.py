"""Pixels of a plane with its segmentation."""

import numpy as np
import pytest

from common.figures.body_plane import body_plane
from common.figures.label_overlay import cut_picture, paint
from common.volumes.volume import Volume

COLOURS = np.zeros((3, 3), np.float32)
COLOURS[1], COLOURS[2] = (1, 0, 0), (0, 0, 1)


@pytest.fixture
def scan():
    """20 x 20 x 20 voxels of 2 x 2 x 4 mm: 0 HU, air in the half at the patient's left."""
    voxels = np.zeros((20, 20, 20), np.int16)  # R, A, S grow
    voxels[:10] = -1000
    return Volume(voxels, np.diag([2.0, 2.0, 4.0, 1.0]))


@pytest.fixture
def labels():
    """A block at the right, in front, up to the head end."""
    volume = np.zeros((20, 20, 20), np.uint8)
    volume[12:18, 12:18, 10:] = 1
    return volume


def whole(picture):
    rows, columns = picture.hounsfield.shape
    return 0, columns * picture.pixel_mm[1], 0, rows * picture.pixel_mm[0]


def painted(scan, labels, name, size, index=14):
    plane = body_plane(scan.affine, scan.voxels.shape, name, index)
    picture = cut_picture(scan, labels, plane)
    return paint(
        picture, box_mm=whole(picture), size=size, hu_window=(-1000, 1000), colours=COLOURS
    )


def test_the_scan_is_grey_where_nothing_is_segmented(scan, labels):
    image = painted(scan, labels, "axial", (40, 40))
    assert image.shape == (40, 40, 3)
    assert image[35, 5].tolist() == [128, 128, 128]  # right, back: tissue
    assert image[35, 35].tolist() == [0, 0, 0]  # left: air


def test_a_structure_is_tinted_and_its_outline_is_stronger(scan, labels):
    image = painted(scan, labels, "axial", (40, 40))
    inside, edge = image[10, 10], image[4, 10]
    assert inside[0] > inside[1]
    assert int(edge[0]) - int(edge[1]) > 1.5 * (int(inside[0]) - int(inside[1]))


def test_a_large_structure_keeps_the_scan_visible(scan, labels):
    bright = scan.voxels.copy()
    bright[14:16, 14:16] = 800
    image = painted(Volume(bright, scan.affine), labels, "axial", (40, 40))
    assert image[10, 10, 1] > image[14, 14, 1] + 30


@pytest.mark.parametrize("size", [(80, 40), (160, 80), (40, 20), (16, 8)])
def test_a_pixel_is_as_high_as_wide_at_any_size(scan, labels, size):
    """The block measures 12 mm across and 40 mm up: at 1 pixel per mm, 12 x 40 pixels."""
    image = painted(scan, labels, "coronal", size).astype(int)
    red = image[..., 0] - image[..., 1] > 20
    scale = size[1] / 40
    assert red.any(axis=1).sum() == pytest.approx(40 * scale, abs=1)
    assert red.any(axis=0).sum() == pytest.approx(12 * scale, abs=1)


def test_a_place_of_another_shape_leaves_black_at_both_sides(scan, labels):
    image = painted(scan, labels, "coronal", (80, 100))
    assert not image[:, :29].any()
    assert not image[:, 71:].any()
    assert image[:, 35:45].any()


def test_two_structures_that_touch_have_a_line_between_them(scan, labels):
    labels = labels.copy()
    labels[15:18, 12:18, 10:] = 2
    row = painted(scan, labels, "axial", (80, 80)).astype(int)[20]
    blueness = row[:, 2] - row[:, 0]  # 8 to 19 blue, 20 to 31 red
    assert blueness[19] > 1.5 * blueness[14] > 0
    assert blueness[20] < 1.5 * blueness[25] < 0


def test_rows_of_a_sheared_scan_are_shifted_into_place(scan):
    """A column that is upright in the patient, stored in slices that slide 2 mm each."""
    affine = scan.affine.copy()
    affine[1, 2] = 2.0
    labels = np.zeros((20, 20, 20), np.uint8)
    for k in range(16):
        labels[:, 17 - k, k] = 1  # y = 2 * (17 - k) + 2 * k = 34 mm everywhere
    sheared = Volume(scan.voxels, affine)
    picture = cut_picture(sheared, labels, body_plane(affine, (20, 20, 20), "sagittal", 12))
    columns = np.argwhere(picture.labels)[:, 1]
    assert len(set(columns.tolist())) == 1
    assert picture.shown == {1}
    assert picture.pixel_mm == pytest.approx((4.0, 2.0))


def test_a_single_row_can_be_painted():
    scan = Volume(np.zeros((3, 3, 1), np.int16), np.eye(4))
    labels = np.zeros((3, 3, 1), np.uint8)
    assert painted(scan, labels, "coronal", (5, 15), index=1).shape == (5, 15, 3)

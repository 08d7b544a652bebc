import numpy as np
import pytest

from common.cases.read import read_volume
from common.errors import InputError
from common.figures.matches import Tile, write_match_figure
from common.figures.scan_picture import ScanPicture, picture_of_path, picture_of_volume
from common.phantom.export import write_nifti
from common.volumes.volume import Volume


def slab(shape, spacing_mm, level):
    """Water that is denser by 1 HU a voxel along j, air where `level` is above it."""
    hounsfield = np.broadcast_to(np.arange(shape[1])[None, :, None], shape).astype(np.int16)
    hounsfield = np.where(hounsfield < level, -1000, hounsfield).astype(np.int16)
    return Volume(hounsfield, np.diag([*spacing_mm, 1.0]))


def picture(_path):
    return ScanPicture(np.full((6, 4), 40.0, np.float32), (2.0, 2.0), "coronal", tuple("RLSI"))


def test_a_long_scan_is_shown_from_the_front_through_the_middle_of_its_body():
    shown = picture_of_volume(slab((10, 20, 40), (1.0, 1.0, 1.0), level=10))
    assert shown.name == "coronal"
    assert shown.hounsfield.shape == (40, 10)
    assert (shown.hounsfield == 14).all()
    assert shown.letters == ("R", "L", "S", "I")


def test_a_few_slices_are_shown_from_below():
    shown = picture_of_volume(slab((10, 20, 4), (1.0, 1.0, 1.0), level=0))
    assert shown.name == "axial"
    assert shown.hounsfield.shape == (20, 10)


def test_the_pixels_of_thick_slices_are_high():
    shown = picture_of_volume(slab((10, 20, 4), (1.0, 1.0, 5.0), level=0))
    assert (shown.name, shown.pixel_mm) == ("coronal", (5.0, 1.0))


def test_a_file_and_a_phantom_are_read_by_their_paths(tmp_path):
    volume = read_volume({"case_id": "", "image": "phantom:3?region=head", "format": "phantom"})
    write_nifti(volume, tmp_path / "head.nii.gz")
    shown = picture_of_path(str(tmp_path / "head.nii.gz"))
    np.testing.assert_array_equal(
        shown.hounsfield, picture_of_path("phantom:3?region=head").hounsfield
    )


@pytest.mark.parametrize("path", ["", "nowhere/scan.nii.gz", "phantom:x"])
def test_what_is_not_there_is_an_error(path):
    with pytest.raises(InputError, match="must"):
        picture_of_path(path)


def test_each_scan_is_read_once_and_one_that_is_lost_leaves_a_tile(tmp_path):
    asked = []

    def read(path):
        asked.append(path)
        if path == "lost":
            msg = "path must be there, got lost; look for it"
            raise InputError(msg)
        return picture(path)

    query, lost = Tile("q", "a"), Tile("gone", "lost", "distance 1", "liver", False)
    path = write_match_figure(
        tmp_path / "m.png", [(query, [lost, Tile("a", "a", right=True)]), (query, [lost])],
        title="t", read=read,
    )  # fmt: skip
    assert asked == ["a", "lost"]
    assert path.stat().st_size > 1000


def test_more_matches_make_a_wider_page(tmp_path):
    from PIL import Image

    sizes = []
    for num in (1, 3, 5):
        rows = [(Tile("q", "a"), [Tile("m", "a")] * num)]
        write_match_figure(tmp_path / "m.png", rows, title="t", synthetic=True, read=picture)
        sizes.append(Image.open(tmp_path / "m.png").width)
    assert sizes[0] == sizes[1] < sizes[2]


def test_a_figure_of_nobody_is_refused(tmp_path):
    with pytest.raises(ValueError, match="rows must hold at least one query"):
        write_match_figure(tmp_path / "m.png", [], title="t")

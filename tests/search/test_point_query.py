"""One point in one scan, however it is given; what cannot be meant is refused with its remedy."""

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import Compose

from common.errors import InputError
from common.search.markups import write_markup
from common.search.point_query import read_query, structure_centre
from common.transforms.preprocessing import PreprocessCTd, ReadCTd

# Voxels of 2 x 2 x 3 mm in RAS, the first one's centre at (-40, 100, 0).
AFFINE = np.array([[2, 0, 0, -40], [0, 2, 0, 100], [0, 0, 3, 0], [0, 0, 0, 1.0]])


@pytest.fixture
def scan(tmp_path):
    voxels = np.full((30, 20, 12), -1000, dtype=np.int16)
    voxels[5:25, 5:15] = 40
    nib.save(nib.Nifti1Image(voxels, AFFINE), tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


def preprocessing(**settings):
    settings = {"spacing_mm": (4, 3, 3), "axcodes": "SPL", "grid": "affine", **settings}
    settings |= {"hu_window": (-1024, 2048), "output_range": (0, 1)}
    return Compose([ReadCTd(keep_as="volume"), PreprocessCTd(**settings)])


def ask(scan, *, crop=None, **given):
    steps = preprocessing() if crop is None else Compose([preprocessing(), crop])
    return read_query(scan=scan, preprocessing=steps, **given)


def test_a_point_in_mm_is_found_on_the_networks_grid(scan):
    query = ask(scan, point_world_mm=[-10, 120, 15])
    back = query.image.affine.numpy() @ np.append(query.point_voxel, 1)
    np.testing.assert_allclose(back[:3], [-10, 120, 15])
    assert query.given_as == "point"
    assert query.facts["point_world_mm"] == [-10, 120, 15]


def test_a_markup_gives_the_same_point_and_its_label(scan, tmp_path):
    markup = write_markup(tmp_path / "F.mrk.json", {"lesion": [-10, 120, 15]})
    query = ask(scan, markup=markup)
    assert query.point_world_mm.tolist() == [-10, 120, 15]
    assert query.given_as == "lesion"


def test_without_data_the_phantoms_heart_is_asked_about():
    query = ask("phantom")
    assert query.given_as == "heart"
    assert query.case["format"] == "phantom"
    other = ask("phantom", structure="urinary_bladder").point_world_mm
    assert query.point_world_mm[2] - other[2] > 150


def test_facts_change_with_the_scan_and_the_point(scan):
    before = ask(scan, point_world_mm=[-10, 120, 15]).facts
    assert ask(scan, point_world_mm=[-10, 120, 15]).facts == before
    assert ask(scan, point_world_mm=[-10, 121, 15]).facts != before
    image = nib.load(scan)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj)[:, :, :11], AFFINE), scan)
    assert ask(scan, point_world_mm=[-10, 120, 15]).facts != before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"point must be given for a scan, got none for .*scan\.nii\.gz; add --point"),
        ({"point_world_mm": [1, 2]}, r"point must be three numbers, .* got \[1, 2\]"),
        ({"point_world_mm": [1, 2, float("nan")]}, "point must be three numbers"),
        ({"point_world_mm": "here"}, "point must be three numbers, .* got here"),
        ({"point_world_mm": 5}, "point must be three numbers, .* got 5"),
        (
            {"point_world_mm": [1, 2, 3], "markup": "F.mrk.json"},
            r"point must be given once, got \[1, 2, 3\] and F\.mrk\.json; leave one",
        ),
        (
            {"point_world_mm": [-10, 120, 90]},
            r"must lie in the query scan, .* got \[-10, 120, 90\]; its corners are "
            r"\[-40, 100, 0\] and \[18, 138, 33\]",
        ),
        (
            {"point_world_mm": [10, -120, 15]},
            r"got \[10, -120, 15\]; it looks like LPS: give \[-10,120,15\]",
        ),
    ],
)
def test_what_is_no_point_in_the_scan_is_refused(scan, given, message):
    with pytest.raises(InputError, match=message):
        ask(scan, **given)


def test_a_point_in_what_is_cropped_away_is_refused(scan):
    from monai.transforms import CropForegroundd

    crop = CropForegroundd("image", "image", select_fn=lambda image: image > 0.33)
    assert ask(scan, crop=crop, point_world_mm=[-10, 120, 15]).point_voxel.shape == (3,)
    with pytest.raises(InputError, match=r"must lie in the body, got \[-40, 100, 0\]"):
        ask(scan, crop=crop, point_world_mm=[-40, 100, 0])


def test_one_scan_is_asked_about(scan, tmp_path):
    (tmp_path / "other.nii.gz").write_bytes(scan.read_bytes())
    with pytest.raises(InputError, match="query_scan must be one scan, got 2: other, scan"):
        ask(tmp_path, point_world_mm=[-10, 120, 15])


def test_a_structure_the_phantom_lacks_is_refused():
    with pytest.raises(InputError, match="structure must be one of the phantom's, got 'soul'; it"):
        ask("phantom", structure="soul")


def test_a_structures_centre_is_its_centre_of_mass():
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1:3, 1, 2:4] = 7
    assert structure_centre(labels, 7, AFFINE).tolist() == [-37, 102, 7.5]
    assert structure_centre(labels, 8, AFFINE) is None

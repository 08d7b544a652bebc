"""A label volume can be read back where it belongs, with names and colours."""

import gzip

import nibabel
import numpy as np
import pytest

from common.errors import InputError
from common.results import label_volume
from common.results.label_volume import colour_table, write_label_volume
from common.vocabulary.structure_colours import structure_colour
from common.vocabulary.totalsegmentator import STRUCTURES
from common.volumes.volume import Qform

LPS = np.array([[-0.7, 0, 0, 180], [0, -0.7, 0, 160.5], [0, 0, 2.5, -300.25], [0, 0, 0, 1.0]])


def labels_by_formula(shape=(7, 6, 37)):
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    return ((i + 2 * j + 3 * k) % 118).astype(np.uint8)


def turned(angles_degrees, spacing=(0.7, 0.9, 2.5)):
    """An affine turned about x, then z."""
    a, b = np.deg2rad(angles_degrees)
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_z = [[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]
    affine = np.eye(4)
    affine[:3, :3] = np.array(about_z) @ about_x @ np.diag(spacing)
    affine[:3, 3] = (-120.5, 33.25, -900.125)
    return affine


def sheared():
    """Gantry tilt: slices that are not perpendicular to the way they are stacked."""
    affine = np.diag([0.8, 0.8, 3.0, 1.0])
    affine[1, 2] = 1.1
    return affine


AFFINES = {
    "LPS": LPS,
    "RAS": np.diag([1.0, 2.0, 3.0, 1.0]),
    "LPI, axes swapped": LPS[:, [2, 0, 1, 3]],
    "left-handed": np.diag([1.0, -2.0, 3.0, 1.0]),
    "oblique": turned((17, -23)),
    "nearly half a turn": turned((0.02, 179.9)),
    "sheared": sheared(),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES.keys())
@pytest.mark.parametrize("order", ["C", "F"])
def test_labels_and_affine_are_read_back(tmp_path, affine, order):
    labels = np.array(labels_by_formula(), order=order)
    write_label_volume(tmp_path / "segmentation.nii.gz", labels, affine, STRUCTURES)
    image = nibabel.load(tmp_path / "segmentation.nii.gz")
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels)
    np.testing.assert_array_equal(image.affine, affine.astype(np.float32))
    assert image.header.get_intent()[0] == "label"
    assert image.header.get_xyzt_units()[0] == "mm"
    assert image.header.get_zooms() == pytest.approx(np.linalg.norm(affine[:3, :3], axis=0))


@pytest.mark.parametrize("name", set(AFFINES) - {"sheared"})
def test_the_qform_agrees_wherever_it_can(tmp_path, name):
    labels = labels_by_formula()
    write_label_volume(tmp_path / "s.nii.gz", labels, AFFINES[name], STRUCTURES)
    found, code = nibabel.load(tmp_path / "s.nii.gz").header.get_qform(coded=True)
    assert code == 1
    far = np.append(labels.shape, 1.0)
    np.testing.assert_allclose(found @ far, AFFINES[name] @ far, atol=0.01)


def test_the_qform_of_a_tilted_volume_stacks_its_slices_along_their_normal(tmp_path):
    write_label_volume(tmp_path / "s.nii.gz", labels_by_formula(), sheared(), STRUCTURES)
    image = nibabel.load(tmp_path / "s.nii.gz")
    found, code = image.header.get_qform(coded=True)
    assert code == 2
    np.testing.assert_allclose(found[:3, [0, 1, 3]], sheared()[:3, [0, 1, 3]], atol=1e-4)
    i, j, k = found[:3, :3].T
    np.testing.assert_allclose([i @ k, j @ k], 0, atol=1e-4)
    assert np.linalg.norm(k) == pytest.approx(np.linalg.norm(sheared()[:3, 2]), abs=1e-5)
    assert k @ sheared()[:3, 2] > 0
    np.testing.assert_array_equal(image.affine, sheared().astype(np.float32))


def test_a_scans_own_qform_is_kept(tmp_path):
    own = Qform(np.diag([-2.0, -1.0, 3.0, 1.0]), 4)
    near = own.affine + 1e-3
    near[3] = 0, 0, 0, 1
    write_label_volume(tmp_path / "s.nii.gz", labels_by_formula(), near, STRUCTURES, qform=own)
    found, code = nibabel.load(tmp_path / "s.nii.gz").header.get_qform(coded=True)
    assert code == 4
    np.testing.assert_allclose(found, own.affine, atol=1e-6)


def test_itk_opens_a_tilted_volume(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    labels = labels_by_formula()
    write_label_volume(tmp_path / "s.nii.gz", labels, sheared(), STRUCTURES)
    image = sitk.ReadImage(str(tmp_path / "s.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(image).T, labels)


@pytest.mark.parametrize("name", set(AFFINES) - {"sheared"})
def test_itk_sees_the_same_voxel_at_the_same_place(tmp_path, name):
    sitk = pytest.importorskip("SimpleITK")
    labels, affine = labels_by_formula(), AFFINES[name]
    write_label_volume(tmp_path / "s.nii.gz", labels, affine, STRUCTURES)
    image = sitk.ReadImage(str(tmp_path / "s.nii.gz"))
    for index in [(0, 0, 0), (6, 5, 36), (3, 1, 20)]:
        assert image[index] == labels[index]
        x, y, z = (affine @ np.append(index, 1.0))[:3]
        place = image.TransformContinuousIndexToPhysicalPoint([float(n) for n in index])
        assert place == pytest.approx((-x, -y, z), abs=2e-3)


def test_the_colour_table_names_what_is_there(tmp_path):
    labels = np.zeros((4, 4, 4), np.int64)
    labels[1], labels[2] = 5, 117
    files = write_label_volume(tmp_path / "segmentation.nii.gz", labels, LPS, STRUCTURES)
    assert files == ["segmentation.nii.gz", "segmentation.ctbl"]
    red, green, blue = structure_colour("liver")
    lines = (tmp_path / "segmentation.ctbl").read_text().splitlines()
    assert lines[0].startswith("# Color table file")
    assert lines[1:4] == ["# 3 values", "0 background 0 0 0 0", f"5 liver {red} {green} {blue} 255"]
    assert lines[4].startswith("117 costal_cartilages ")
    assert len(lines) == 5


def test_a_name_of_several_words_stays_one_column(monkeypatch):
    monkeypatch.setattr(label_volume, "structure_colour", lambda name: (1, 2, 3))
    line = colour_table([1], ["background", "left  upper lobe"]).splitlines()[-1]
    assert line.split()[1] == "left_upper_lobe"
    assert len(line.split()) == 6


def test_nothing_found_is_a_volume_all_the_same(tmp_path):
    write_label_volume(tmp_path / "s.nii.gz", np.zeros((3, 3, 3), np.uint8), LPS, STRUCTURES)
    assert not np.asarray(nibabel.load(tmp_path / "s.nii.gz").dataobj).any()
    assert (tmp_path / "s.ctbl").read_text().endswith("\n0 background 0 0 0 0\n")


def test_the_same_labels_give_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_label_volume(tmp_path / f"{name}.nii.gz", labels_by_formula(), LPS, STRUCTURES)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_plain_gunzip_reads_it(tmp_path):
    labels = labels_by_formula((3, 4, 40))
    write_label_volume(tmp_path / "s.nii.gz", labels, LPS, STRUCTURES)
    content = gzip.decompress((tmp_path / "s.nii.gz").read_bytes())
    assert len(content) == 352 + labels.size
    assert content[352:] == labels.tobytes(order="F")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full((2, 2, 2), 300, np.int16), "labels must be 0 to 255, got 300 to 300"),
        (np.full((2, 2, 2), -1, np.int16), "labels must be 0 to 255, got -1"),
        (np.zeros((2, 2, 2), np.float32), r"labels must be integers \(I, J, K\), got float32"),
        (np.full((2, 2, 2), 118, np.uint8), r"every label, got 118 for labels \[118\]"),
    ],
    ids=["too large", "negative", "not integers", "without a name"],
)
def test_what_is_no_label_volume_is_refused_and_nothing_is_left(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        write_label_volume(tmp_path / "s.nii.gz", labels, LPS, STRUCTURES)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="output must be a place that can be written"):
        write_label_volume(tmp_path / "file" / "s.nii.gz", labels_by_formula(), LPS, STRUCTURES)

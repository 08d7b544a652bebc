"""The figure of a segmentation, drawn and read back."""

import warnings

import matplotlib.image
import nibabel
import numpy as np
import pytest

from common.errors import InputError
from common.figures.segmentation import HEIGHT, WIDTH, write_segmentation_figure
from common.formats.nifti import read_nifti
from common.results.case_result import describe_case
from common.results.structure_table import measure_structures, segmentation_outputs
from common.vocabulary.totalsegmentator import STRUCTURES
from common.volumes.volume import Volume

VIEWER = (slice(140, None), slice(0, 1190))
LEGEND = (slice(140, None), slice(1210, None))
GREEN = STRUCTURES.index("gallbladder")
LIVER, SPLEEN = STRUCTURES.index("liver"), STRUCTURES.index("spleen")


@pytest.fixture(scope="module")
def body():
    """A water cylinder in air, 48 x 40 x 36 voxels of 6 x 6 x 8 mm, stored in LPS."""
    x, y, _ = np.ogrid[-24:24, -20:20, 0:36]
    voxels = np.where(x**2 + (1.4 * y) ** 2 < 20**2, 40, -1000) + np.zeros((1, 1, 36), int)
    affine = np.diag([-6.0, -6.0, 8.0, 1.0])
    affine[:3, 3] = (141, 117, -144)
    return Volume(voxels.astype(np.int16), affine)


@pytest.fixture(scope="module")
def organs():
    """A liver at the patient's right, near the head; LPS, so low first indices are right."""
    labels = np.zeros((48, 40, 36), np.uint8)
    labels[8:20, 14:26, 20:34] = LIVER
    labels[30:36, 20:28, 22:30] = SPLEEN
    labels[14:18, 10:14, 16:20] = GREEN
    return labels


@pytest.fixture(scope="module")
def draw(body, organs, tmp_path_factory):
    """Draw a case and read the picture back, `(rows, columns, 3)`, 0 to 1."""

    def draw_and_read(labels=organs, volume=body, synthetic=True, outputs=None, folder=None):
        if outputs is None:
            outputs = segmentation_outputs(measure_structures(labels, volume, STRUCTURES))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            path = write_segmentation_figure(
                (folder or tmp_path_factory.mktemp("figure")) / "figure.png",
                volume=volume,
                labels=labels,
                case=describe_case({"case_id": "case_1", "image": "x", "format": "nifti"}, volume),
                bundle={"name": "ct_fm_wholebody", "version": "0.1.0"},
                weights={
                    "name": "demo",
                    "sha256": "ab" * 32,
                    "source": "phantoms",
                    "synthetic": synthetic,
                    "clinical_use": False,
                },
                outputs=outputs,
            )
        assert path.stat().st_size < 1_500_000
        return matplotlib.image.imread(path)[..., :3]

    return draw_and_read


@pytest.fixture(scope="module")
def plain(draw):
    return draw()


def share(picture, colour):
    """Share of pixels that have the colour."""
    return float((np.abs(picture - np.array(colour) / 255) < 0.01).all(axis=-1).mean())


def saturated(picture):
    """Pixels that are coloured rather than grey."""
    return np.ptp(picture, axis=-1) > 0.1


def test_the_figure_has_the_stated_size_and_shows_colour_over_the_body(plain):
    assert plain.shape == (HEIGHT, WIDTH, 3)
    assert saturated(plain[VIEWER]).mean() > 0.05
    assert plain[VIEWER].std() > 0.1


def test_synthetic_weights_get_a_band_and_others_do_not(draw, plain):
    assert share(plain, (247, 201, 72)) > 0.02
    assert share(draw(synthetic=False), (247, 201, 72)) == 0


def test_the_scan_is_seen_without_colour_where_nothing_was_found(draw):
    picture = draw(labels=np.zeros((48, 40, 36), np.uint8))
    assert picture[VIEWER].std() > 0.1
    # The numbers and lines of the axial slices are all that is coloured.
    assert saturated(picture[VIEWER]).mean() < 0.02


def test_the_legend_has_the_colours_of_what_is_there(draw, plain):
    green = (96, 168, 60)
    without = np.zeros((48, 40, 36), np.uint8)
    without[8:20, 14:26, 20:34] = LIVER
    assert share(plain[LEGEND], green) > 0
    assert share(draw(labels=without)[LEGEND], green) == 0


@pytest.mark.parametrize("axcodes", ["RAI", "SPL"])
def test_the_stored_orientation_does_not_change_the_pictures(draw, plain, body, organs, axcodes):
    image = nibabel.Nifti1Image(body.voxels, body.affine)
    change = nibabel.orientations.ornt_transform(
        nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(axcodes)
    )
    turned = image.as_reoriented(change)
    stored = Volume(np.asarray(turned.dataobj), turned.affine)
    labels = nibabel.orientations.apply_orientation(organs, change)
    other = draw(labels=labels, volume=stored)
    assert (other[LEGEND] == plain[LEGEND]).all()
    for rows in (slice(174, 550), slice(610, 985)):  # the slices' numbers above them do differ
        assert np.abs(other[rows, VIEWER[1]] - plain[rows, VIEWER[1]]).max() < 0.02


def test_the_patients_right_is_on_the_left(draw):
    """The liver alone: its colour lies in the left half of the coronal and axial pictures."""
    labels = np.zeros((48, 40, 36), np.uint8)
    labels[8:20, 14:26, 2:34] = LIVER
    picture = saturated(draw(labels=labels))
    for left, right in ((60, 395), (411, 788), (802, 1180)):
        columns = np.flatnonzero(picture[260:480, left:right].sum(axis=0) > 60)
        assert columns.mean() < (right - left) / 2


def test_a_tall_scan_is_shown_at_full_height(draw, body, organs):
    tall = np.concatenate([body.voxels] * 4, axis=2)
    labels = np.concatenate([organs] * 4, axis=2)
    picture = draw(labels=labels, volume=Volume(tall, body.affine))
    # Coronal and sagittal body reach from top to bottom of the viewer.
    bright = (picture[170:985, 20:400].mean(axis=-1) > 0.2).any(axis=1)
    assert bright.mean() > 0.9


@pytest.mark.parametrize(
    "affine",
    [
        [[-5.6, 1.9, 0, 0], [-1.9, -5.6, 0.5, 0], [0.2, 0.4, 8, 0], [0, 0, 0, 1.0]],
        [[-6, 0, 0, 0], [0, -6, 3, 0], [0, 0, 8, 0], [0, 0, 0, 1.0]],
        [[0, 0, 0.5, 0], [0, -0.5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1.0]],
    ],
    ids=["oblique", "sheared", "sagittal"],
)
def test_any_grid_can_be_drawn(draw, body, affine):
    picture = draw(volume=Volume(body.voxels, np.array(affine)))
    assert saturated(picture[VIEWER]).mean() > 0.02


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 64, 300)])
def test_a_scan_of_few_slices_can_be_drawn(draw, shape):
    labels = np.ones(shape, np.uint8)
    volume = Volume(np.full(shape, 30, np.int16), np.diag([-1.0, -1.0, 1.0, 1.0]))
    assert draw(labels=labels, volume=volume).shape == (HEIGHT, WIDTH, 3)


def test_all_structures_at_once_can_be_drawn(draw, body):
    labels = (np.arange(body.voxels.size) // 500 % 118).astype(np.uint8)
    picture = draw(labels=labels.reshape(body.voxels.shape))
    assert saturated(picture[LEGEND]).mean() > 0.01


def test_the_same_case_gives_the_same_picture(draw, plain):
    assert (draw() == plain).all()


def test_outputs_of_other_labels_are_refused(draw, organs, body):
    outputs = segmentation_outputs(measure_structures(organs, body, STRUCTURES))
    with pytest.raises(ValueError, match=r"outputs must be of these labels \[5\], got \[1, 4, 5\]"):
        draw(labels=np.where(organs == LIVER, organs, 0), outputs=outputs)


def test_labels_of_another_shape_are_refused(draw, organs, body):
    outputs = segmentation_outputs(measure_structures(organs, body, STRUCTURES))
    with pytest.raises(ValueError, match=r"labels must have the scan's shape \(48, 40, 36\)"):
        draw(labels=organs[1:], outputs=outputs)


def test_a_figure_that_cannot_be_written_is_one_clear_line(draw, tmp_path):
    (tmp_path / "figure.png").mkdir()
    with pytest.raises(InputError, match="output must be a place that can be written"):
        draw(folder=tmp_path)


def test_a_real_scan_can_be_drawn(draw, shared):
    folder = shared / "data" / "ct"
    volume = read_nifti(folder / "abdomen_3mm.nii.gz")
    labels = np.asarray(nibabel.load(folder / "abdomen_3mm_seg.nii.gz").dataobj).astype(np.uint8)
    picture = draw(labels=labels, volume=volume, synthetic=False)
    assert saturated(picture[VIEWER]).mean() > 0.2

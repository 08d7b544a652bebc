"""Segmentation truth onto the scan's and the network's grid."""

import nibabel as nib
import numpy as np
import pytest
import torch

from common.datasets.segmentation_cases import segmentation_cases
from common.errors import InputError
from common.transforms.preprocessing import PreprocessCTd
from common.truth.label_source import label_table
from common.truth.segmentation import (
    LabelsToNetworkGridd,
    ReadLabelsd,
    check_same_grid,
    grid_of,
    read_labels,
)
from common.volumes.geometry import Grid
from common.volumes.volume import Volume

SHAPE = (6, 7, 40)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0, -20], [0, 0, 3, 5], [0, 0, 0, 1]])
NUMBERS = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 4


def save(path, array, affine=AFFINE, table=None):
    image = nib.Nifti1Image(array, affine)
    if table:
        labels = "".join(
            f'<Label Key="{n}"><![CDATA[{name}]]></Label>' for n, name in table.items()
        )
        xml = f"<CaretExtension><LabelTable>{labels}</LabelTable></CaretExtension>"
        image.header.extensions.append(nib.nifti1.Nifti1Extension(30, xml.encode()))
    nib.save(image, path)
    return path


def volume_source(path, classes=("a", "b", "c"), version="", numbers=None):
    numbers = numbers or {"a": 1, "b": 2, "c": 3}
    return {
        "kind": "volume",
        "path": str(path),
        "classes": list(classes),
        "version": version,
        "numbers": numbers,
    }


@pytest.fixture
def masks(tmp_path):
    """`b` and `c` as masks; where both are set, the later one counts."""
    save(tmp_path / "b.nii.gz", (NUMBERS >= 2).astype(np.uint8))
    save(tmp_path / "c.nii.gz", np.where(NUMBERS == 3, 255, 0).astype(np.int16))
    save(tmp_path / "empty.nii.gz", np.zeros(SHAPE, np.uint8))
    return {"kind": "masks", "path": str(tmp_path), "classes": ["b", "empty", "c"], "version": ""}


def test_channels_follow_the_order_of_the_classes(tmp_path):
    path = save(tmp_path / "x.nii.gz", NUMBERS.astype(np.uint8))
    labels = read_labels(volume_source(path, classes=["c", "a"]))
    assert labels.voxels.dtype == np.uint8
    assert np.array_equal(labels.voxels, np.array([0, 2, 0, 1])[NUMBERS])
    assert np.allclose(labels.affine, AFFINE)


@pytest.mark.parametrize("kind", [np.int16, np.float32, np.float64])
def test_numbers_may_be_stored_in_any_type(tmp_path, kind):
    path = save(tmp_path / "x.nii.gz", NUMBERS.astype(kind))
    assert np.array_equal(read_labels(volume_source(path)).voxels, NUMBERS)


@pytest.mark.parametrize(("value", "got"), [(9, "got 9;"), (-1, "got -1;"), (1.5, r"got 1\.5;")])
def test_a_number_without_a_name_is_refused(tmp_path, value, got):
    array = NUMBERS.astype(np.float32)
    array[3, 3, 30] = value
    path = save(tmp_path / "x.nii.gz", array)
    with pytest.raises(InputError, match=rf"numbers that have a name \(0 to 3\), {got}"):
        read_labels(volume_source(path))


def test_numbers_beyond_104_are_not_of_version_1(tmp_path):
    array = NUMBERS.astype(np.uint8)
    array[0, 0, 0] = 117
    save(tmp_path / "ct.nii.gz", array)
    path = save(tmp_path / "seg.nii.gz", array)
    options = {"dataset_dir": tmp_path / "ct.nii.gz", "labels": "seg.nii.gz", "split": "test"}
    (case,) = segmentation_cases(label_version="v2", classes="all", **options)
    assert read_labels(case["segmentation"]).voxels[0, 0, 0] == 117
    (case,) = segmentation_cases(label_version="v1", classes="all", **options)
    with pytest.raises(InputError, match=rf"{path.name} must hold numbers of .* v1 \(0 to 104\), "):
        read_labels(case["segmentation"])


def test_names_in_the_file_are_used_and_checked(tmp_path):
    table = {6: "stomach", 7: "pancreas", 51: "heart"}
    save(tmp_path / "ct.nii.gz", NUMBERS.astype(np.int16))
    path = save(tmp_path / "seg.nii.gz", np.full(SHAPE, 7, np.uint8), table=table)
    assert label_table(path) == table
    assert label_table(tmp_path / "ct.nii.gz") == {}
    options = {"dataset_dir": tmp_path / "ct.nii.gz", "labels": "seg.nii.gz", "split": "test"}
    (case,) = segmentation_cases(**options)
    assert case["segmentation"]["version"] == "v2"
    assert (read_labels(case["segmentation"]).voxels == 2).all()
    (case,) = segmentation_cases(label_version="v1", classes="liver", **options)
    with pytest.raises(InputError, match="differ: 7 is pancreas, not aorta"):
        read_labels(case["segmentation"])


def test_masks_are_merged_in_the_order_of_the_classes(masks):
    labels = read_labels(masks)
    assert np.array_equal(labels.voxels, np.array([0, 0, 1, 3])[NUMBERS])
    backwards = read_labels({**masks, "classes": ["c", "b"]})
    assert np.array_equal(backwards.voxels, np.array([0, 0, 2, 2])[NUMBERS])


def test_a_label_volume_among_masks_is_refused(masks, tmp_path):
    save(tmp_path / "b.nii.gz", NUMBERS.astype(np.uint8))
    with pytest.raises(
        InputError, match=r"b\.nii\.gz must be a mask of two values, got 0, 1, 2, 3"
    ):
        read_labels(masks)


def test_a_mask_on_another_grid_is_named(masks, tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 0.01
    save(tmp_path / "c.nii.gz", np.zeros(SHAPE, np.uint8), moved)
    with pytest.raises(
        InputError, match=r"c\.nii\.gz must lie on the scan's grid within 0\.001 mm"
    ):
        read_labels(masks)
    assert read_labels(masks, tolerance_mm=0.02).voxels.any()
    save(tmp_path / "c.nii.gz", np.zeros((6, 7, 39), np.uint8))
    with pytest.raises(InputError, match=r"c\.nii\.gz must have the scan's shape"):
        read_labels(masks)


def test_the_grid_is_compared_at_its_corners():
    turned = AFFINE.copy()
    turned[0, 2] = 1e-4  # 4 um over 40 slices
    check_same_grid(Grid(SHAPE, AFFINE + 1e-5), Grid(SHAPE, AFFINE), "x")
    with pytest.raises(InputError, match=r"got 0\.0039 mm"):
        check_same_grid(Grid(SHAPE, turned), Grid(SHAPE, AFFINE), "x")


def test_reading_takes_the_grid_from_the_scan_or_from_what_is_left_of_it(masks):
    scan = Volume(np.zeros(SHAPE, np.int16), AFFINE)
    case = {"case_id": "x", "image": scan, "segmentation": masks}
    before = ReadLabelsd()(case)["label"]
    fit = PreprocessCTd("image", spacing_mm=(3, 2, 2), axcodes="SLP", check_hu=False)
    after = ReadLabelsd()(fit(case))["label"]
    assert np.array_equal(before.voxels, after.voxels)
    with pytest.raises(InputError, match="put ReadCTd before ReadLabelsd"):
        ReadLabelsd()({"image": "x.nii.gz", "segmentation": masks})
    with pytest.raises(InputError, match="must have segmentation"):
        ReadLabelsd()({"case_id": "x", "image": scan})
    other = {**case, "image": Volume(scan.voxels[:5], AFFINE)}
    with pytest.raises(InputError, match="must have the scan's shape"):
        ReadLabelsd()(other)


def test_labels_follow_the_scan_onto_the_network_s_grid(masks):
    scan = Volume(np.asfortranarray(NUMBERS.astype(np.int16) * 100), AFFINE)
    data = ReadLabelsd()({"case_id": "x", "image": scan, "segmentation": masks})
    fit = PreprocessCTd(
        "image", axcodes="SLP", spacing_mm=(3, 2, 2), hu_window=None, output_range=None,
        grid="affine", size=(48, 8, 8), check_hu=False,
    )  # fmt: skip
    result = LabelsToNetworkGridd()(fit(data))
    image, label = result["image"], result["label"]
    assert label.shape == image.shape == (1, 48, 8, 8)
    assert label.dtype == torch.uint8
    assert torch.equal(label.affine, image.affine)
    values = image[0].numpy().round().astype(int)
    expected = np.where(values == 200, 1, np.where(values == 300, 3, 0))
    assert np.array_equal(label[0].numpy(), expected)


def test_refined_labels_lie_where_the_refined_grid_says(masks):
    scan = Volume(np.zeros(SHAPE, np.int16), AFFINE)
    data = ReadLabelsd()({"case_id": "x", "image": scan, "segmentation": masks})
    fit = PreprocessCTd("image", axcodes="SLP", spacing_mm=(3, 2, 2), check_hu=False)
    fitted = fit(data)
    plain, fine = LabelsToNetworkGridd()(fitted), LabelsToNetworkGridd(refine=2)(fitted)
    sizes = fitted["image"].shape[1:]
    assert fine["label"].shape == (1, *[2 * n - 1 for n in sizes])
    assert torch.equal(fine["label"][:, ::2, ::2, ::2], plain["label"])
    half = fitted["image"].affine @ torch.diag(torch.tensor([0.5, 0.5, 0.5, 1]).double())
    torch.testing.assert_close(fine["label"].affine, half)
    with pytest.raises(InputError, match="refine must be 1 or more, got 0"):
        LabelsToNetworkGridd(refine=0)


@pytest.mark.parametrize("refine", [1, 2])
@pytest.mark.parametrize("length", range(12, 19))
@pytest.mark.parametrize("spacing_mm", [0.7, 1.5, 2.0, 2.5, 5.0])
def test_truth_reaches_the_last_voxel_of_the_network_s_grid(spacing_mm, length, refine):
    affine = np.diag([spacing_mm] * 3 + [1.0])
    fit = PreprocessCTd("image", axcodes="SPL", spacing_mm=(3, 2, 2), grid="affine", check_hu=False)
    data = fit({"image": Volume(np.full((length,) * 3, 40, np.int16), affine)})
    data["label"] = Volume(np.full((length,) * 3, 5, np.uint8), affine)
    found = LabelsToNetworkGridd(refine=refine)(data)["label"]
    assert (found == 5).all()


def test_wrong_order_of_steps_is_named(masks):
    scan = Volume(np.zeros(SHAPE, np.int16), AFFINE)
    with pytest.raises(InputError, match="put PreprocessCTd before"):
        LabelsToNetworkGridd()({"image": scan, "label": scan})


def test_a_phantom_s_organs_lie_on_its_scan():
    (case,) = segmentation_cases(dataset_dir="phantom", split="test", classes="heart,liver")
    labels = read_labels(case["segmentation"])
    assert set(np.unique(labels.voxels)) == {0, 1, 2}
    assert labels.voxels.shape == grid_of(labels).shape


def test_agreement_of_a_real_label_volume_with_its_scan(shared):
    folder = shared / "data" / "ct"
    (case,) = segmentation_cases(
        dataset_dir=folder / "abdomen_3mm.nii.gz", labels="abdomen_3mm_seg.nii.gz", split="test"
    )
    assert case["segmentation"]["version"] == "v2"
    scan = nib.load(folder / "abdomen_3mm.nii.gz")
    grid = Grid(scan.shape, scan.affine)
    assert len(np.unique(read_labels(case["segmentation"], grid=grid).voxels)) == 62

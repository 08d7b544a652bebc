"""Labelled scans from folders as published."""

import json

import nibabel as nib
import numpy as np
import pytest

from common.datasets.segmentation_cases import segmentation_cases
from common.errors import InputError
from common.vocabulary.totalsegmentator import STRUCTURES, STRUCTURES_V1

ROWS = (
    ("s0000", "ct thorax", "train"), ("s0001", "ct abdomen", "train"),
    ("s0002", "ct thorax-abdomen", "train"), ("s0003", "ct thorax", "val"),
    ("s0004", "ct thorax", "test"),
)  # fmt: skip


def save(path, array=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.zeros((4, 4, 4), np.uint8) if array is None else array
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)


@pytest.fixture
def totalsegmentator(tmp_path):
    """A made-up data set in the published form; the files of masks are never opened here."""

    def make(names=STRUCTURES[1:], *, split=True, absent=()):
        header = "image_id;age;gender;institute;study_type;split"
        lines = [header if split else header.removesuffix(";split")]
        for name, kind, part in ROWS:
            lines.append(f"{name};61;m;A;{kind}" + (f";{part}" if split else ""))
            if name not in absent:
                folder = tmp_path / name / "segmentations"
                folder.mkdir(parents=True)
                (tmp_path / name / "ct.nii.gz").touch()
                for mask in names:
                    (folder / f"{mask}.nii.gz").touch()
        (tmp_path / "meta.csv").write_text("\n".join(lines) + "\n")
        return tmp_path

    return make


def ids(cases):
    return [case["case_id"] for case in cases]


def test_the_published_split_and_all_117_structures(totalsegmentator):
    folder = totalsegmentator()
    parts = {s: segmentation_cases(dataset_dir=folder, split=s) for s in ("train", "validation")}
    assert {part: ids(cases) for part, cases in parts.items()} == {
        "train": ["s0000", "s0001", "s0002"],
        "validation": ["s0003"],
    }
    case = parts["validation"][0]
    assert case["image"] == str(folder / "s0003" / "ct.nii.gz")
    assert case["segmentation"]["classes"] == list(STRUCTURES[1:])
    assert case["segmentation"]["version"] == "v2"
    assert json.loads(json.dumps(case)) == case


def test_study_types_may_hold_a_star_and_come_before_few_shot(totalsegmentator):
    options = {"dataset_dir": totalsegmentator(), "split": "train"}
    assert ids(segmentation_cases(study_types=["ct thorax"], **options)) == ["s0000"]
    assert ids(segmentation_cases(study_types=["*abdomen"], **options)) == ["s0001", "s0002"]
    few = segmentation_cases(study_types=["*abdomen"], num_training=1, **options)
    assert ids(few) == ["s0001"]
    with pytest.raises(InputError, match=r"there are ct abdomen, ct thorax"):
        segmentation_cases(study_types=["mr"], **options)


def test_excluded_ids_are_left_out(totalsegmentator):
    cases = segmentation_cases(dataset_dir=totalsegmentator(), split="train", exclude=["s0001"])
    assert ids(cases) == ["s0000", "s0002"]


def test_a_table_without_split_says_what_to_do(totalsegmentator):
    folder = totalsegmentator(STRUCTURES_V1[1:], split=False)
    with pytest.raises(InputError, match=r"must have a column split.*name a split_file"):
        segmentation_cases(dataset_dir=folder, split="train", label_version="v1")
    (folder / "own.json").write_text('{"train": ["s0002"], "test": ["s0004"]}')
    options = {"split_file": str(folder / "own.json"), "label_version": "v1"}
    (case,) = segmentation_cases(dataset_dir=folder, split="train", **options)
    assert case["segmentation"]["classes"] == list(STRUCTURES_V1[1:])
    carved = {"test_share": 0.2, "validation_share": 0.25, "label_version": "v1"}
    assert len(segmentation_cases(dataset_dir=folder, split="train", **carved)) == 3


def test_masks_of_version_1_are_not_taken_for_version_2(totalsegmentator):
    folder = totalsegmentator(STRUCTURES_V1[1:])
    for options in ({}, {"label_version": "v2"}, {"classes": "merlin", "label_version": "v2"}):
        with pytest.raises(InputError, match=r"version v2, got face, heart_atrium_left, .* v1"):
            segmentation_cases(dataset_dir=folder, split="train", **options)
    shared = segmentation_cases(dataset_dir=folder, split="train", classes="shared")
    assert shared[0]["segmentation"]["version"] == "v1"


def test_masks_of_version_2_are_not_taken_for_version_1(totalsegmentator):
    with pytest.raises(InputError, match=r"version v1, got atrial_appendage_left, .* v2"):
        segmentation_cases(dataset_dir=totalsegmentator(), split="train", label_version="v1")


def test_a_missing_mask_is_named(totalsegmentator):
    folder = totalsegmentator()
    (folder / "s0001" / "segmentations" / "liver.nii.gz").unlink()
    with pytest.raises(InputError, match=r"got 1 of 3 without; s0001 lacks liver"):
        segmentation_cases(dataset_dir=folder, split="train")
    assert len(segmentation_cases(dataset_dir=folder, split="train", classes="spleen")) == 3


def test_scans_without_files_are_left_out_but_keep_their_place(totalsegmentator, caplog):
    folder = totalsegmentator(absent=["s0000"])
    assert ids(segmentation_cases(dataset_dir=folder, split="train", num_training=2)) == ["s0001"]
    assert "left out 1 of 2 scans without files: s0000" in caplog.text


@pytest.fixture
def decathlon(tmp_path):
    names = [f"lung_{number:03}" for number in range(10)]
    for name in names:
        save(tmp_path / "imagesTr" / f"{name}.nii.gz")
        save(tmp_path / "labelsTr" / f"{name}.nii.gz")
    content = {
        "labels": {"0": "background", "1": "cancer"},
        "training": [
            {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
            for name in names
        ],
        "test": ["./imagesTs/lung_100.nii.gz"],
    }
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def test_decathlon_labels_are_known_by_name(decathlon):
    (*_, last) = segmentation_cases(dataset_dir=decathlon, split="train")
    assert last["case_id"] == "lung_009"
    assert last["segmentation"]["numbers"] == {"cancer": 1}
    assert last["segmentation"]["classes"] == ["cancer"]


def test_decathlon_folds_come_from_a_split_file(decathlon):
    entries = [{"image": f"lung_{n:03}.nii.gz", "fold": n % 4} for n in range(8)]
    path = decathlon / "folds.json"
    path.write_text(json.dumps({"training": entries, "testing": ["lung_008", "lung_009"]}))
    options = {"dataset_dir": decathlon, "split_file": str(path), "fold": 3}
    assert ids(segmentation_cases(split="validation", **options)) == ["lung_003", "lung_007"]
    assert ids(segmentation_cases(split="test", **options)) == ["lung_008", "lung_009"]


def test_decathlon_s_own_test_scans_have_no_labels(decathlon):
    with pytest.raises(InputError, match="carve them from training with test_share"):
        segmentation_cases(dataset_dir=decathlon, split="test")


@pytest.fixture
def pairs(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / "images" / f"{name}.nii.gz")
        save(tmp_path / "labels" / f"{name}.nii.gz")
    save(tmp_path / "images" / "alone.nii.gz")
    return tmp_path


def test_pairs_need_a_version_or_names(pairs):
    with pytest.raises(InputError, match="label_version must say which TotalSegmentator"):
        segmentation_cases(dataset_dir=pairs, split="train")
    found = segmentation_cases(dataset_dir=pairs, split="train", label_version="v2")
    assert ids(found) == ["a", "b"]
    assert found[0]["segmentation"]["numbers"]["pancreas"] == 7
    first = segmentation_cases(dataset_dir=pairs, split="train", label_version="v1")
    assert first[0]["segmentation"]["numbers"]["pancreas"] == 10


@pytest.mark.parametrize(
    "names", [["liver", "tumour"], {"1": "liver", "2": "tumour"}, {"liver": 1, "tumour": 2}]
)
def test_names_may_be_given_in_three_ways(pairs, names):
    case = segmentation_cases(dataset_dir=pairs, split="train", label_names=names)[0]
    assert case["segmentation"]["numbers"] == {"liver": 1, "tumour": 2}
    with pytest.raises(InputError, match="must not both be given"):
        segmentation_cases(dataset_dir=pairs, split="train", label_names=names, label_version="v2")


def test_a_single_scan_with_its_labels_is_in_every_part(pairs):
    for split in ("train", "validation", "test"):
        (case,) = segmentation_cases(
            dataset_dir=pairs / "images" / "a.nii.gz",
            labels="../labels/a.nii.gz",
            split=split,
            label_version="v2",
        )
        assert case["case_id"] == "a"


def test_a_folder_of_nothing_known_says_what_is_accepted(tmp_path):
    with pytest.raises(InputError, match=r"meta\.csv .* dataset\.json .* images/ and labels/"):
        segmentation_cases(dataset_dir=tmp_path, split="train")
    with pytest.raises(InputError, match="dataset_dir must exist"):
        segmentation_cases(dataset_dir=tmp_path / "no", split="train")


def test_phantoms_have_the_numbers_of_version_2():
    cases = segmentation_cases(
        dataset_dir="phantom", split="train", num_phantoms=10, training_share=0.3, classes="ribs_v1"
    )
    assert ids(cases) == ["phantom_0", "phantom_1", "phantom_2"]
    assert cases[0]["segmentation"]["numbers"]["heart"] == 51
    assert cases[0]["segmentation"]["classes"][0] == "rib_left_1"
    with pytest.raises(InputError, match="heart_myocardium"):
        segmentation_cases(dataset_dir="phantom", split="train", classes="cardiac_v1")

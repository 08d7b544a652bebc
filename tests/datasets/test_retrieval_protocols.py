"""Protocols as their authors give them out: made here by formula, in the published layout."""

import numpy as np
import pytest

from common.datasets.retrieval_protocols import (
    ORGAN_MNIST_LABELS,
    missing_scans,
    read_3d_mir,
    read_organ_mnist,
    turned,
)
from common.errors import InputError


@pytest.fixture
def write_mnist(tmp_path):
    """A file in MedMNIST's layout, of 2 voxels a side; the first voxel counts the volumes."""

    def write(sizes=(971, 161, 610), largest=11, dtype=np.uint8):
        arrays = {}
        for part, num in zip(("train", "val", "test"), sizes, strict=True):
            voxels = np.zeros((num, 2, 2, 2), dtype)
            voxels[:, 0, 0, 0] = np.arange(num) % 200
            arrays[f"{part}_images"] = voxels
            arrays[f"{part}_labels"] = (np.arange(num) % largest)[:, None].astype(np.uint8)
        np.savez(tmp_path / "organmnist3d_64.npz", **arrays)
        return tmp_path

    return write


@pytest.fixture
def mir(tmp_path):
    """3D-MIR's layout with its two kinds of lists: with and without a column of numbers."""
    (tmp_path / "Data_Splits").mkdir()
    (tmp_path / "3DMIR_labels").mkdir()
    (tmp_path / "Data_Splits" / "liver_full_test_split.csv").write_text(
        ",testing\n0,liver_47.nii.gz\n1,lung_069.nii.gz\n"
    )
    (tmp_path / "Data_Splits" / "liver_full_train_split.csv").write_text(
        "training\npancreas_212.nii.gz\nliver_32.nii.gz\nliver_99.nii.gz"
    )
    header = "name,organ,max_tumor_size,number_tumors,lesion_group,cancer_flag,CaptionV1\n"
    (tmp_path / "3DMIR_labels" / "liver_labels_and_captions.csv").write_text(
        header
        + 'liver_47.nii.gz,liver,2.4,7,2,1,"""A liver, with\nlines."""\n'
        + "liver_32.nii.gz,liver,9.1,1,3,1,x\n"
        + "lung_069.nii.gz,lung,0,0,-1,0,healthy\n"
        + "pancreas_212.nii.gz,pancreas,0,0,-1,0,healthy\n"
    )
    return tmp_path


def test_training_is_the_gallery_and_the_rest_are_queries(write_mnist):
    gallery, queries = read_organ_mnist(write_mnist())
    assert (len(gallery), len(queries)) == (971, 771)
    assert (queries.case_ids[0], queries.case_ids[161]) == ("val_0", "test_0")
    assert queries.labels[162] == ORGAN_MNIST_LABELS[1]
    first = gallery[100]
    assert first["case_id"] == "train_100"
    assert first["image"].shape == (1, 2, 2, 2)
    assert float(first["image"].max()) == pytest.approx(100 / 255)
    assert len({case["case_id"] for case in queries}) == 771


def test_published_order_reverses_the_axes():
    volume = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(turned(volume, "published", "SPL"), volume.transpose(2, 1, 0))


def test_corrected_order_turns_two_axes_round():
    volume = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(turned(volume, "corrected", "SPL"), volume[::-1, ::-1])


def test_letters_of_the_user_are_followed():
    volume = np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(turned(volume, "SPL", "SPL"), volume)
    assert np.array_equal(turned(volume, "RAS", "SPL"), volume[::-1, ::-1].transpose(2, 1, 0))


@pytest.mark.parametrize("letters", ["SP", "SSL", "XYZ", ""])
def test_other_letters_are_refused(letters, write_mnist):
    with pytest.raises(InputError, match="or three letters such as IAL"):
        read_organ_mnist(write_mnist(), orientation=letters)


def test_a_missing_file_is_named_with_where_to_get_it(tmp_path):
    with pytest.raises(InputError, match=r"got no .*organmnist3d_64\.npz; download https://zenodo"):
        read_organ_mnist(tmp_path)


@pytest.mark.parametrize(
    "change", [{"sizes": (972, 161, 610)}, {"largest": 12}, {"dtype": np.float32}]
)
def test_another_version_is_refused(write_mnist, change):
    with pytest.raises(InputError, match=r"must hold .* uint8 volumes with labels 0 to 10"):
        read_organ_mnist(write_mnist(**change))


def test_what_is_no_npz_is_refused(tmp_path):
    (tmp_path / "organmnist3d_64.npz").write_text("a web page")
    with pytest.raises(InputError, match=r"must be MedMNIST's file, got .*; download"):
        read_organ_mnist(tmp_path)


def test_an_organ_of_3d_mir_is_read_as_it_comes(mir, caplog):
    split = read_3d_mir(mir, organ="liver")
    assert split.query_ids == ["liver_47", "lung_069"]
    assert split.query_labels == ["1", "0"]
    assert split.gallery_ids == ["pancreas_212", "liver_32"]
    assert split.gallery_labels == ["0", "1"]
    assert split.unlabelled == ["liver_99"]
    assert "no label for liver_99; left out" in caplog.text


def test_size_groups_are_another_kind(mir):
    split = read_3d_mir(mir, organ="liver", relevance="lesion_group")
    assert split.query_labels == ["2", "-1"]
    assert split.gallery_labels == ["-1", "3"]


def test_scans_to_download_are_named_by_task(mir):
    split = read_3d_mir(mir, organ="liver")
    assert missing_scans(split, ["liver_47", "lung_069"]) == {
        "Task07_Pancreas": ["pancreas_212"],
        "Task03_Liver": ["liver_32"],
    }


def test_missing_tables_are_named_with_where_to_get_them(mir):
    with pytest.raises(InputError, match=r"3DMIR_labels/colon_labels.*; download https://github"):
        read_3d_mir(mir, organ="colon")


def test_a_case_on_both_sides_is_named(mir, caplog):
    with (mir / "Data_Splits" / "liver_full_train_split.csv").open("a") as file:
        file.write("\nliver_47.nii.gz")
    assert read_3d_mir(mir, organ="liver").gallery_ids[-1] == "liver_47"
    assert "queries that stand in the gallery too: ['liver_47']" in caplog.text


@pytest.mark.parametrize(("name", "value"), [("organ", "brain"), ("relevance", "size")])
def test_unknown_choices_are_refused(mir, name, value):
    with pytest.raises(InputError, match=f"{name} must be one of .* got '{value}'"):
        read_3d_mir(mir, **{"organ": "liver", name: value})

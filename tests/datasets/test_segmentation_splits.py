"""Parts of a data set. Run alone: pytest tests/datasets/test_segmentation_splits.py"""

import json

import pytest

from common.datasets.segmentation_splits import (
    SplitOptions,
    bare_name,
    few,
    part_of,
    read_split_file,
)
from common.errors import InputError

IDS = [f"s{number:04}" for number in range(980)]


def part(split, published=(), ids=IDS, **options):
    return part_of(ids, dict(published), SplitOptions(split=split, **options), "table")


def write(tmp_path, content):
    path = tmp_path / "split.json"
    path.write_text(json.dumps(content))
    return path


def test_the_vista3d_way_carves_52_of_980():
    train = part("train", {"train": IDS}, validation_share=57 / 1082)
    validation = part("validation", {"train": IDS}, validation_share=57 / 1082)
    assert (len(train), len(validation)) == (928, 52)
    assert sorted(train + validation) == IDS
    assert train == sorted(train)


def test_few_shot_counts_are_the_published_ones():
    for share, count in ((0.02, 19), (0.01, 9), (0.005, 5)):
        options = SplitOptions(split="train", training_share=share)
        assert few(IDS[:928], options) == IDS[:count]


def test_few_shot_by_count_and_by_chance():
    assert few(IDS, SplitOptions(split="train", num_training=5)) == IDS[:5]
    chosen = few(IDS, SplitOptions(split="train", num_training=5, few_shot="random"))
    assert len(chosen) == 5
    assert chosen == sorted(chosen) != IDS[:5]
    assert chosen == few(IDS, SplitOptions(split="train", num_training=5, few_shot="random"))
    other = SplitOptions(split="train", num_training=5, few_shot="random", seed=1)
    assert chosen != few(IDS, other)


def test_validation_is_shortened_only_when_asked_and_test_never():
    options = {"training_share": 0.02, "shorten_validation": True}
    assert len(few(IDS[:52], SplitOptions(split="validation", **options))) == 1
    assert len(few(IDS[:52], SplitOptions(split="validation", training_share=0.02))) == 52
    assert len(few(IDS[:52], SplitOptions(split="test", **options))) == 52


def test_more_than_there_are_is_refused():
    with pytest.raises(InputError, match="num_training must be at most 3 here, got 5"):
        few(IDS[:3], SplitOptions(split="train", num_training=5))


def test_test_cases_are_carved_first_and_parts_do_not_meet():
    shares = {"test_share": 0.2, "validation_share": 0.1}
    parts = [part(split, **shares) for split in ("train", "validation", "test")]
    assert [len(one) for one in parts] == [705, 79, 196]
    assert sorted(name for one in parts for name in one) == IDS


def test_a_part_that_nothing_names_says_what_to_do():
    with pytest.raises(InputError, match=r"got 980 for train; carve them .* validation_share"):
        part("validation")


def test_what_is_published_is_not_carved_again():
    with pytest.raises(InputError, match="validation_share must be 0 where table names"):
        part("train", {"train": IDS[:9], "validation": IDS[9:12]}, validation_share=0.1)


def test_lists_of_ids_are_read_in_any_spelling(tmp_path):
    path = write(tmp_path, {"training": ["a", "b"], "val": ["c"], "testing": ["imagesTr/d.nii.gz"]})
    assert read_split_file(path) == {"train": ["a", "b"], "validation": ["c"], "test": ["d"]}
    assert part("test", split_file=str(path)) == ["d"]


def test_a_fold_of_a_data_list_is_validation(tmp_path):
    entries = [{"image": f"imagesTr/c{n}.nii.gz", "label": "x", "fold": n % 5} for n in range(10)]
    path = write(tmp_path, {"training": entries, "testing": ["t"]})
    found = read_split_file(path, fold=4)
    assert found["validation"] == ["c4", "c9"]
    assert len(found["train"]) == 8
    with pytest.raises(InputError, match=r"fold must be one of .*there are \[0, 1, 2, 3, 4\]"):
        read_split_file(path, fold=5)


def test_a_list_of_folds_is_read(tmp_path):
    path = write(tmp_path, [{"train": ["a"], "val": ["b"]}, {"train": ["b"], "val": ["a"]}])
    assert read_split_file(path, fold=1) == {"train": ["b"], "validation": ["a"]}
    with pytest.raises(InputError, match="fold must be 0 to 1"):
        read_split_file(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"train": ["a"], "test": ["a"]}, "got a in two"),
        ({"train": ["a"], "training": ["b"]}, "each part once"),
        ({"names": ["a"]}, "must hold lists of ids"),
        ({"train": [3]}, "must list ids"),
    ],
)
def test_a_broken_split_file_is_refused(tmp_path, content, reason):
    with pytest.raises(InputError, match=reason):
        read_split_file(write(tmp_path, content))


@pytest.mark.parametrize(
    "options",
    [
        {"split": "val"},
        {"split": "train", "few_shot": "last"},
        {"split": "train", "training_share": 0},
        {"split": "train", "validation_share": 1},
        {"split": "train", "num_training": 5, "training_share": 0.5},
    ],
)
def test_an_option_out_of_range_is_refused(options):
    with pytest.raises(InputError):
        SplitOptions(**options)


def test_a_fold_needs_a_file():
    with pytest.raises(InputError, match="fold must come with a split_file"):
        part("train", fold=0)


def test_ids_come_from_files_or_their_folders():
    names = ("./imagesTr/lung_001.nii.gz", "s0000/ct.nii.gz", "s0000", "a\\b.nrrd")
    assert [bare_name(name) for name in names] == ["lung_001", "s0000", "s0000", "b"]

import csv
import shutil

import pytest

from common.datasets.labelled import labelled_cases
from common.errors import InputError
from common.phantom.export import write_collection
from common.phantom.patient import SEED_RANGES
from common.vocabulary.chest_findings import CT_RATE_LABELS


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Four training and two validation patients as CT-RATE is published."""
    root = tmp_path_factory.mktemp("ct_rate")
    for split, num, seed in (("train", 4, 0), ("valid", 2, 1_000_000)):
        write_collection(root, num=num, seed=seed, split=split, spacing_mm=(8, 8, 12))
    return root / "dataset"


@pytest.fixture
def folder(published, tmp_path):
    return shutil.copytree(published, tmp_path / "dataset")


def names(cases):
    return [case["case_id"] for case in cases]


def part(folder, split, **options):
    return labelled_cases(
        dataset_dir=folder, split=split, **{"validation_fraction": 0.25, **options}
    )


def test_ct_rate_folder_is_parted_by_patient(folder):
    train, validation = part(folder, "train"), part(folder, "validation")
    assert len(train) == 3
    assert sorted(names(train + validation)) == [f"train_{n}_a_1" for n in (1, 2, 3, 4)]
    assert {case["patient_id"] for case in train}.isdisjoint(
        case["patient_id"] for case in validation
    )


def test_published_validation_volumes_are_the_test(folder):
    cases = part(folder, "test")
    assert names(cases) == ["valid_1_a_1", "valid_2_a_1"]
    assert all(len(case["label"]) == 18 for case in cases)


def test_split_is_the_same_each_time_and_changes_with_the_seed(folder):
    assert names(part(folder, "validation")) == names(part(folder, "validation"))
    held_out = {tuple(names(part(folder, "validation", seed=seed))) for seed in range(8)}
    assert len(held_out) > 1


def test_metadata_gives_what_a_blank_header_lacks(folder):
    case = part(folder, "test")[0]
    assert len(case["affine"]) == 4
    assert case["rescale"] == [1.0, 0.0]
    (folder / "metadata" / "validation_metadata.csv").unlink()
    assert "affine" not in part(folder, "test")[0]


def test_volumes_without_a_chest_are_left_out(folder):
    (folder / "metadata" / "no_chest_valid.txt").write_text("valid_1_a_1.nii.gz\n")
    assert names(part(folder, "test")) == ["valid_2_a_1"]


def test_tables_may_lie_in_the_folder_itself(folder):
    name = "valid_predicted_labels.csv"
    (folder / "multi_abnormality_labels" / name).rename(folder / name)
    assert len(part(folder, "test")) == 2


def test_missing_table_is_named(folder):
    (folder / "multi_abnormality_labels" / "train_predicted_labels.csv").unlink()
    with pytest.raises(InputError, match=r"dataset_dir must hold .*train_predicted_labels\.csv"):
        part(folder, "train")


def own_list(folder, columns, *rows):
    with (folder / "own.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return "own.csv"


def test_own_list_takes_the_place_of_the_tables(folder):
    volumes = sorted(path.relative_to(folder) for path in folder.rglob("*.nii.gz"))
    table = own_list(
        folder, ["image", "Emphysema"], *([path, n % 2] for n, path in enumerate(volumes))
    )
    assert len(part(folder, "test", labels_file=table)) == 6
    assert [case["label"] for case in part(folder, "test", labels_file=table)][:2] == [[0.0], [1.0]]


def test_list_without_labels_is_refused(folder):
    volume = next(folder.rglob("*.nii.gz")).relative_to(folder)
    table = own_list(folder, ["image", "note"], [volume, "fine"])
    with pytest.raises(InputError, match="must give every case a label, got 1 without, such as"):
        part(folder, "test", labels_file=table)


def test_phantoms_need_no_folder():
    for split in ("train", "validation", "test"):
        cases = labelled_cases(dataset_dir="phantom", split=split, num_phantoms=3)
        first = SEED_RANGES[split][0]
        assert names(cases) == [f"phantom_{first + n}" for n in range(3)]


def edema_list(folder, columns):
    """A list of the test volumes with labels 0, 1 of its own in that order of columns."""
    cases = part(folder, "test")
    with (folder / "own.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["image", *columns])
        table.writeheader()
        for case in cases:
            table.writerow({"image": case["image"], "Edema": 0, "Embolism": 1})
    return part(folder, "test", labels_file="own.csv", labels=["Embolism", "Edema"])


@pytest.mark.parametrize("columns", [("Edema", "Embolism"), ("Embolism", "Edema")])
def test_labels_of_ones_own_are_found_by_name_whatever_the_order_of_columns(folder, columns):
    assert [case["label"] for case in edema_list(folder, columns)] == [[1, 0], [1, 0]]


def test_a_label_without_a_column_is_named(folder):
    edema_list(folder, ("Edema", "Embolism"))
    with pytest.raises(InputError, match=r"own\.csv must have.*Nodule"):
        part(folder, "test", labels_file="own.csv", labels=["Nodule"])
    with pytest.raises(InputError, match=r"must label every case for 1 labels, got none for Edema"):
        part(folder, "test", labels=["Edema"])


def test_some_of_the_phantoms_labels_can_be_chosen():
    wanted = ["Emphysema", "Cardiomegaly"]
    whole = labelled_cases(dataset_dir="phantom", split="train", num_phantoms=3)
    some = labelled_cases(dataset_dir="phantom", split="train", num_phantoms=3, labels=wanted)
    places = [CT_RATE_LABELS.index(label) for label in wanted]
    assert [c["label"] for c in some] == [[c["label"][p] for p in places] for c in whole]

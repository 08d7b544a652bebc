"""From label volumes to numbers in files."""

import csv
import importlib.util
import json

import nibabel as nib
import numpy as np
import pytest

from common.datasets.segmentation_cases import segmentation_cases
from common.errors import InputError
from common.evaluation.segmentation import SegmentationEvaluation, score_folders
from common.metrics.segmentation_summary import (
    REGIONS,
    SegmentationTable,
    region_name,
    resampled_means,
    summarise,
)
from common.vocabulary.totalsegmentator import STRUCTURES

AFFINE = np.diag([2.0, 2.0, 3.0, 1.0])
NAN = float("nan")


def block(*numbers, shift=0):
    """Cubes of 4 voxels a side in a row, one per number; 0 leaves its place empty."""
    labels = np.zeros((12, 8, 8 * len(numbers)), np.uint8)
    for place, number in enumerate(numbers):
        labels[2 + shift : 6 + shift, 2:6, 8 * place + 2 : 8 * place + 6] = number
    return labels


def save(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


@pytest.fixture
def table():
    """Three cases of two patients: a liver in all, a rib in the first, an invented rib."""
    return SegmentationTable(
        case_ids=["a", "b", "c"],
        classes=["liver", "rib_left_1", "spleen"],
        patient_ids=["p", "p", "q"],
        dice=np.array([[1.0, 0.5, NAN], [0.8, 0.0, NAN], [0.6, NAN, NAN]]),
        surface_dice=np.array([[1.0, 0.5, NAN], [0.8, 0.0, NAN], [0.6, NAN, NAN]]),
        surface_distance_mm=np.array([[0.0, 2.0, NAN], [1.0, NAN, NAN], [2.0, NAN, NAN]]),
        truth_ml=np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
        prediction_ml=np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]),
    )


def test_the_macro_mean_is_over_cases_then_over_structures(table):
    found = summarise(table, num_resamples=0)
    assert [one.value for one in found.classes["dice"][:2]] == pytest.approx([0.8, 0.25])
    assert found.classes["dice"][2].num == 0
    assert found.macro["dice"].value == pytest.approx(0.525)
    assert found.macro["dice"].num == 2
    assert found.regions["ribs"]["dice"].value == pytest.approx(0.25)
    assert found.macro["dice"].interval is found.bootstrap is None


def test_where_present_an_invented_structure_does_not_count(table):
    found = summarise(table, num_resamples=0)
    assert found.classes["dice_where_present"][1].value == 0.5
    assert found.classes["dice_where_present"][1].num == 1
    assert found.classes["surface_distance_mm"][1].num == 1
    assert (table.invented.sum(), table.missed.sum()) == (1, 0)


def test_resamples_draw_patients_with_all_their_cases(table):
    means = resampled_means(table, 200, seed=0)["dice"][:, 0]
    assert set(np.round(means, 9)) == {0.9, 0.8, 0.6}
    low, high = summarise(table, num_resamples=200).classes["dice"][0].interval
    assert (low, high) == pytest.approx((0.6, 0.9))


def test_every_structure_of_version_2_has_one_region():
    members = [name for names in REGIONS.values() for name in names if name in STRUCTURES]
    assert sorted(members) == sorted(STRUCTURES[1:])
    assert (len(REGIONS["ribs"]), len(REGIONS["vertebrae and sacrum"])) == (24, 26)
    assert region_name("tumour") == "other structures"
    assert region_name("heart_atrium_left") == "heart and vessels"


@pytest.fixture
def folders(tmp_path):
    """Two cases of version 2 numbers: liver 5, aorta 52; the second prediction is shifted."""
    for name, shift in (("a", 0), ("b", 1)):
        save(tmp_path / "truth" / f"{name}.nii.gz", block(5, 52))
        save(tmp_path / "results" / name / "segmentation.nii.gz", block(5, 52, shift=shift))
    return tmp_path


def test_folders_are_matched_by_case_and_scored_by_name(folders):
    save(folders / "truth" / "alone.nii.gz", block(5, 52))
    scores = score_folders(
        folders / "results", folders / "truth", label_version="v2", num_bootstrap=10
    )
    assert scores.table.case_ids == ["a", "b"]
    row = scores.table.classes.index("aorta")
    assert scores.table.dice[:, row].tolist() == pytest.approx([1, 0.75])
    assert scores.summary.macro["dice"].num == 2
    assert "truth without prediction, not scored (1): alone" in scores.notes


def test_version_1_truth_is_compared_by_name(folders):
    for name in ("a", "b"):
        save(folders / "truth" / f"{name}.nii.gz", block(5, 7))  # 7 is the aorta in version 1
    options = {"label_version": "v2", "num_bootstrap": 0}
    wrong = score_folders(folders / "results", folders / "truth", **options)
    assert wrong.table.invented.any()
    right = score_folders(folders / "results", folders / "truth", truth_version="v1", **options)
    assert right.table.dice[0, right.table.classes.index("aorta")] == 1
    assert "heart" not in right.table.classes
    assert "sacrum" not in right.table.classes


def test_truth_may_be_masks_per_structure(folders):
    for name in ("a", "b"):
        (folders / "truth" / f"{name}.nii.gz").unlink()
        for mask, number in (("liver", 5), ("aorta", 52), ("heart", 51)):
            path = folders / "truth" / name / "segmentations" / f"{mask}.nii.gz"
            save(path, (block(5, 52) == number).astype(np.uint8))
    scores = score_folders(
        folders / "results", folders / "truth", label_version="v2", num_bootstrap=0
    )
    assert sorted(scores.table.classes) == ["aorta", "heart", "liver"]
    assert scores.table.dice[0].tolist().count(1) == 2
    with pytest.raises(InputError, match=r"must be of TotalSegmentator version v1, got heart"):
        score_folders(folders / "results", folders / "truth", label_version="v1")


def test_a_pair_on_two_grids_is_refused(folders):
    moved = AFFINE.copy()
    moved[2, 3] = 0.5
    save(folders / "truth" / "b.nii.gz", block(5, 52), moved)
    with pytest.raises(InputError, match=r"b\.nii\.gz must lie on the scan's grid .* got 0\.5 mm"):
        score_folders(folders / "results", folders / "truth", label_version="v2")
    save(folders / "truth" / "b.nii.gz", block(5))
    with pytest.raises(InputError, match=r"b\.nii\.gz must have the scan's shape"):
        score_folders(folders / "results", folders / "truth", label_version="v2")


def test_numbers_without_a_meaning_and_cases_without_a_partner_are_refused(folders):
    with pytest.raises(InputError, match="label_version must say which TotalSegmentator numbered"):
        score_folders(folders / "results", folders / "truth")
    (folders / "other").mkdir()
    with pytest.raises(InputError, match="must hold <case>"):
        score_folders(folders / "results", folders / "other", label_version="v2")
    save(folders / "other" / "z.nii.gz", block(5))
    with pytest.raises(InputError, match="must share names of cases, got a, b and z"):
        score_folders(folders / "results", folders / "other", label_version="v2")
    with pytest.raises(InputError, match="got tumour that are not"):
        score_folders(
            folders / "results", folders / "truth", label_version="v2", classes=["tumour"]
        )


def cases_of(folders, **options):
    for name in ("a", "b"):
        save(folders / "data" / "images" / f"{name}.nii.gz", block(0, 0))
        save(folders / "data" / "labels" / f"{name}.nii.gz", block(5, 52))
    return segmentation_cases(
        dataset_dir=folders / "data", split="train", label_version="v2", **options
    )


def test_results_of_a_run_are_scored_against_the_cases(folders, capsys):
    evaluation = SegmentationEvaluation(
        output_dir=folders / "results",
        cases=cases_of(folders, classes=["aorta", "liver", "spleen"]),
        labels=["background", "liver", "aorta"],
        numbers=[0, 5, 52],
        num_bootstrap=20,
    )
    scores = evaluation.run()
    assert scores.table.classes == ["aorta", "liver"]
    assert scores.table.dice.mean() == pytest.approx(0.875)
    assert "structures of the truth alone, not scored: spleen" in capsys.readouterr().out
    metrics = json.loads((folders / "results" / "metrics.json").read_text())
    assert metrics["macro"]["dice"]["value"] == pytest.approx(0.875)
    assert metrics["classes"]["aorta"]["num_in_truth"] == 2
    low, high = metrics["macro"]["dice"]["interval"]
    assert 0.75 <= low <= 0.875 <= high <= 1
    rows = list(csv.DictReader((folders / "results" / "per_case.csv").open()))
    assert [(row["case_id"], row["class"], row["outcome"]) for row in rows[:2]] == [
        ("a", "aorta", "found"),
        ("a", "liver", "found"),
    ]
    rows = list(csv.DictReader((folders / "results" / "per_class.csv").open()))
    assert [row["class"] for row in rows][-1] == "macro"
    assert (folders / "results" / "dice.png").read_bytes().startswith(b"\x89PNG")


def test_evaluating_writes_nothing_and_repeats_exactly(folders):
    cases = cases_of(folders)
    before = sorted(folders.rglob("*"))
    evaluation = SegmentationEvaluation(
        output_dir=folders / "results", cases=cases, labels=STRUCTURES, num_workers=2
    )
    assert evaluation.evaluate().summary.macro == evaluation.evaluate().summary.macro
    assert sorted(folders.rglob("*")) == before


def test_a_case_without_prediction_is_named_with_its_reason(folders):
    (folders / "results" / "b" / "segmentation.nii.gz").unlink()
    (folders / "results" / "b" / "failure.json").write_text('{"reason": "too dark"}')
    options = {"output_dir": folders / "results", "cases": cases_of(folders), "labels": STRUCTURES}
    with pytest.raises(InputError, match=r"got none for 1 of 2: b \(too dark\)"):
        SegmentationEvaluation(**options).evaluate()
    scores = SegmentationEvaluation(**options, allow_missing=True, num_bootstrap=0).evaluate()
    assert scores.table.case_ids == ["a"]
    assert scores.notes[0] == "cases without prediction, left out (1): b (too dark)"


def test_a_network_of_other_structures_is_refused(folders):
    with pytest.raises(InputError, match="labels must share a structure with the truth"):
        SegmentationEvaluation(
            output_dir=folders, cases=cases_of(folders), labels=["background", "tumour"]
        )


@pytest.fixture
def script(repository):
    spec = importlib.util.spec_from_file_location(
        "score_segmentations", repository / "scripts" / "score_segmentations.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_writes_the_files_and_says_errors_in_a_line(folders, script, capsys):
    (folders / "names.json").write_text('{"5": "liver", "52": "aorta"}')
    arguments = [str(folders / "results"), str(folders / "truth"), "--num_bootstrap", "0"]
    arguments += ["--output_dir", str(folders / "scores")]
    assert script.main([*arguments, "--label_names", str(folders / "names.json")]) == 0
    assert "2 cases of 2 patients, 2 structures" in capsys.readouterr().out
    written = {path.name for path in (folders / "scores").iterdir()}
    assert written == {"metrics.json", "per_class.csv", "per_case.csv", "dice.png"}
    assert script.main(arguments) == 1
    assert capsys.readouterr().err.startswith("error: label_version must say")

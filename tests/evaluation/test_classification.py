"""The evaluation step, from results to files: pytest tests/evaluation/test_classification.py"""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from common.cases.rad_chestct import SHARED_CLASSES
from common.errors import InputError
from common.evaluation.classification import ClassificationEvaluation, scan_of
from common.evaluation.classification_report import metrics_json
from common.vocabulary.chest_findings import CT_RATE_LABELS

LABELS = ["nodule", "effusion"]


def cases_of(truth, patient=lambda index: f"p{index // 2}"):
    return [
        {
            "case_id": f"case_{index}",
            "image": f"case_{index}.nii.gz",
            "format": "nifti",
            "label": list(row),
            "patient_id": patient(index),
        }
        for index, row in enumerate(truth)
    ]


@pytest.fixture
def run_folder(tmp_path, write_result):
    """Twenty results whose probabilities are known, and the truth to score them by."""
    rng = np.random.default_rng(5)
    truth = (rng.random((20, 2)) < 0.5).astype(float)
    probabilities = np.clip(0.3 * truth + 0.6 * rng.random((20, 2)), 0, 1).round(4)
    for index, row in enumerate(probabilities):
        write_result(tmp_path, f"case_{index}", dict(zip(LABELS, row, strict=True)))
    return tmp_path, truth, probabilities


def write_csv(path, labels, names, values):
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["VolumeName", *labels])
        table.writerows([f"{name}.nii.gz", *row] for name, row in zip(names, values, strict=True))
    return path


def test_a_single_label_is_printed_score_by_score_beside_what_all_positive_reaches(
    tmp_path, write_result, capsys
):
    for index in range(10):
        write_result(tmp_path, f"case_{index}", {"Abnormal": 0.1 * index})
    truth = [[1.0 if index in (4, 6, 8) else 0.0] for index in range(10)]
    ClassificationEvaluation(
        output_dir=tmp_path, labels=["Abnormal"], cases=cases_of(truth), num_bootstrap=50
    ).run()
    printed = {line.split("  ")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "0.500" in printed["F1"]  # 5 to 9 are called: 2 of 3 found, 3 wrongly
    assert "0.462" in printed["F1 if all were called positive"]  # 2 * 3 / (10 + 3)
    assert {"AUROC", "sensitivity", "specificity"} <= set(printed)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    baseline = metrics["labels"]["Abnormal"]["f1_all_positive"]
    assert baseline["value"] == pytest.approx(6 / 13)
    assert baseline["interval"][0] < 6 / 13 < baseline["interval"][1]


def test_a_folder_of_results_is_scored_and_written(run_folder, capsys):
    folder, truth, probabilities = run_folder
    ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=50
    ).run()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["macro"]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, probabilities))
    assert metrics["labels"]["nodule"]["f1"]["value"] == pytest.approx(
        f1_score(truth[:, 0], probabilities[:, 0] >= 0.5)
    )
    lower, upper = metrics["macro"]["auroc"]["interval"]
    assert 0 <= lower <= metrics["macro"]["auroc"]["value"] <= upper <= 1
    assert metrics["weights"] == ["demo"]
    assert (metrics["num_cases"], metrics["num_patients"]) == (20, 10)
    printed = capsys.readouterr().out
    assert printed.startswith("20 volumes of 10 patients, 2 labels, weights demo\n")
    assert f"{metrics['macro']['auroc']['value']:.3f} [{lower:.3f}, {upper:.3f}]" in printed
    assert "- synthetic weights, which never saw a patient" in printed
    assert "- thresholds: those stored with the results" in printed


def test_the_csv_has_a_row_per_label_and_one_for_the_mean(run_folder):
    folder, truth, _ = run_folder
    found = ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=20
    ).run()
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [row["label"] for row in rows] == [*LABELS, "macro"]
    assert float(rows[-1]["auroc"]) == pytest.approx(found.scores.macro["auroc"], rel=1e-5)
    assert float(rows[-1]["weighted_f1_low"]) <= float(rows[-1]["weighted_f1"])
    assert rows[0]["weighted_f1"] == rows[0]["calibration_error_low"] == ""


def test_figures_are_drawn_beside_the_numbers(run_folder):
    folder, truth, _ = run_folder
    ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=20
    ).run()
    for name in ("roc.png", "reliability.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_evaluating_writes_nothing_and_repeats_exactly(run_folder):
    folder, truth, _ = run_folder
    before = sorted(path.name for path in folder.iterdir())
    evaluation = ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=50
    )
    assert evaluation.evaluate().intervals.macro == evaluation.evaluate().intervals.macro
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_bootstrap_there_are_no_intervals(run_folder, capsys):
    folder, truth, _ = run_folder
    ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=0
    ).run()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["bootstrap"] is None
    assert metrics["macro"]["auroc"]["interval"] is None
    assert "CI" not in capsys.readouterr().out


def test_thresholds_can_be_given_and_are_found_by_name(run_folder):
    folder, truth, probabilities = run_folder
    found = ClassificationEvaluation(
        output_dir=folder,
        labels=LABELS,
        cases=cases_of(truth),
        thresholds={"effusion": 0.2, "nodule": 0.7},
        num_bootstrap=0,
    ).evaluate()
    assert found.thresholds == [0.7, 0.2]
    assert found.scores.labels[0].values["accuracy"] == np.mean(
        (probabilities[:, 0] >= 0.7) == truth[:, 0]
    )
    assert "thresholds: as given; present if probability >= threshold" in found.notes


def test_two_csv_files_are_scored_like_a_folder(run_folder, tmp_path_factory):
    folder, truth, probabilities = run_folder
    names = [f"case_{index}" for index in range(20)]
    place = tmp_path_factory.mktemp("tables")
    from_csv = ClassificationEvaluation(
        output_dir=place,
        labels=LABELS,
        truth=write_csv(place / "t.csv", LABELS, names, truth),
        predictions=write_csv(place / "p.csv", LABELS[::-1], names, probabilities[:, ::-1]),
        num_bootstrap=0,
    ).evaluate()
    from_folder = ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=0
    ).evaluate()
    assert from_csv.scores == from_folder.scores
    assert "thresholds: none given, 0.5 for every label" in from_csv.notes
    assert "cases without patient_id, each taken as a patient of its own: 20" in from_csv.notes


def test_undefined_scores_are_null_with_a_reason_and_named_in_the_notes(run_folder, capsys):
    folder, truth, _ = run_folder
    truth[:, 1] = 0
    ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=20
    ).run()
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["labels"]["effusion"]["auroc"] == {"value": None, "interval": None}
    assert metrics["labels"]["effusion"]["undefined"]["auroc"] == "no positive case"
    assert metrics["macro"]["auroc"]["num_labels"] == 1
    note = "macro AUROC is over 1 of 2 labels: effusion (no positive case)"
    assert note in metrics["notes"]
    assert note in capsys.readouterr().out


def test_too_few_resamples_for_an_interval_are_said(run_folder):
    folder, truth, _ = run_folder
    truth[:] = 0
    truth[0, 0] = truth[2, 1] = 1
    found = ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), num_bootstrap=100
    )
    found.run()
    notes = json.loads((folder / "metrics.json").read_text())["notes"]
    assert any("of 100 resamples: too few for an interval" in note for note in notes)


def volumes(tmp_path, truth, probabilities):
    names = ["valid_1_a_1", "valid_1_a_2", "valid_1_b_1", "valid_2_a_1"]
    return {
        "output_dir": tmp_path,
        "labels": ["nodule"],
        "truth": write_csv(tmp_path / "t.csv", ["nodule"], names, truth),
        "predictions": write_csv(tmp_path / "p.csv", ["nodule"], names, probabilities),
        "num_bootstrap": 0,
    }


def test_patients_and_scans_are_read_off_ct_rate_names(tmp_path):
    found = ClassificationEvaluation(
        **volumes(tmp_path, [[1], [1], [0], [0]], [[0.2], [0.6], [0.3], [0.1]])
    ).evaluate()
    assert (found.unit, found.num_cases, found.num_patients) == ("volume", 4, 2)
    assert not any("without patient_id" in note for note in found.notes)
    assert scan_of("valid_1_a_2") == "valid_1_a"
    assert scan_of("my_scan_2") == "my_scan_2"


def test_a_scan_is_the_mean_of_its_reconstructions(tmp_path):
    found = ClassificationEvaluation(
        **volumes(tmp_path, [[1], [1], [0], [0]], [[0.2], [0.6], [0.3], [0.1]]), unit="scan"
    ).evaluate()
    assert found.num_cases == 3
    assert found.probabilities[:, 0] == pytest.approx([0.4, 0.3, 0.1])
    assert found.scores.macro["auroc"] == 1.0


def test_reconstructions_that_disagree_on_truth_are_an_error(tmp_path):
    evaluation = ClassificationEvaluation(
        **volumes(tmp_path, [[1], [0], [0], [0]], [[0.2], [0.6], [0.3], [0.1]]), unit="scan"
    )
    with pytest.raises(InputError, match="share their truth, got different labels in valid_1_a;"):
        evaluation.evaluate()


def test_the_ct_rate_set_is_the_18_labels_in_official_order(tmp_path):
    names, labels = ["a", "b"], list(CT_RATE_LABELS)[::-1]
    values = np.linspace(0, 1, 36).reshape(2, 18)
    found = ClassificationEvaluation(
        output_dir=tmp_path,
        labels=labels,
        truth=write_csv(tmp_path / "t.csv", labels, names, values.round()),
        predictions=write_csv(tmp_path / "p.csv", labels, names, values),
        label_set="ct_rate",
        num_bootstrap=0,
    ).evaluate()
    assert found.labels == list(CT_RATE_LABELS)
    assert found.probabilities.tolist() == pytest.approx(values[:, ::-1], abs=1e-12)


def rad_chestct(tmp_path, **options):
    """Two scans with truth for the 16 shared classes, scored from 18 probabilities."""
    names = ["trn00001", "trn00002"]
    truth = np.tile([[0.0], [1.0]], (1, 16))
    probabilities = np.tile([[0.1], [0.9]], (1, 18))
    probabilities[:, 1] = [0.3, 0.2]  # arterial wall
    probabilities[:, 4] = [0.1, 0.6]  # coronary artery wall
    return ClassificationEvaluation(
        output_dir=tmp_path,
        labels=SHARED_CLASSES,
        truth=write_csv(tmp_path / "t.csv", SHARED_CLASSES, names, truth),
        predictions=write_csv(tmp_path / "p.csv", CT_RATE_LABELS, names, probabilities),
        label_set="rad_chestct",
        num_bootstrap=0,
        **options,
    ).evaluate()


def test_rad_chestct_scores_the_higher_calcification_as_one_label(tmp_path):
    found = rad_chestct(tmp_path, thresholds=dict.fromkeys(CT_RATE_LABELS, 0.5))
    assert len(found.labels) == 16
    assert found.probabilities[:, 1].tolist() == [0.3, 0.6]
    assert found.scores.macro["auroc"] == 1.0


def test_a_merged_label_is_present_if_any_part_passes_its_own_threshold(tmp_path):
    parts = dict.fromkeys(CT_RATE_LABELS, 0.5) | {"Arterial wall calcification": 0.25}
    found = rad_chestct(tmp_path, thresholds=parts | {"Coronary artery wall calcification": 0.55})
    assert found.thresholds[1] is None
    assert found.scores.labels[1].values["sensitivity"] == 1.0  # 0.6 >= 0.55, 0.2 < 0.25
    assert found.scores.labels[1].values["specificity"] == 0.0  # 0.3 >= 0.25
    assert metrics_json(found)["labels"]["Calcification"]["threshold"] is None


def test_a_merged_label_can_have_a_threshold_of_its_own(tmp_path):
    own = dict.fromkeys(CT_RATE_LABELS, 0.5) | {"Calcification": 0.4}
    found = rad_chestct(tmp_path, thresholds=own)
    assert found.thresholds[1] == 0.4
    assert found.scores.labels[1].values["specificity"] == 1.0


def test_truth_of_18_labels_is_merged_like_the_predictions(tmp_path):
    names, values = ["a", "b"], np.zeros((2, 18))
    values[1, 4] = 1
    found = ClassificationEvaluation(
        output_dir=tmp_path,
        labels=CT_RATE_LABELS,
        truth=write_csv(tmp_path / "t.csv", CT_RATE_LABELS, names, values),
        predictions=write_csv(tmp_path / "p.csv", CT_RATE_LABELS, names, values),
        label_set="rad_chestct",
        num_bootstrap=0,
    ).evaluate()
    assert found.truth[:, 1].tolist() == [0, 1]


def test_a_missing_result_is_an_error_unless_allowed(run_folder):
    folder, truth, _ = run_folder
    cases = [*cases_of(truth), {**cases_of(truth)[0], "case_id": "lost"}]
    options = {"output_dir": folder, "labels": LABELS, "cases": cases, "num_bootstrap": 0}
    with pytest.raises(InputError, match=r"got none for 1 of 21: lost \(no result\)"):
        ClassificationEvaluation(**options).run()
    assert not (folder / "metrics.json").exists()
    found = ClassificationEvaluation(**options, allow_missing=True).evaluate()
    assert "cases without prediction, left out (1): lost (no result)" in found.notes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "truth must come from `cases` or from `truth`, got neither"),
        ({"cases": [], "truth": "t.csv"}, "got both; give one of the two"),
        ({"cases": [], "unit": "patient"}, "unit must be one of volume, scan, got 'patient'"),
        ({"cases": [], "label_set": "lidc"}, "label_set must be one of as_given, ct_rate"),
    ],
)
def test_arguments_out_of_range_are_errors(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        ClassificationEvaluation(output_dir=tmp_path, labels=LABELS, **options)


def test_a_threshold_missing_for_a_label_is_an_error(run_folder):
    folder, truth, _ = run_folder
    evaluation = ClassificationEvaluation(
        output_dir=folder, labels=LABELS, cases=cases_of(truth), thresholds={"nodule": 0.5}
    )
    with pytest.raises(InputError, match="got none for effusion"):
        evaluation.run()

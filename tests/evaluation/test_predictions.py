"""Truth and predictions from folders, lists and CSV. Run alone: this file with pytest."""

import json

import numpy as np
import pytest

from common.errors import InputError
from common.evaluation.predictions import (
    CaseTable,
    join,
    merge_labels,
    read_csv,
    read_results,
    truth_of_cases,
)
from common.results.case_result import write_failure

NAN = float("nan")
LABELS = ["nodule", "effusion"]


def table(values, names=None, **more):
    values = np.array(values, dtype=float)
    names = names or [f"case_{index}" for index in range(len(values))]
    return CaseTable(names, LABELS, values, [None] * len(values), **more)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_results_are_read_by_label_name(tmp_path, write_result):
    write_result(tmp_path, "b", {"nodule": 0.1, "effusion": 0.2})
    write_result(tmp_path, "a", {"nodule": 0.3, "effusion": 0.4}, patient_id="p")
    found = read_results(tmp_path)
    assert found.case_ids == ["a", "b"]
    assert found.labels == LABELS
    assert found.values.tolist() == [[0.3, 0.4], [0.1, 0.2]]
    assert found.patient_ids == ["p", None]
    assert found.thresholds == {"nodule": 0.5, "effusion": 0.5}
    assert found.weights == ["demo"]
    assert found.synthetic


def test_a_failed_case_is_remembered_with_its_reason(tmp_path, write_result):
    write_result(tmp_path, "a", {"nodule": 0.3})
    write_failure(tmp_path / "b", "image must be CT, got MR")
    assert read_results(tmp_path).failed == {"b": "image must be CT, got MR"}


def test_a_broken_failure_file_is_still_a_failure(tmp_path, write_result):
    write_result(tmp_path, "a", {"nodule": 0.3})
    (tmp_path / "b").mkdir()
    write(tmp_path / "b" / "failure.json", "{")
    assert read_results(tmp_path).failed == {"b": "failure.json cannot be read"}


def test_a_folder_without_results_is_an_error(tmp_path):
    write_failure(tmp_path / "b", "no CT")
    with pytest.raises(InputError, match=r"got none in .* \(1 failed\); run inference"):
        read_results(tmp_path)


def test_a_broken_result_is_an_error_that_names_the_file(tmp_path, write_result):
    path = write_result(tmp_path, "a", {"nodule": 0.3})
    write(path, "{")
    with pytest.raises(InputError, match=r"a/result.json must be a whole result, got: Expecting"):
        read_results(tmp_path)


def test_results_of_another_task_are_an_error(tmp_path, write_result):
    path = write_result(tmp_path, "a", {"nodule": 0.3})
    record = json.loads(path.read_text())
    record["outputs"] = {"volume_ml": 3.0}
    record["definitions"] = {"volume_ml": "ml"}
    write(path, json.dumps(record))
    with pytest.raises(InputError, match=r"must hold outputs.probabilities, got volume_ml"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("what", "second"),
    [
        ("labels", {"probabilities": {"effusion": 0.1}}),
        ("thresholds", {"threshold": 0.4}),
        ("weights", {"sha256": "f" * 64}),
    ],
)
def test_results_of_two_runs_in_one_folder_are_an_error(tmp_path, write_result, what, second):
    write_result(tmp_path, "a", {"nodule": 0.3})
    write_result(tmp_path, "b", **({"probabilities": {"nodule": 0.3}} | second))
    with pytest.raises(InputError, match=f"must share their {what}, got others in .*b/result"):
        read_results(tmp_path)


def test_a_csv_gives_numbers_and_empty_cells_are_unknown(tmp_path):
    path = write(
        tmp_path / "truth.csv",
        "VolumeName,effusion,other,nodule,patient_id\n"
        "valid_1_a_1.nii.gz,1,9,,p1\n"
        "valid_1_a_2,0,9,1,\n",
    )
    found = read_csv(path, LABELS)
    assert found.case_ids == ["valid_1_a_1", "valid_1_a_2"]
    assert found.labels == LABELS
    assert np.array_equal(found.values, [[NAN, 1], [1, 0]], equal_nan=True)
    assert found.patient_ids == ["p1", None]


def test_without_a_known_name_the_first_column_is_the_case(tmp_path):
    path = write(tmp_path / "t.csv", "NoteAcc_DEID,nodule\ntrn00001,1\n")
    assert read_csv(path, LABELS).case_ids == ["trn00001"]


def test_only_the_label_columns_that_are_there_are_read(tmp_path):
    path = write(tmp_path / "t.csv", "case_id,nodule\na,1\n")
    assert read_csv(path, LABELS).labels == ["nodule"]


def test_a_csv_without_any_of_the_labels_is_an_error(tmp_path):
    path = write(tmp_path / "t.csv", "case_id,other\na,1\n")
    with pytest.raises(
        InputError, match=r"a column per label \(nodule, effusion\), got case_id, other"
    ):
        read_csv(path, LABELS)


def test_a_csv_without_rows_is_an_error(tmp_path):
    with pytest.raises(InputError, match="must have at least one row"):
        read_csv(write(tmp_path / "t.csv", "case_id,nodule\n"), LABELS)


def test_a_cell_that_is_no_number_is_an_error_that_names_it(tmp_path):
    path = write(tmp_path / "t.csv", "case_id,nodule\na,yes\n")
    with pytest.raises(InputError, match=r"t.csv: nodule must be a number, got 'yes'"):
        read_csv(path, LABELS)


def test_a_case_listed_twice_is_an_error(tmp_path):
    path = write(tmp_path / "t.csv", "case_id,nodule\na,1\na.nii.gz,0\n")
    with pytest.raises(InputError, match="each case once, got a again"):
        read_csv(path, LABELS)


def test_a_csv_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"must exist, got .*t.csv"):
        read_csv(tmp_path / "t.csv", LABELS)


def test_truth_comes_from_the_cases():
    cases = [
        {"case_id": "a", "image": "a.nii", "format": "nifti", "label": [1, NAN]},
        {"case_id": "b", "image": "b", "format": "dicom", "label": [0, 1], "patient_id": "p"},
    ]
    found = truth_of_cases(cases, LABELS)
    assert found.case_ids == ["a", "b"]
    assert np.array_equal(found.values, [[1, NAN], [0, 1]], equal_nan=True)
    assert found.patient_ids == [None, "p"]


def test_cases_without_truth_are_an_error_that_names_them():
    cases = [{"case_id": f"c{i}", "image": "", "format": "nifti"} for i in range(7)]
    with pytest.raises(InputError, match="got none for c0, c1, c2, c3, c4 and 2 more; give a list"):
        truth_of_cases(cases, LABELS)


def test_no_cases_at_all_are_an_error():
    with pytest.raises(InputError, match="cases must have labels to be evaluated"):
        truth_of_cases([], LABELS)


def test_a_label_of_another_length_is_an_error():
    cases = [{"case_id": "a", "image": "", "format": "nifti", "label": [1]}]
    with pytest.raises(InputError, match="label of a must have 2 numbers, one per label, got 1"):
        truth_of_cases(cases, LABELS)


def test_join_follows_the_order_of_the_truth():
    truth = table([[0, 1], [1, 0]], ["a", "b"])
    predictions = table([[0.9, 0.1], [0.2, 0.8]], ["b", "a"])
    left, right, notes = join(truth, predictions)
    assert left.case_ids == right.case_ids == ["a", "b"]
    assert right.values.tolist() == [[0.2, 0.8], [0.9, 0.1]]
    assert notes == []


def test_a_case_without_prediction_is_an_error_with_its_reason():
    truth = table([[0, 1]] * 3, ["a", "b", "c"])
    predictions = table([[0.5, 0.5]], ["a"], failed={"b": "not a CT"})
    with pytest.raises(InputError, match=r"none for 2 of 3: b \(not a CT\), c \(no result\); run"):
        join(truth, predictions)


def test_missing_cases_can_be_left_out_knowingly_and_are_named():
    truth = table([[0, 1]] * 2, ["a", "b"])
    predictions = table([[0.5, 0.5]] * 2, ["b", "x"])
    left, right, notes = join(truth, predictions, allow_missing=True)
    assert left.case_ids == right.case_ids == ["b"]
    assert notes == [
        "cases without prediction, left out (1): a (no result)",
        "predictions without truth, left out (1): x",
    ]


def test_nothing_in_common_is_an_error_even_if_cases_may_be_missing():
    with pytest.raises(InputError, match="got none for 1 of 1"):
        join(table([[0, 1]], ["a"]), table([[0.5, 0.5]], ["b"]), allow_missing=True)


def test_a_missing_probability_is_an_error_that_names_case_and_label():
    with pytest.raises(InputError, match="got none for 'effusion' of a; complete the table"):
        join(table([[0, 1]], ["a"]), table([[0.5, NAN]], ["a"]))


def test_a_merged_label_is_the_maximum_of_its_parts():
    values = np.array([[0.1, 0.7, 0.3], [0.6, 0.2, 0.4]])
    merged = merge_labels(
        values, ["wall", "coronary", "nodule"], {"nodule": (), "ca": ("wall", "coronary")}
    )
    assert merged.tolist() == [[0.3, 0.7], [0.4, 0.6]]


def test_a_label_that_is_there_itself_is_not_merged():
    merged = merge_labels(np.array([[0.1, 0.7]]), ["ca", "wall"], {"ca": ("wall",)})
    assert merged.tolist() == [[0.1]]


def test_merged_truth_is_unknown_only_where_the_known_parts_leave_it_open():
    truth = np.array([[1, NAN], [0, NAN], [0, 0], [NAN, NAN], [0, 1]])
    merged = merge_labels(truth, ["wall", "coronary"], {"ca": ("wall", "coronary")})
    assert np.array_equal(merged[:, 0], [1, NAN, 0, NAN, 1], equal_nan=True)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"ca": ("wall", "bowel")}, "must hold 'ca' or all its parts, got no bowel"),
        ({"hernia": ()}, "must hold 'hernia', got no hernia"),
    ],
)
def test_a_label_that_cannot_be_made_is_an_error(groups, message):
    with pytest.raises(InputError, match=message):
        merge_labels(np.array([[0.1]]), ["wall"], groups)

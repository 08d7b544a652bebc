import numpy as np
import pytest

from common.embeddings.case_labels import join_labels
from common.embeddings.table import EmbeddingTable
from common.errors import InputError


@pytest.fixture
def table():
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2) + 1
    return EmbeddingTable(["a", "b", "c", "d"], ["p", None, "r", None], vectors)


def write(folder, text):
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def test_labels_follow_the_embeddings(table, tmp_path):
    path = write(tmp_path, "stage,case_id,tumour\nII,c,1\nI,a,\nIV,z,0\n")
    found = join_labels(table, path, columns=["tumour", "stage"])
    assert found.table.case_ids == ["a", "c"]
    assert found.values == [["", "I"], ["1", "II"]]
    assert found.column("stage") == ["I", "II"]
    assert found.notes == [
        "embeddings without a row, left out: 2",
        "rows without an embedding, left out: 1",
    ]


def test_names_of_files_are_understood(table, tmp_path):
    path = write(tmp_path, "VolumeName,x\ntrain/a.nii.gz,1\nb.npz,0\n")
    assert join_labels(table, path, columns=["x"]).table.case_ids == ["a", "b"]


def test_the_table_may_know_the_patient_better(table, tmp_path):
    path = write(tmp_path, "case_id,patient_id,x\na,q,1\nb,q,0\nc,,0\n")
    assert join_labels(table, path, columns=["x"]).table.patient_ids == ["q", "q", "r"]


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        ("case_id,x\na,1\n", ["y"], r"must have the columns \['y'\]"),
        ("case_id,x\na,1\na,0\n", ["x"], "each case once, got a again"),
        ("case_id,x\nz,1\n", ["x"], "got z for a, b, c; a column case_id must hold"),
        ("case_id,x\na,1\n", [], "columns must name at least one label"),
    ],
)
def test_tables_that_do_not_fit_are_refused(table, tmp_path, text, columns, message):
    with pytest.raises(InputError, match=message):
        join_labels(table, write(tmp_path, text), columns=columns)

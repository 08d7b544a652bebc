"""An embedded case's folder, and the table that all cases' folders make."""

import json
import math
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.embeddings.table import (
    TABLE_NAME,
    EmbeddingTable,
    merge_embeddings,
    read_embeddings,
    write_embeddings,
)
from common.errors import InputError
from common.outputs.embedding import EMBEDDING_DEFINITIONS, SaveEmbeddingd
from common.volumes.geometry import Grid
from common.volumes.inverse import describe_grid

# Network axes d, h, w run up, to the back and to the left, 3 x 1 x 2 mm, oblique about x.
TURN = math.radians(20)
AFFINE = np.array(
    [
        [0, 0, -2, 10],
        [3 * math.sin(TURN), -math.cos(TURN), 0, -20],
        [3 * math.cos(TURN), math.sin(TURN), 0, 30],
        [0, 0, 0, 1],
    ]
)


@pytest.fixture
def save(begin, small_volume):
    """Save a case as an inference run does; keywords go to the run's record."""

    def run(
        case_id, embedding, *, windows=None, figures=False, patient_id="P7", pooling="mean",
        **settings,
    ):  # fmt: skip
        pred = {
            "embedding": torch.tensor([embedding], dtype=torch.float32),
            "pooling": pooling,
            "num_windows": 5,
            "num_empty": 2,
            "inference_s": 0.25,
            "windows": torch.tensor([[embedding]], dtype=torch.float32),
            "centres_voxel": torch.tensor([[1.5, 1.5, 1.5]], dtype=torch.float64),
            "window_size": (4, 4, 4),
            **(windows or {}),
        }
        case = {"case_id": case_id, "image": f"{case_id}.nii", "format": "nifti"}
        data = {
            "case_id": case_id,
            "case": {**case, "patient_id": patient_id},
            "volume": small_volume,
            "image": MetaTensor(torch.zeros(1, 1, 4, 4, 4), affine=torch.tensor(AFFINE)),
            "source_grid": describe_grid(Grid(small_volume.voxels.shape, small_volume.affine)),
            "fingerprint": "ab" * 32,
            "read_preprocess_s": 0.5,
            "pred": pred,
        }
        record = begin(**settings)
        step = SaveEmbeddingd(record=record, keep_windows=windows is not None, figures=figures)
        assert step(data) is data
        return record.folder(case_id)

    return run


def third(power):
    return [1 / 3, -1e-7, 3.0**power]


def test_a_result_holds_the_embedding_to_the_last_bit(save):
    folder = save("a", third(9))
    result = json.loads((folder / "result.json").read_text())
    assert np.array_equal(np.float32(result["outputs"]["embedding"]), np.float32(third(9)))
    assert result["outputs"]["num_windows"] == 5
    assert result["outputs"]["num_empty_windows"] == 2
    assert result["definitions"] == dict(EMBEDDING_DEFINITIONS)
    assert result["files"] == []


def test_windows_are_kept_with_their_place_in_the_patient(save):
    centres = torch.tensor([[1.5, 0.5, 2.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    windows = {
        "windows": torch.arange(6.0).reshape(1, 2, 3),
        "centres_voxel": centres,
        "window_size": (4, 2, 5),
    }
    folder = save("a", third(1), windows=windows)
    assert json.loads((folder / "result.json").read_text())["files"] == ["windows.npz"]
    kept = np.load(folder / "windows.npz")
    assert kept["embedding"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert kept["window_size_voxel"].tolist() == [4, 2, 5]
    np.testing.assert_allclose(kept["centre_world_mm"][1], [10, -20, 30])
    back = np.linalg.inv(kept["affine"]) @ np.append(kept["centre_world_mm"][0], 1)
    np.testing.assert_allclose(back[:3], [1.5, 0.5, 2.0], atol=1e-12)


def test_a_figure_colours_what_is_unlike_the_whole(save):
    windows = {
        "windows": torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]),
        "centres_voxel": torch.tensor([[0.5, 1.5, 1.5], [2.5, 1.5, 1.5]], dtype=torch.float64),
        "window_size": (2, 4, 4),
    }
    sizes = []
    for name, given in (("two", windows), ("one", None)):
        folder = save(name, [1.0, 1.0, 0.0], windows=given, figures=True)
        assert "figure.png" in json.loads((folder / "result.json").read_text())["files"]
        picture = plt.imread(folder / "figure.png")[..., :3]
        assert picture.shape[:2] == (1000, 1000)
        sizes.append(int((np.ptp(picture[150:], axis=-1) > 0.2).sum()))  # neither black nor grey
    assert sizes[0] > sizes[1] + 1000


def test_all_cases_make_one_table(save, tmp_path):
    for number in (10, 2, 1):
        save(f"case_{number}", third(number), patient_id=f"P{number % 2}")
    path = merge_embeddings(tmp_path / "out")
    table = read_embeddings(path)
    assert path.name == TABLE_NAME
    assert table.case_ids == ["case_1", "case_2", "case_10"]
    assert table.patient_ids == ["P1", "P0", "P0"]
    assert table.embeddings.dtype == np.float32
    assert np.array_equal(table.embeddings, np.float32([third(1), third(2), third(10)]))
    assert table.num_windows == [3, 3, 3]
    assert table.made_by["weights"]["name"] == "tiny"
    assert table.made_by["clinical_use"] is False


def test_a_run_taken_up_again_makes_the_same_table(save, tmp_path):
    save("a", third(1))
    merge_embeddings(tmp_path / "out")
    save("b", third(2))
    again = merge_embeddings(tmp_path / "out").read_bytes()
    assert again == merge_embeddings(tmp_path / "out").read_bytes()
    assert read_embeddings(tmp_path / "out").case_ids == ["a", "b"]
    assert not list((tmp_path / "out").glob(".partial*"))


def test_a_folder_without_a_table_is_read_from_its_results(save, tmp_path):
    save("a", third(1))
    assert read_embeddings(tmp_path / "out").case_ids == ["a"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"pooling": "max"}, "pooling"),
        ({"spacing_mm": 3}, "settings"),
        ({"precision": "bf16"}, "precision"),
    ],
)
def test_embeddings_made_differently_are_never_in_one_table(save, tmp_path, change, what):
    save("a", third(1))
    save("b", third(2), **change)
    with pytest.raises(InputError, match=f"made alike, got another {what} in .*b.result.json"):
        merge_embeddings(tmp_path / "out")


def test_drawing_figures_makes_no_difference(save, tmp_path):
    save("a", third(1), figures=True)
    save("b", third(2), figures=False)
    assert len(read_embeddings(merge_embeddings(tmp_path / "out"))) == 2


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"must hold embedded cases .* run inference"):
        merge_embeddings(tmp_path)


def test_other_results_are_refused(tmp_path, make_result):
    folder = tmp_path / "case_1"
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(make_result()))
    with pytest.raises(InputError, match=r"must hold outputs\.embedding, got probabilities"):
        merge_embeddings(tmp_path)


def test_a_torn_result_is_refused(save, tmp_path):
    (save("a", third(1)) / "result.json").write_text("{")
    with pytest.raises(InputError, match="must be a whole result"):
        merge_embeddings(tmp_path / "out")


def test_cases_are_selected_in_the_order_asked_for(save, tmp_path):
    for name in "abc":
        save(name, third(ord(name) - ord("a")))
    table = read_embeddings(tmp_path / "out").select(["c", "a"])
    assert table.case_ids == ["c", "a"]
    assert np.array_equal(table.embeddings, np.float32([third(2), third(0)]))
    assert [Path(path).name for path in table.paths] == ["c.nii", "a.nii"]
    with pytest.raises(InputError, match=r"got none for 1 of 2 \(z\); run inference on them"):
        table.select(["a", "z"])


def test_a_plain_parquet_of_another_program_is_read(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"case_id": ["x", "y"], "embedding": [[1.0, 2.0], [3.0, 4.0]]})
    pq.write_table(table, tmp_path / "theirs.parquet")
    read = read_embeddings(tmp_path / "theirs.parquet")
    assert read.embeddings.tolist() == [[1, 2], [3, 4]]
    assert read.patient_ids == [None, None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"case_id": ["x", "x"], "embedding": [[1.0], [2.0]]}, "each case once, got x again"),
        ({"case_id": ["x", "y"], "embedding": [[1.0], [2.0, 3.0]]}, "embeddings of one length"),
        ({"case_id": ["x", "y"]}, "columns case_id and embedding, got 2 rows of case_id"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, columns, message):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), tmp_path / "theirs.parquet")
    with pytest.raises(InputError, match=message):
        read_embeddings(tmp_path / "theirs.parquet")


def test_what_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(InputError, match="must be a Parquet table of embeddings"):
        read_embeddings(tmp_path / "a.parquet")


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="embeddings must exist, got "):
        read_embeddings(tmp_path / "none.parquet")


def test_a_table_comes_back_as_it_was_written(tmp_path):
    table = EmbeddingTable(["a", "b"], ["p", None], np.float32([[1, 2], [3, 4]]))
    assert table.owners == ["patient p", "case b"]
    back = read_embeddings(write_embeddings(tmp_path / "t.parquet", table))
    assert back.case_ids == ["a", "b"]
    assert back.patient_ids == ["p", None]
    assert np.array_equal(back.embeddings, table.embeddings)

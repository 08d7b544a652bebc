"""Rad-ChestCT's tables and the 16 classes it shares with CT-RATE."""

from pathlib import Path

import numpy as np
import pytest

from common.cases.find import find_cases
from common.cases.rad_chestct import (
    AGREED_SOURCES,
    FIBROTIC_SOURCES,
    MATERIAL_SOURCES,
    SHARED_CLASSES,
    read_affines,
    read_shared_labels,
    shared_sources,
    to_shared_classes,
)
from common.cases.read import read_volume
from common.errors import InputError
from common.vocabulary.chest_findings import CT_RATE_LABELS

CT = (np.arange(6 * 7 * 8) - 1000).reshape(6, 7, 8).astype(np.int16)
ABNORMALITIES = sorted(
    {name for names in AGREED_SOURCES.values() for name in names}
    | set(MATERIAL_SOURCES["any"])
    | {"scarring", "fibrosis"}
)
LOCATIONS = ("left_lung", "right_lung", "other")


def write_labels(path: Path, present: dict[str, list[str]], omit: tuple[str, ...] = ()) -> Path:
    """One row per scan; `present` names its columns that are 1."""
    columns = [f"{a}*{where}" for a in ABNORMALITIES if a not in omit for where in LOCATIONS]
    lines = [",".join(("NoteAcc_DEID", *columns))]
    for scan, positive in present.items():
        lines.append(",".join((scan, *(str(int(column in positive)) for column in columns))))
    path.write_text("\n".join(lines))
    return path


def positives(labels: list[float]) -> list[str]:
    return [name for name, value in zip(SHARED_CLASSES, labels, strict=True) if value]


def test_sixteen_classes_are_the_shared_ones():
    assert len(SHARED_CLASSES) == 16
    assert "Mosaic attenuation pattern" not in SHARED_CLASSES
    assert SHARED_CLASSES[:3] == ("Medical material", "Calcification", "Cardiomegaly")


def test_abnormality_at_any_location_is_present(tmp_path: Path):
    path = write_labels(
        tmp_path / "labels.csv",
        {
            "trn1": ["emphysema*right_lung", "nodulegr1cm*left_lung"],
            "trn2": [],
            "trn3": ["hernia*other", "calcification*other", "bronchial_wall_thickening*other"],
        },
    )
    labels = read_shared_labels(path)
    assert positives(labels["trn1"]) == ["Emphysema", "Lung nodule"]
    assert positives(labels["trn2"]) == []
    assert positives(labels["trn3"]) == [
        "Calcification",
        "Hiatal hernia",
        "Peribronchial thickening",
    ]


def test_disputed_mappings_are_chosen_by_name(tmp_path: Path):
    path = write_labels(
        tmp_path / "labels.csv",
        {"s": ["scarring*left_lung"], "f": ["fibrosis*left_lung"], "p": ["stent*other"]},
    )
    plain = read_shared_labels(path)
    assert positives(plain["s"]) == ["Pulmonary fibrotic sequela"]
    assert positives(plain["f"]) == positives(plain["p"]) == []
    other = read_shared_labels(path, fibrotic_sequela="fibrosis", medical_material="any")
    assert positives(other["s"]) == []
    assert positives(other["f"]) == ["Pulmonary fibrotic sequela"]
    assert positives(other["p"]) == ["Medical material"]


def test_every_class_has_its_sources():
    for fibrotic in FIBROTIC_SOURCES:
        for material in MATERIAL_SOURCES:
            sources = shared_sources(fibrotic_sequela=fibrotic, medical_material=material)
            assert tuple(sources) == SHARED_CLASSES


@pytest.mark.parametrize("choice", [{"fibrotic_sequela": "any"}, {"medical_material": "stent"}])
def test_unknown_mapping_is_an_error(choice: dict):
    with pytest.raises(InputError, match=r"must be one of \["):
        shared_sources(**choice)


def test_missing_abnormality_is_named(tmp_path: Path):
    path = write_labels(tmp_path / "labels.csv", {"s": []}, omit=("hernia",))
    with pytest.raises(InputError, match=r"columns <abnormality>\*<location> for hernia, got none"):
        read_shared_labels(path)


def test_calcification_is_the_higher_of_the_two_predictions():
    probabilities = np.arange(18) / 100
    probabilities[CT_RATE_LABELS.index("Coronary artery wall calcification")] = 0.9
    shared = to_shared_classes(np.stack([probabilities, probabilities * 0]))
    assert shared.shape == (2, 16)
    assert shared[0, SHARED_CLASSES.index("Calcification")] == 0.9
    for name in set(SHARED_CLASSES) - {"Calcification"}:
        assert shared[0, SHARED_CLASSES.index(name)] == probabilities[CT_RATE_LABELS.index(name)]


def test_wrong_number_of_predictions_is_an_error():
    with pytest.raises(InputError, match=r"18 numbers along their last axis, got shape \(2, 16\)"):
        to_shared_classes(np.zeros((2, 16)))


def test_label_csv_becomes_cases_with_spacing_from_the_metadata(tmp_path: Path):
    np.savez_compressed(tmp_path / "trn00001.npz", ct=CT)
    labels = write_labels(tmp_path / "labels.csv", {"trn00001": ["opacity*other"], "trn00002": []})
    metadata = tmp_path / "metadata.csv"
    metadata.write_text('NoteAcc_DEID,final_spacing\ntrn00001,"[0.81, 0.82, 0.83]"\n')
    cases = find_cases(labels, metadata=metadata)
    (case,) = cases
    assert case["case_id"] == "trn00001"
    assert positives(case["label"]) == ["Lung opacity"]
    np.testing.assert_allclose(read_volume(case).spacing_mm, (0.81, 0.82, 0.83))
    assert [item.path for item in cases.rejected] == ["trn00002"]


@pytest.mark.parametrize(
    ("text", "expected"), [("0.8", (0.8,) * 3), ('"(0.7, 0.8, 0.9)"', (0.7, 0.8, 0.9))]
)
def test_final_spacing_is_one_number_or_three(tmp_path: Path, text: str, expected: tuple):
    path = tmp_path / "metadata.csv"
    path.write_text(f"NoteAcc_DEID,final_spacing\na,{text}\n")
    affine = np.array(read_affines(path)["a"])
    np.testing.assert_allclose(np.linalg.norm(affine[:3, :3], axis=0), expected)


def test_final_spacing_of_two_numbers_is_an_error(tmp_path: Path):
    path = tmp_path / "metadata.csv"
    path.write_text('NoteAcc_DEID,final_spacing\na,"0.7, 0.8"\n')
    with pytest.raises(InputError, match="must have 1 or 3 numbers as final_spacing"):
        read_affines(path)

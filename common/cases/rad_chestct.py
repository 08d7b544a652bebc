"""Rad-ChestCT's tables, and the 16 classes that it shares with CT-RATE.

The published table has one column per abnormality and location. Papers agree on how 14 of the 16
classes map; on two they differ, and those two are arguments here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..csv_table import NUMBER, number, read_table
from ..errors import InputError
from ..formats.npz import STYLES, npz_affine
from ..vocabulary.chest_findings import CT_RATE_LABELS

ID_COLUMN = "NoteAcc_DEID"
CALCIFICATION = "Calcification"
MERGED = ("Arterial wall calcification", "Coronary artery wall calcification")
NOT_SHARED = "Mosaic attenuation pattern"
FIBROTIC = "Pulmonary fibrotic sequela"
MATERIAL = "Medical material"

SHARED_CLASSES: tuple[str, ...] = tuple(
    CALCIFICATION if label == MERGED[0] else label
    for label in CT_RATE_LABELS
    if label not in (MERGED[1], NOT_SHARED)
)
"""The 16 classes in CT-RATE's order; both calcifications are one, at the first one's place."""

AGREED_SOURCES: dict[str, tuple[str, ...]] = {
    "Cardiomegaly": ("cardiomegaly",),
    "Pericardial effusion": ("pericardial_effusion",),
    CALCIFICATION: ("calcification",),
    "Hiatal hernia": ("hernia",),
    "Lymphadenopathy": ("lymphadenopathy",),
    "Emphysema": ("emphysema",),
    "Atelectasis": ("atelectasis",),
    "Lung nodule": ("nodule", "nodulegr1cm"),
    "Lung opacity": ("opacity",),
    "Pleural effusion": ("pleural_effusion",),
    "Peribronchial thickening": ("bronchial_wall_thickening",),
    "Consolidation": ("consolidation",),
    "Bronchiectasis": ("bronchiectasis",),
    "Interlobular septal thickening": ("septal_thickening",),
}
FIBROTIC_SOURCES: dict[str, tuple[str, ...]] = {
    "scarring": ("scarring",),
    "fibrosis": ("fibrosis",),
}
MATERIAL_SOURCES: dict[str, tuple[str, ...]] = {
    "catheter_or_port": ("catheter_or_port",),
    "any": (
        "catheter_or_port",
        "chest_tube",
        "clip",
        "gi_tube",
        "hardware",
        "pacemaker_or_defib",
        "stent",
        "tracheal_tube",
        "staple",
        "suture",
        "breast_implant",
    ),
}


def shared_sources(
    *, fibrotic_sequela: str = "scarring", medical_material: str = "catheter_or_port"
) -> dict[str, tuple[str, ...]]:
    """Which Rad-ChestCT abnormalities make up each of the 16 classes.

    Args:
        fibrotic_sequela: `scarring` or `fibrosis`; papers differ.
        medical_material: `catheter_or_port`, or `any` device; papers differ.

    Returns:
        For each of `SHARED_CLASSES`, in order, the abnormalities of which any makes it positive.

    Raises:
        InputError: If a choice is none of these.
    """
    _check_choice("fibrotic_sequela", fibrotic_sequela, FIBROTIC_SOURCES)
    _check_choice("medical_material", medical_material, MATERIAL_SOURCES)
    sources = {
        **AGREED_SOURCES,
        FIBROTIC: FIBROTIC_SOURCES[fibrotic_sequela],
        MATERIAL: MATERIAL_SOURCES[medical_material],
    }
    return {name: sources[name] for name in SHARED_CLASSES}


def _check_choice(name: str, value: str, known: dict[str, tuple[str, ...]]) -> None:
    if value not in known:
        msg = f"{name} must be one of {sorted(known)}, got {value!r}; choose one of them"
        raise InputError(msg)


def read_shared_labels(
    path: Path,
    *,
    fibrotic_sequela: str = "scarring",
    medical_material: str = "catheter_or_port",
) -> dict[str, list[float]]:
    """Read `img*_Abnormality_and_Location_Labels.csv`.

    An abnormality is present where it is present at any location.

    Returns:
        For each scan id, 16 numbers in the order of `SHARED_CLASSES`, 0 or 1.

    Raises:
        InputError: If an abnormality that a class needs has no column.
    """
    sources = shared_sources(fibrotic_sequela=fibrotic_sequela, medical_material=medical_material)
    rows = read_table(path, columns=(ID_COLUMN,))
    columns = {
        name: _columns_of(abnormalities, rows[0], path) for name, abnormalities in sources.items()
    }
    return {
        row[ID_COLUMN]: [_any_present(row, columns[name], path) for name in SHARED_CLASSES]
        for row in rows
    }


def _columns_of(abnormalities: Sequence[str], row: dict[str, str], path: Path) -> list[str]:
    found = [column for column in row if column.split("*", 1)[0] in abnormalities]
    if not found:
        msg = (
            f"{path} must have columns <abnormality>*<location> for {' or '.join(abnormalities)}, "
            "got none; use the published table"
        )
        raise InputError(msg)
    return found


def _any_present(row: dict[str, str], columns: Sequence[str], path: Path) -> float:
    values = [number(row[column], name=f"{path}: {column}") for column in columns]
    return float(max((value for value in values if value == value), default=0.0) > 0)


def read_affines(path: Path) -> dict[str, list[list[float]]]:
    """Read the metadata table: for each scan id, where its voxels lie (RAS+, mm).

    `final_spacing` is one number or three, in the order of the array's axes.

    Raises:
        InputError: If a column is missing or a spacing is not one or three numbers.
    """
    rows = read_table(path, columns=(ID_COLUMN, "final_spacing"))
    return {row[ID_COLUMN]: _affine(row["final_spacing"], path) for row in rows}


def _affine(text: str, path: Path) -> list[list[float]]:
    found = [float(match) for match in NUMBER.findall(text)]
    if len(found) not in (1, 3):
        msg = f"{path} must have 1 or 3 numbers as final_spacing, got {text!r}; correct the table"
        raise InputError(msg)
    first, second, third = found * 3 if len(found) == 1 else found
    affine: list[list[float]] = npz_affine(STYLES["ct"].axcodes, (first, second, third)).tolist()
    return affine


def to_shared_classes(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Turn predictions for CT-RATE's 18 labels into predictions for the 16 shared classes.

    Args:
        probabilities: `(..., 18)` in the order of `CT_RATE_LABELS`.

    Returns:
        `(..., 16)` in the order of `SHARED_CLASSES`; calcification is the higher of the two.

    Raises:
        InputError: If the last axis does not have length 18.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if values.shape[-1:] != (len(CT_RATE_LABELS),):
        msg = (
            f"probabilities must have {len(CT_RATE_LABELS)} numbers along their last axis, "
            f"got shape {values.shape}; give all labels of CT-RATE"
        )
        raise InputError(msg)
    index = {label: position for position, label in enumerate(CT_RATE_LABELS)}
    columns = [
        values[..., [index[label] for label in (MERGED if name == CALCIFICATION else (name,))]].max(
            axis=-1
        )
        for name in SHARED_CLASSES
    ]
    return np.stack(columns, axis=-1)

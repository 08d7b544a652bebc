"""CT-RATE's names and tables as published: labels, reports, metadata, volume names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..csv_table import number, numbers, read_table, read_text
from ..errors import InputError
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..volumes.affines import affine_from_lps

VOLUME_NAME = re.compile(r"(?P<split>[a-z]+)_(?P<patient>\d+)_(?P<scan>[a-z]+)_(?P<recon>\d+)")
NOT_GIVEN = "not given"


@dataclass(frozen=True)
class VolumeName:
    """A CT-RATE volume's name in its parts: `train_1_a_2` is `train`, 1, `a`, 2.

    Reconstructions of one scan share their report and labels; scans of one patient share
    the patient.
    """

    split: str
    patient: int
    scan: str
    reconstruction: int

    @property
    def patient_id(self) -> str:
        """`train_1`."""
        return f"{self.split}_{self.patient}"

    @property
    def scan_id(self) -> str:
        """`train_1_a`."""
        return f"{self.patient_id}_{self.scan}"

    @property
    def stem(self) -> str:
        """`train_1_a_2`."""
        return f"{self.scan_id}_{self.reconstruction}"


@dataclass(frozen=True)
class Report:
    """A radiology report in its sections; empty where not given."""

    clinical_information: str
    technique: str
    findings: str
    impression: str

    @property
    def text(self) -> str:
        """Findings, then impression."""
        return "\n".join(part for part in (self.findings, self.impression) if part)


@dataclass(frozen=True)
class VolumeMetadata:
    """What the metadata table knows about a volume whose own header is blank.

    Attributes:
        affine: `(4, 4)` voxel index to world mm, RAS+, as nested lists.
        slope: HU per stored unit. Version 2 (`*_fixed`) files are in HU and have a header: never
            apply it to them.
        intercept: HU of the stored value 0.
    """

    affine: list[list[float]]
    slope: float
    intercept: float


def parse_volume_name(name: str) -> VolumeName:
    """Take a CT-RATE volume name apart, with or without folder and suffix.

    Raises:
        InputError: If the name is not of the form `train_1_a_1`.
    """
    bare = name.rsplit("/", 1)[-1].split(".", 1)[0]
    match = VOLUME_NAME.fullmatch(bare)
    if match is None:
        msg = f"VolumeName must look like train_1_a_1.nii.gz, got {name!r}; use the published names"
        raise InputError(msg)
    return VolumeName(match["split"], int(match["patient"]), match["scan"], int(match["recon"]))


def volume_path(data_dir: Path, name: VolumeName) -> Path | None:
    """Where a volume lies below `data_dir`: in the published nested folders, or flat.

    Accepts `train/train_1/train_1_a/`, also below `dataset/` and with `_fixed` folders; `.nii.gz`
    before `.npz`.
    """
    nested = Path(name.patient_id, name.scan_id)
    folders = [
        Path(),
        nested,
        *(
            Path(top, split, nested)
            for top in ("", "dataset")
            for split in (name.split, f"{name.split}_fixed")
        ),
    ]
    candidates = (
        data_dir / folder / f"{name.stem}{suffix}"
        for suffix in (".nii.gz", ".npz", ".nii")
        for folder in folders
    )
    return next((path for path in candidates if path.is_file()), None)


def read_labels(path: Path) -> dict[str, list[float]]:
    """Read `*_predicted_labels.csv`.

    Returns:
        For each volume stem, 18 numbers in the order of `CT_RATE_LABELS`, 0 or 1, NaN if empty.

    Raises:
        InputError: If a label column is missing or holds something else.
    """
    table = read_table(path, columns=("VolumeName", *CT_RATE_LABELS))
    return {_stem(row): labels_of(row, path) for row in table}


def labels_of(row: dict[str, str], path: Path) -> list[float]:
    """The 18 labels of one row, in official order."""
    return [number(row[label], name=f"{path}: {label}") for label in CT_RATE_LABELS]


def read_reports(path: Path) -> dict[str, Report]:
    """Read `*_reports.csv`: for each volume stem, its report."""
    table = read_table(path, columns=("VolumeName", "Findings_EN", "Impressions_EN"))
    return {_stem(row): report_of(row) for row in table}


def report_of(row: dict[str, str]) -> Report:
    """The report of one row; "Not given." becomes empty."""

    def section(column: str) -> str:
        text = (row.get(column) or "").strip()
        return "" if text.rstrip(".").lower() == NOT_GIVEN else text

    return Report(
        clinical_information=section("ClinicalInformation_EN"),
        technique=section("Technique_EN"),
        findings=section("Findings_EN"),
        impression=section("Impressions_EN"),
    )


def read_metadata(path: Path) -> dict[str, VolumeMetadata]:
    """Read `*_metadata.csv`: for each volume stem, its place and rescale.

    Raises:
        InputError: If a column is missing or a value is not what it should be.
    """
    columns = ("RescaleSlope", "RescaleIntercept", "XYSpacing", "ZSpacing")
    table = read_table(path, columns=("VolumeName", *columns))
    return {_stem(row): metadata_of(row, path) for row in table}


def metadata_of(row: dict[str, str], path: Path) -> VolumeMetadata:
    """Place and rescale of one row.

    The volume's axes run as DICOM has them: along a row, down a column, along the normal.
    """
    name = f"{path}: {row['VolumeName']}"
    xy = numbers(row["XYSpacing"], count=2, name=f"{name} XYSpacing")
    z_mm = number(row["ZSpacing"], name=f"{name} ZSpacing")
    orientation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    position: tuple[float, ...] = (0.0, 0.0, 0.0)
    if row.get("ImageOrientationPatient"):
        column = row["ImageOrientationPatient"]
        orientation = numbers(column, count=6, name=f"{name} ImageOrientationPatient")
    if row.get("ImagePositionPatient"):
        position = numbers(
            row["ImagePositionPatient"], count=3, name=f"{name} ImagePositionPatient"
        )
    along_row, down_column = np.array(orientation).reshape(2, 3)
    normal = np.cross(along_row, down_column)
    # PixelSpacing is the distance between rows first, then between columns.
    columns = np.stack([along_row * xy[1], down_column * xy[0], normal * z_mm], axis=1)
    return VolumeMetadata(
        affine=affine_from_lps(columns, position).tolist(),
        slope=number(row["RescaleSlope"], name=f"{name} RescaleSlope"),
        intercept=number(row["RescaleIntercept"], name=f"{name} RescaleIntercept"),
    )


def read_excluded(path: Path) -> set[str]:
    """Read a `no_chest_*.txt` list: the stems of volumes that show no chest."""
    lines = read_text(path).replace(",", "\n").splitlines()
    return {parse_volume_name(line.strip()).stem for line in lines if line.strip()}


def _stem(row: dict[str, str]) -> str:
    return parse_volume_name(row["VolumeName"]).stem

"""Phantoms as files: NIfTI, DICOM series, CT-RATE's tables or a plain list, truth as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from isal import igzip

from ..atomic import json_text, replacing, write_bytes, write_text
from ..case import Case
from ..errors import InputError
from ..vocabulary.chest_findings import CT_RATE_LABELS
from ..vocabulary.head_findings import HEAD_LABELS
from ..volumes.volume import Volume
from .dicom_series import write_dicom
from .head import HeadPhantom
from .make import AnyPhantom, make_phantom
from .marks import MARK, TRUTH
from .patient import REGIONS
from .report import technique

FORMATS = ("nifti", "dicom", "both")
CASE_SPACING_MM = (0.9, 0.9, 1.5)
SPACING_MM = (0.8, 0.8, 1.5)
HEAD_SPACING_MM = (0.8, 0.8, 2.5)
_TABLE_NAMES = {
    "train": ("train_predicted_labels", "train_reports", "train_metadata"),
    "valid": ("valid_predicted_labels", "validation_reports", "validation_metadata"),
}


def write_phantom_case(
    folder: str | Path,
    seed: int,
    *,
    findings: Iterable[str] | None = None,
    spacing_mm: tuple[float, float, float] = CASE_SPACING_MM,
    region: str = "chest",
) -> Path:
    """Write one phantom with its truth beside it, unless both are there already.

    Args:
        folder: Where to; made if absent.
        seed: Which patient.
        findings: Exactly these labels; drawn by chance if None.
        spacing_mm: Voxel size.
        region: What is scanned: one of `REGIONS`.

    Returns:
        `phantom_<seed>.nii.gz`, with the region in its name where that is not the chest; the same
        name `.truth.json` lies beside it.

    Raises:
        InputError: If the folder cannot be written, or a label is unknown.
    """
    name = _case_name(seed, region)
    volume_path = Path(folder) / f"{name}.nii.gz"
    truth_path = Path(folder) / f"{name}.{TRUTH}"
    if not (volume_path.is_file() and truth_path.is_file()):
        phantom = make_phantom(seed=seed, spacing_mm=spacing_mm, region=region, findings=findings)
        write_text(truth_path, json_text(truth(phantom)))
        write_nifti(phantom.volume, volume_path)
    return volume_path


def phantom_case(folder: str | Path, seed: int, *, region: str = "chest") -> Case:
    """The case of a phantom that `cases.read.draw` writes; nothing is written yet.

    Raises:
        InputError: If there is no such region.
    """
    if region not in REGIONS:
        msg = f"region must be one of {', '.join(REGIONS)}, got {region}; use one of them"
        raise InputError(msg)
    name = _case_name(seed, region)
    path = Path(folder) / f"{name}.nii.gz"
    drawn = {"seed": seed, "region": region}
    return Case(case_id=name, image=str(path), format="nifti", drawn=drawn)


def _case_name(seed: int, region: str) -> str:
    return f"phantom_{seed}" if region == "chest" else f"phantom_{region}_{seed}"


def truth(phantom: AnyPhantom) -> dict[str, Any]:
    """All that is known about a phantom, as plain JSON values."""
    patient = asdict(phantom.patient)
    names = HEAD_LABELS if isinstance(phantom, HeadPhantom) else CT_RATE_LABELS
    return {
        "source": MARK,
        "patient_id": phantom.patient_id,
        "labels": {label: int(value) for label, value in zip(names, phantom.labels, strict=True)},
        "findings": [asdict(finding) for finding in phantom.findings],
        "report": phantom.report,
        "patient": patient,
    }


def write_nifti(volume: Volume, path: str | Path) -> None:
    """Write a phantom's volume as compressed NIfTI that says what it is, whole or not at all.

    Raises:
        InputError: If the place cannot be written.
    """
    image = nib.Nifti1Image(volume.voxels, volume.affine)
    image.header.set_xyzt_units("mm", "sec")
    image.header.set_slope_inter(volume.slope, volume.intercept)
    image.header["descrip"] = MARK
    image.set_qform(volume.affine, code=1, strip_shears=True)
    image.set_sform(volume.affine, code=1)
    write_bytes(path, igzip.compress(image.to_bytes(), compresslevel=1))


def write_collection(
    output_dir: str | Path,
    *,
    num: int = 5,
    seed: int = 0,
    split: str = "train",
    file_format: str = "nifti",
    spacing_mm: tuple[float, float, float] | None = None,
    axcodes: str = "LPS",
    region: str = "chest",
    organs: bool = False,
    findings: Iterable[str] | None = None,
    prevalence: float | Mapping[str, float] | None = None,
) -> list[Path]:
    """Write phantoms as CT-RATE is published: folders, label, report and metadata tables.

    Heads are no part of CT-RATE and are written as a list: `scans/<case>.nii.gz` or
    `scans/<case>/` for DICOM, and `labels.csv` beside them with one row per scan: `image`,
    `case_id`, `patient_id`, `report`, then `HEAD_LABELS`, the column `Abnormal` first. What reads
    lists of cases reads it.

    Args:
        output_dir: Where to; made if absent.
        num: How many patients, one scan each.
        seed: Of the first; the others follow.
        split: `train` or `valid`: part of the names; not of heads'.
        file_format: `nifti`, `dicom` or `both`.
        spacing_mm: Voxel size along I, J, K; `HEAD_SPACING_MM` for heads and else `SPACING_MM` if
            None.
        axcodes: Where I, J, K run to.
        region: One of `REGIONS`.
        organs: Whether TotalSegmentator v2 ids are written too: `<name>_organs.nii.gz`, uint8 on
            the scan's grid, beside each scan or DICOM folder; and for heads `<name>_lesions`,
            the numbers of the findings in `truth.json` from 1 on.
        findings: Exactly these labels in all of them; drawn by chance if None.
        prevalence: As for `make_chest` or `make_head`.

    Returns:
        What was written: files, and one folder per DICOM series.

    Raises:
        InputError: If an argument is out of its range or the place cannot be written.
    """
    _check(num, split, file_format)
    root = Path(output_dir)
    wanted = None if findings is None else tuple(findings)
    size = spacing_mm or (HEAD_SPACING_MM if region == "head" else SPACING_MM)

    def phantoms() -> Iterator[AnyPhantom]:
        for number in range(seed, seed + num):
            yield make_phantom(
                seed=number, spacing_mm=size, axcodes=axcodes, region=region, findings=wanted,
                prevalence=prevalence,
            )  # fmt: skip

    if region == "head":
        return _write_list(root, phantoms(), file_format, organs=organs)
    written: list[Path] = []
    labels, reports, metadata, truths = [], [], [], {}
    for number, phantom in enumerate(phantoms(), 1):
        stem = f"{split}_{number}_a_1"
        name = f"{stem}.nii.gz"
        places = {
            "nifti": root / "dataset" / split / f"{split}_{number}" / f"{split}_{number}_a",
            "dicom": root / "dicom",
        }
        for kind, place in places.items():
            if file_format in (kind, "both"):
                written += _write_scan(phantom, place, stem, kind, organs=organs)
        labels.append({"VolumeName": name, **truth(phantom)["labels"]})
        reports.append(_report_row(name, phantom))
        metadata.append(_metadata_row(name, phantom))
        truths[name] = truth(phantom)
    folders = ("multi_abnormality_labels", "radiology_text_reports", "metadata")
    for folder, table, rows in zip(
        folders, _TABLE_NAMES[split], (labels, reports, metadata), strict=True
    ):
        path = root / "dataset" / folder / f"{table}.csv"
        _write_table(path, rows)
        written.append(path)
    write_text(root / TRUTH, json_text(truths))
    return [*written, root / TRUTH]


def _write_list(
    root: Path, phantoms: Iterator[AnyPhantom], file_format: str, *, organs: bool
) -> list[Path]:
    """Scans in one folder and one table of their labels, whatever these are."""
    written: list[Path] = []
    rows, truths = [], {}
    for phantom in phantoms:
        name = f"head_{phantom.patient.seed}"
        scans: list[Path] = []
        for kind in ("nifti", "dicom"):
            if file_format in (kind, "both"):
                scans += _write_scan(phantom, root / "scans", name, kind, organs=organs)
        known = truth(phantom)
        truths[name] = known
        row = {"image": scans[0].relative_to(root).as_posix(), "case_id": name}
        row |= {"patient_id": phantom.patient_id, "report": phantom.report, **known["labels"]}
        rows.append(row)
        written += dict.fromkeys(scans)
    _write_table(root / "labels.csv", rows)
    write_text(root / TRUTH, json_text(truths))
    return [*written, root / "labels.csv", root / TRUTH]


def _write_scan(
    phantom: AnyPhantom, folder: Path, stem: str, kind: str, *, organs: bool
) -> list[Path]:
    if kind == "nifti":
        written = [folder / f"{stem}.nii.gz"]
        write_nifti(phantom.volume, written[0])
    else:
        written = [write_dicom(phantom, folder / stem)]
    if organs:
        written.append(folder / f"{stem}_organs.nii.gz")
        write_nifti(Volume(phantom.organs, phantom.volume.affine), written[-1])
    if organs and isinstance(phantom, HeadPhantom):
        written.append(folder / f"{stem}_lesions.nii.gz")
        write_nifti(Volume(phantom.lesions, phantom.volume.affine), written[-1])
    return written


def _check(num: int, split: str, file_format: str) -> None:
    if num < 1:
        msg = f"num must be at least 1, got {num}; give the number of patients"
        raise InputError(msg)
    if split not in _TABLE_NAMES:
        msg = f"split must be train or valid, got {split!r}; these are CT-RATE's names"
        raise InputError(msg)
    if file_format not in FORMATS:
        msg = f"format must be one of {', '.join(FORMATS)}, got {file_format!r}; choose one"
        raise InputError(msg)


def _report_row(name: str, phantom: AnyPhantom) -> dict[str, str]:
    impressions = ", ".join(phantom.label_names) or "Normal chest CT"
    return {
        "VolumeName": name,
        "ClinicalInformation_EN": "Not given.",
        "Technique_EN": technique(phantom.patient),
        "Findings_EN": phantom.report,
        "Impressions_EN": impressions[0].upper() + impressions[1:] + ".",
    }


def _metadata_row(name: str, phantom: AnyPhantom) -> dict[str, Any]:
    volume, patient = phantom.volume, phantom.patient
    i_mm, j_mm, k_mm = volume.spacing_mm
    lps = np.diag([-1.0, -1.0, 1.0]) @ volume.affine[:3]
    directions = lps[:, :2] / np.linalg.norm(lps[:, :2], axis=0)
    columns, rows, slices = volume.voxels.shape
    return {
        "VolumeName": name,
        "Manufacturer": MARK,
        "SeriesDescription": technique(patient),
        "PatientSex": patient.sex,
        "PatientAge": f"{patient.age:03d}Y",
        "PatientPosition": "HFS",
        "ImagePositionPatient": _numbers(lps[:, 3]),
        "ImageOrientationPatient": _numbers(directions.T.ravel()),
        "Rows": rows,
        "Columns": columns,
        "XYSpacing": _numbers((j_mm, i_mm)),
        "RescaleIntercept": volume.intercept,
        "RescaleSlope": volume.slope,
        "RescaleType": "HU",
        "NumberofSlices": slices,
        "ZSpacing": round(k_mm, 6),
        "StudyDate": "20000101",
    }


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{float(value) + 0.0:.6g}" for value in values) + "]"


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with replacing(path) as partial:
        partial.write_text(text.getvalue(), encoding="utf-8")

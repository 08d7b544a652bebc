"""CSV and JSON lists of scans as cases.

A CSV with `VolumeName` is read as CT-RATE publishes it, one with `NoteAcc_DEID` as Rad-ChestCT
does, any other needs a column `image` (or `path`). JSON is a MONAI data list.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..case import Case, CaseList, Rejection
from ..errors import InputError
from ..formats.dicom_scan import choose_series, find_series
from ..formats.registry import ACCEPTED, format_of
from ..naming import safe_name, unique_names
from .csv_table import number, read_table, read_text
from .ct_rate import (
    CT_RATE_LABELS,
    labels_of,
    metadata_of,
    parse_volume_name,
    read_excluded,
    read_metadata,
    read_reports,
    report_of,
    volume_path,
)
from .rad_chestct import ID_COLUMN, read_affines, read_shared_labels

LIST_SUFFIXES = (".csv", ".tsv", ".json")
IMAGE_COLUMNS = ("image", "path")
RAD_CHESTCT_FOLDERS = ("", "trn", "val", "tst", "train", "valid", "test")
CASE_KEYS = ("case_id", "patient_id", "report", "format", "files", "frames", "affine", "rescale")


@dataclass(frozen=True)
class ListOptions:
    """What goes with a list; see `find_cases`."""

    data_dir: str | os.PathLike[str] | None = None
    reports: str | os.PathLike[str] | None = None
    metadata: str | os.PathLike[str] | None = None
    exclude: str | os.PathLike[str] | None = None
    fibrotic_sequela: str = "scarring"
    medical_material: str = "catheter_or_port"

    def folder(self, path: Path) -> Path:
        """Where the volumes of the list `path` lie."""
        folder = path.parent if self.data_dir is None else Path(self.data_dir).expanduser()
        if not folder.is_dir():
            msg = f"data_dir must be a folder, got {folder}; give the folder of the volumes"
            raise InputError(msg)
        return folder


def cases_from_list(path: Path, options: ListOptions) -> CaseList:
    """Read a CSV or JSON list.

    Returns:
        The cases whose volumes are there; `rejected` names the others.

    Raises:
        InputError: If the list is malformed or none of its volumes is there.
    """
    if path.suffix.lower() == ".json":
        cases = _from_json(path, options)
    else:
        rows = read_table(path)
        if "VolumeName" in rows[0]:
            cases = _from_ct_rate(path, rows, options)
        elif ID_COLUMN in rows[0]:
            cases = _from_rad_chestct(path, rows, options)
        else:
            cases = _from_generic(path, rows, options)
    if not cases:
        shown = "; ".join(str(item) for item in cases.rejected[:3])
        msg = (
            f"{path} must list at least one volume that is there, got {len(cases.rejected)} that "
            f"are not ({shown}); set data_dir to the folder of the volumes"
        )
        raise InputError(msg)
    return cases


def _from_ct_rate(path: Path, rows: list[dict[str, str]], options: ListOptions) -> CaseList:
    folder = options.folder(path)
    reports = read_reports(Path(options.reports)) if options.reports else {}
    metadata = read_metadata(Path(options.metadata)) if options.metadata else {}
    excluded = read_excluded(Path(options.exclude)) if options.exclude else set()
    columns = rows[0].keys()
    labelled = [label for label in CT_RATE_LABELS if label in columns]
    if labelled and len(labelled) < len(CT_RATE_LABELS):
        missing = [label for label in CT_RATE_LABELS if label not in columns]
        msg = (
            f"{path} must have all 18 label columns, got none for {missing}; use the published CSV"
        )
        raise InputError(msg)
    found = CaseList()
    for row in rows:
        name = parse_volume_name(row["VolumeName"])
        if name.stem in excluded:
            found.rejected.append(Rejection(name.stem, "listed as showing no chest"))
            continue
        volume = volume_path(folder, name)
        if volume is None:
            found.rejected.append(Rejection(name.stem, f"no such volume below {folder}"))
            continue
        case = Case(case_id=name.stem, image=str(volume), format=format_of(volume) or "")
        case["patient_id"] = name.patient_id
        if labelled:
            case["label"] = labels_of(row, path)
        report = report_of(row) if "Findings_EN" in columns else reports.get(name.stem)
        if report is not None:
            case["report"] = report.text
        place = metadata_of(row, path) if "XYSpacing" in columns else metadata.get(name.stem)
        if place is not None and case["format"] == "nifti":
            case["affine"] = place.affine
            case["rescale"] = [place.slope, place.intercept]
        found.append(case)
    return found


def _from_rad_chestct(path: Path, rows: list[dict[str, str]], options: ListOptions) -> CaseList:
    folder = options.folder(path)
    affines = read_affines(Path(options.metadata)) if options.metadata else {}
    labels: dict[str, list[float]] = {}
    if any("*" in column for column in rows[0]):
        labels = read_shared_labels(
            path,
            fibrotic_sequela=options.fibrotic_sequela,
            medical_material=options.medical_material,
        )
    if "final_spacing" in rows[0]:
        affines = read_affines(path)
    found = CaseList()
    for row in rows:
        scan = row[ID_COLUMN].removesuffix(".npz")
        places = (folder / part / f"{scan}.npz" for part in RAD_CHESTCT_FOLDERS)
        volume = next((place for place in places if place.is_file()), None)
        if volume is None:
            found.rejected.append(Rejection(scan, f"no such volume below {folder}"))
            continue
        case = Case(case_id=safe_name(scan), image=str(volume), format="npz")
        if row[ID_COLUMN] in labels:
            case["label"] = labels[row[ID_COLUMN]]
        if row[ID_COLUMN] in affines:
            case["affine"] = affines[row[ID_COLUMN]]
        found.append(case)
    return found


def _from_generic(path: Path, rows: list[dict[str, str]], options: ListOptions) -> CaseList:
    columns = list(rows[0])
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if image is None:
        msg = (
            f"{path} must have a column image, path, VolumeName or {ID_COLUMN}, "
            f"got {columns[:20]}; add one"
        )
        raise InputError(msg)
    labels = _label_columns(rows, exclude=(image, *CASE_KEYS))
    entries = []
    for row in rows:
        entry: dict[str, Any] = {key: row[key] for key in CASE_KEYS[:3] if row.get(key)}
        entry["image"] = row[image]
        if labels:
            entry["label"] = [number(row[name], name=f"{path}: {name}") for name in labels]
        entries.append(entry)
    return _from_entries(entries, options.folder(path))


def _label_columns(rows: list[dict[str, str]], *, exclude: Iterable[str]) -> list[str]:
    """The columns that hold 0, 1 or nothing; CT-RATE's 18 in their own order."""
    skip = set(exclude)
    names = [
        name
        for name in rows[0]
        if name not in skip and {row[name] for row in rows} - {""} <= {"0", "1", "0.0", "1.0"}
    ]
    return list(CT_RATE_LABELS) if set(CT_RATE_LABELS) <= set(names) else names


def _from_json(path: Path, options: ListOptions) -> CaseList:
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        msg = f"{path} must be JSON, got {error}; correct the list"
        raise InputError(msg) from error
    sections = list(content.values()) if isinstance(content, dict) else [content]
    items = [item for section in sections if isinstance(section, list) for item in section]
    entries = [{"image": item} if isinstance(item, str) else item for item in items]
    entries = [item for item in entries if isinstance(item, dict) and "image" in item]
    if not entries:
        msg = (
            f'{path} must be a list of {{"image": ...}}, alone or below a key such as "training", '
            "got none; correct the list"
        )
        raise InputError(msg)
    return _from_entries(entries, options.folder(path))


def _from_entries(entries: list[dict[str, Any]], folder: Path) -> CaseList:
    found = CaseList()
    names: list[list[str]] = []
    for entry in entries:
        stated = entry["image"][0] if isinstance(entry["image"], list) else entry["image"]
        path = folder / Path(str(stated)).expanduser()
        try:
            case = _case(path, entry)
        except InputError as error:
            found.rejected.append(Rejection(str(path), str(error)))
            continue
        found.append(case)
        bare = path.name.removesuffix(".gz").rsplit(".", 1)[0] if path.is_file() else path.name
        names.append([case["case_id"]] if case["case_id"] else [bare, f"{path.parent.name}_{bare}"])
    for case, name in zip(found, unique_names(names), strict=True):
        case["case_id"] = name
    return found


def _case(path: Path, entry: dict[str, Any]) -> Case:
    case = Case(case_id="", image=str(path), format=format_of(path) or "")
    if path.is_dir():
        series, rejected = find_series(file for file in sorted(path.rglob("*")) if file.is_file())
        if not series:
            reason = rejected[0].reason if rejected else "an empty folder"
            msg = f"folder must hold a CT series, got {reason}; correct the list"
            raise InputError(msg)
        case = choose_series(series, "ask")[0].case()
        case["image"] = str(path)
    elif not path.is_file():
        msg = "file must exist, got none at this path; correct the list or set data_dir"
        raise InputError(msg)
    elif not case["format"]:
        msg = f"file must be {ACCEPTED}, got {path.suffix!r}; convert it"
        raise InputError(msg)
    stated = {key: entry[key] for key in CASE_KEYS if key in entry}
    label = _label(entry.get("label"))
    if label:
        stated["label"] = label
    return cast(Case, {**case, **stated})


def _label(value: Any) -> list[float]:
    """Class labels as numbers; a path to a mask is none."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int | float) or item is None for item in values):
        return []
    return [] if value is None else [math.nan if item is None else float(item) for item in values]

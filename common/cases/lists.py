"""CSV and JSON lists of scans as cases.

A CSV with `VolumeName` is read as CT-RATE publishes it, one with `NoteAcc_DEID` as Rad-ChestCT
does, any other needs a column `image` (or `path`). JSON is a MONAI data list.

A list is a promise: each of its rows becomes a case or is named among the rejected as damaged, so
that a run fails for it. Rows are only dropped without that where they are asked to be.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from ..case import Case, CaseList, NoCasesError, Rejection
from ..csv_table import number, read_table, read_text
from ..errors import InputError
from ..files import given_path, told
from ..naming import safe_name, short_hash, shown
from ..vocabulary.chest_findings import CT_RATE_LABELS
from .ct_rate import (
    labels_of,
    metadata_of,
    parse_volume_name,
    read_excluded,
    read_metadata,
    read_reports,
    report_of,
    volume_path,
)
from .list_options import ListOptions
from .names import CaseNames, bare_name
from .rad_chestct import ID_COLUMN, read_affines, read_shared_labels
from .read import format_of
from .search import Finds, scans_of

LIST_SUFFIXES = (".csv", ".tsv", ".json")
IMAGE_COLUMNS = ("image", "path")
RAD_CHESTCT_FOLDERS = ("", "trn", "val", "tst", "train", "valid", "test")
CASE_KEYS = ("case_id", "patient_id", "report", "format", "files", "frames", "affine", "rescale")
TEXT_KEYS = ("case_id", "patient_id", "report")
SECTIONS = ("training", "validation", "testing", "train", "val", "valid", "test")
Entry = tuple[str, dict[str, Any]]  # where in its list a row stands, and what it says


def is_list(path: Path) -> bool:
    """Whether a file's name says that it is a list of scans."""
    return path.suffix.lower() in LIST_SUFFIXES and not path.is_dir()


def cases_from_list(path: Path, options: ListOptions) -> CaseList:
    """Read a CSV or JSON list.

    Returns:
        The cases whose volumes are there, one per row; `rejected` names the other rows.

    Raises:
        InputError: If the list is malformed, none of its volumes is there, or two rows contradict
            each other.
    """
    if path.suffix.lower() == ".json":
        found = _from_json(path, options)
    else:
        rows = read_table(path)
        if "VolumeName" in rows[0]:
            found = _from_ct_rate(path, rows, options)
        elif ID_COLUMN in rows[0]:
            found = _from_rad_chestct(path, rows, options)
        else:
            found = _from_generic(path, rows, options)
    if not found.cases:
        first = "; ".join(str(item) for item in found.rejected[:3])
        msg = (
            f"{shown(path)} must list at least one volume that is there, got {len(found.rejected)} "
            f"that are not ({first}); set data_dir to the folder of the volumes"
        )
        raise NoCasesError(msg, found.rejected)
    return _without_repeats(found, path).named()


def _without_repeats(found: Finds, path: Path) -> Finds:
    """Each row once.

    Raises:
        InputError: If rows that differ share their name, or their volume and have no name: which
            of them is meant is not for us to say.
    """
    kept = Finds(rejected=found.rejected)
    rows: dict[str, Case] = {}
    for case, names in zip(found.cases, found.names, strict=True):
        key = case["case_id"].lower() or json.dumps([case["image"], case.get("files")])
        first = rows.setdefault(key, case)
        if first is case:
            kept.add(case, names)
        elif json.dumps(first) == json.dumps(case):  # NaN is not equal to itself, its text is
            reason = "listed twice with the same entries; it is one case"
            kept.rejected.append(Rejection(case["image"], reason, case_id=case["case_id"]))
        else:
            what = f"case_id {case['case_id']!r}" if case["case_id"] else "a volume"
            got = f"{what} in two rows that differ: {first['image']}, {case['image']}"
            msg = f"{path} must name each case once, got {got}; give each row a case_id of its own"
            raise InputError(shown(msg))
    return kept


def _from_ct_rate(path: Path, rows: list[dict[str, str]], options: ListOptions) -> Finds:
    folder = options.folder(path)
    reports, metadata, exclude = (options.path(each) for each in ("reports", "metadata", "exclude"))
    texts = read_reports(reports) if reports else {}
    places = read_metadata(metadata) if metadata else {}
    excluded = read_excluded(exclude) if exclude else set()
    columns = rows[0].keys()
    labelled = [label for label in CT_RATE_LABELS if label in columns]
    if labelled and len(labelled) < len(CT_RATE_LABELS):
        missing = [label for label in CT_RATE_LABELS if label not in columns]
        msg = (
            f"{shown(path)} must have all 18 label columns, got none for {missing}; "
            "use the published CSV"
        )
        raise InputError(msg)

    def case_of(row: dict[str, str]) -> Case | Rejection:
        name = parse_volume_name(row["VolumeName"])
        if name.stem in excluded:
            return Rejection(name.stem, "listed as showing no chest")
        volume = volume_path(folder, name)
        if volume is None:
            return options.absent(name.stem, name.stem, folder)
        case = _volume_case(volume, name.stem)
        case["patient_id"] = name.patient_id
        if labelled:
            case["label"] = labels_of(row, path)
        report = report_of(row) if "Findings_EN" in columns else texts.get(name.stem)
        if report is not None:
            case["report"] = report.text
        place = metadata_of(row, path) if "XYSpacing" in columns else places.get(name.stem)
        if place is not None and case["format"] == "nifti":
            case["affine"] = place.affine
            case["rescale"] = [place.slope, place.intercept]
        return case

    return _each_row(rows, case_of, "VolumeName", folder)


def _from_rad_chestct(path: Path, rows: list[dict[str, str]], options: ListOptions) -> Finds:
    folder = options.folder(path)
    metadata = options.path("metadata")
    affines = read_affines(metadata) if metadata else {}
    labels: dict[str, list[float]] = {}
    if any("*" in column for column in rows[0]):
        labels = read_shared_labels(
            path,
            fibrotic_sequela=options.fibrotic_sequela,
            medical_material=options.medical_material,
        )
    if "final_spacing" in rows[0]:
        affines = read_affines(path)

    def case_of(row: dict[str, str]) -> Case | Rejection:
        scan = row[ID_COLUMN].removesuffix(".npz")
        places = (folder / part / f"{scan}.npz" for part in RAD_CHESTCT_FOLDERS)
        volume = next((place for place in places if scan and place.is_file()), None)
        if volume is None:
            return options.absent(scan or "a row without a name", safe_name(scan), folder)
        case = _volume_case(volume, safe_name(scan))
        if row[ID_COLUMN] in labels:
            case["label"] = labels[row[ID_COLUMN]]
        if row[ID_COLUMN] in affines:
            case["affine"] = affines[row[ID_COLUMN]]
        return case

    return _each_row(rows, case_of, ID_COLUMN, folder)


def _volume_case(volume: Path, name: str) -> Case:
    return Case(case_id=name, image=str(volume), format=format_of(volume) or "")


def _each_row(
    rows: list[dict[str, str]],
    case_of: Callable[[dict[str, str]], Case | Rejection],
    column: str,
    folder: Path,
) -> Finds:
    """The rows of a published table; one that cannot be read costs itself alone."""
    found = Finds()
    for row in told(rows, what="rows looked up", total=len(rows)):
        try:
            case = case_of(row)
        except (OSError, ValueError) as error:
            case = Rejection(str(folder / row[column]), str(error), damaged=True)
        if isinstance(case, Rejection):
            found.rejected.append(case)
        else:
            found.add(case, [case["case_id"]])
    return found


def _from_generic(path: Path, rows: list[dict[str, str]], options: ListOptions) -> Finds:
    columns = list(rows[0])
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if image is None:
        msg = (
            f"{shown(path)} must have a column image, path, VolumeName or {ID_COLUMN}, "
            f"got {columns[:20]}; add one"
        )
        raise InputError(msg)
    labels = _label_columns(rows, exclude=(image, *CASE_KEYS))
    entries: list[Entry] = []
    for place, row in enumerate(rows, 1):
        entry: dict[str, Any] = {key: row[key] for key in TEXT_KEYS if row.get(key)}
        entry["image"] = row[image]
        if labels:
            entry["label"] = [number(row[name], name=f"{path}: {name}") for name in labels]
        entries.append((f"row {place}", entry))
    return _from_entries(entries, path, options)


def _label_columns(rows: list[dict[str, str]], *, exclude: Iterable[str]) -> list[str]:
    """The columns that hold 0, 1 or nothing; CT-RATE's 18 in their own order."""
    skip = set(exclude)
    names = [
        name
        for name in rows[0]
        if name not in skip and {row[name] for row in rows} - {""} <= {"0", "1", "0.0", "1.0"}
    ]
    return list(CT_RATE_LABELS) if set(CT_RATE_LABELS) <= set(names) else names


def _from_json(path: Path, options: ListOptions) -> Finds:
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        got = str(error) if isinstance(error, ValueError) else "lists within lists without end"
        msg = f"{shown(path)} must be JSON, got {got}; correct the list"
        raise InputError(msg) from error
    entries: list[Entry] = []
    others: list[Rejection] = []
    for name, section in content.items() if isinstance(content, dict) else [("", content)]:
        if not isinstance(section, list):
            continue
        if name in ("", *SECTIONS) or any(map(_is_surely_image, section)):
            where = f"entry {{}} of {name}" if name else "entry {}"
            entries += [(where.format(place), item) for place, item in enumerate(section, 1)]
        elif section:
            reason = f"{name!r} lists no images"
            others.append(Rejection(str(path), reason, is_volume=False))
    if not any(_image_of(item) is not None for _, item in entries):
        msg = (
            f'{shown(path)} must be a list of {{"image": ...}}, alone or below a key such as '
            '"training", got none; correct the list'
        )
        raise InputError(msg)
    found = _from_entries(entries, path, options)
    found.rejected += others
    return found


def _image_of(item: Any) -> Any:
    """What an entry says of its image; None where it says nothing."""
    if isinstance(item, dict):
        return item.get("image")
    return item if isinstance(item, str | int | float) and not isinstance(item, bool) else None


def _is_surely_image(item: Any) -> bool:
    """Whether an entry below a key of one's own, such as `authors`, names an image."""
    if isinstance(item, str):
        return format_of(Path(item)) is not None
    return isinstance(item, dict) and "image" in item


def _from_entries(entries: Iterable[Entry], path: Path, options: ListOptions) -> Finds:
    folder = options.folder(path)
    names = CaseNames()
    found = Finds()
    for where, entry in told(list(entries), what="rows looked up"):
        place, case_id = f"{path}: {where}", ""
        try:
            stated = _stated(entry)
            case_id = safe_name(stated["case_id"]) if stated.get("case_id") else ""
            image = folder / given_path(stated["image"], name="image")
            place = str(image)
            found += _row(image, stated, folder, names, options)
        except FileNotFoundError as error:
            absent = Path(error.filename or place)
            name = case_id or safe_name(bare_name(absent))
            found.rejected.append(options.absent(absent, name, folder))
        except (InputError, OSError, ValueError) as error:
            reason = str(error).removeprefix(f"{shown(place)} ")
            found.rejected.append(Rejection(place, reason, damaged=True, case_id=case_id))
    return found


def _stated(entry: Any) -> dict[str, Any]:
    """What a row says, names as text.

    Raises:
        InputError: If it is no row, or a value is of another kind than it must be.
    """
    image = _image_of(entry)
    while isinstance(image, list) and len(image) == 1:
        image = image[0]
    if image is None or isinstance(image, list | dict):
        msg = (
            f'each entry must be a path or {{"image": a path}}, got {str(entry)[:80]}; '
            "correct the list"
        )
        raise InputError(msg)
    stated = {"image": _text(image, "image")}
    for key in TEXT_KEYS:
        if isinstance(entry, dict) and entry.get(key) is not None:
            stated[key] = _text(entry[key], key)
    rest = entry if isinstance(entry, dict) else {}
    return {**{key: rest[key] for key in (*CASE_KEYS, "label") if key in rest}, **stated}


def _text(value: Any, name: str) -> str:
    """Text as it is, and a number as it is written: a name such as 17 is one."""
    whole = isinstance(value, float) and value.is_integer()
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        msg = f"{name} must be text, got {str(value)[:80]}; correct the list"
        raise InputError(msg)
    return str(int(value) if whole else value)


def _row(
    image: Path, stated: dict[str, Any], folder: Path, names: CaseNames, options: ListOptions
) -> Finds:
    """The one scan that a row names; with `series` all, every series of its folder.

    Raises:
        FileNotFoundError: If it is not there.
        InputError: If it is none, or several.
    """
    if "files" in stated:
        found = Finds([_series_of_row(image, stated, folder)], [names.names_of(image)])
    else:
        image.stat()
        found = scans_of(image, series=options.series, names=names, look=False)
    if len(found.cases) > 1 and options.series != "all":
        what = ", ".join(each[0] for each in found.names[:5])
        msg = f"a row must name one scan, got {len(found.cases)}: {what}; give each its own row"
        raise InputError(msg)
    case_id = stated.get("case_id", "")
    extra = {key: stated[key] for key in CASE_KEYS if key in stated and key != "case_id"}
    label = _label(stated.get("label"))
    if label:
        extra["label"] = label
    for index, case in enumerate(found.cases):
        if case["format"] == "dicom" and len(found.cases) == 1:
            extra["image"] = str(image)  # as listed, though its slices may lie below
        found.cases[index] = case = cast(Case, {**case, **extra})
        if case_id:
            own = case_id if len(found.cases) == 1 else f"{case_id}_{found.names[index][0]}"
            case["case_id"] = own
            found.names[index] = [own, f"{own}_{short_hash(own)}"]
    return found


def _series_of_row(image: Path, stated: dict[str, Any], folder: Path) -> Case:
    """A series whose files the row names, as a case that was written down does."""
    files = stated["files"]
    if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
        msg = f"files must be a list of paths, got {str(files)[:80]}; correct the list"
        raise InputError(msg)
    stated["files"] = [str(folder / given_path(file, name="files")) for file in files]
    for file in stated["files"]:
        Path(file).stat()
    return Case(case_id="", image=str(image), format="dicom", files=stated["files"])


def _label(value: Any) -> list[float]:
    """Class labels as numbers; a path to a mask is none."""
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, int | float) or item is None for item in values):
        return []
    return [] if value is None else [math.nan if item is None else float(item) for item in values]

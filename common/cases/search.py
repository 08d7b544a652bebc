"""Look at a file or through a folder: which scans are there, and what is left out and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..case import Case, CaseList, NoCasesError, Rejection
from ..errors import InputError
from ..files import list_files, told, why_not_regular
from ..formats.ct_series import Series
from ..formats.dicom_file import is_dicom
from ..formats.dicom_scan import choose_series, find_series, reason_of
from ..formats.evidence import why_no_ct
from ..naming import safe_name, shown, unique_names
from .names import CaseNames
from .read import ACCEPTED, format_of

OTHER_FORMATS = {
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
    ".hdr": "an Analyze or NIfTI pair",
    ".img": "an Analyze or NIfTI pair",
    ".mgz": "FreeSurfer",
    ".zip": "an archive",
    ".tar": "an archive",
    ".gz": "a gzip file",
    ".7z": "an archive",
    ".npy": "a bare array",
}
MOST_KINDS = 5  # of reasons told in one line
OTHER_FILES = (".csv", ".json", ".md", ".pdf", ".png", ".jpg", ".txt", ".xml", ".html", ".py")


@dataclass
class Finds:
    """Scans that were found, the names that each can have (shortest first), and the rest."""

    cases: list[Case] = field(default_factory=list)
    names: list[list[str]] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)

    def add(self, case: Case, names: list[str]) -> None:
        """Add one scan."""
        self.cases.append(case)
        self.names.append(names)

    def __iadd__(self, other: Finds) -> Finds:
        self.cases += other.cases
        self.names += other.names
        self.rejected += other.rejected
        return self

    def named(self) -> CaseList:
        """The cases, each with a name that no other has."""
        for case, name in zip(self.cases, unique_names(self.names), strict=True):
            case["case_id"] = name
        return CaseList(self.cases, self.rejected)


def scans_of(path: Path, *, series: str | int, names: CaseNames, look: bool = True) -> Finds:
    """The scans of a file or a folder.

    Args:
        path: Can be looked at, see `existing`.
        series: As of `find_cases`.
        names: Gives the scans' names.
        look: Whether a file's voxels are looked at, which tells masks and MR from CT.

    Raises:
        InputError: If there is no scan (says what there is), or several series to choose from.
    """
    if path.is_dir():
        return _scans_in_folder(path, series, names)
    return _scan_of_file(path, series, names, look)


def _scan_of_file(path: Path, series: str | int, names: CaseNames, look: bool) -> Finds:
    other = why_not_regular(path)
    if other:
        msg = f"{shown(path)} must be a file or a folder, got {other}; accepted are {ACCEPTED}"
        raise InputError(msg)
    if format_of(path) is None and is_dicom(path):
        return _scan_of_dicom_file(path, series, names)
    refusal = _refusal(path) if look or format_of(path) is None else None
    if refusal:
        msg = (
            f"{shown(path)} must be a CT, got: {shown(refusal.reason)}; "
            f"accepted are {ACCEPTED}, or a CSV or JSON list"
        )
        raise InputError(msg)
    return Finds([_file_case(path)], [names.names_of(path)])


def _scan_of_dicom_file(path: Path, series: str | int, names: CaseNames) -> Finds:
    found, rejected = series_among([path])
    if not found:
        reason = shown(rejected[0].reason if rejected else "no CT")
        msg = (
            f"{shown(path)} must be a whole scan, got one DICOM file: {reason}; "
            f"give the folder of its series, {shown(path.parent)}"
        )
        raise InputError(msg)
    beside = dicom_files_among(file for file in sorted(path.parent.iterdir()) if file != path)
    if beside:  # its name tells it from the others in its folder
        found += [one for one in series_among([path, *beside])[0] if str(path) not in one.files]
    own = [one for one in found if str(path) in one.files]
    names_of = dict(zip(map(id, found), names.series_names(found), strict=True))
    finds = Finds(rejected=rejected)
    for one in choose_series(own, series):
        finds.add(one.case(), names_of[id(one)])
    return finds


def _scans_in_folder(folder: Path, series: str | int, names: CaseNames) -> Finds:
    files, rejected = list_files(folder)
    if not files and not rejected:
        msg = f"{shown(folder)} must hold at least one CT, got an empty folder; give {ACCEPTED}"
        raise InputError(msg)
    volumes, dicom_files, others = _sort_out(files)
    finds = _look_at(volumes, names)
    finds.rejected = rejected + finds.rejected
    found, refused = series_among(dicom_files)
    finds.rejected += refused + others
    if found:
        names_of = dict(zip(map(id, found), names.series_names(found), strict=True))
        for one in choose_series(found, series):
            finds.add(one.case(), names_of[id(one)])
    if not finds.cases:
        raise NoCasesError(_nothing_usable(folder, finds.rejected), finds.rejected)
    return finds


def _look_at(volumes: list[Path], names: CaseNames) -> Finds:
    """Which of the files are scans. All are looked at before the first gets its name."""
    refusals = {}
    for path in told(volumes, what="files looked at", total=len(volumes)):
        refusals[path] = _refusal(path)
        names.remember(path, is_scan=refusals[path] is None)
    finds = Finds()
    for path, refusal in refusals.items():
        if refusal is None:
            finds.add(_file_case(path), names.names_of(path))
        elif refusal.damaged:
            case_id = safe_name(names.names_of(path)[0])
            finds.rejected.append(replace(refusal, case_id=case_id))
        else:
            finds.rejected.append(refusal)
    return finds


def series_among(files: list[Path]) -> tuple[list[Series], list[Rejection]]:
    """The series of DICOM files, and what was left out."""
    return find_series(told(files, what="DICOM headers read", total=len(files)))


def _nothing_usable(folder: Path, rejected: list[Rejection]) -> str:
    by_reason: dict[str, list[str]] = {}
    for item in rejected:
        by_reason.setdefault(item.reason, []).append(Path(item.path).name)
    kinds = sorted(by_reason.items(), key=lambda kind: -len(kind[1]))
    found = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}"
        for reason, names in kinds[:MOST_KINDS]
    ]
    others = sum(len(names) for _, names in kinds[MOST_KINDS:])
    if others:
        found.append(f"and {others} more for {len(kinds) - MOST_KINDS} other reasons")
    return shown(
        f"{folder} must hold at least one CT, got none of the {len(rejected)} found "
        f"({'; '.join(found)}); give {ACCEPTED}"
    )


def _sort_out(files: Iterable[Path]) -> tuple[list[Path], list[Path], list[Rejection]]:
    volumes, dicom_files, others = [], [], []
    for path in told(files, what="files opened"):
        if format_of(path) is not None:
            volumes.append(path)
            continue
        try:
            if is_dicom(path):
                dicom_files.append(path)
            else:
                others.append(other_file(path))
        except Exception as error:
            could_be_slice = path.suffix.lower() not in (*OTHER_FORMATS, *OTHER_FILES)
            others.append(
                Rejection(
                    str(path), _clause(error), damaged=could_be_slice, is_volume=could_be_slice
                )
            )
    return volumes, dicom_files, others


def dicom_files_among(files: Iterable[Path]) -> list[Path]:
    """The DICOM files among others; what cannot be read is none."""

    def is_one(file: Path) -> bool:
        try:
            return not why_not_regular(file) and is_dicom(file)
        except OSError:
            return False

    return [file for file in files if is_one(file)]


def other_file(path: Path) -> Rejection:
    """What a file is that is neither DICOM nor of an accepted format."""
    suffix = path.suffix.lower()
    if suffix in OTHER_FORMATS:
        reason = f"{OTHER_FORMATS[suffix]} ({suffix}) is not accepted; convert it to .nii.gz"
        return Rejection(str(path), reason)
    if suffix in OTHER_FILES:
        reason = f"a {suffix} file is not a volume"
    else:
        reason = f"neither DICOM nor a known suffix ({suffix or 'none'})"
    return Rejection(str(path), reason, is_volume=False)


def _refusal(path: Path) -> Rejection | None:
    """Why a file is no case; None where it is one."""
    if format_of(path) is None:
        return other_file(path)
    try:
        reason = why_no_ct(_file_case(path))
        return Rejection(str(path), reason) if reason else None
    except InputError as error:
        reason = reason_of(error, path)
    except Exception as error:  # whatever a header makes a reader throw
        reason = _clause(error)
    return Rejection(str(path), reason, damaged=True)


def _clause(error: Exception) -> str:
    """What went wrong with a file, in one clause."""
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    said = (str(error).strip().splitlines() or [""])[0][:200]
    return f"cannot be read ({type(error).__name__}{': ' if said else ''}{said}); copy it again"


def _file_case(path: Path) -> Case:
    return Case(case_id="", image=str(path), format=format_of(path) or "")

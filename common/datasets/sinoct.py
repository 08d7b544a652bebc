"""SinoCT: 9,779 head CTs, each called normal or abnormal, in directories of their own.

How its files lie is not known here: CT-FM's authors say that a scan's label is the second element
of a string "a,b" and that directories are parted by chance. What is read is a guess:

- `<scan>/label.txt`: "a,b", b is 1 for abnormal, 0 for normal;
- `<scan>/...`: one NIfTI, NRRD or NPZ file, or a DICOM series.

Where it is another, a list of `image,Abnormal` does.
"""

from __future__ import annotations

from pathlib import Path

from ..case import CaseList, Rejection
from ..cases.scan_folder import scan_of_folder
from ..csv_table import read_text
from ..errors import InputError
from ..naming import safe_name

LABEL_FILES = ("label.txt", "labels.txt", "label.csv", "label")


def sinoct_cases(folder: Path) -> CaseList:
    """Every directory with a label and a scan, with one label: abnormal.

    Args:
        folder: Holds one directory per scan.

    Returns:
        Cases with `label`, 0 or 1, by name of directory; `rejected` names the rest.

    Raises:
        InputError: If there is no such directory (says what was looked for and found), or a label
            is not "a,b" with b 0 or 1.
    """
    if not folder.is_dir():
        msg = f"dataset_dir must be a folder, got {folder}; check the path"
        raise InputError(msg)
    found = CaseList()
    for scan in sorted(path for path in folder.iterdir() if path.is_dir()):
        labels = [scan / name for name in LABEL_FILES if (scan / name).is_file()]
        if not labels:
            found.rejected.append(Rejection(str(scan), f"none of {', '.join(LABEL_FILES)}"))
            continue
        case = scan_of_folder(scan, name=safe_name(scan.name))
        if isinstance(case, Rejection):
            found.rejected.append(case)
        else:
            case["label"] = [label_of(read_text(labels[0]), labels[0])]
            found.append(case)
    if not found:
        reasons = "; ".join(str(each) for each in found.rejected[:3]) or "no directory at all"
        msg = (
            f"{folder} must hold directories, each with one of {', '.join(LABEL_FILES)} ('a,b') "
            f"and one scan (a NIfTI, NRRD or NPZ file or a DICOM series), got {reasons}; "
            "or name a CSV with columns image and Abnormal with --labels_file"
        )
        raise InputError(msg)
    return found


def label_of(text: str, path: Path) -> float:
    """The second element of "a,b".

    Raises:
        InputError: If it is not 0 or 1.
    """
    parts = [part.strip(" \"'[]()\n") for part in text.strip().split(",")]
    if len(parts) != 2 or parts[1] not in ("0", "1", "0.0", "1.0"):
        msg = f"{path} must be 'a,b' with b 0 or 1, got {text[:40]!r}; see the data's own notes"
        raise InputError(msg)
    return float(parts[1])

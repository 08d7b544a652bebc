"""The headers that a DICOM result refers to, mended where a series breaks the standard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset

_COPIED_TEXT = ("PatientID", "AccessionNumber", "StudyID", "StudyDescription")
_COPIED_NAMES = ("PatientName", "ReferringPhysicianName")
_COPIED_DATES = {"PatientBirthDate": "DA", "StudyDate": "DA", "StudyTime": "TM"}
_COPIED_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient")
_IMAGE_UIDS = {
    "SOPClassUID": "MediaStorageSOPClassUID",
    "SOPInstanceUID": "MediaStorageSOPInstanceUID",
}
"""An image's own identifiers; where anonymisation blanked them, the file's preamble has them."""
_UIDS = {
    "StudyInstanceUID": "the result may not appear under the images' study",
    "SeriesInstanceUID": "its reference to the series cannot be followed",
}


def read_evidence(source_files: Sequence[str | Path]) -> tuple[list[Dataset], list[str]]:
    """Read what a derived DICOM object repeats about its source: patient, study, identifiers.

    Text is decoded, so that the object may be written in UTF-8. A missing study or series
    identifier is made up from the images' own identifiers, the same one every time.

    Args:
        source_files: The files of one series.

    Returns:
        One small dataset per image, in the order of the files, doubles left out; and warnings as
        sentences.

    Raises:
        InputError: If there is no file, one cannot be read, or an image has no identifier of its
            own, so that nothing can refer to it.
    """
    from pydicom.uid import generate_uid

    if not source_files:
        msg = "source_files must name the series' files, got none; give a DICOM case"
        raise InputError(msg)
    by_uid = {header.SOPInstanceUID: header for header in map(_read_header, source_files)}
    headers = list(by_uid.values())
    warnings = []
    for keyword, consequence in _UIDS.items():
        values = [str(header.get(keyword) or "") for header in headers]
        if all(values):
            continue
        known = next(filter(None, values), None)
        made = known or generate_uid(
            entropy_srcs=[keyword, *sorted(str(header.SOPInstanceUID) for header in headers)]
        )
        for header in headers:
            setattr(header, keyword, header.get(keyword) or made)
        if known is None:
            warnings.append(f"The series has no {keyword}; one was made up, so {consequence}.")
        else:
            warnings.append(f"Some images have no {keyword}; that of the others was taken.")
    return headers, warnings


def _read_header(path: str | Path) -> Dataset:
    import pydicom

    tags = [*_COPIED_TEXT, *_COPIED_NAMES, *_COPIED_DATES, *_COPIED_GEOMETRY, *_UIDS]
    tags += [*_IMAGE_UIDS, "PatientSex", "SpecificCharacterSet"]
    try:
        source = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags, force=True)
        source.decode()
    except Exception as error:  # pydicom raises many kinds on a damaged header
        msg = f"source_files must be readable DICOM, got {path} ({error}); copy the series again"
        raise InputError(msg) from error
    header = pydicom.Dataset()
    for keyword, in_preamble in _IMAGE_UIDS.items():
        uid = source.get(keyword) or source.file_meta.get(in_preamble)
        if not uid:
            msg = (
                f"source_files must have a {keyword}, got none in {path}; "
                "without it no result can refer to the image"
            )
            raise InputError(msg)
        setattr(header, keyword, uid)
    for keyword in (*_COPIED_TEXT, *_COPIED_NAMES):
        setattr(header, keyword, str(source.get(keyword) or ""))
    for keyword, kind in _COPIED_DATES.items():
        setattr(header, keyword, _date(str(source.get(keyword) or ""), kind))
    sex = str(source.get("PatientSex") or "")
    header.PatientSex = sex if sex in ("F", "M", "O") else ""
    for keyword in (*_UIDS, *_COPIED_GEOMETRY):
        value = source.get(keyword)
        if value:
            setattr(header, keyword, value)
    return header


def _date(text: str, kind: str) -> str | None:
    """The date or time if it is a valid one, else None: an invalid one must not be passed on."""
    from pydicom.valuerep import DA, TM

    try:
        return text if (DA(text) if kind == "DA" else TM(text)) else None
    except (ValueError, OverflowError):
        return None

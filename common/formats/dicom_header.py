"""Headers of DICOM images: what sorts, places and rescales a slice, and what is not CT.

A header is read without its pixels. A multi-frame file gives one header per frame.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.tag import Tag
from pydicom.uid import UID

from ..errors import InputError

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted
)
LONGEST_TEXT = 120
HU_TYPES = ("", "HU", "HU_MOD", "US")  # US: unspecified
NOT_A_SCAN = {
    "LOCALIZER": "a localizer (scout) image",
    "SCREEN SAVE": "a screen save",
    "SCREENSAVE": "a screen save",
    "SCREENSHOT": "a screen save",
    "DOSE_INFO": "a dose report",
    "DOSE": "a dose report",
    "DOSE_REPORT": "a dose report",
    "PROTOCOL": "a protocol page",
}
KEYWORDS = (
    "AcquisitionNumber",
    "AcquisitionTime",
    "BitsAllocated",
    "Columns",
    "ConvolutionKernel",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "InstanceNumber",
    "KVP",
    "Modality",
    "NumberOfFrames",
    "PatientID",
    "PerFrameFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelRepresentation",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesDescription",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SharedFunctionalGroupsSequence",
    "StudyDate",
    "StudyInstanceUID",
    "TemporalPositionIdentifier",
)
FRAME_GROUPS = (
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "CTImageFrameTypeSequence",
)


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One slice, as its header describes it. Positions and directions are LPS+, in mm.

    Attributes:
        path: The file.
        frame: Index of the frame in the file.
        refusal: Why this is no slice of a CT scan; empty where it is one.
        study_uid: Empty where the file gives none.
        series_uid: Empty where the file gives none.
        instance_uid: Empty where the file gives none.
        series_number: None where the file gives none.
        description: Of the series.
        patient_id: Empty where the file gives none.
        rows: Pixels down a column.
        columns: Pixels along a row.
        position: Centre of the first pixel, mm.
        orientation: Direction along a row, then down a column.
        pixel_spacing_mm: Distance between rows, then between columns.
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        padding: Lowest and highest stored value that mean "outside the scan".
        split_keys: What can tell the acquisitions of one series apart, strongest first.
        multi_frame: Whether the file can hold a whole volume.
    """

    path: str
    frame: int
    refusal: str
    study_uid: str
    series_uid: str
    instance_uid: str
    series_number: int | None
    description: str
    patient_id: str
    rows: int
    columns: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]
    slope: float
    intercept: float
    has_rescale: bool
    padding: tuple[int, int] | None
    split_keys: tuple[str, ...]
    multi_frame: bool


def read_slice_headers(path: Path) -> list[SliceHeader]:
    """Read the header of a DICOM file, without its pixels.

    Returns:
        One entry per frame. An entry that is no CT slice has its `refusal` set.

    Raises:
        InputError: If the file is not DICOM at all.
    """
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_tags())
        return _headers(dataset, path)
    except InvalidDicomError as error:
        msg = f"{path} must be a DICOM file, got one without the DICM mark; leave it out"
        raise InputError(msg) from error
    except PermissionError as error:
        msg = f"{path} must be readable, got permission denied; change its permissions"
        raise InputError(msg) from error
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged header fails in many ways inside pydicom
        got = (str(error).strip() or type(error).__name__).splitlines()[0]
        msg = f"{path} must be an intact DICOM file, got {got!r}; copy it again"
        raise InputError(msg) from error


def _headers(dataset: Dataset, path: Path) -> list[SliceHeader]:
    refusal = _why_no_ct(dataset)
    frames = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if refusal or not frames:
        return [_slice_header(dataset, path, 0, refusal)]
    return [
        _slice_header(_flatten(dataset, group), path, index, "")
        for index, group in enumerate(frames)
    ]


@functools.cache
def _tags() -> list[Any]:
    return [Tag(keyword) for keyword in (*KEYWORDS, *FRAME_GROUPS)]


def _flatten(dataset: Dataset, group: Dataset) -> Dataset:
    """One frame of a multi-frame file as if it were a file of its own."""
    flat = Dataset()
    flat.file_meta = dataset.file_meta
    for element in dataset:
        if not element.keyword.endswith("FunctionalGroupsSequence"):
            flat.add(element)
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    for source in (shared, group):
        for keyword in FRAME_GROUPS:
            for item in source.get(keyword) or []:
                flat.update(item)
    return flat


def _text(dataset: Dataset, keyword: str) -> str:
    """A header entry as one short printable line; empty where it is absent."""
    return _one_line(dataset.get(keyword) or "")


def _one_line(value: object) -> str:
    printable = "".join(char if char.isprintable() else " " for char in str(value))
    return " ".join(printable.split())[:LONGEST_TEXT]


def _sop_class(dataset: Dataset) -> str:
    return _text(dataset, "SOPClassUID") or _text(dataset.file_meta, "MediaStorageSOPClassUID")


def _why_no_ct(dataset: Dataset) -> str:
    sop_class = _sop_class(dataset)
    modality = _text(dataset, "Modality")
    if sop_class not in ("", CT_IMAGE, *ENHANCED_CT_IMAGES):
        return f"{UID(sop_class).name} ({modality or 'no modality'}) is not a CT image"
    if modality != "CT":
        return f"modality {modality or 'unknown'} is not CT"
    image_type = [_one_line(value).upper() for value in _values(dataset.get("ImageType"))]
    for mark, name in NOT_A_SCAN.items():
        if mark in image_type:
            return f"{name} (image type {'/'.join(image_type)})"
    return _why_no_pixels(dataset) or _why_no_hu(dataset)


def _why_no_pixels(dataset: Dataset) -> str:
    if not dataset.get("Rows") or not dataset.get("Columns"):
        return "a DICOM file without an image"
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        return "a colour image"
    if dataset.get("PhotometricInterpretation", "MONOCHROME2") != "MONOCHROME2":
        stated = _text(dataset, "PhotometricInterpretation")
        return f"photometric interpretation {stated} is not MONOCHROME2"
    if int(dataset.get("BitsAllocated") or 16) <= 8:
        return "an 8-bit image, not CT in HU"
    return ""


def _why_no_hu(dataset: Dataset) -> str:
    rescale_type = _text(dataset, "RescaleType").upper()
    if rescale_type not in HU_TYPES:
        return f"values in {rescale_type}, not in HU"
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return ""
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if not _numbers(dataset.get(keyword)):
            return f"no {keyword}, so its place is unknown"
    return ""


def _slice_header(dataset: Dataset, path: Path, frame: int, refusal: str) -> SliceHeader:
    refusal = refusal or _why_no_hu(dataset)
    slope = _numbers(dataset.get("RescaleSlope"))
    intercept = _numbers(dataset.get("RescaleIntercept"))
    number = _numbers(dataset.get("SeriesNumber"))
    return SliceHeader(
        path=str(path),
        frame=frame,
        refusal=refusal,
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        instance_uid=_instance_uid(dataset),
        series_number=int(number[0]) if number else None,
        description=_text(dataset, "SeriesDescription"),
        patient_id=_text(dataset, "PatientID"),
        rows=int(dataset.get("Rows") or 0),
        columns=int(dataset.get("Columns") or 0),
        position=_numbers(dataset.get("ImagePositionPatient")),
        orientation=_numbers(dataset.get("ImageOrientationPatient")),
        pixel_spacing_mm=_numbers(dataset.get("PixelSpacing")),
        slope=slope[0] if any(slope) else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        has_rescale=bool(any(slope) and intercept),
        padding=_padding(dataset),
        split_keys=_split_keys(dataset, path),
        multi_frame=_sop_class(dataset) in ENHANCED_CT_IMAGES,
    )


def _instance_uid(dataset: Dataset) -> str:
    return _text(dataset, "SOPInstanceUID") or _text(
        dataset.file_meta, "MediaStorageSOPInstanceUID"
    )


def _split_keys(dataset: Dataset, path: Path) -> tuple[str, ...]:
    image_type = "/".join(str(value) for value in _values(dataset.get("ImageType")))
    stated = [
        _text(dataset, keyword)
        for keyword in (
            "AcquisitionNumber",
            "TemporalPositionIdentifier",
            "ConvolutionKernel",
            "KVP",
            "AcquisitionTime",
        )
    ]
    return (*stated, image_type, str(path.parent))


def _padding(dataset: Dataset) -> tuple[int, int] | None:
    ends = [
        _stored(dataset.get(keyword), dataset)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    ]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if ends[0] is not None else None


def _stored(value: Any, dataset: Dataset) -> int | None:
    """A stored value as the pixels hold it, whichever sign its header element was given."""
    if value is None or isinstance(value, bytes | str):
        return None
    bits = int(dataset.get("BitsAllocated") or 16)
    unsigned = int(value) % (1 << bits)
    is_signed = int(dataset.get("PixelRepresentation") or 0) == 1
    return unsigned - (1 << bits) if is_signed and unsigned >> (bits - 1) else unsigned


def _values(value: Any) -> list[Any]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _numbers(value: Any) -> tuple[float, ...]:
    """Finite numbers of an element; empty where it is absent or broken."""
    if value is None or value == "":
        return ()
    try:
        numbers = tuple(float(item) for item in _values_of_number(value))
    except (TypeError, ValueError):
        return ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()


def _values_of_number(value: Any) -> list[Any]:
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]

"""Headers of DICOM images: what sorts, places and rescales a slice, and why one is no CT slice.

A header is read without its pixels. A multi-frame file gives one header per frame.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ..errors import InputError
from .dicom_file import open_dicom
from .dicom_refusal import (
    CUT_SHORT,
    ENHANCED_CT_IMAGES,
    Fields,
    image_type_of,
    numbers,
    one_line,
    text,
    values_of,
    why_no_image,
    why_no_slice,
)

SPLIT_KEYWORDS = (
    "PatientName",
    "PatientBirthDate",
    "FrameOfReferenceUID",
    "SeriesNumber",
    "SeriesDescription",
    "StudyDate",
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "TemporalPositionTimeOffset",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "ActualCardiacTriggerDelayTime",
    "NominalCardiacTriggerTimePriorToRPeak",
    "NominalPercentageOfRespiratoryPhase",
    "NominalRespiratoryTriggerDelayTime",
    "ScanOptions",
    "TriggerTime",
    "ImageTriggerDelay",
    "ConvolutionKernel",
    "ReconstructionAlgorithm",
    "KVP",
    "MonoenergeticEnergyEquivalent",
    "EffectiveBinEnergy",
    "ContrastBolusAgent",
    "StackID",
    "SliceThickness",
    "ImageType",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "SeriesTime",
)
"""What can tell the acquisitions of one series apart, strongest first; the folder comes last."""
KEYWORDS = (
    *SPLIT_KEYWORDS,
    "BitsAllocated",
    "Columns",
    "DerivationDescription",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "InstanceNumber",
    "Modality",
    "NumberOfFrames",
    "PatientID",
    "PerFrameFunctionalGroupsSequence",
    "PhotometricInterpretation",
    "PixelPaddingRangeLimit",
    "PixelPaddingValue",
    "PixelPresentation",
    "PixelRepresentation",
    "PixelSpacing",
    "RealWorldValueMappingSequence",
    "RescaleIntercept",
    "RescaleSlope",
    "RescaleType",
    "Rows",
    "SOPClassUID",
    "SOPInstanceUID",
    "SamplesPerPixel",
    "SeriesInstanceUID",
    "SharedFunctionalGroupsSequence",
    "StudyInstanceUID",
)
FRAME_GROUPS = (
    "CTAcquisitionDetailsSequence",
    "CTImageFrameTypeSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "CardiacSynchronizationSequence",
    "FrameContentSequence",
    "PixelMeasuresSequence",
    "PixelValueTransformationSequence",
    "PlaneOrientationSequence",
    "PlanePositionSequence",
    "RespiratorySynchronizationSequence",
    "TemporalPositionSequence",
)
UIDS_IN_META = {
    "SOPClassUID": "MediaStorageSOPClassUID",
    "SOPInstanceUID": "MediaStorageSOPInstanceUID",
}
KEPT_GROUPS = ("RealWorldValueMappingSequence",)


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
        instance_number: Empty where the file gives none.
        series_number: None where the file gives none.
        description: Of the series.
        patient_id: Empty where the file gives none.
        image_type: Of the frame, in upper case, such as `("ORIGINAL", "PRIMARY", "AXIAL")`.
        kernel: Convolution kernel; empty where the file gives none.
        rows: Pixels down a column.
        columns: Pixels along a row.
        position: Centre of the first pixel, mm.
        orientation: Direction along a row, then down a column.
        pixel_spacing_mm: Distance between rows, then between columns.
        slope: HU per stored unit.
        intercept: HU of the stored value 0.
        has_rescale: Whether the file states both.
        padding: Lowest and highest stored value that mean "outside the scan".
        split_keys: The values of `SPLIT_KEYWORDS`, then the folder.
        multi_frame: Whether the file can hold a whole volume.
        num_pixel_bytes: Of all frames of the file, decoded.
    """

    path: str
    frame: int
    refusal: str
    study_uid: str
    series_uid: str
    instance_uid: str
    instance_number: str
    series_number: int | None
    description: str
    patient_id: str
    image_type: tuple[str, ...]
    kernel: str
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
    num_pixel_bytes: int


def read_headers(
    files: Sequence[str | Path], frames: Sequence[Sequence[int]] | None = None
) -> list[SliceHeader]:
    """Read the headers of a case.

    Args:
        files: The files of one series.
        frames: Of each file the frames that are meant; all by default.

    Raises:
        InputError: If a file is not DICOM at all.
    """
    wanted: Iterable[Sequence[int] | None] = frames or [None] * len(files)
    return [
        header
        for file, chosen in zip(files, wanted, strict=True)
        for header in read_slice_headers(Path(file))
        if chosen is None or header.frame in chosen
    ]


def read_slice_headers(path: Path) -> list[SliceHeader]:
    """Read the header of a DICOM file, without its pixels.

    Returns:
        One entry per frame. An entry that is no CT slice has its `refusal` set.

    Raises:
        InputError: If the file is not DICOM at all.
    """
    try:
        with open_dicom(path) as stream:
            num_bytes = os.fstat(stream.fileno()).st_size if _is_file(stream) else None
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=_tags())
        return _headers(dataset, path, num_bytes)
    except InputError:
        raise
    except PermissionError as error:
        msg = f"{path} must be readable, got permission denied; change its permissions"
        raise InputError(msg) from error
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged header fails in many ways inside pydicom
        got = (one_line(error) or type(error).__name__).splitlines()[0]
        msg = f"{path} must be an intact DICOM file, got {got!r}; copy it again"
        raise InputError(msg) from error


def _is_file(stream: Any) -> bool:
    return hasattr(stream, "raw")


def _headers(dataset: Dataset, path: Path, num_bytes: int | None) -> list[SliceHeader]:
    fields = _fields(dataset)
    for keyword, in_meta in UIDS_IN_META.items():
        fields[keyword] = fields.get(keyword) or dataset.file_meta.get(in_meta)
    refusal = why_no_image(fields)
    frames = fields.pop("PerFrameFunctionalGroupsSequence", None) or []
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    is_native = syntax is not None and not syntax.is_private and not syntax.is_compressed
    refusal = refusal or _why_not_whole(fields, len(frames), num_bytes if is_native else None)
    if refusal or not frames:
        return [_slice_header(fields, path, 0, refusal)]
    for shared in fields.pop("SharedFunctionalGroupsSequence", None) or []:
        fields.update(_frame_fields(shared))
    return [
        _slice_header({**fields, **_frame_fields(group)}, path, index, "")
        for index, group in enumerate(frames)
    ]


def _fields(dataset: Dataset) -> dict[str, Any]:
    """The values of a dataset by keyword; a broken one is empty where it only sorts slices."""
    fields: dict[str, Any] = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating gives elements
        keyword = keyword_for_tag(tag)
        try:
            fields[keyword] = dataset[tag].value
        except Exception:  # pydicom raises many kinds on a damaged value
            if keyword not in SPLIT_KEYWORDS:
                raise
    return fields


def _frame_fields(group: Dataset) -> dict[str, Any]:
    """What the functional groups say of one frame, as if it were a file of its own."""
    fields = {keyword: group[keyword].value for keyword in KEPT_GROUPS if keyword in group}
    for keyword in FRAME_GROUPS:
        for item in group.get(keyword) or []:
            fields.update(_fields(item))
    return fields


def _why_not_whole(fields: Fields, num_places: int, num_bytes: int | None) -> str:
    """Why a file cannot hold what its header promises; empty where it can."""
    num_frames = int(fields.get("NumberOfFrames") or 1)
    if num_frames != max(num_places, 1):
        return f"{num_frames} frames, but a place for {num_places} of them"
    promised = _num_pixel_bytes(fields)
    if num_bytes is None or promised <= num_bytes:
        return ""
    return f"{CUT_SHORT}: {promised} bytes of pixels are promised, the file has {num_bytes} in all"


def _num_pixel_bytes(fields: Fields) -> int:
    sizes = (fields.get("Rows"), fields.get("Columns"), fields.get("NumberOfFrames") or 1)
    rows, columns, frames = (int(size or 0) for size in sizes)
    return rows * columns * frames * int(fields.get("BitsAllocated") or 16) // 8


@functools.cache
def _tags() -> list[Any]:
    return [Tag(keyword) for keyword in (*KEYWORDS, *FRAME_GROUPS)]


def _slice_header(fields: Fields, path: Path, frame: int, refusal: str) -> SliceHeader:
    slope = numbers(fields.get("RescaleSlope"))
    intercept = numbers(fields.get("RescaleIntercept"))
    number = numbers(fields.get("SeriesNumber"))
    return SliceHeader(
        path=str(path),
        frame=frame,
        refusal=refusal or why_no_slice(fields),
        study_uid=text(fields, "StudyInstanceUID"),
        series_uid=text(fields, "SeriesInstanceUID"),
        instance_uid=text(fields, "SOPInstanceUID"),
        instance_number=text(fields, "InstanceNumber"),
        series_number=int(number[0]) if number else None,
        description=text(fields, "SeriesDescription"),
        patient_id=text(fields, "PatientID"),
        image_type=image_type_of(fields),
        kernel=" ".join(one_line(value) for value in values_of(fields.get("ConvolutionKernel"))),
        rows=int(fields.get("Rows") or 0),
        columns=int(fields.get("Columns") or 0),
        position=numbers(fields.get("ImagePositionPatient")),
        orientation=numbers(fields.get("ImageOrientationPatient")),
        pixel_spacing_mm=numbers(fields.get("PixelSpacing")),
        slope=slope[0] if any(slope) else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        has_rescale=bool(any(slope) and intercept),
        padding=_padding(fields),
        split_keys=(*(text(fields, keyword) for keyword in SPLIT_KEYWORDS), str(path.parent)),
        multi_frame=text(fields, "SOPClassUID") in ENHANCED_CT_IMAGES,
        num_pixel_bytes=_num_pixel_bytes(fields),
    )


def _padding(fields: Fields) -> tuple[int, int] | None:
    ends = [
        _stored(fields.get(keyword), fields)
        for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")
    ]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if ends[0] is not None else None


def _stored(value: Any, fields: Fields) -> int | None:
    """A stored value as the pixels hold it, whichever sign its header element was given."""
    if value is None or isinstance(value, bytes | str):
        return None
    bits = int(fields.get("BitsAllocated") or 16)
    unsigned = int(value) % (1 << bits)
    is_signed = int(fields.get("PixelRepresentation") or 0) == 1
    return unsigned - (1 << bits) if is_signed and unsigned >> (bits - 1) else unsigned

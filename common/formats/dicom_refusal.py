"""Why a DICOM image is no slice of a CT scan in HU, by its header.

A derived image may be in HU (a reformat, a thick slice, a monoenergetic image) or show another
quantity (perfusion, iodine, electron density) as numbers that look like HU. Image type, units and,
for derived images, their description tell which; `evidence.py` looks at their pixels besides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from pydicom.uid import UID

Fields = Mapping[str, Any]
"""The elements of one image that are looked at, by keyword."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGES = (
    "1.2.840.10008.5.1.4.1.1.2.1",
    "1.2.840.10008.5.1.4.1.1.2.2",  # legacy converted
)
LONGEST_TEXT = 120
CUT_SHORT = "cut short"
HU_UNITS = ("", "HU", "HUMOD", "HNSFU", "US")  # HNSFU: UCUM's [hnsf'U]; US: unspecified
SCREEN_SAVE = "a screen save"
NOT_A_SCAN = {
    "LOCALIZER": "a localizer (scout) image",
    "SCREEN SAVE": SCREEN_SAVE,
    "SCREENSAVE": SCREEN_SAVE,
    "SCREENSHOT": SCREEN_SAVE,
    "DOSE_INFO": "a dose report",
    "DOSE": "a dose report",
    "DOSE_REPORT": "a dose report",
    "PROTOCOL": "a protocol page",
}
OTHER_QUANTITY = re.compile(
    r"(?<![A-Z])(r?cb[fv]|r?mtt|r?ttp|ttd|tmax|pbv|ktrans|permeability|iodine|z[ _-]?eff(ective)?"
    r"|eff(ective)?[ _-]atomic[ _-]num(ber)?|electron[ _-]density|mat[ _-](specific|fractional"
    r"|value[ _-]based)|subtraction|division|multiplication|std[ _-]deviation)(?![A-Z])",
    re.IGNORECASE,
)
"""What an image type or, of derived images, a description says where the values are no HU."""
OF_PERFUSION_IN_HU = {"NONE", "MEAN", "MAXIMUM", "MINIMUM", "ADDITION", "RESAMPLED", "MIP", "MPR"}
LARGEST_SIDE = 8192
FARTHEST_MM = 1e5
MOST_SKEW = 0.01
SLOPES = (1e-3, 1e3)
LARGEST_INTERCEPT = 1e5
PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}


def why_no_image(fields: Fields) -> str:
    """Why a file holds no CT image; empty where it does."""
    sop_class = text(fields, "SOPClassUID")
    modality = text(fields, "Modality")
    if sop_class not in ("", CT_IMAGE, *ENHANCED_CT_IMAGES):
        return f"{UID(sop_class).name} ({modality or 'no modality'}) is not a CT image"
    if not modality and not fields.get("Rows"):
        return f"{CUT_SHORT}: neither a modality nor an image"
    if modality != "CT":
        return f"modality {modality or 'unknown'} is not CT"
    return _why_no_scan(fields) or _why_no_pixels(fields)


def why_no_slice(fields: Fields) -> str:
    """Why one frame of a CT image is no slice in HU with a place; empty where it is."""
    return _why_no_scan(fields) or _why_no_hu(fields) or _why_no_place(fields)


def _why_no_scan(fields: Fields) -> str:
    image_type = image_type_of(fields)
    for mark, name in NOT_A_SCAN.items():
        if mark in image_type:
            return f"{name} (image type {'/'.join(image_type)})"
    return ""


def _why_no_pixels(fields: Fields) -> str:
    rows, columns = int(fields.get("Rows") or 0), int(fields.get("Columns") or 0)
    if not rows or not columns:
        return f"{CUT_SHORT}: a DICOM file without an image"
    if max(rows, columns) > LARGEST_SIDE:
        return f"an image of {columns} x {rows} pixels, more than {LARGEST_SIDE} along a side"
    if int(fields.get("SamplesPerPixel") or 1) != 1:
        return "a colour image"
    if fields.get("PhotometricInterpretation", "MONOCHROME2") != "MONOCHROME2":
        stated = text(fields, "PhotometricInterpretation")
        return f"photometric interpretation {stated} is not MONOCHROME2"
    if int(fields.get("BitsAllocated") or 16) <= 8:
        return "an 8-bit image, not CT in HU"
    return ""


def _why_no_hu(fields: Fields) -> str:
    unit = text(fields, "RescaleType")
    if not _is_hu(unit):
        return f"values in {unit.upper()}, not in HU"
    for mapping in fields.get("RealWorldValueMappingSequence") or []:
        for code in mapping.get("MeasurementUnitsCodeSequence") or []:
            if not _is_hu(text(code, "CodeValue")):
                label = text(mapping, "LUTExplanation") or text(mapping, "LUTLabel")
                return f"values in {text(code, 'CodeValue')} ({label or 'no label'}), not in HU"
    slope, intercept = numbers(fields.get("RescaleSlope")), numbers(fields.get("RescaleIntercept"))
    for rescale, low, high in ((slope, *SLOPES), (intercept, 0.0, LARGEST_INTERCEPT)):
        if any(value and not low <= abs(value) <= high for value in rescale):
            shown = f"{(*slope, 1.0)[0]:g} and {(*intercept, 0.0)[0]:g}"
            return f"a rescale slope and intercept of {shown}, not to HU"
    return _why_another_quantity(fields)


def _is_hu(unit: str) -> bool:
    letters = "".join(char for char in unit.upper() if char.isalpha())
    return letters in HU_UNITS or letters.startswith("HOUNSF")


def _why_another_quantity(fields: Fields) -> str:
    image_type = image_type_of(fields)
    shown = "/".join(image_type)
    if OTHER_QUANTITY.search(shown):
        return f"a map of another quantity (image type {shown}), not CT in HU"
    if not is_derived(image_type):
        return ""
    if "PERFUSION" in image_type and not OF_PERFUSION_IN_HU.intersection(image_type):
        return f"a perfusion map (image type {shown}), not CT in HU"
    if text(fields, "PixelPresentation") == "COLOR":
        return f"a colour map (image type {shown}), not CT in HU"
    for keyword in ("SeriesDescription", "DerivationDescription"):
        description = text(fields, keyword)
        if OTHER_QUANTITY.search(description):
            return f"a derived image described as {description!r}, not CT in HU"
    return ""


def _why_no_place(fields: Fields) -> str:
    for keyword, count in PLACE.items():
        stated = numbers(fields.get(keyword))
        if not stated:
            return f"no {keyword}, so its place is unknown"
        if len(stated) != count:
            return f"{keyword} of {len(stated)} numbers where {count} are meant"
    position, orientation, spacing = (numbers(fields.get(keyword)) for keyword in PLACE)
    if max(map(abs, position)) > FARTHEST_MM:
        return f"position {_shown(position)} mm, outside any scanner"
    if min(spacing) <= 0:
        return f"pixel spacing {_shown(spacing)} mm, which must be above 0"
    row, column = orientation[:3], orientation[3:]
    lengths = math.hypot(*row) * math.hypot(*column)
    cosine = sum(a * b for a, b in zip(row, column, strict=True))
    if not lengths or abs(cosine) > MOST_SKEW * lengths:
        return f"orientation {_shown(orientation)}, which must be two directions square on another"
    return ""


def _shown(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)


def image_type_of(fields: Fields) -> tuple[str, ...]:
    """Image type, of a frame its own, in upper case."""
    values = values_of(fields.get("FrameType") or fields.get("ImageType"))
    return tuple(one_line(value).upper() for value in values)


def is_derived(image_type: tuple[str, ...]) -> bool:
    """Whether an image was computed from other images."""
    return image_type[:1] == ("DERIVED",)


def text(fields: Fields, keyword: str) -> str:
    """A header entry as one short printable line; empty where it is absent."""
    value = fields.get(keyword)
    return "" if value is None else one_line(value)


def one_line(value: object) -> str:
    """Any value as one short printable line."""
    shown = str(value)
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else " " for char in shown)
    return " ".join(shown.split())[:LONGEST_TEXT]


def values_of(value: Any) -> list[Any]:
    """The values of an element, one or several."""
    if value is None:
        return []
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]


def numbers(value: Any) -> tuple[float, ...]:
    """Finite numbers of an element; empty where it is absent or broken."""
    if value is None or value == "":
        return ()
    try:
        found = tuple(float(item) for item in values_of(value))
    except (TypeError, ValueError):
        return ()
    return found if all(math.isfinite(number) for number in found) else ()

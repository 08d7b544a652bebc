"""Where the segmentation truth of a case lies, and what its numbers mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypedDict
from xml.etree import ElementTree

import nibabel as nib
from nibabel.filebasedimages import ImageFileError

from ..case import Case
from ..errors import InputError
from ..vocabulary.segmentation_classes import LabelVersion

SourceKind = Literal["masks", "volume", "phantom"]
MASK_ENDING = ".nii.gz"
_TABLE_TAG = "<LabelTable"  # XML in a header extension, whose code is 30 (Caret) or 0


class LabelSource(TypedDict):
    """Truth of one case, still on disk; plain JSON values.

    Keys:
        kind: `masks`, a folder with one binary `<name>.nii.gz` per class; `volume`, one file with
            a number per voxel; `phantom`, a synthetic patient.
        path: The folder or file, or what a phantom's `image` says.
        classes: Names of channels 1, 2, ... of the label volume wanted; everything else is 0.
        version: Of TotalSegmentator's names and numbers, empty where they are not.
        numbers: The stored number of every name that the volume may hold; empty for masks.
    """

    kind: SourceKind
    path: str
    classes: list[str]
    version: LabelVersion
    numbers: dict[str, int]


class SegmentationCase(Case):
    """A scan with its segmentation truth.

    Keys:
        segmentation: Where the truth lies; `ReadLabelsd` reads it.
    """

    segmentation: LabelSource


def label_table(path: Path) -> dict[int, str]:
    """The names that a NIfTI label volume itself gives to its numbers.

    TotalSegmentator's multi-label files hold such a table; most others do not.

    Args:
        path: The file; any other format has no table.

    Returns:
        Names by number, empty where there is no table.

    Raises:
        InputError: If the file cannot be read.
    """
    if not path.name.lower().endswith((".nii", ".nii.gz")):
        return {}
    try:
        texts = [_text(one) for one in nib.load(path).header.extensions]
        found = [ElementTree.fromstring(text) for text in texts if _TABLE_TAG in text]
    except ElementTree.ParseError:
        return {}
    except (OSError, EOFError, ImageFileError) as error:
        msg = f"{path} must be a readable NIfTI file, got {error}; copy it again"
        raise InputError(msg) from error
    return {
        int(label.attrib["Key"]): (label.text or "").strip()
        for tree in found
        for label in tree.iter("Label")
        if label.attrib.get("Key", "").isdecimal() and (label.text or "").strip()
    }


def _text(extension: Any) -> str:
    """The content of a header extension; nibabel before 5.3 has it as a method alone."""
    content = extension.content if hasattr(extension, "content") else extension.get_content()
    text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
    return text.rstrip("\0 \n")

"""Builders of DICOM test files: one series of small CT slices, of any kind and fault."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2.1"
HEAD_FIRST = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def ramp(num_slices: int = 4, rows: int = 6, columns: int = 5) -> NDArray[np.int16]:
    """A CT `(K, J, I)` in HU in which every voxel differs, from -1000 up."""
    count = num_slices * rows * columns
    return (np.arange(count, dtype=np.int16) - 1000).reshape(num_slices, rows, columns)


def uid(*parts: object) -> str:
    """A UID that is the same in every run."""
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def ct_slice(pixels: NDArray[np.integer[Any]], *, series: str = "a", study: str = "s") -> Dataset:
    """A CT slice with stored values `pixels` and rescale 1, -1024; its place is still to be set."""
    dataset = Dataset()
    dataset.SOPClassUID = UID(CT_IMAGE)
    dataset.SOPInstanceUID = uid("instance", series, pixels.tobytes())
    dataset.StudyInstanceUID = uid("study", study)
    dataset.SeriesInstanceUID = uid("series", study, series)
    dataset.Modality = "CT"
    dataset.PatientID = "P1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "Chest"
    dataset.AcquisitionNumber = 1
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.RescaleSlope = 1
    dataset.RescaleIntercept = -1024
    dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def save(dataset: Dataset, path: Path, transfer_syntax: str = ExplicitVRLittleEndian) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    if transfer_syntax == DeflatedExplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    elif transfer_syntax != ExplicitVRLittleEndian:
        dataset.compress(UID(transfer_syntax), generate_instance_uid=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    hu: NDArray[np.int16] | None = None,
    *,
    spacing_mm: tuple[float, float] = (0.7, 0.8),
    step: Sequence[float] = (0.0, 0.0, 2.5),
    origin: Sequence[float] = (-10.0, -20.0, 30.0),
    orientation: Sequence[float] = HEAD_FIRST,
    series: str = "a",
    study: str = "s",
    transfer_syntax: str = ExplicitVRLittleEndian,
    skip: Sequence[int] = (),
    edit: Callable[[Dataset, int], None] | None = None,
    prefix: str = "I",
) -> list[Path]:
    """Write a series of slices `(K, J, I)` in HU; `edit` changes a slice before it is saved."""
    hu = ramp() if hu is None else hu
    paths = []
    for index, slice_hu in enumerate(hu):
        if index in skip:
            continue
        dataset = ct_slice(
            (slice_hu.astype(np.int32) + 1024).astype(np.uint16), series=series, study=study
        )
        dataset.SOPInstanceUID = uid("instance", study, series, index, prefix)
        dataset.InstanceNumber = index + 1
        dataset.ImagePositionPatient = [o + index * s for o, s in zip(origin, step, strict=True)]
        dataset.ImageOrientationPatient = list(orientation)
        dataset.PixelSpacing = list(spacing_mm)
        if edit:
            edit(dataset, index)
        # Names run against the order of the slices.
        paths.append(save(dataset, folder / f"{prefix}{900 - index}", transfer_syntax))
    return paths


def write_multi_frame(
    path: Path,
    hu: NDArray[np.int16],
    *,
    spacing_mm: float = 0.5,
    edit: Callable[[Dataset, int], None] | None = None,
    transfer_syntax: str = ExplicitVRLittleEndian,
) -> Path:
    """Write one enhanced CT file; frames are stored from the top down.

    `edit` changes the functional groups of a frame `(K)`, counted in the order of `hu`.
    """
    dataset = ct_slice((hu[0].astype(np.int32) + 1024).astype(np.uint16))
    stored = (hu[::-1].astype(np.int32) + 1024).astype(np.uint16)
    dataset.SOPClassUID = UID(ENHANCED_CT_IMAGE)
    dataset.NumberOfFrames = len(stored)
    dataset.PixelData = stored.tobytes()
    del dataset.RescaleSlope, dataset.RescaleIntercept
    shared, orientation, measures, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = list(HEAD_FIRST)
    measures.PixelSpacing = [spacing_mm, spacing_mm]
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared.PlaneOrientationSequence = DicomSequence([orientation])
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.PixelValueTransformationSequence = DicomSequence([rescale])
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    groups = []
    for index in reversed(range(len(stored))):
        group, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0.0, 0.0, 3.0 * index]
        group.PlanePositionSequence = DicomSequence([position])
        if edit:
            edit(group, index)
        groups.append(group)
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(groups)
    return save(dataset, path, transfer_syntax)

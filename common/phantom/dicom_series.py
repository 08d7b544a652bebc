"""A phantom as a DICOM series of CT images, one file per slice along the volume's last axis."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from ..atomic import PARTIAL
from ..errors import InputError
from .head import HeadPhantom
from .make import AnyPhantom
from .marks import MARK
from .report import technique

INTERCEPT = -1024


def write_dicom(phantom: AnyPhantom, folder: str | Path) -> Path:
    """Write a series, whole or not at all; one that is there already is replaced.

    Args:
        phantom: What to write. Its first two axes must stand square on each other.
        folder: Of the series; holds nothing else.

    Returns:
        The folder.

    Raises:
        InputError: If the axes do not fit DICOM or the place cannot be written.
    """
    folder = Path(folder)
    lps = np.diag([-1.0, -1.0, 1.0]) @ phantom.volume.affine[:3]
    directions = lps[:, :3] / np.linalg.norm(lps[:, :3], axis=0)
    if abs(directions[:, 0] @ directions[:, 1]) > 1e-4:
        msg = (
            "affine must have its first two axes at right angles for DICOM, "
            f"got a cosine of {directions[:, 0] @ directions[:, 1]:.3f}; write NIfTI"
        )
        raise InputError(msg)
    partial = folder.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{folder.name}")
    try:
        partial.mkdir(parents=True)
        for index in range(phantom.volume.voxels.shape[2]):
            dataset = _slice(phantom, index, lps, directions)
            dataset.save_as(partial / f"slice_{index + 1:04d}.dcm", enforce_file_format=True)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        msg = (
            f"output must be a place that can be written, got {folder} ({error.strerror}); "
            "choose another folder"
        )
        raise InputError(msg) from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return folder


def _slice(
    phantom: AnyPhantom,
    index: int,
    lps: NDArray[np.float64],
    directions: NDArray[np.float64],
) -> Dataset:
    volume, patient = phantom.volume, phantom.patient
    spacing = volume.spacing_mm
    name = phantom.patient_id
    grid = repr((volume.voxels.shape, volume.affine.tolist(), phantom.label_names))
    series = generate_uid(entropy_srcs=[name, grid, "series"])
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[name, grid, str(index)])
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[name, "study"])
    dataset.SeriesInstanceUID = series
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[name, "frame"])
    dataset.Modality = "CT"
    dataset.Manufacturer = MARK
    dataset.SeriesDescription = technique(patient)[:64]
    dataset.StudyDescription = "Synthetic phantom, not a person"
    dataset.StudyDate = dataset.SeriesDate = "20000101"
    dataset.StudyTime = "000000"
    dataset.StudyID, dataset.SeriesNumber, dataset.AccessionNumber = "1", 1, ""
    dataset.PatientID, dataset.PatientName = name, "Phantom^Synthetic"
    dataset.PatientSex, dataset.PatientAge = patient.sex, f"{patient.age:03d}Y"
    dataset.PatientBirthDate, dataset.ReferringPhysicianName = "", ""
    dataset.PatientPosition, dataset.PositionReferenceIndicator = "HFS", ""
    dataset.KVP = 120
    dataset.InstanceNumber = index + 1
    dataset.ImageOrientationPatient = [_short(v) for v in directions[:, :2].T.ravel()]
    place = lps[:, 2] * index + lps[:, 3]
    dataset.ImagePositionPatient = [_short(v) for v in place]
    dataset.SliceLocation = _short(float(np.cross(*directions[:, :2].T) @ place))
    dataset.PixelSpacing = [_short(spacing[1]), _short(spacing[0])]
    dataset.SliceThickness = _short(spacing[2])
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, INTERCEPT, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    if isinstance(phantom, HeadPhantom):
        dataset.WindowWidth, dataset.BodyPartExamined = 80, "HEAD"
    pixels = np.clip(volume.voxels[:, :, index].T.astype(np.int32) - INTERCEPT, 0, 4095)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = np.ascontiguousarray(pixels.astype("<u2")).tobytes()
    return dataset


def _short(value: float) -> str:
    """A decimal of at most 16 characters, as DICOM wants it."""
    return str(pydicom.valuerep.format_number_as_ds(float(value) + 0.0))

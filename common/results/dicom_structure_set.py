"""`structures_rt.dcm`: a label volume as an RT Structure Set, for planning systems.

A contour lies on one source slice and is made of that slice's own position and directions, so it
fits any order of the files, oblique and tilted series. It runs half-way between the pixels inside
and outside and cuts their corners; a program that asks which pixel centres lie within gets the
labels back, each one. A hole is joined to its rim by a line there and back (a keyhole), which
every program knows; the line runs between pixels, so that no centre lies on it.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..formats.dicom_header import SliceHeader
from ..vocabulary.structure_colours import structure_colour
from ..weights.card import WeightsRecord
from .dicom_sources import Sources, write_on_sources
from .schema import BundleRecord

if TYPE_CHECKING:
    from pydicom import Dataset

STRUCTURE_SET_NAME = "structures_rt.dcm"
_DECIMALS = 3  # of a millimetre
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management: retired, named by all
_COPIED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
)


def write_structure_set(
    path: str | Path,
    *,
    sources: Sources,
    names: Mapping[int, str],
    bundle: BundleRecord,
    weights: WeightsRecord,
) -> list[str]:
    """Write a label volume as the structure set of one DICOM series.

    Where it cannot be written rightly (images cannot be told apart, nothing was found), nothing is
    written, an older file at ``path`` is removed, and a warning says why.

    Args:
        path: Where to write, `structures_rt.dcm` by habit.
        sources: The labels on the images of the series, from `read_sources`.
        names: Structures to write, by their number in the labels. Those without a voxel are left
            out, as is every other number.
        bundle: Name and version, given as the algorithm.
        weights: Name and hash; synthetic ones are named so in the series.

    Returns:
        Warnings as sentences: why nothing was written, or what the series lacks.

    Raises:
        InputError: If the place cannot be written.
    """
    wanted = sources.of(names)

    def save(partial: Path) -> None:
        dataset = _structure_set(wanted, bundle, weights)
        dataset.save_as(partial, enforce_file_format=True)

    return write_on_sources(path, "RT structure set", wanted, save)


def contours(mask: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """The outlines of what is true, each a closed line without its first point again.

    Args:
        mask: `(J, I)`, rows down, columns along.

    Returns:
        One `(N, 2)` per piece: column and row, with fraction; 0 is the first pixel's centre.
    """
    from contourpy import FillType, contour_generator

    padded = np.pad(mask, 1).astype(np.float64)
    generator = contour_generator(z=padded, fill_type=FillType.OuterOffset)
    for points, offsets in zip(*generator.filled(0.5, np.inf), strict=True):
        line, *holes = [
            _corners(points[start : end - 1] - 1) for start, end in itertools.pairwise(offsets)
        ]
        yield _joined(line, holes)


def _corners(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring without the points that lie on the straight line between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.asarray(ring[turn != 0], dtype=np.float64)


def _joined(line: NDArray[np.float64], holes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The holes joined to the line around them where they come nearest, the nearer half first."""
    from scipy.spatial import KDTree

    while holes:
        tree = KDTree(line)
        nearest = [tree.query(hole) for hole in holes]
        order = np.argsort([apart.min() for apart, _ in nearest])
        now, later = np.split(order, [(len(holes) + 1) // 2])
        detours = []
        for each in now:
            apart, at = nearest[each]
            start = int(apart.argmin())
            detours.append((at[start], _detour(line[at[start]], np.roll(holes[each], -start, 0))))
        line = _with_detours(line, sorted(detours, key=itemgetter(0)))
        holes = [holes[each] for each in later]
    return line


def _detour(point: NDArray[np.float64], hole: NDArray[np.float64]) -> NDArray[np.float64]:
    """From a point to a hole's first point, around the hole and back again."""
    first, last = _pixel_corner(point, hole[0]), _pixel_corner(hole[0], point)
    bridge = np.stack([first, [last[0], first[1]], last])
    return np.concatenate([bridge, hole, hole[:1], bridge[::-1]])


def _with_detours(
    line: NDArray[np.float64], detours: Sequence[tuple[int, NDArray[np.float64]]]
) -> NDArray[np.float64]:
    parts, start = [], 0
    for at, detour in detours:
        parts += [line[start : at + 1], detour]
        start = at
    return np.concatenate([*parts, line[start:]])


def _pixel_corner(point: NDArray[np.float64], towards: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corner of four pixels next to a point of a ring, along the edge between two."""
    side = np.where(towards >= point, 0.5, -0.5)
    return np.asarray(np.where(point % 1 == 0, point + side, point), dtype=np.float64)


def _structure_set(sources: Sources, bundle: BundleRecord, weights: WeightsRecord) -> Dataset:
    """The whole object."""
    from pydicom import Dataset

    dataset = _head(sources, bundle, weights)
    outlines = _outlines(sources)
    rois, drawn, observations = [], [], []
    for number, (value, name) in enumerate(sources.found.items(), 1):
        roi = Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
        roi.ROIName = name[:64]
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        rois.append(roi)
        outline = Dataset()
        outline.ROIDisplayColor = list(structure_colour(name))
        outline.ReferencedROINumber = number
        outline.ContourSequence = outlines[value]
        drawn.append(outline)
        observation = Dataset()
        observation.ObservationNumber = number
        observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = ""
        observation.ROIInterpreter = ""
        observations.append(observation)
    dataset.StructureSetROISequence = rois
    dataset.ROIContourSequence = drawn
    dataset.RTROIObservationsSequence = observations
    return dataset


def _outlines(sources: Sources) -> dict[int, list[Dataset]]:
    """The contours of every structure, by its number in the labels."""
    from scipy.ndimage import find_objects

    outlines = defaultdict(list)
    for index, (header, plane) in enumerate(zip(sources.stack.slices, sources.planes, strict=True)):
        for value, box in enumerate(find_objects(plane), 1):
            if box is None or value not in sources.found:
                continue
            rows, columns = box
            for line in contours(plane[box] == value):
                points_mm = _place_mm(header, line + np.array([columns.start, rows.start]))
                outlines[value].append(_contour(sources, index, points_mm))
    return outlines


def _place_mm(header: SliceHeader, line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns and rows of a slice to `(N, 3)` mm in the patient, LPS+."""
    along, down = np.array(header.orientation).reshape(2, 3)
    between_rows, between_columns = header.pixel_spacing_mm[:2]
    steps = np.stack([along * between_columns, down * between_rows])
    return np.asarray(np.array(header.position) + line @ steps, dtype=np.float64)


def _contour(sources: Sources, index: int, points_mm: NDArray[np.float64]) -> Dataset:
    from pydicom import DataElement, Dataset

    contour = Dataset()
    contour.ContourImageSequence = [_reference(sources, [index])]
    contour.ContourGeometricType = "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points_mm)
    # As one text: an object per number would take gigabytes for a whole body.
    text = "\\".join(f"{value:.{_DECIMALS}f}" for value in points_mm.ravel())
    contour.add(DataElement("ContourData", "DS", text, already_converted=True))
    return contour


def _reference(sources: Sources, indices: Sequence[int]) -> Dataset:
    """One image, or frames of one, by the indices of their slices."""
    from pydicom import Dataset

    image = sources.image(indices[0])
    reference = Dataset()
    reference.ReferencedSOPClassUID = image.SOPClassUID
    reference.ReferencedSOPInstanceUID = image.SOPInstanceUID
    if sources.multi_frame:
        frames = sorted(sources.stack.slices[index].frame + 1 for index in indices)
        reference.ReferencedFrameNumber = frames
    return reference


def _head(sources: Sources, bundle: BundleRecord, weights: WeightsRecord) -> Dataset:
    """Everything but the structures: patient, study, series and what is referred to."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    image = sources.images[0]
    now = datetime.now()
    origin = "SYNTHETIC demo" if weights["synthetic"] else "Research"
    values: dict[str, Any] = {
        **{keyword: image.get(keyword) or "" for keyword in _COPIED},
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": RTStructureSetStorage,
        "SOPInstanceUID": generate_uid(),
        "Modality": "RTSTRUCT",
        "SeriesInstanceUID": generate_uid(),
        "SeriesNumber": 9002,
        "SeriesDescription": f"{origin}, {bundle['name']} structures"[:64],
        "InstanceNumber": 1,
        "OperatorsName": "",
        "Manufacturer": "ct-bundles",
        "ManufacturerModelName": bundle["name"],
        "SoftwareVersions": bundle["version"],
        "DeviceSerialNumber": weights["sha256"][:16],
        "StructureSetLabel": "STRUCTURES",
        "StructureSetDescription": f"{origin}, {bundle['name']}; not for clinical use",
        "StructureSetDate": now.strftime("%Y%m%d"),
        "StructureSetTime": now.strftime("%H%M%S"),
        "ReferencedFrameOfReferenceSequence": [_referenced_frame(sources)],
        "ApprovalStatus": "UNAPPROVED",
    }
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    # Explicit VR counts a contour's text with two bytes, which ends at 64 KiB.
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def _referenced_frame(sources: Sources) -> Dataset:
    """The frame of reference, its study, its series and all images of the volume."""
    from pydicom import Dataset

    image, everything = sources.images[0], range(len(sources.stack.slices))
    parts = [everything] if sources.multi_frame else [[index] for index in everything]
    series = Dataset()
    series.SeriesInstanceUID = image.SeriesInstanceUID
    series.ContourImageSequence = [_reference(sources, part) for part in parts]
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = image.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = image.FrameOfReferenceUID
    frame.RTReferencedStudySequence = [study]
    return frame

"""`segmentation.dcm`: a label volume as a DICOM Segmentation beside the images it was made from.

Every frame lies on one source slice, pixel for pixel: the reader stacks slices without resampling
or shearing, so slice k of the labels is the k-th source slice along the normal, and the frame
repeats that slice's position and names that image. This holds for any order of the files, oblique
and tilted series, doubles left out, and frames of an enhanced CT.

Two encodings. `BINARY`, the default, has one frame of bits per structure and slice. It is what
OHIF and 3D Slicer open today. RLE of single bits is new (CP-2301) and DCMTK, below Slicer and many
archives, does not decode it; so the whole file is deflated (Deflated Explicit VR Little Endian),
which DCMTK, pydicom and dcmjs, below OHIF, inflate as they read. `LABELMAP` (Supplement 243, 2024)
has one RLE frame per slice with the structures' own numbers. OHIF has read it since 2025; in
3D Slicer it was still a wish when this was written, and older archives do not know it. A torso
phantom's 108 structures on 280 slices of 512 x 512 take 0.8 MB (148 MB inflated), 16 s and 1.6 GB
of memory as `BINARY`, 2.0 MB, 9 s and 1.2 GB as `LABELMAP`, the scan and its masks counted (two
busy cores).
"""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..formats.dicom_header import SliceHeader, read_headers
from ..formats.dicom_series import Stack, stack_slices
from ..tables.snomed import Code, structure_code
from .atomic import remove, replacing
from .dicom_evidence import read_evidence
from .schema import BundleRecord, WeightsRecord
from .structure_colours import structure_colour

if TYPE_CHECKING:
    from highdicom.seg import Segmentation, SegmentDescription
    from highdicom.sr import CodedConcept
    from pydicom import Dataset

SEGMENTATION_NAME = "segmentation.dcm"
SAME_GRID_MM = 1e-3
NUM_LABELS = 256  # what uint8 holds
Encoding = Literal["BINARY", "LABELMAP"]

_COPIED = (
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "SliceThickness",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def write_dicom_segmentation(
    path: str | Path,
    *,
    source_files: Sequence[str | Path],
    frames: Sequence[Sequence[int]] | None = None,
    labels: NDArray[np.uint8],
    affine: ArrayLike,
    names: Mapping[int, str],
    bundle: BundleRecord,
    weights: WeightsRecord,
    encoding: Encoding = "BINARY",
) -> list[str]:
    """Write a label volume as the segmentation of one DICOM series.

    Where it cannot be written rightly (slices are missing, images cannot be told apart, nothing
    was found), nothing is written, an older file at ``path`` is removed, and a warning says why.

    Args:
        path: Where to write, `segmentation.dcm` by habit.
        source_files: The files from which the series was read; headers only are read.
        frames: Of each file the frames that were read; all by default.
        labels: `(I, J, K)` on the grid of the volume that `read_dicom` gives for these files.
        affine: `(4, 4)` of that volume, voxel index to world mm, RAS+.
        names: Structures to write: their number in `labels` to their name in TotalSegmentator
            version 2. Those without a voxel are left out, as is every other number.
        bundle: Name and version, given as the algorithm.
        weights: Name and hash; synthetic ones are named so in the series.
        encoding: `BINARY` or `LABELMAP`; see the module's docstring.

    Returns:
        Warnings as sentences: why nothing was written, or what the series lacks and had to be
        made up.

    Raises:
        InputError: If the files do not form a volume, `labels` or `affine` are not on its grid, a
            name is no structure, or the place cannot be written.
    """
    _check_names(names, encoding)
    headers = read_headers(source_files, frames)
    if not headers:
        msg = "source_files must name the series' files, got none; give a DICOM case"
        raise InputError(msg)
    stack = stack_slices(headers, str(Path(source_files[0]).parent))
    _check_grid(stack, labels, np.asarray(affine, dtype=np.float64))
    found = _found(labels, names)
    paths = list(dict.fromkeys(header.path for header in stack.slices))
    images, notes = read_evidence(paths)
    copied = [_read_copied(file) for file in paths]
    reason = _why_not(stack, images, copied, found)
    if frames and not reason:
        reason = "the volume is a part of a multi-frame file"
    if reason:
        remove(path)
        return [f"No DICOM segmentation is written: {reason}."]
    notes += _describe_sources(stack, images, copied)
    planes = _planes(labels, stack, found, encoding)
    with replacing(path) as partial, python_warnings.catch_warnings():
        # Patients' names are repeated as they stand, with one component or five.
        python_warnings.filterwarnings("ignore", message="The string .* person name")
        _segmentation(images, planes, found, bundle, weights, encoding).save_as(partial)
    return notes


def _check_names(names: Mapping[int, str], encoding: str) -> None:
    if encoding not in get_args(Encoding):
        known = " or ".join(get_args(Encoding))
        msg = f"encoding must be {known}, got {encoding}; leave it out for {known.split()[0]}"
        raise InputError(msg)
    for number, name in names.items():
        structure_code(name)
        if not 1 <= number < NUM_LABELS:
            msg = f"names must have numbers from 1 to {NUM_LABELS - 1}, got {number}; mend it"
            raise InputError(msg)


def _check_grid(stack: Stack, labels: NDArray[Any], affine: NDArray[np.float64]) -> None:
    first = stack.slices[0]
    shape = (first.columns, first.rows, stack.num_slices)
    if labels.dtype != np.uint8 or labels.shape != shape:
        msg = (
            f"labels must be uint8 {shape} as the series is, got {labels.dtype} {labels.shape}; "
            "give them on the input's grid"
        )
        raise InputError(msg)
    if affine.shape != (4, 4) or not np.allclose(affine, stack.affine, rtol=0, atol=SAME_GRID_MM):
        msg = (
            f"affine must be the series' {stack.affine.tolist()}, got {affine.tolist()}; "
            "give the labels on the input's grid"
        )
        raise InputError(msg)


def _found(labels: NDArray[np.uint8], names: Mapping[int, str]) -> dict[int, str]:
    """The structures that have a voxel, by number."""
    counts = np.zeros(NUM_LABELS, dtype=np.int64)
    for plane in labels.T:
        counts += np.bincount(plane.ravel(), minlength=NUM_LABELS)
    return {number: names[number] for number in sorted(names) if counts[number]}


def _read_copied(path: str) -> Dataset:
    """What a segmentation repeats of an image beside patient, study and place."""
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_COPIED))


def _why_not(
    stack: Stack,
    images: Sequence[Dataset],
    copied: Sequence[Dataset],
    found: Mapping[int, str],
) -> str:
    """Why no right segmentation can be made; empty where one can."""
    missing = stack.num_slices - len(stack.slices)
    if not found:
        return "none of the structures was found"
    if not stack.is_even:
        return "the slices are unevenly spaced, and the mask lies on even ones between them"
    if missing:
        return (
            f"the series lacks {missing} of its {stack.num_slices} slices, so there is no image "
            "to refer to"
        )
    if len({(image.StudyInstanceUID, image.SeriesInstanceUID) for image in images}) > 1:
        return "the images belong to several studies or series"
    if len(_frames_of_reference(copied)) > 1:
        return "the images lie in several frames of reference"
    return _why_indistinct(stack, len(images))


def _why_indistinct(stack: Stack, num_images: int) -> str:
    """Why the slices cannot be referred to one by one; empty where they can."""
    if not any(header.multi_frame for header in stack.slices):
        same = num_images < len(stack.slices)
        return "several images have the same SOPInstanceUID" if same else ""
    if num_images > 1:
        return "the volume is spread over several multi-frame files"
    return "the multi-frame file has several frames at one place" if stack.repeats else ""


def _frames_of_reference(copied: Sequence[Dataset]) -> set[str]:
    return {str(image.get("FrameOfReferenceUID") or "") for image in copied} - {""}


def _describe_sources(
    stack: Stack, images: Sequence[Dataset], copied: Sequence[Dataset]
) -> list[str]:
    """Give the images, in place, what highdicom wants to know of them; tells what was made up."""
    from pydicom.uid import generate_uid

    frames = _frames_of_reference(copied)
    series = str(images[0].SeriesInstanceUID)
    frame = next(iter(frames), None) or generate_uid(entropy_srcs=["FrameOfReferenceUID", series])
    orientation = images[0].get("ImageOrientationPatient")
    for image, header, more in zip(images, stack.slices, copied, strict=False):
        for keyword in _COPIED:
            if more.get(keyword):
                setattr(image, keyword, more.get(keyword))
        image.FrameOfReferenceUID = frame
        image.Modality = "CT"
        image.Rows, image.Columns = header.rows, header.columns
        if header.multi_frame:
            _describe_frames(image, stack)
        else:
            # One for all: the reader allows rounding between slices and takes the first one's.
            image.ImageOrientationPatient = orientation
            image.PixelSpacing = list(stack.slices[0].pixel_spacing_mm[:2])
            image.SliceThickness = more.get("SliceThickness") or _slice_distance_mm(stack)
    if frames:
        return []
    return [
        "The series has no FrameOfReferenceUID; one was made up, so the segmentation is tied to "
        "its images by their identifiers alone."
    ]


def _describe_frames(image: Dataset, stack: Stack) -> None:
    """The place of every frame of an enhanced CT, from what the reader found."""
    import highdicom
    from pydicom import Dataset

    first = stack.slices[0]
    shared = Dataset()
    shared.PlaneOrientationSequence = highdicom.PlaneOrientationSequence(
        "PATIENT", first.orientation
    )
    shared.PixelMeasuresSequence = highdicom.PixelMeasuresSequence(
        pixel_spacing=first.pixel_spacing_mm[:2], slice_thickness=_slice_distance_mm(stack)
    )
    groups = []
    for header in sorted(stack.slices, key=_frame):
        group = Dataset()
        group.PlanePositionSequence = highdicom.PlanePositionSequence("PATIENT", header.position)
        groups.append(group)
    image.NumberOfFrames = len(groups)
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = groups


def _frame(header: SliceHeader) -> int:
    return header.frame


def _slice_distance_mm(stack: Stack) -> float:
    """Between neighbouring slices along their normal; shorter than the step in a tilted series."""
    i, j, k = stack.affine[:3, :3].T
    normal = np.cross(i, j)
    return float(abs(k @ normal) / np.linalg.norm(normal))


def _planes(
    labels: NDArray[np.uint8], stack: Stack, found: Mapping[int, str], encoding: Encoding
) -> NDArray[np.uint8]:
    """One plane of segment numbers `(J, I)` per image or frame, in their order: `(K, J, I)`."""
    segment_of = np.zeros(NUM_LABELS, dtype=np.uint8)
    for segment, number in enumerate(found, 1):
        segment_of[number] = number if encoding == "LABELMAP" else segment
    planes = labels.T
    if stack.slices[0].multi_frame:  # frames may be stored in any order
        planes = planes[np.argsort([header.frame for header in stack.slices])]
    return np.take(segment_of, planes)


def _segmentation(
    images: Sequence[Dataset],
    planes: NDArray[np.uint8],
    found: Mapping[int, str],
    bundle: BundleRecord,
    weights: WeightsRecord,
    encoding: Encoding,
) -> Segmentation:
    """The whole object."""
    import highdicom
    from pydicom.sr.codedict import codes
    from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless, generate_uid

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=bundle["name"],
        version=bundle["version"],
        family=codes.DCM.ArtificialIntelligence,
        source="ct-bundles",
        parameters={
            "weights": weights["name"],
            "weights_sha256": weights["sha256"],
            "synthetic_weights": str(weights["synthetic"]).lower(),
            "clinical_use": "false",
        },
    )
    is_labelmap = encoding == "LABELMAP"
    origin = "SYNTHETIC demo" if weights["synthetic"] else "Research"
    segmentation = highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=planes,
        segmentation_type=encoding,
        segment_descriptions=[
            _segment(number if is_labelmap else segment, name, algorithm)
            for segment, (number, name) in enumerate(found.items(), 1)
        ],
        series_instance_uid=generate_uid(),
        series_number=9001,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="ct-bundles",
        manufacturer_model_name=bundle["name"],
        software_versions=bundle["version"],
        device_serial_number=weights["sha256"][:16],
        series_description=f"{origin}, {bundle['name']} structures"[:64],
        content_label="STRUCTURES",
        content_description=f"{origin}, {bundle['name']}; not for clinical use"[:64],
        content_qualification="RESEARCH",
        specific_character_set="ISO_IR 192",
    )
    if is_labelmap:
        # pydicom's own encoder: GDCM's ends the process where a frame's pixels are odd in number.
        segmentation.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    else:
        segmentation.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    return segmentation


def _segment(number: int, name: str, algorithm: Any) -> SegmentDescription:
    """One structure: label, codes, side and colour."""
    import highdicom

    code = structure_code(name)
    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=_concept(code.category),
        segmented_property_type=_concept(code.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        anatomic_regions=[_concept(code.region)] if code.region else None,
        display_color=highdicom.color.CIELabColor.from_rgb(*structure_colour(name)),
    )
    if code.side:
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(code.side)]
    if code.side and code.region:
        region = segment.AnatomicRegionSequence[0]
        region.AnatomicRegionModifierSequence = [_concept(code.side)]
    return segment


def _concept(code: Code) -> CodedConcept:
    from highdicom.sr import CodedConcept

    return CodedConcept(*code)

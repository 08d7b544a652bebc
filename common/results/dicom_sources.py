"""The images that a label volume was made from, for the DICOM objects that lie on them.

The reader stacks slices without shearing, so slice k of the labels is the k-th source slice along
the normal. Where slices are missing or of two thicknesses the volume has slices that no image
shows; then every image takes the labels of the volume's slice nearest to it, and a warning says so.

Shapes: I columns, J rows, K slices of the volume, S source slices.
"""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..atomic import remove, replacing
from ..errors import InputError
from ..formats.dicom_header import read_headers
from ..formats.dicom_series import Stack, stack_slices
from .dicom_evidence import read_evidence

if TYPE_CHECKING:
    from pydicom import Dataset

SAME_GRID_MM = 1e-3
NUM_LABELS = 256  # what uint8 holds
_COPIED = (
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "SliceThickness",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


@dataclass(frozen=True)
class Sources:
    """A series and the labels on its images, read once for all objects that lie on them.

    Attributes:
        stack: The source slices in order.
        images: What a derived object repeats of each: patient, study, identifiers, frame of
            reference; one dataset per slice, one for all frames of a multi-frame file.
        planes: The labels on each source slice, `(S, J, I)`.
        on_images: The numbers that have a voxel on a source slice.
        in_volume: The numbers that have a voxel anywhere.
        num_alone: How many of the volume's slices no image shows.
        why_not: Why no right object can refer to these images; empty where one can.
        notes: As sentences, what was made up and which labels lie on no image.
        found: The structures that are wanted and have a voxel on a source slice, by number.
    """

    stack: Stack
    images: list[Dataset]
    planes: NDArray[np.uint8]
    on_images: frozenset[int]
    in_volume: frozenset[int]
    num_alone: int
    why_not: str
    notes: list[str]
    found: dict[int, str] = field(default_factory=dict)

    @property
    def multi_frame(self) -> bool:
        """Whether the slices are frames of one file."""
        return self.stack.slices[0].multi_frame

    def image(self, index: int) -> Dataset:
        """The dataset of the image that source slice `index` lies in."""
        return self.images[0 if self.multi_frame else index]

    def of(self, names: Mapping[int, str]) -> Sources:
        """The same for the structures that are wanted, by their number in the labels."""
        found = {number: names[number] for number in sorted(names) if number in self.on_images}
        why_not, notes = self.why_not, list(self.notes)
        if not found:
            why_not = "none of the structures was found"
        if self.num_alone:
            num_lost = len(self.in_volume.intersection(names)) - len(found)
            notes.append(_between_images(self.num_alone, self.stack, num_lost))
        return replace(self, found=found, why_not=why_not, notes=notes)


def read_sources(
    source_files: Sequence[str | Path],
    frames: Sequence[Sequence[int]] | None,
    labels: NDArray[np.uint8],
    affine: ArrayLike,
) -> Sources:
    """Read the images' headers and put the labels on them.

    Args:
        source_files: The files from which the series was read; headers only are read.
        frames: Of each file the frames that were read; all where None.
        labels: `(I, J, K)` on the grid of the volume that `read_dicom` gives for these files.
        affine: `(4, 4)` of that volume, voxel index to world mm, RAS+.

    Raises:
        InputError: If the files do not form a volume, or `labels` or `affine` are not on its grid.
    """
    headers = read_headers(source_files, frames)
    if not headers:
        msg = "source_files must name the series' files, got none; give a DICOM case"
        raise InputError(msg)
    stack = stack_slices(headers, str(Path(source_files[0]).parent))
    _check_grid(stack, labels, np.asarray(affine, dtype=np.float64))
    nearest = np.rint(stack.indices).astype(int)
    planes = labels.T[nearest]
    paths = list(dict.fromkeys(header.path for header in stack.slices))
    images, notes = read_evidence(paths)
    copied = [_read_copied(path) for path in paths]
    why_not = _why_not(stack, images, copied)
    notes += _complete(images, copied)
    return Sources(
        stack=stack,
        images=images,
        planes=planes,
        on_images=_numbers(planes),
        in_volume=_numbers(labels.T),
        num_alone=stack.num_slices - len(np.unique(nearest)),
        why_not=why_not,
        notes=notes,
    )


def write_on_sources(
    path: str | Path, what: str, sources: Sources, save: Callable[[Path], object]
) -> list[str]:
    """Write an object that lies on the images of a series, whole or not at all.

    Args:
        path: Where to write; an older file there is removed where nothing can be written.
        what: The object's name, for the warning.
        sources: The images.
        save: Makes the object and writes it to the path that it is given.

    Returns:
        Warnings as sentences: why nothing was written, or what the series lacks.

    Raises:
        InputError: If the place cannot be written.
    """
    if sources.why_not:
        remove(path)
        return [f"No {what} is written: {sources.why_not}."]
    with replacing(path) as partial, python_warnings.catch_warnings():
        # Patients' names are repeated as they stand, with one component or five.
        python_warnings.filterwarnings("ignore", message="The string .* person name")
        save(partial)
    return sources.notes


def slice_distance_mm(stack: Stack) -> float:
    """Between neighbouring slices along their normal; shorter than the step in a tilted series."""
    i, j, k = stack.affine[:3, :3].T
    normal = np.cross(i, j)
    return float(abs(k @ normal) / np.linalg.norm(normal))


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


def _numbers(planes: NDArray[np.uint8]) -> frozenset[int]:
    """The numbers that have a voxel."""
    counts = np.zeros(NUM_LABELS, dtype=np.int64)
    for plane in planes:
        counts += np.bincount(plane.ravel(), minlength=NUM_LABELS)
    return frozenset(np.flatnonzero(counts).tolist())


def _read_copied(path: str) -> Dataset:
    """What a derived object repeats of an image beside patient, study and place."""
    import pydicom

    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_COPIED))


def _why_not(stack: Stack, images: Sequence[Dataset], copied: Sequence[Dataset]) -> str:
    if len({(image.StudyInstanceUID, image.SeriesInstanceUID) for image in images}) > 1:
        return "the images belong to several studies or series"
    if len(_frames_of_reference(copied)) > 1:
        return "the images lie in several frames of reference"
    if not any(header.multi_frame for header in stack.slices):
        same = len(images) < len(stack.slices)
        return "several images have the same SOPInstanceUID" if same else ""
    return "the volume is spread over several multi-frame files" if len(images) > 1 else ""


def _frames_of_reference(copied: Sequence[Dataset]) -> list[str]:
    return sorted({str(image.get("FrameOfReferenceUID") or "") for image in copied} - {""})


def _complete(images: Sequence[Dataset], copied: Sequence[Dataset]) -> list[str]:
    """Give the images, in place, their frame of reference and thickness; tells what was made up."""
    from pydicom.uid import generate_uid

    known = _frames_of_reference(copied)
    series = str(images[0].SeriesInstanceUID)
    frame = known[0] if known else generate_uid(entropy_srcs=["FrameOfReferenceUID", series])
    for image, more in zip(images, copied, strict=False):
        for keyword in _COPIED:
            if more.get(keyword):
                setattr(image, keyword, more.get(keyword))
        image.FrameOfReferenceUID = frame
    if known:
        return []
    return [
        "The series has no FrameOfReferenceUID; one was made up, so the DICOM masks are tied to "
        "their images by identifiers alone."
    ]


def _between_images(num_alone: int, stack: Stack, num_lost: int) -> str:
    without = f"; {num_lost} of the structures found lie on no image" if num_lost else ""
    return (
        f"{num_alone} of the volume's {stack.num_slices} slices have no image of their own; in the "
        f"DICOM masks each image has the labels of the slice nearest to it{without}."
    )

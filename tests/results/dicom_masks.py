"""Series of every kind, labels without symmetry and where pixels lie, for masks in DICOM."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
from numpy.typing import ArrayLike, NDArray
from pydicom.dataset import Dataset

from common.formats.dicom import read_dicom
from common.results.dicom_sources import read_sources
from common.volumes.volume import Volume
from tests.dicom_files import ramp, save, uid, write_multi_frame, write_series

FRAME_OF_REFERENCE = uid("frame of reference")
TURNED = np.array([[0.8, 0.6, 0.0], [-0.36, 0.48, 0.8], [0.48, -0.64, 0.6]])
"""Directions along a row, down a column and along the normal of an oblique series."""
NAMES = {3: "kidney_left", 5: "liver", 52: "aorta", 92: "rib_left_1", 23: "kidney_cyst_left"}
BUNDLE: Any = {"name": "ct_fm_wholebody", "version": "0.1.0"}
WEIGHTS: Any = {
    "name": "demo",
    "sha256": "ab" * 32,
    "source": "phantoms",
    "synthetic": True,
    "clinical_use": False,
}


def in_a_frame(dataset: Dataset, index: int) -> None:
    dataset.FrameOfReferenceUID = FRAME_OF_REFERENCE
    dataset.SliceThickness = 2.5


def pattern(shape: Sequence[int], numbers: Sequence[int] = (0, 5, 52, 3)) -> NDArray[np.uint8]:
    """Labels `(I, J, K)` without any symmetry, so that every flip or shift shows."""
    i, j, k = np.indices(shape)
    return np.array(numbers, np.uint8)[(i + 2 * j + 3 * k + i * j * k) // 3 % len(numbers)]


def straight_series(folder: Path, **kind: Any) -> list[Path]:
    return write_series(folder, ramp(5, 8, 7), edit=in_a_frame, **kind)


def turned_series(folder: Path, signs: Sequence[int] = (1, 1), step: int = 1) -> list[Path]:
    rows, columns = signs[0] * TURNED[0], signs[1] * TURNED[1]
    return straight_series(
        folder, step=(step * 2.5 * TURNED[2]).tolist(), orientation=[*rows, *columns]
    )


def tilted_series(folder: Path, signs: Sequence[int] = (1, 1)) -> list[Path]:
    orientation = (signs[0], 0, 0, 0, signs[1], 0)
    return straight_series(folder, step=(0.0, 0.6, 2.5), orientation=orientation)


def doubled_series(folder: Path) -> list[Path]:
    files = straight_series(folder)
    (double := pydicom.dcmread(files[2])).SOPInstanceUID = uid("double")
    return [save(double, folder / "A_double"), *files]


def two_thicknesses(folder: Path) -> list[Path]:
    """Five slices 1.25 mm apart, and above them three 5 mm apart."""
    heights = [0.0, 1.25, 2.5, 3.75, 5.0, 10.0, 15.0, 20.0]

    def edit(dataset: Dataset, index: int) -> None:
        in_a_frame(dataset, index)
        dataset.SliceThickness = 1.5 if index < 5 else 6
        dataset.ImagePositionPatient = [-10, -20, heights[index]]

    return write_series(folder, ramp(8, 8, 7), edit=edit)


def enhanced_file(folder: Path, orientation: Sequence[float] = (1, 0, 0, 0, 1, 0)) -> list[Path]:
    file = write_multi_frame(folder / "enhanced.dcm", ramp(5, 8, 7))
    dataset = pydicom.dcmread(file)
    in_a_frame(dataset, 0)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = list(orientation)
    dataset.save_as(file)
    return [file]


SERIES: dict[str, Callable[[Path], list[Path]]] = {
    "straight": straight_series,
    "no whole bytes": lambda folder: write_series(folder, ramp(5, 7, 5), edit=in_a_frame),
    "from the top down": lambda folder: straight_series(folder, step=(0, 0, -2.5)),
    "negated rows": lambda folder: straight_series(folder, orientation=(-1, 0, 0, 0, 1, 0)),
    "negated columns": lambda folder: straight_series(folder, orientation=(1, 0, 0, 0, -1, 0)),
    "both negated": lambda folder: straight_series(folder, orientation=(-1, 0, 0, 0, -1, 0)),
    "oblique": turned_series,
    "oblique from the top down": lambda folder: turned_series(folder, step=-1),
    "oblique, negated rows": lambda folder: turned_series(folder, (-1, 1)),
    "oblique, negated columns": lambda folder: turned_series(folder, (1, -1)),
    "oblique, both negated": lambda folder: turned_series(folder, (-1, -1)),
    "tilted": tilted_series,
    "tilted, negated rows": lambda folder: tilted_series(folder, (-1, 1)),
    "tilted, negated columns": lambda folder: tilted_series(folder, (1, -1)),
    "with a double": doubled_series,
    "enhanced": enhanced_file,
    "enhanced, negated rows": lambda folder: enhanced_file(folder, (-1, 0, 0, 0, 1, 0)),
    "enhanced, negated columns": lambda folder: enhanced_file(folder, (1, 0, 0, 0, -1, 0)),
}


def pixels_mm(
    position: ArrayLike, orientation: ArrayLike, spacing_mm: Sequence[float], shape: Sequence[int]
) -> NDArray[np.float64]:
    """Centres of the pixels of one image, `(J, I, 3)` mm in LPS+, by its header alone."""
    along, down = np.array(orientation, dtype=float).reshape(2, 3)
    j, i = np.indices(shape)[..., None]
    return np.array(position, dtype=float) + i * along * spacing_mm[1] + j * down * spacing_mm[0]


def voxels_at(points_mm: NDArray[np.float64], volume: Volume) -> tuple[NDArray[np.intp], ...]:
    """Indices of the volume's voxels at points in LPS+; they must hit their centres."""
    world = points_mm * [-1, -1, 1] - volume.affine[:3, 3]
    index = world @ np.linalg.inv(volume.affine[:3, :3]).T
    np.testing.assert_allclose(index, np.rint(index), atol=1e-3)
    return tuple(np.moveaxis(np.rint(index).astype(np.intp), -1, 0))


def slice_of_file(files: Sequence[Path]) -> dict[Path, int]:
    """Which slice of the volume each file is, told by its pixels; of doubles the first one."""
    volume = read_dicom(files)
    held = {
        np.ascontiguousarray(volume.voxels[:, :, k].T).tobytes(): k
        for k in range(volume.voxels.shape[2])
    }
    return {file: held[pydicom.dcmread(file).pixel_array.tobytes()] for file in files}


def writer(write: Callable[..., list[str]], path: Path) -> Callable[..., list[str]]:
    """Write the mask of a series; its grid is read from the files."""

    def write_labels(
        files: Sequence[Path],
        labels: NDArray[np.uint8] | None = None,
        volume: Volume | None = None,
        synthetic: bool = True,
        frames: Sequence[Sequence[int]] | None = None,
        affine: ArrayLike | None = None,
        **change: Any,
    ) -> list[str]:
        volume = volume or read_dicom(files)
        labels = pattern(volume.voxels.shape) if labels is None else labels
        arguments: dict[str, Any] = {
            "sources": read_sources(
                files, frames, labels, volume.affine if affine is None else affine
            ),
            "names": NAMES,
            "bundle": BUNDLE,
            "weights": {**WEIGHTS, "synthetic": synthetic},
        }
        return write(path, **{**arguments, **change})

    return write_labels


def by_image(path: Path, files: Sequence[Path]) -> NDArray[np.uint8]:
    """Numbers `(file, J, I)` as another program reads them: by the image that a frame names."""
    segmentation = highdicom.seg.segread(path)
    images = [pydicom.dcmread(file).SOPInstanceUID for file in files]
    segments = segmentation.get_pixels_by_source_instance(images, combine_segments=True)
    return numbers_of(segmentation)[segments]


def by_place(path: Path, volume: Volume) -> NDArray[np.uint8]:
    """Numbers `(I, J, K)`, every pixel put where its frame's own header says; plain pydicom."""
    dataset = pydicom.dcmread(path)
    numbers = numbers_of(dataset)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    spacing_mm = shared.PixelMeasuresSequence[0].PixelSpacing
    labels = np.zeros(volume.voxels.shape, np.uint8)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    for pixels, group in zip(frames, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        position = group.PlanePositionSequence[0].ImagePositionPatient
        inside = pixels > 0
        places = pixels_mm(position, orientation, spacing_mm, pixels.shape)[inside]
        segments = pixels[inside]  # a label map has them itself
        if dataset.SegmentationType == "BINARY":
            segments = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        labels[voxels_at(places, volume)] = numbers[segments]
    return labels


def numbers_of(dataset: Dataset) -> NDArray[np.uint8]:
    """Number of each segment, by its label."""
    number_of = {name: number for number, name in NAMES.items()}
    numbers = np.zeros(256, np.uint8)
    for segment in dataset.SegmentSequence:
        numbers[segment.SegmentNumber] = number_of.get(segment.SegmentLabel, 0)
    return numbers

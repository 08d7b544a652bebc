"""What a segmenter leaves: masks on the scan's own grid, and what each structure measures.

Shapes: D H W the network's grid after the crop, I J K the input's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..figures.segmentation import write_segmentation_figure
from ..results.dicom_segmentation import SEGMENTATION_NAME as DICOM_NAME
from ..results.dicom_segmentation import write_dicom_segmentation
from ..results.dicom_sources import read_sources
from ..results.dicom_structure_set import STRUCTURE_SET_NAME, write_structure_set
from ..results.label_volume import write_label_volume
from ..results.nifti_file import is_sheared, tilt_warning
from ..results.run_record import RunRecord
from ..results.schema import CaseRecord
from ..results.structure_table import (
    SEGMENTATION_DEFINITIONS,
    VOLUMES_NAME,
    measure_structures,
    segmentation_outputs,
    write_volumes,
)
from ..vocabulary.totalsegmentator import MANY_PIECES, STRUCTURES
from ..volumes.geometry import voxel_ml
from ..volumes.inverse import describe_grid, labels_to_input_grid, read_grid
from ..volumes.label_pieces import clean_pieces
from ..volumes.volume import Volume
from ..weights.card import Card
from .base import CaseOutput, Left

SEGMENTATION_NAME = "segmentation.nii.gz"
UNTILTED_NAME = "segmentation_untilted.nii.gz"


class SaveSegmentationd(CaseOutput):
    """Bring labels back to the input's grid and write what belongs to the case; see `CaseOutput`.

    Where the labels were found, only the largest piece is kept of every structure but those that
    may rightly lie apart, and no piece smaller than asked for of any. The input's voxels then take
    the label of the nearest voxel there.

    `pred` is the answer of `StreamingInferer`; `source_grid` is read too.

    Args:
        record: From `start_record`.
        structures: `all`, or the names of those to write, as a list or separated by commas; the
            network finds all of them either way.
        smallest_piece_ml: Pieces of any structure below this are left out; 0 keeps all.
        untilted_copy: Whether to write `segmentation_untilted.nii.gz` for a tilted scan: the same
            labels on a grid without shear, each at its place in the patient, for programs that
            know no shear.
        structure_set: Whether to write `structures_rt.dcm`, an RT structure set, for DICOM input.
        figures: Whether to write `figure.png`.

    Raises:
        InputError: If a structure is none of the card's labels, or the size is below 0.
    """

    definitions = SEGMENTATION_DEFINITIONS
    not_settings = ("names", "one_piece")  # the card says both

    def __init__(
        self,
        *,
        record: RunRecord,
        structures: str | Sequence[str] = "all",
        smallest_piece_ml: float = 0.0,
        untilted_copy: bool = False,
        structure_set: bool = False,
        figures: bool = True,
    ) -> None:
        if not smallest_piece_ml >= 0:
            msg = f"smallest_piece_ml must be 0 or more, got {smallest_piece_ml}; 0 keeps all"
            raise InputError(msg)
        super().__init__(record=record, figures=figures)
        self.smallest_piece_ml = smallest_piece_ml
        self.untilted_copy = untilted_copy
        self.structure_set = structure_set
        self.names = names_by_number(record.card)
        self.wanted = _choose(structures, self.names)
        self.one_piece = [
            number for number, name in enumerate(self.names) if number and name not in MANY_PIECES
        ]

    def write(self, folder: Path, data: dict[str, Any], case: CaseRecord) -> Left:
        """`segmentation.nii.gz`, `volumes.csv`, DICOM masks for DICOM input, `figure.png`."""
        volume = data["volume"]
        cleaned = self._clean(data)
        labels = self._on_grid(cleaned, data, data["source_grid"])
        table = measure_structures(labels, volume, self.names)
        outputs = segmentation_outputs(table)
        case["warnings"] += tilt_warning(volume)
        files = [
            *write_label_volume(
                folder / SEGMENTATION_NAME, labels, volume.affine, self.names, qform=volume.qform
            ),
            *self._write_untilted(folder, data, cleaned),
            write_volumes(folder / VOLUMES_NAME, table).name,
            *self._write_dicom(folder, data, case, labels),
            *self._write_figure(folder, volume, case, labels, outputs),
        ]
        return Left(outputs, files)

    def _clean(self, data: dict[str, Any]) -> NDArray[np.uint8]:
        """The network's classes as the card's numbers, without stray pieces."""
        card = self.record.card
        found = data["pred"]["labels"][0].cpu().numpy()
        numbers = np.array(card.numbers, dtype=np.uint8)[found]
        affine, refine = np.asarray(data["image"].affine), data["pred"]["refine"]
        cleaned = clean_pieces(
            numbers,
            one_piece=self.one_piece,
            min_voxels=self.smallest_piece_ml * refine**3 / voxel_ml(affine),
        )
        if len(self.wanted) < len(self.names) - 1:
            cleaned = np.where(np.isin(cleaned, self.wanted), cleaned, np.uint8(0))
        return cleaned

    def _on_grid(
        self, cleaned: NDArray[np.uint8], data: dict[str, Any], grid: Any
    ) -> NDArray[np.uint8]:
        """Labels `(I, J, K)` on a grid of the scan's."""
        affine, refine = np.asarray(data["image"].affine), data["pred"]["refine"]
        return labels_to_input_grid(cleaned, affine, grid, refine=refine)

    def _write_untilted(
        self, folder: Path, data: dict[str, Any], cleaned: NDArray[np.uint8]
    ) -> list[str]:
        volume = data["volume"]
        if not self.untilted_copy or not is_sheared(volume.affine, volume.voxels.shape):
            return []
        straight = read_grid(data["source_grid"]).straightened()
        labels = self._on_grid(cleaned, data, describe_grid(straight))
        return write_label_volume(folder / UNTILTED_NAME, labels, straight.affine, self.names)

    def _write_dicom(
        self, folder: Path, data: dict[str, Any], case: CaseRecord, labels: NDArray[np.uint8]
    ) -> list[str]:
        """DICOM masks where the input was DICOM; their warnings go to the case."""
        if case["format"] != "dicom":
            return []
        named = {number: name for number, name in enumerate(self.names) if number and name}
        coded = {number: name for number, name in named.items() if name in STRUCTURES}
        files, frames = data["case"]["files"], data["case"].get("frames")
        given: dict[str, Any] = {
            "sources": read_sources(files, frames, labels, data["volume"].affine),
            "bundle": self.record.bundle,
            "weights": self.record.card.provenance(),
        }
        notes = write_dicom_segmentation(folder / DICOM_NAME, names=coded, **given)
        if len(coded) < len(named):
            others = ", ".join(name for name in named.values() if name not in STRUCTURES)
            notes.insert(0, f"Not in the DICOM segmentation, for want of a code: {others}.")
        if self.structure_set:
            notes += write_structure_set(folder / STRUCTURE_SET_NAME, names=named, **given)
        case["warnings"] += dict.fromkeys(notes)  # both say what their images lack
        return [name for name in (DICOM_NAME, STRUCTURE_SET_NAME) if (folder / name).is_file()]

    def _write_figure(
        self,
        folder: Path,
        volume: Volume,
        case: CaseRecord,
        labels: NDArray[np.uint8],
        outputs: dict[str, Any],
    ) -> list[str]:
        if not self.figures:
            return []
        write_segmentation_figure(
            folder / "figure.png",
            volume=volume,
            labels=labels,
            case=case,
            bundle=self.record.bundle,
            weights=self.record.card.provenance(),
            outputs=outputs,
        )
        return ["figure.png"]


def names_by_number(card: Card) -> list[str]:
    """Name of each number that a label volume of these weights can hold; "" where none is."""
    names = [""] * (max(card.numbers) + 1)
    for number, label in zip(card.numbers, card.labels, strict=True):
        names[number] = label
    return names


def _choose(structures: str | Sequence[str], names: Sequence[str]) -> list[int]:
    """Numbers of the structures asked for."""
    if structures == "all":
        return [number for number, name in enumerate(names) if number and name]
    asked = structures.split(",") if isinstance(structures, str) else list(structures)
    asked = [str(name).strip() for name in asked]
    unknown = [name for name in asked if not name or name not in names[1:]]
    if unknown or not asked:
        near = difflib.get_close_matches(unknown[0], names[1:], n=3) if unknown else []
        hint = f"did you mean {', '.join(near)}?" if near else "the card's labels name them all"
        msg = f"structures must be all or names of the card's labels, got {structures}; {hint}"
        raise InputError(msg)
    return sorted(names.index(name) for name in asked)

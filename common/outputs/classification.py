"""What a classifier leaves: probabilities, what speaks for them, and a DICOM report.

Shapes: B batch of one, L labels, T slice triplets; D H W the network's grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..figures.attention import write_attention
from ..figures.classification import write_classification_figure
from ..results.classification import (
    CLASSIFICATION_DEFINITIONS,
    classification_outputs,
    triplet_centres_world_mm,
)
from ..results.dicom_report import write_dicom_report
from ..results.schema import CaseRecord
from .base import CaseOutput, Left


class SaveClassificationd(CaseOutput):
    """Write what belongs to one classified case; see `CaseOutput`.

    Of `pred` it reads `logits` `(1, L)` and, where there, `relevance` `(1, L, T)`, `inside`
    `(1, T)`, and `attention`, name to `(1, T, T)`.
    """

    definitions = CLASSIFICATION_DEFINITIONS

    def write(self, folder: Path, data: dict[str, Any], case: CaseRecord) -> Left:
        """`figure.png`, attention maps where asked for, `report_sr.dcm` for DICOM input."""
        card, volume, pred = self.record.card, data["volume"], data["pred"]
        probabilities = torch.sigmoid(pred["logits"][0].float()).cpu().numpy()
        relevance = pred["relevance"][0].float().cpu().numpy() if "relevance" in pred else None
        outputs = classification_outputs(
            labels=card.labels,
            probabilities=probabilities,
            thresholds=list(card.thresholds.values()),
            relevance=relevance,
            inside=pred["inside"][0].cpu().numpy() if "inside" in pred else None,
            network_affine=data["image"].affine,
            network_shape=data["image"].shape[-3:],
            input_affine=volume.affine,
            input_shape=volume.voxels.shape,
        )
        return Left(outputs, self._write_companions(folder, data, case, outputs))

    def _write_companions(
        self, folder: Path, data: dict[str, Any], case: CaseRecord, outputs: dict[str, Any]
    ) -> list[str]:
        """Write what stands beside `result.json`; gives the file names and adds warnings."""
        record, card = self.record, self.record.card
        files = []
        if self.figures:
            files.append("figure.png")
            write_classification_figure(
                folder / "figure.png",
                volume=data["volume"],
                case=case,
                bundle=record.bundle,
                weights=card.provenance(),
                outputs=outputs,
                triplet_centres_world_mm=triplet_centres_world_mm(
                    data["image"].affine, data["image"].shape[-3:]
                ),
            )
        if "attention" in data["pred"]:
            maps = {name: each[0].cpu().numpy() for name, each in data["pred"]["attention"].items()}
            files += write_attention(
                folder, maps, case_id=case["case_id"], synthetic=card.is_synthetic
            )
        if case["format"] == "dicom":
            files.append("report_sr.dcm")
            case["warnings"] += write_dicom_report(
                folder / "report_sr.dcm",
                source_files=data["case"]["files"],
                outputs=outputs,
                bundle=record.bundle,
                weights=card.provenance(),
            )
        return files

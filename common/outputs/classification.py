"""Turn a classifier's logits into a finished case folder.

Shapes: B batch of one, L labels, T slice triplets; D H W the network's grid.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
from monai.transforms import Transform

from ..figures.attention import write_attention
from ..figures.classification import write_classification_figure
from ..results.case_result import describe_case
from ..results.classification import (
    CLASSIFICATION_DEFINITIONS,
    classification_outputs,
    triplet_centres_world_mm,
)
from ..results.dicom_report import write_dicom_report
from ..results.run_record import RunRecord
from ..results.schema import CaseRecord


class SaveClassificationd(Transform):
    """Write `result.json` and what belongs to it for one classified case.

    Reads `case`, `volume` (the stored scan), `image` `(1, 1, D, H, W)`, `read_preprocess_s` and
    `pred`: `logits` `(1, L)`, `relevance` `(1, L, T)`, `inside` `(1, T)`, `attention` name to
    `(1, T, T)`, `inference_s`.

    Args:
        record: The run.
        figures: Whether to draw `figure.png`.
    """

    def __init__(self, *, record: RunRecord, figures: bool = True) -> None:
        self.record = record
        self.figures = figures

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        """Write the case's folder; `data` goes through unchanged."""
        start = time.perf_counter()
        record, card, volume, pred = self.record, self.record.card, data["volume"], data["pred"]
        folder = record.draft(data["case_id"])
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
        case = describe_case(data["case"], volume)
        files = self._write_companions(folder, data, case, outputs)
        record.finish(
            data, case=case, outputs=outputs, definitions=CLASSIFICATION_DEFINITIONS, files=files,
            write_s=time.perf_counter() - start,
        )  # fmt: skip
        return data

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

"""Plain, small stand-ins for what an inference run hands to the results."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.results.case_result import case_result, describe_case
from common.results.classification import CLASSIFICATION_DEFINITIONS, classification_outputs
from common.results.schema import CaseResult
from common.volume import Volume

LABELS = ["Lung nodule", "Pleural effusion"]


@pytest.fixture
def make_result(small_volume: Volume) -> Callable[..., CaseResult]:
    """Build a valid result; keywords replace parts of it."""

    def build(case_id: str = "case_1", **replace: Any) -> CaseResult:
        case = {"case_id": case_id, "image": "scans/case_1.nii.gz", "format": "nifti"}
        outputs = classification_outputs(
            labels=LABELS,
            probabilities=[0.75, 0.25],
            thresholds=[0.5, 0.5],
            relevance=[[0.0, 2.0], [1.0, -1.0]],
            # S, L, P with 3 mm slices: the input's slices one to one.
            network_affine=[[0, -2, 0, 0], [0, 0, -1, 0], [3, 0, 0, 0], [0, 0, 0, 1]],
            network_shape=(6, 4, 5),
            input_affine=small_volume.affine,
            input_shape=small_volume.voxels.shape,
            num_top=1,
        )
        parts: dict[str, Any] = {
            "case": describe_case(case, small_volume),
            "bundle": {"name": "ct_scroll", "version": "0.1.0"},
            "weights": {
                "name": "demo",
                "sha256": "ab" * 32,
                "source": "synthetic phantoms",
                "synthetic": True,
                "clinical_use": False,
            },
            "device": "cpu",
            "precision": "fp32",
            "backend": "eager",
            "timings": {"read_preprocess_s": 0.5, "inference_s": 1.25, "write_s": 0.25},
            "outputs": outputs,
            "definitions": CLASSIFICATION_DEFINITIONS,
            "fingerprint": "cd" * 32,
            "settings": {"precision": "fp32"},
            "written_at": "2026-01-02T03:04:05+00:00",
        }
        return case_result(**{**parts, **replace})

    return build


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "out" / "case_1"

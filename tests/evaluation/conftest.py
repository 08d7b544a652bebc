"""Results of a classifier, as an inference run leaves them."""

import numpy as np
import pytest

from common.results.case_result import case_result, write_case_result
from common.results.classification import CLASSIFICATION_DEFINITIONS, classification_outputs


@pytest.fixture
def write_result():
    """Write one classifier's result.json below a folder, as an inference run would."""

    def write(folder, case_id, probabilities, *, patient_id=None, threshold=0.5, sha256="0" * 64):
        result = case_result(
            case={
                "case_id": case_id,
                "path": f"{case_id}.nii.gz",
                "format": "nifti",
                "patient_id": patient_id,
                "input": {
                    "shape_voxels": [4, 4, 4],
                    "spacing_mm": [1.0, 1.0, 1.0],
                    "axcodes": "RAS",
                    "affine": np.eye(4).tolist(),
                },
                "series": {},
                "warnings": [],
            },
            bundle={"name": "ct_scroll", "version": "0.1.0"},
            weights={
                "name": "demo",
                "sha256": sha256,
                "source": "test",
                "synthetic": True,
                "clinical_use": False,
            },
            device="cpu",
            precision="fp32",
            backend="eager",
            timings={"read_preprocess_s": 0.1, "inference_s": 0.1, "write_s": 0.1},
            outputs=classification_outputs(
                labels=list(probabilities),
                probabilities=list(probabilities.values()),
                thresholds=[threshold] * len(probabilities),
            ),
            definitions=CLASSIFICATION_DEFINITIONS,
            fingerprint="f",
        )
        return write_case_result(folder / case_id, result)

    return write

"""Serve the bundles with MONAI Label: `python scripts/label_app/serve.py --studies DIR`.

Run it in the server's own environment, `.venv-label` (`make label-env`). DIR holds NIfTI files or
is a DICOMweb address such as http://127.0.0.1:8042/dicom-web. Every other option is MONAI Label's
own (`--host`, `--port`, `--conf`). Works without the network.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import torch
from torch import library as operators

APP = Path(__file__).resolve().parent
DEFAULTS = {
    # DICOM stays DICOM: the bundles read it themselves, and write their results as DICOM
    "MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI": "false",
    "MONAI_LABEL_DICOMWEB_SEARCH_FILTER": '{"Modality": "CT"}',
}


def main() -> None:
    for key, value in DEFAULTS.items():
        os.environ.setdefault(key, value)
    if torch.version.cuda is None and importlib.util.find_spec("torchvision"):
        declare_torchvision_operators()
    from monailabel.main import Main

    sys.argv = [sys.argv[0], "start_server", "--app", str(APP), *sys.argv[1:]]
    Main().run()


def declare_torchvision_operators() -> None:
    """Let torchvision's package for GPUs be imported beside torch for CPUs.

    MONAI Label imports it to draw; its compiled operators are never called here.
    """
    declared = operators.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    globals()["_declared"] = declared  # the operators go when it does


if __name__ == "__main__":
    main()
